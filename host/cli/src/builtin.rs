//! What the binary carries: the example policies as components, the toy experts, and the sources of
//! the SDK for new policies. `build.rs` compiles and collects them.

/// An example policy, compiled.
pub(crate) struct Component {
    /// Its name in `examples/`.
    pub(crate) name: &'static str,
    /// The component.
    pub(crate) bytes: &'static [u8],
}

/// A file with the path it has below its folder.
pub(crate) struct File {
    /// With forward slashes.
    pub(crate) path: &'static str,
    /// What is in it.
    pub(crate) bytes: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/builtin.rs"));

/// The router that a registry without one begins with.
pub(crate) const DEFAULT_ROUTER: &str = "route-by-domain";

/// The domains that it decides for.
pub(crate) const ROUTER_DOMAINS: [&str; 5] =
    ["general", "technical", "coding", "multimodal_expert", "multilingual_expert"];

/// What else it takes for one of them.
pub(crate) const ROUTER_DOMAINS_ALSO: [&str; 13] = [
    "chat",
    "fast",
    "tech",
    "science",
    "code",
    "programming",
    "software",
    "vision",
    "analysis",
    "reasoning",
    "multilingual",
    "translation",
    "languages",
];

/// The example policy of this name.
pub(crate) fn component(name: &str) -> Option<&'static Component> {
    COMPONENTS.iter().find(|component| component.name == name)
}

/// The names of all example policies.
pub(crate) fn names() -> Vec<&'static str> {
    COMPONENTS.iter().map(|component| component.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_router_s_domains_are_those_of_its_source() {
        let source = include_str!("../../../examples/route-by-domain/src/domains.rs");
        for domain in ROUTER_DOMAINS {
            assert!(source.contains(&format!("&str = \"{domain}\";")), "{domain}");
        }
        for domain in ROUTER_DOMAINS_ALSO {
            assert!(source.contains(&format!("\"{domain}\"")), "{domain}");
        }
    }

    #[test]
    fn the_binary_carries_what_the_demo_needs() {
        assert!(component(DEFAULT_ROUTER).is_some());
        assert!(component("round-robin").is_some());
        assert!(SDK.iter().any(|file| file.path == "sdk/Cargo.toml"));
        assert!(SDK.iter().any(|file| file.path == "wit/types.wit"));
        assert!(TOYS.iter().any(|file| file.path == "phi4_fast/config.json"));
        assert_eq!(TOYS_HASH.len(), 64);
    }
}

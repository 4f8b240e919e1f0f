//! What a component says about how it was made. Nothing of it is checked, because nothing depends on it.

use wasmparser::{KnownCustom, Parser, Payload};

/// The section that `signalbox policy build` writes: language and version of the SDK.
const SDK_SECTION: &str = "signalbox-sdk";
/// Languages and tools that are read of one component.
const NAMES_MAX: usize = 32;

/// How a component was made, in its own words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The language and version of the SDK, as in `rust 0.1.0`; `None` when it was made without one.
    pub sdk: Option<String>,
    /// Languages that are in it, that of the runtime included.
    pub languages: Vec<String>,
    /// Tools that it went through, with their versions.
    pub tools: Vec<String>,
}

impl Origin {
    /// Reads the custom sections of `component`. What can't be read is left out.
    pub fn read(component: &[u8]) -> Self {
        let mut origin = Self::default();
        for payload in Parser::new(0).parse_all(component).map_while(Result::ok) {
            let Payload::CustomSection(section) = payload else { continue };
            match section.as_known() {
                KnownCustom::Producers(fields) => origin.producers(fields),
                _ if section.name() == SDK_SECTION => {
                    origin.sdk = String::from_utf8(section.data().to_vec()).ok();
                }
                _ => {}
            }
        }
        origin
    }

    /// The fields of WebAssembly's tool conventions.
    fn producers(&mut self, fields: wasmparser::ProducersSectionReader<'_>) {
        for field in fields.into_iter().map_while(Result::ok) {
            let list = match field.name {
                "language" => &mut self.languages,
                "processed-by" => &mut self.tools,
                _ => continue,
            };
            for value in field.values.into_iter().map_while(Result::ok) {
                let name = format!("{} {}", value.name, value.version).trim_end().to_owned();
                if list.len() < NAMES_MAX && !list.contains(&name) {
                    list.push(name);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_says_how_it_was_made() {
        let text = r#"(component
            (core module (@producers (language "Rust" "") (processed-by "rustc" "1.95.0")))
            (core module (@producers (language "Rust" "")))
            (@custom "signalbox-sdk" "rust 0.1.0"))"#;
        let origin = Origin::read(&wat::parse_str(text).unwrap());
        assert_eq!(origin.sdk.as_deref(), Some("rust 0.1.0"));
        assert_eq!(
            (&origin.languages[..], &origin.tools[..]),
            (&["Rust".into()][..], &["rustc 1.95.0".into()][..])
        );
        assert_eq!(Origin::read(b"nonsense"), Origin::default());
    }
}

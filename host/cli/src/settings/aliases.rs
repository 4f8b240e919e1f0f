//! `experts[].aliases`: other names that calls may use, each for one expert. What clients have in their settings stays
//! there when the expert behind it is another one.

use std::collections::BTreeMap;

use crate::config::Section;

/// Other names of one expert.
const ALIASES_MAX: usize = 64;
/// Bytes of one of them.
const ALIAS_BYTES_MAX: usize = 128;
/// Names that leave the choice to the router.
const RESERVED: [&str; 2] = ["auto", "default"];

/// Reads the aliases of all experts, each with the id it stands for.
pub(super) fn read(experts: &[Section<'_>]) -> BTreeMap<String, String> {
    let mut aliases = BTreeMap::new();
    if !experts.iter().any(|expert| expert.has("aliases")) {
        return aliases;
    }
    let named: Vec<_> = experts.iter().map(|expert| (expert, expert.text("expert_id"))).collect();
    let ids: Vec<&str> = named.iter().filter_map(|(_, id)| *id).collect();
    for (expert, id) in named {
        let names = expert.texts("aliases");
        let Some(id) = id else { continue };
        if names.len() > ALIASES_MAX {
            expert.mistake("aliases", format!("must be up to {ALIASES_MAX} names"));
            continue;
        }
        for name in names {
            match problem(&name, &ids, &aliases) {
                Some(problem) => expert.mistake("aliases", problem),
                None => drop(aliases.insert(name, id.to_owned())),
            }
        }
    }
    aliases
}

fn problem(name: &str, ids: &[&str], taken: &BTreeMap<String, String>) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-:/".contains(c);
    if name.is_empty() || name.len() > ALIAS_BYTES_MAX || !name.chars().all(plain) {
        return Some(format!("an alias has 1 to {ALIAS_BYTES_MAX} letters, digits and ._-:/"));
    }
    if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
        return Some(format!("\"{name}\" means that the router decides; choose another alias"));
    }
    if ids.contains(&name) {
        return Some(format!("\"{name}\" is the id of an expert; choose another alias"));
    }
    let other = taken.get(name)?;
    Some(format!("\"{name}\" is an alias of \"{other}\" already"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    /// Reads two experts, `a` and `b`, with these aliases.
    fn parse(first: &str, second: &str) -> (BTreeMap<String, String>, Vec<String>) {
        let expert =
            |id: &str, aliases: &str| format!(r#"{{ "expert_id": "{id}", "aliases": {aliases} }}"#);
        let text = format!(r#"{{ "experts": [{}, {}] }}"#, expert("a", first), expert("b", second));
        let (aliases, findings) = config::read(&text, |root| read(&root.sections("experts")));
        let mistakes = findings.mistakes.iter().map(ToString::to_string).collect();
        (aliases.unwrap_or_default(), mistakes)
    }

    #[test]
    fn aliases_are_other_names_of_one_expert() {
        let (aliases, mistakes) = parse(r#"["gpt-4o-mini", "phi4:mini"]"#, r#"["org/b"]"#);
        assert_eq!((aliases.len(), mistakes.len()), (3, 0), "{mistakes:?}");
        assert_eq!((aliases["phi4:mini"].as_str(), aliases["org/b"].as_str()), ("a", "b"));
        let wrong = |second: &str, words: &str| {
            let (_, mistakes) = parse(r#"["x"]"#, second);
            assert!(mistakes[0].contains(words), "{mistakes:?}");
        };
        wrong(r#"["x"]"#, "\"x\" is an alias of \"a\" already");
        wrong(r#"["a"]"#, "\"a\" is the id of an expert");
        wrong(r#"["auto"]"#, "\"auto\" means that the router decides");
        wrong(r#"["two words"]"#, "letters, digits");
        wrong("[7]", "must be a list of strings");
    }
}

//! What a component may import for nothing, and how it comes to do without: runtimes of JavaScript bring `wasi:http` along,
//! used or not, and an import that is not used asks operators for what nobody needs.

const HTTP: &str = "wasi:http/";
const WITHOUT_HTTP: &str = "do without it (`signalbox policy build` makes JavaScript without it; \
                            componentize-js by itself does with `-d http fetch-event`)";

/// How a component that does not need them comes to do without those of `imports` that may be there for nothing.
pub(crate) fn without(imports: &[impl AsRef<str>]) -> Option<&'static str> {
    imports.iter().any(|import| import.as_ref().starts_with(HTTP)).then_some(WITHOUT_HTTP)
}

/// The same, to stand behind a sentence about these imports.
pub(crate) fn mend(imports: &[String]) -> String {
    without(imports).map_or_else(String::new, |mend| {
        format!("; one that asks no other host over wasi:http can {mend}")
    })
}

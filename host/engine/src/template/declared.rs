//! The chat template that a checkpoint declares, compiled when it is first asked for and then kept.

use std::sync::OnceLock;

use super::{
    ChatTemplate, Problem, Renderers, TokenNames,
    files::{find, token_names},
};
use crate::files::{CheckpointError, Source};

/// The refusal of a chat call where there is no template.
const NO_TEMPLATE: &str = "the checkpoint has none; add chat_template.jinja, or use completions";

/// Where a checkpoint stands with its template.
pub(crate) struct DeclaredTemplate {
    text: Result<Option<String>, CheckpointError>,
    names: TokenNames,
    renderers: Renderers,
    /// What came of compiling, but for what passes.
    compiled: OnceLock<Result<ChatTemplate, Problem>>,
}

impl DeclaredTemplate {
    pub(crate) fn find(source: &Source, renderers: &Renderers) -> Self {
        Self {
            text: find(source),
            names: token_names(source),
            renderers: renderers.clone(),
            compiled: OnceLock::new(),
        }
    }

    /// Its source; `None` where the checkpoint has none.
    pub(crate) fn text(&self) -> Result<Option<&str>, &CheckpointError> {
        self.text.as_ref().map(|text| text.as_deref())
    }

    /// The token texts that it may mention.
    pub(crate) fn names(&self) -> &TokenNames {
        &self.names
    }

    /// Ready to render. The error says why there is nothing to render with.
    pub(crate) fn compiled(&self) -> Result<&ChatTemplate, Problem> {
        if let Some(compiled) = self.compiled.get() {
            return compiled.as_ref().map_err(Clone::clone);
        }
        let text = match self.text() {
            Ok(Some(text)) => text.to_owned(),
            Ok(None) => return Err(Problem::Raised(NO_TEMPLATE.to_owned())),
            Err(damage) => return Err(Problem::Failed(damage.message())),
        };
        let compiled = ChatTemplate::compile(text, &self.names, &self.renderers);
        if let Err(problem @ Problem::Unavailable(_)) = compiled {
            return Err(problem);
        }
        self.compiled.get_or_init(|| compiled).as_ref().map_err(Clone::clone)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_template_is_compiled_once_and_its_absence_explained() {
        let folder = tempfile::tempdir().unwrap();
        let source = Source::Folder(folder.path().into());
        let none = DeclaredTemplate::find(&source, &Renderers::Here);
        assert!(matches!(none.compiled(), Err(Problem::Raised(why)) if why == NO_TEMPLATE));
        fs::write(folder.path().join("chat_template.jinja"), "{{ messages | length }}").unwrap();
        let some = DeclaredTemplate::find(&source, &Renderers::Here);
        assert!(std::ptr::eq(some.compiled().unwrap(), some.compiled().unwrap()));
    }
}

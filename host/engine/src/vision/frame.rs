//! What a picture is in a rendered prompt: the template writes one token, which becomes the sequence that
//! transformers' `Gemma3Processor` writes in its place.

use crate::{spec::VisionSpec, template::TokenNames, tokenizer::Tokenizer};

/// How a prompt holds a picture.
pub(crate) struct Frame {
    /// What the template writes.
    opening: String,
    /// What is read instead: the opening, the placeholders, an end, and blank lines around.
    whole: String,
}

impl Frame {
    /// The error says which token the tokenizer lacks.
    pub(crate) fn new(
        spec: &VisionSpec,
        names: &TokenNames,
        tokenizer: &Tokenizer,
    ) -> Result<Self, String> {
        let text = |name: &str, default: &str| {
            names.get(name).map_or_else(|| default.to_owned(), Clone::clone)
        };
        let opening = text("boi_token", "<start_of_image>");
        let placeholder = text("image_token", "<image_soft_token>");
        let end = text("eoi_token", "<end_of_image>");
        for token in [&opening, &end] {
            tokenizer.id(token).ok_or_else(|| format!("the tokenizer has no '{token}'"))?;
        }
        if tokenizer.id(&placeholder) != Some(spec.placeholder) {
            let id = spec.placeholder;
            return Err(format!("'{placeholder}' is not token {id} of the tokenizer"));
        }
        let places = placeholder.repeat(spec.tokens());
        Ok(Self { whole: format!("\n\n{opening}{places}{end}\n\n"), opening })
    }

    /// A rendered prompt with room for its pictures. The error says that the template made room for
    /// more or fewer than `images`.
    pub(crate) fn expand(&self, rendered: &str, images: usize) -> Result<String, String> {
        let places = rendered.matches(&self.opening).count();
        if places != images {
            return Err(format!("it shows {places} of {images} images"));
        }
        Ok(rendered.replace(&self.opening, &self.whole))
    }
}

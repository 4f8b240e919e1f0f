//! What can be wrong with an image that comes with a call.

use signalbox_engine::ImageError;

/// Why one image is not taken.
#[derive(Debug, thiserror::Error)]
#[error("'{at}': {problem}")]
pub(crate) struct ImageRefusal {
    /// Where it stands in the body.
    pub(crate) at: String,
    /// What is wrong with it.
    pub(crate) problem: ImageProblem,
}

/// What can be wrong with an image.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageProblem {
    /// Too large, or no image.
    #[error(transparent)]
    Unusable(#[from] ImageError),
    /// Neither a `data:` URL that can be read nor an address.
    #[error("{0}; send \"data:image/png;base64,...\"")]
    Url(String),
    /// The operator did not allow this.
    #[error("images are not fetched from {host}: {why}; send the image as a data: URL")]
    NotAllowed { host: String, why: String },
    /// The host did not send it.
    #[error("the image can't be fetched from {host}: {why}; send it as a data: URL")]
    Unreachable { host: String, why: String },
    /// Other calls hold as many pixels as may be held.
    #[error("other calls hold all memory there is for images; retry later")]
    Full,
}

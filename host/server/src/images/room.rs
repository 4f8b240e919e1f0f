//! Memory that images take.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

/// Memory for the images of one call; free again when the last clone is dropped.
pub(crate) type Room = Arc<Option<OwnedSemaphorePermit>>;

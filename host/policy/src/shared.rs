//! How shared data is written down and read back: as what is shared.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One value.
pub(crate) mod one {
    use super::{Arc, Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<T: Serialize, S: Serializer>(
        of: &Arc<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        T::serialize(of, to)
    }

    pub(crate) fn deserialize<'d, T: Deserialize<'d>, D: Deserializer<'d>>(
        from: D,
    ) -> Result<Arc<T>, D::Error> {
        T::deserialize(from).map(Arc::new)
    }
}

/// A list.
pub(crate) mod list {
    use super::{Arc, Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<T: Serialize, S: Serializer>(
        of: &Arc<[T]>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        <[T]>::serialize(of, to)
    }

    pub(crate) fn deserialize<'d, T: Deserialize<'d>, D: Deserializer<'d>>(
        from: D,
    ) -> Result<Arc<[T]>, D::Error> {
        Vec::deserialize(from).map(Into::into)
    }
}

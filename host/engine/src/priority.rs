//! Priority classes of calls: who goes first where not all can go at once.

/// The class of a call. In order: what is greater goes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// What may wait, such as batches.
    Low,
    /// Everything of which nobody said otherwise.
    #[default]
    Normal,
    /// What somebody waits for.
    High,
}

impl Priority {
    /// All of them, the highest first.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];
    /// Their names in the same order.
    pub const NAMES: [&str; 3] = ["high", "normal", "low"];

    /// The class of this name.
    pub fn named(name: &str) -> Option<Self> {
        let at = Self::NAMES.iter().position(|known| *known == name)?;
        Some(Self::ALL[at])
    }

    /// Its place in [`ALL`](Self::ALL).
    pub fn index(self) -> usize {
        match self {
            Self::High => 0,
            Self::Normal => 1,
            Self::Low => 2,
        }
    }

    /// How many of its tokens are computed while all classes have calls that wait, in proportion to the others.
    pub(crate) fn share(self) -> u64 {
        match self {
            Self::High => 16,
            Self::Normal => 4,
            Self::Low => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_have_an_order_and_names() {
        for (at, (class, name)) in Priority::ALL.into_iter().zip(Priority::NAMES).enumerate() {
            assert_eq!((Priority::named(name), class.index()), (Some(class), at));
        }
        assert!(Priority::High > Priority::Normal && Priority::Normal > Priority::Low);
        assert_eq!(Priority::named("urgent"), None);
    }
}

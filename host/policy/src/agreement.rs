//! How far a revision has shown that it agrees with the one in force.

/// Calls in which two revisions had a say, and how often it was the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Calls compared.
    pub compared: u64,
    /// Those with the same verdict.
    pub agreed: u64,
}

impl Agreement {
    /// Whether it is a share of at least `permille` of 1000, of at least `calls`.
    pub(crate) fn reaches(self, permille: u32, calls: u64) -> bool {
        self.compared >= calls && self.agreed * 1000 >= u64::from(permille) * self.compared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_counts_only_when_enough_calls_were_compared() {
        let check = |agreed, compared, reaches| {
            assert_eq!(Agreement { compared, agreed }.reaches(950, 20), reaches, "{agreed}");
        };
        check(19, 19, false);
        check(19, 20, true);
        check(18, 20, false);
        check(95, 100, true);
    }
}

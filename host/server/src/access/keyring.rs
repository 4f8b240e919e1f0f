//! Who may use the data plane at this moment, and what is left of what each may use. It is replaced as a whole when an
//! operator states it anew.

use std::sync::Arc;

use super::rules::Access;
use crate::quota::Account;

/// What an operator stated, and the account of each key.
#[derive(Debug, Default)]
pub(crate) struct Keyring {
    access: Access,
    /// In the order of the keys.
    accounts: Vec<Arc<Account>>,
}

impl Keyring {
    pub(crate) fn new(access: Access) -> Self {
        Self::default().renewed(access)
    }

    /// For another statement. Who may use what it might before has what was left of it.
    pub(crate) fn renewed(&self, access: Access) -> Self {
        let kept = |name: &str| {
            let at = self.access.keys.iter().position(|key| key.name() == name)?;
            self.accounts.get(at)
        };
        let account = |key: &super::Key| match kept(key.name()) {
            Some(account) if account.allowance() == key.allowance() => account.clone(),
            _ => Account::new(key.allowance().clone()),
        };
        let accounts = access.keys.iter().map(account).collect();
        Self { access, accounts }
    }

    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// The owner of the key at `at`: its name and its account.
    pub(super) fn owner(&self, at: usize) -> (&str, &Arc<Account>) {
        (self.access.keys[at].name(), &self.accounts[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Allowance, Key};

    #[test]
    fn what_is_left_stays_where_nothing_else_was_said_of_a_key() {
        let stated = |requests, name: &str| {
            let allowance =
                Allowance { requests_per_minute: Some(requests), ..Allowance::default() };
            let key = Key::new(name, "sixteen-or-more-1").unwrap().allowing(allowance);
            Access { keys: vec![key], ..Access::default() }
        };
        let first = Keyring::new(stated(2, "app"));
        drop(first.owner(0).1.enter().unwrap());
        let left = |ring: &Keyring| ring.owner(0).1.left().0.map(|left| left.left);
        let same = first.renewed(stated(2, "app"));
        assert_eq!([&first, &same].map(left), [Some(1), Some(1)]);
        assert_eq!(left(&first.renewed(stated(9, "app"))), Some(9));
        assert_eq!(left(&first.renewed(stated(2, "web"))), Some(2));
    }
}

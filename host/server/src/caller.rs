//! Who calls, as far as it matters for telling one caller from many: a number that stays the same for
//! one caller while this process lives, and tells nothing about it.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    net::{IpAddr, Ipv6Addr},
    sync::LazyLock,
};

/// Bits of an IPv6 address that one customer of a network does not choose.
const NETWORK_BITS: u32 = 64;

/// One caller. Stands in the extensions of every request; whoever knows better than the address puts
/// a better one there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caller(u64);

impl Caller {
    /// Whoever is at the other end of the connection. IPv6 callers have a whole network to call
    /// from, so that network is one caller.
    pub(crate) fn at(address: Option<IpAddr>) -> Self {
        let address = address.map(|address| match address.to_canonical() {
            IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from(u128::from(six) >> NETWORK_BITS)),
            four => four,
        });
        Self::hashed(address)
    }

    /// For the policies.
    pub(crate) fn number(self) -> u64 {
        self.0
    }

    fn hashed(what: impl Hash) -> Self {
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self(KEY.hash_one(what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(one: &str, other: &str, same: bool) {
        let at = |text: &str| Caller::at(Some(text.parse().unwrap()));
        assert_eq!(at(one) == at(other), same, "{one} and {other}");
    }

    #[test]
    fn an_address_is_a_caller_and_so_is_a_network() {
        check("192.0.2.1", "192.0.2.1", true);
        check("192.0.2.1", "192.0.2.2", false);
        check("192.0.2.1", "::ffff:192.0.2.1", true);
        check("2001:db8::1", "2001:db8::ffff:2", true);
        check("2001:db8::1", "2001:db8:0:1::1", false);
    }
}

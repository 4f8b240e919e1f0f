//! Who calls: the name of a key, or the address of the other end where there are no keys. People read
//! the name; policies' failures are counted by a number that stays the same for one caller while this
//! process lives, and reveals nothing about it.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, LazyLock},
};

/// Bits of an IPv6 address that one customer of a network does not choose.
const NETWORK_BITS: u32 = 64;

/// One caller: `key:app` or `peer:192.0.2.7`. Stands in the extensions of every request of the data
/// plane. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller(Arc<str>);

impl Caller {
    /// Whoever has the key of this name.
    pub(crate) fn key(name: &str) -> Self {
        Self(format!("key:{name}").into())
    }

    /// Whoever is at the other end of the connection. IPv6 callers have a whole network to call
    /// from, so that network is one caller.
    pub(crate) fn at(address: Option<IpAddr>) -> Self {
        match address {
            Some(address) => Self(format!("peer:{}", network(address)).into()),
            None => Self("peer:unknown".into()),
        }
    }

    /// For the policies.
    pub(crate) fn number(&self) -> u64 {
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        KEY.hash_one(&self.0)
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) if !six.is_loopback() => {
            let kept = u128::MAX << (Ipv6Addr::BITS - NETWORK_BITS);
            IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() & kept))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(one: &str, other: &str, same: bool) {
        let at = |text: &str| Caller::at(Some(text.parse().unwrap()));
        assert_eq!(at(one) == at(other), same, "{one} and {other}");
        assert_eq!(at(one).number() == at(other).number(), same, "{one} and {other}");
    }

    #[test]
    fn an_address_is_a_caller_and_so_is_a_network() {
        check("192.0.2.1", "192.0.2.1", true);
        check("192.0.2.1", "192.0.2.2", false);
        check("192.0.2.1", "::ffff:192.0.2.1", true);
        check("2001:db8::1", "2001:db8::ffff:2", true);
        check("2001:db8::1", "2001:db8:0:1::1", false);
    }

    #[test]
    fn a_caller_is_known_by_its_key_or_its_address() {
        let at = |text: &str| Caller::at(Some(text.parse().unwrap())).to_string();
        assert_eq!(Caller::key("app").to_string(), "key:app");
        assert_eq!(at("::ffff:192.0.2.7"), "peer:192.0.2.7");
        assert_eq!(at("2001:db8:1:2:3:4:5:6"), "peer:2001:db8:1:2::");
    }
}

//! Who calls: the name of a key, with what its owner may use, or the address of the other end where there are no keys.
//! People read the name; policies' failures are counted by a number that stays the same for one caller while this
//! process lives, and reveals nothing about it.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, LazyLock},
};

use axum::http::HeaderMap;
use signalbox_engine::{Priority, Progress};
use signalbox_policy::Sender;

use crate::{
    otel::Parent,
    quota::{Account, Charge},
};

/// The header in which clients name a conversation.
const SESSION: &str = "x-session-id";
/// Who calls from nowhere.
const UNKNOWN: &str = "peer:unknown";
/// Bytes of a header's value; longer ones are not shown to policies.
const HEADER_BYTES_MAX: usize = 1024;
/// Bits of an IPv6 address that one customer of a network does not choose.
const NETWORK_BITS: u32 = 64;

/// One caller: `key:app` or `peer:192.0.2.7`. Stands in the extensions of every request of the data
/// plane, with what policies may read of the request. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    sender: Arc<Sender>,
    /// Where it has a key.
    account: Option<Arc<Account>>,
    /// The trace that its request belongs to.
    parent: Option<Parent>,
}

impl Caller {
    /// Whoever has the key of this name.
    pub(crate) fn key(name: &str, account: Arc<Account>) -> Self {
        Self { account: Some(account), ..Self::named(format!("key:{name}")) }
    }

    /// Whoever is at the other end of the connection. IPv6 callers have a whole network to call
    /// from, so that network is one caller.
    pub(crate) fn at(address: Option<IpAddr>) -> Self {
        match address {
            Some(address) => Self::named(format!("peer:{}", network(address))),
            None => Self::named(UNKNOWN.to_owned()),
        }
    }

    /// Whoever has a key of this name that opens everything.
    #[cfg(test)]
    pub(crate) fn owner(name: &str) -> Self {
        Self::key(name, Account::new(crate::access::Allowance::default()))
    }

    fn named(caller: String) -> Self {
        let sender = Arc::new(Sender { caller, ..Sender::default() });
        Self { sender, account: None, parent: None }
    }

    /// The same, with the session of a request and those of its headers that policies may read.
    pub(crate) fn sending(self, headers: &HeaderMap, shown: &[String]) -> Self {
        let value = |name: &str| {
            let value = headers.get(name)?.to_str().ok()?;
            (value.len() <= HEADER_BYTES_MAX).then(|| value.to_owned())
        };
        let parent = Parent::of(headers);
        let headers = shown.iter().filter_map(|name| Some((name.clone(), value(name)?)));
        let caller = self.sender.caller.clone();
        let sender = Sender { caller, session: value(SESSION), headers: headers.collect() };
        Self { sender: Arc::new(sender), parent, ..self }
    }

    /// The trace that its request belongs to, where it says so.
    pub(crate) fn parent(&self) -> Option<Parent> {
        self.parent
    }

    /// What policies may know.
    pub(crate) fn sender(&self) -> Arc<Sender> {
        self.sender.clone()
    }

    /// What is left of what it may use.
    pub(crate) fn account(&self) -> Option<&Arc<Account>> {
        self.account.as_ref()
    }

    /// Which of its calls go first.
    pub(crate) fn priority(&self) -> Priority {
        self.account().map(|account| account.allowance().priority).unwrap_or_default()
    }

    /// Whether it may ask this expert.
    pub(crate) fn may_ask(&self, expert: &str) -> bool {
        self.account().is_none_or(|account| account.allowance().allows(expert))
    }

    /// What the call of this progress costs is its own from now on, until what is returned is dropped.
    pub(crate) fn charged(&self, progress: &Progress) -> Option<Charge> {
        self.account().map(|account| account.charged(progress))
    }

    /// What is the same for calls that the same revisions are to answer: the caller, and its session where it names one.
    /// A call of nobody who is known stands for itself.
    pub(crate) fn stickiness(&self, call: &str) -> String {
        match (&self.sender.session, &self.sender.caller) {
            (Some(session), caller) => format!("{caller} {session}"),
            (None, caller) if caller == UNKNOWN => call.to_owned(),
            (None, caller) => caller.clone(),
        }
    }

    /// For the policies.
    pub(crate) fn number(&self) -> u64 {
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        KEY.hash_one(&self.sender.caller)
    }
}

/// Whatever it sends, it is the same caller.
impl PartialEq for Caller {
    fn eq(&self, other: &Self) -> bool {
        self.sender.caller == other.sender.caller
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sender.caller)
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
    fn a_caller_and_its_session_stay_together() {
        let app = Caller::owner("app");
        assert_eq!(app.stickiness("1"), app.stickiness("2"));
        let mut headers = HeaderMap::new();
        headers.insert(SESSION, "a".parse().unwrap());
        let session = app.clone().sending(&headers, &[]);
        assert_eq!(session.stickiness("1"), session.stickiness("2"));
        assert_ne!(session.stickiness("1"), app.stickiness("1"));
        let unknown = Caller::at(None);
        assert_ne!(unknown.stickiness("1"), unknown.stickiness("2"));
    }

    #[test]
    fn a_caller_is_known_by_its_key_or_its_address() {
        let at = |text: &str| Caller::at(Some(text.parse().unwrap())).to_string();
        assert_eq!(Caller::owner("app").to_string(), "key:app");
        assert_eq!(at("::ffff:192.0.2.7"), "peer:192.0.2.7");
        assert_eq!(at("2001:db8:1:2:3:4:5:6"), "peer:2001:db8:1:2::");
    }
}

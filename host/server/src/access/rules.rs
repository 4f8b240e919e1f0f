//! Who may use the data plane, as an operator states it.

use std::net::IpAddr;

use signalbox_engine::Priority;

use super::{browser::is_origin, keys::Key};
use crate::limits::{KEYS_MAX, LISTED_MAX};

/// Who may use the data plane. Nothing is set by default: everybody on this machine, no web page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// Clients need one of these, when there are any. Up to 1 024.
    pub keys: Vec<Key>,
    /// Web pages that may use the data plane, as browsers name them: `https://app.example`. Up to 64.
    pub origins: Vec<String>,
    /// Names of this host besides loopback's and the addresses it listens on. Up to 64.
    pub hosts: Vec<String>,
    /// Headers of calls that policies may read, in lower case; never those that carry keys. Up to 64.
    pub headers: Vec<String>,
    /// Serve strangers beyond loopback without keys.
    pub open: bool,
}

/// An [`Access`] that can't be granted, by the key of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// Too many keys, or two that are not two.
    #[error("{0}")]
    Keys(String),
    /// Too many, or one that no browser sends.
    #[error("{0}")]
    Origins(String),
    /// Too many, or one that is no host.
    #[error("{0}")]
    Hosts(String),
    /// Too many, or one that is no header or carries a secret.
    #[error("{0}")]
    Headers(String),
    /// Open to everybody and closed at once.
    #[error("\"open\": true lets everybody in and \"keys\" does not; keep one of them")]
    Open,
}

impl Access {
    /// Priority classes of callers.
    pub(crate) fn classes(&self) -> impl Iterator<Item = Priority> {
        self.keys.iter().map(|key| key.allowance().priority)
    }

    /// Checks everything against its bounds.
    ///
    /// # Errors
    /// The first thing that can't be.
    pub fn check(&self) -> Result<(), AccessError> {
        if self.keys.len() > KEYS_MAX {
            let most = format!("there are {}; at most {}", self.keys.len(), KEYS_MAX);
            return Err(AccessError::Keys(most));
        }
        for (index, key) in self.keys.iter().enumerate() {
            if self.keys[..index].iter().any(|other| other.name() == key.name()) {
                return Err(AccessError::Keys(format!("the name \"{}\" is taken", key.name())));
            }
            let wrong = |problem| AccessError::Keys(format!("key \"{}\": {problem}", key.name()));
            key.allowance().check().map_err(wrong)?;
            if let Some(other) = self.keys[..index].iter().find(|other| other.is_same(key)) {
                let twice = format!("\"{}\" and \"{}\" are one key", other.name(), key.name());
                return Err(AccessError::Keys(twice));
            }
        }
        let origin = "write it as browsers do: \"https://app.example\", without path or wildcard";
        listed(&self.origins, is_origin, origin).map_err(AccessError::Origins)?;
        let host = "write a name or an address, without scheme, port, path or wildcard";
        listed(&self.hosts, is_name, host).map_err(AccessError::Hosts)?;
        let header = "write its name in lower case; those that carry keys are shown to no policy";
        listed(&self.headers, is_header, header).map_err(AccessError::Headers)?;
        if self.open && !self.keys.is_empty() { Err(AccessError::Open) } else { Ok(()) }
    }
}

fn listed(list: &[String], is_one: fn(&str) -> bool, mend: &str) -> Result<(), String> {
    if list.len() > LISTED_MAX {
        return Err(format!("there are {}; at most {LISTED_MAX}", list.len()));
    }
    match list.iter().find(|entry| !is_one(entry)) {
        Some(odd) => Err(format!("\"{odd}\" is none; {mend}")),
        None => Ok(()),
    }
}

/// Headers that carry what nobody but this host is to know.
const SECRET: [&str; 4] = ["authorization", "x-api-key", "cookie", "proxy-authorization"];

fn is_header(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    !text.is_empty() && text.chars().all(plain) && !SECRET.contains(&text)
}

fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    (!text.is_empty() && text.chars().all(plain)) || text.parse::<IpAddr>().is_ok()
}

//! What an operator may set about serving. Every value has a default, a bound and a unit; the one
//! table in [`ServerSettings::limits`] feeds the check, `/stats` and `/metrics`.

use std::{ops::RangeInclusive, time::Duration};

/// Turns of one conversation: as many as the engine reads.
pub(crate) use signalbox_engine::MESSAGES_MAX;

use crate::{
    access::{Access, AccessError},
    bodies::{Bodies, Terms},
};

/// Parts of one message, text and images.
pub(crate) const PARTS_MAX: usize = 1024;
/// Objects and arrays within one another in a body, in fields that nobody reads too.
pub(crate) const NESTING_MAX: usize = 64;
/// Large bodies parsed at once; more wait.
pub(crate) const PARSERS_MAX: usize = 2;
/// Headers of one request, in number and in bytes with the request line.
pub(crate) const HEADERS_MAX: usize = 100;
pub(crate) const HEAD_BYTES_MAX: usize = 64 << 10;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// How the two listeners behave. [`check`](Self::check) tells, before a port is bound, whether
/// every value is within its bounds.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// Bearer token of the admin plane; `None` answers peers on the loopback interface only.
    pub admin_token: Option<String>,
    /// Keys, origins and names of the data plane.
    pub access: Access,
    /// Largest JSON body, images as base64 in it. Default 16 MiB; 1 KiB to 256 MiB.
    pub body_bytes_max: usize,
    /// Bodies that all clients' connections hold together, from their first byte until their calls
    /// are built, and those calls' texts until they end; when it is full, the slowest sender makes
    /// room, and then others get 503. An eighth is left to bodies of up to 64 KiB. Default 256 MiB;
    /// 1 MiB to 1 TiB, and 8/7 of `body_bytes_max` or more.
    pub body_memory_bytes_max: u64,
    /// Largest uploaded component. Default 16 MiB; 1 KiB to 256 MiB.
    pub upload_bytes_max: usize,
    /// The same as `body_memory_bytes_max` for what operators send. Default 64 MiB; 1 MiB to 1 TiB, and
    /// 8/7 of `upload_bytes_max` or more.
    pub upload_memory_bytes_max: u64,
    /// Calls answered at once, waiting ones included; more get 429. Default 256; 1 to 65 536.
    pub in_flight_max: usize,
    /// Open connections per listener; more wait to be accepted. Default 1 024; 1 to 65 536.
    pub connections_max: usize,
    /// Time to send a request's head, idle time before it included. Default 30 s; 1 to 3 600.
    pub header_read: Duration,
    /// Time to send a request's body. Default 30 s; 1 to 3 600.
    pub body_read: Duration,
    /// A body of which nothing arrives for so long is dropped. Default 10 s; 1 to 3 600.
    pub body_stall: Duration,
    /// A client that reads nothing for so long is dropped. Default 60 s; 1 to 3 600.
    pub write_stall: Duration,
    /// Longest time one reply may take, loading included. Default 600 s; 1 to 86 400.
    pub answer: Duration,
    /// At shutdown, time for running replies to finish. Default 30 s; 0 to 3 600.
    pub drain: Duration,
    /// Tokens generated when the client sets no bound. Default 2 048; 1 to 1 048 576.
    pub max_tokens_default: u32,
    /// Most tokens a client may ask for. Default 32 768; 1 to 1 048 576.
    pub max_tokens_max: u32,
    /// Members of one consensus. Default 5; 2 to 16.
    pub consensus_members_max: usize,
    /// Tokens of each member's answer in a consensus. Default 512; 1 to 65 536.
    pub consensus_tokens_max: u32,
    /// Decisions remembered for `GET /decisions`. Default 1 000; 1 to 100 000.
    pub decisions_kept: usize,
    /// Memory of these, the oldest give way. Default 16 MiB; 64 KiB to 1 GiB. A decision takes 20 KiB
    /// at most.
    pub decisions_bytes_max: usize,
    /// Bytes of one image, as a file. Default 8 MiB; 1 KiB to 256 MiB.
    pub image_bytes_max: usize,
    /// Width times height of one image. Default 16 777 216; 1 to 268 435 456.
    pub image_pixels_max: u64,
    /// Images in one call. Default 8; 1 to 1 024.
    pub images_per_call_max: usize,
    /// Decoded images that all calls hold together before their first token; more get 429. Default
    /// 1 GiB; 1 MiB to 1 TiB.
    pub image_memory_bytes_max: u64,
    /// Images fetched at once; more wait. Default 8; 1 to 64.
    pub image_fetches_max: usize,
    /// Time to fetch one image, from the look-up of its host to the last byte. Default 10 s; 1 to 60.
    pub image_fetch: Duration,
    /// Hosts that images are fetched from: `example.com`, or `example.com:8443` for another port
    /// than the scheme's own. A name that leads to an address which is not public is not followed,
    /// unless that address is in the list too, or the name is `localhost`. Default none.
    pub image_hosts: Vec<String>,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            admin_token: None,
            access: Access::default(),
            body_bytes_max: 16 << 20,
            body_memory_bytes_max: 256 << 20,
            upload_bytes_max: 16 << 20,
            upload_memory_bytes_max: 64 << 20,
            in_flight_max: 256,
            connections_max: 1024,
            header_read: Duration::from_secs(30),
            body_read: Duration::from_secs(30),
            body_stall: Duration::from_secs(10),
            write_stall: Duration::from_secs(60),
            answer: Duration::from_secs(600),
            drain: Duration::from_secs(30),
            max_tokens_default: 2048,
            max_tokens_max: 32_768,
            consensus_members_max: 5,
            consensus_tokens_max: 512,
            decisions_kept: 1000,
            decisions_bytes_max: 16 << 20,
            image_bytes_max: 8 << 20,
            image_pixels_max: 1 << 24,
            images_per_call_max: 8,
            image_memory_bytes_max: 1 << 30,
            image_fetches_max: 8,
            image_fetch: Duration::from_secs(10),
            image_hosts: vec![],
        }
    }
}

/// Never shows the token; [`Access`] never shows a key.
impl std::fmt::Debug for ServerSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let limits = self.limits().into_iter().map(|limit| (limit.name, limit.value));
        f.debug_map()
            .entry(&"admin_token", &self.admin_token.is_some())
            .entry(&"access", &self.access)
            .entry(&"image_hosts", &self.image_hosts)
            .entries(limits)
            .finish()
    }
}

/// A setting out of its bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A number outside its range.
    #[error("{name} is {value} {unit}; it must be {} to {}", bounds.start(), bounds.end())]
    OutOfBounds {
        /// The setting.
        name: &'static str,
        /// What was given.
        value: u64,
        /// What it counts.
        unit: &'static str,
        /// What is allowed.
        bounds: RangeInclusive<u64>,
    },
    /// A token that would protect nothing or can't be sent.
    #[error("the admin token must have {ADMIN_TOKEN_CHARS_MIN} or more visible ASCII characters")]
    AdminToken,
    /// Keys, origins or names that can't be.
    #[error("access: {0}")]
    Access(#[from] AccessError),
    /// Something that is no host.
    #[error("\"{0}\" is no host; write example.com, or example.com:8443 for another port")]
    ImageHost(String),
    /// A budget that the largest thing it is for does not fit into.
    #[error(
        "{budget} can't hold what {largest} allows; make it {least} bytes or more, or lower {largest}"
    )]
    Budget {
        /// The budget.
        budget: &'static str,
        /// What has to fit into it.
        largest: &'static str,
        /// The smallest budget that does.
        least: u64,
    },
    /// The default of a bound is above the bound.
    #[error("max_tokens_default ({default}) is above max_tokens_max ({max})")]
    MaxTokens {
        /// `max_tokens_default`.
        default: u32,
        /// `max_tokens_max`.
        max: u32,
    },
}

/// Shorter tokens are guessed too easily.
const ADMIN_TOKEN_CHARS_MIN: usize = 8;

/// One bounded setting.
pub(crate) struct Limit {
    pub(crate) name: &'static str,
    pub(crate) value: u64,
    pub(crate) unit: &'static str,
    bounds: RangeInclusive<u64>,
}

impl ServerSettings {
    /// Checks every value against its bounds.
    ///
    /// # Errors
    /// The first setting that is out of bounds.
    pub fn check(&self) -> Result<(), SettingsError> {
        for Limit { name, value, unit, bounds } in self.limits() {
            if !bounds.contains(&value) {
                return Err(SettingsError::OutOfBounds { name, value, unit, bounds });
            }
        }
        let (default, max) = (self.max_tokens_default, self.max_tokens_max);
        if default > max {
            return Err(SettingsError::MaxTokens { default, max });
        }
        self.check_budgets()?;
        if let Some(odd) = self.image_hosts.iter().find(|host| !is_host(host)) {
            return Err(SettingsError::ImageHost(odd.clone()));
        }
        self.access.check()?;
        match &self.admin_token {
            Some(token) if !sendable(token) => Err(SettingsError::AdminToken),
            _ => Ok(()),
        }
    }

    fn check_budgets(&self) -> Result<(), SettingsError> {
        let (bodies, uploads) = (self.body_memory_bytes_max, self.upload_memory_bytes_max);
        for (budget, bytes, largest, most) in [
            ("body_memory_bytes_max", bodies, "body_bytes_max", self.body_bytes_max),
            ("upload_memory_bytes_max", uploads, "upload_bytes_max", self.upload_bytes_max),
        ] {
            if Bodies::largest(bytes) < most as u64 {
                let least = (most as u64).saturating_mul(8).div_ceil(7);
                return Err(SettingsError::Budget { budget, largest, least });
            }
        }
        Ok(())
    }

    /// How clients' bodies are read.
    pub(crate) fn body_terms(&self) -> Terms {
        let (whole, stall) = (self.body_read, self.body_stall);
        Terms { bytes_max: self.body_bytes_max, whole, stall }
    }

    /// How operators' bodies are read.
    pub(crate) fn upload_terms(&self) -> Terms {
        Terms { bytes_max: self.upload_bytes_max, ..self.body_terms() }
    }

    /// Every number that bounds something, for the check and for people.
    pub(crate) fn limits(&self) -> Vec<Limit> {
        let count = |n: usize| n as u64;
        vec![
            limit("body_bytes_max", count(self.body_bytes_max), "bytes", KIB..=256 * MIB),
            limit("upload_bytes_max", count(self.upload_bytes_max), "bytes", KIB..=256 * MIB),
            limit("body_memory_bytes_max", self.body_memory_bytes_max, "bytes", MIB..=MIB * MIB),
            limit(
                "upload_memory_bytes_max",
                self.upload_memory_bytes_max,
                "bytes",
                MIB..=MIB * MIB,
            ),
            limit("in_flight_max", count(self.in_flight_max), "calls", 1..=65_536),
            limit("connections_max", count(self.connections_max), "connections", 1..=65_536),
            limit("header_read", self.header_read.as_secs(), "seconds", 1..=3600),
            limit("body_read", self.body_read.as_secs(), "seconds", 1..=3600),
            limit("body_stall", self.body_stall.as_secs(), "seconds", 1..=3600),
            limit("write_stall", self.write_stall.as_secs(), "seconds", 1..=3600),
            limit("answer", self.answer.as_secs(), "seconds", 1..=86_400),
            limit("drain", self.drain.as_secs(), "seconds", 0..=3600),
            limit("max_tokens_default", self.max_tokens_default.into(), "tokens", 1..=MIB),
            limit("max_tokens_max", self.max_tokens_max.into(), "tokens", 1..=MIB),
            limit("consensus_members_max", count(self.consensus_members_max), "experts", 2..=16),
            limit("consensus_tokens_max", self.consensus_tokens_max.into(), "tokens", 1..=65_536),
            limit("decisions_kept", count(self.decisions_kept), "decisions", 1..=100_000),
            limit(
                "decisions_bytes_max",
                count(self.decisions_bytes_max),
                "bytes",
                64 * KIB..=KIB * MIB,
            ),
            limit("image_bytes_max", count(self.image_bytes_max), "bytes", KIB..=256 * MIB),
            limit("image_pixels_max", self.image_pixels_max, "pixels", 1..=256 * MIB),
            limit("images_per_call_max", count(self.images_per_call_max), "images", 1..=1024),
            limit("image_fetches_max", count(self.image_fetches_max), "fetches", 1..=64),
            limit("image_fetch", self.image_fetch.as_secs(), "seconds", 1..=60),
            limit("image_memory_bytes_max", self.image_memory_bytes_max, "bytes", MIB..=MIB * MIB),
            fixed("messages_max", MESSAGES_MAX, "messages"),
            fixed("message_parts_max", PARTS_MAX, "parts"),
            fixed("json_nesting_max", NESTING_MAX, "levels"),
            fixed("body_parsers_max", PARSERS_MAX, "bodies"),
            fixed("request_headers_max", HEADERS_MAX, "headers"),
            fixed("request_head_bytes_max", HEAD_BYTES_MAX, "bytes"),
        ]
    }
}

fn limit(name: &'static str, value: u64, unit: &'static str, bounds: RangeInclusive<u64>) -> Limit {
    Limit { name, value, unit, bounds }
}

/// A bound that is the same for everybody.
fn fixed(name: &'static str, value: usize, unit: &'static str) -> Limit {
    limit(name, value as u64, unit, 0..=u64::MAX)
}

/// A name or an address, and at most a port; no scheme, no path, no wildcard.
fn is_host(text: &str) -> bool {
    let authority: Option<axum::http::uri::Authority> = text.parse().ok();
    authority.is_some_and(|authority| !authority.host().is_empty())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-:[]_".contains(c))
}

fn sendable(token: &str) -> bool {
    token.len() >= ADMIN_TOKEN_CHARS_MIN && token.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut ServerSettings), expect: Option<&str>) {
        let mut settings = ServerSettings::default();
        change(&mut settings);
        let problem = settings.check().err().map(|e| e.to_string());
        assert_eq!(problem.as_deref(), expect);
    }

    #[test]
    fn settings_are_bounded() {
        check(|_| {}, None);
        check(|s| s.in_flight_max = 0, Some("in_flight_max is 0 calls; it must be 1 to 65536"));
        check(
            |s| s.max_tokens_default = 40_000,
            Some("max_tokens_default (40000) is above max_tokens_max (32768)"),
        );
        let token = "the admin token must have 8 or more visible ASCII characters";
        check(|s| s.admin_token = Some("short".into()), Some(token));
        check(|s| s.admin_token = Some("with a space".into()), Some(token));
        check(|s| s.admin_token = Some("correct-horse".into()), None);
        let hosts = ["example.com", "10.0.0.1:8080", "[::1]:80"].map(str::to_owned);
        check(|s| s.image_hosts = hosts.to_vec(), None);
        for odd in ["", "http://a.b", "a.b/c", "*", "a@b.c"] {
            let told = format!(
                "\"{odd}\" is no host; write example.com, or example.com:8443 for another port"
            );
            check(|s| s.image_hosts = vec![odd.to_owned()], Some(&told));
        }
    }

    #[test]
    fn the_token_is_never_shown() {
        let admin_token = Some("correct-horse".to_owned());
        let shown = format!("{:?}", ServerSettings { admin_token, ..ServerSettings::default() });
        assert!(!shown.contains("horse"), "{shown}");
    }
}

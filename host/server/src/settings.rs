//! What an operator may set about serving.

use std::{collections::BTreeMap, time::Duration};

use signalbox_confine::{Bounded, OutOfBounds};

use crate::{
    access::{Access, AccessError},
    bodies::{Bodies, Terms},
    limits::{DecisionLogLimits, ImagesLimits, ServerLimits},
    otel::TraceSettings,
};

/// How the two listeners behave. [`check`](Self::check) says, before a port is bound, whether
/// every value is within its bounds.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ServerSettings {
    /// Bearer token of the admin plane; `None` answers peers on the loopback interface only.
    pub admin_token: Option<String>,
    /// Keys, origins and names of the data plane.
    pub access: Access,
    /// What bounds serving.
    pub limits: ServerLimits,
    /// What bounds images.
    pub images: ImagesLimits,
    /// What is written down of decisions.
    pub decision_log: DecisionLog,
    /// Hosts that images are fetched from: `example.com`, or `example.com:8443` for another port
    /// than the scheme's own. A name that leads to an address which is not public is not followed,
    /// unless that address is in the list too, or the name is `localhost`. Default none.
    pub image_hosts: Vec<String>,
    /// Other names of experts, each with the id that it stands for. Default none.
    pub aliases: BTreeMap<String, String>,
    /// Where traces of calls go. Default nowhere.
    pub traces: Option<TraceSettings>,
}

/// What is written down of decisions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DecisionLog {
    /// What of calls' texts.
    pub text: LoggedText,
    /// What bounds the files.
    pub limits: DecisionLogLimits,
}

/// What of calls' texts is written down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LoggedText {
    /// Nothing but what policies say of it. The default, because even a hash says whether somebody sent a text that can
    /// be guessed.
    #[default]
    Off,
    /// A hash of the conversation.
    Hashes,
    /// What policies saw, so that other policies can be tried on it.
    Full,
}

/// Never shows the token; [`Access`] never shows a key.
impl std::fmt::Debug for ServerSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerSettings")
            .field("admin_token", &self.admin_token.is_some())
            .field("access", &self.access)
            .field("limits", &self.limits)
            .field("images", &self.images)
            .field("decision_log", &self.decision_log)
            .field("image_hosts", &self.image_hosts)
            .field("aliases", &self.aliases)
            .field("traces", &self.traces)
            .finish()
    }
}

/// A setting out of its bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A number outside its range.
    #[error(transparent)]
    OutOfBounds(#[from] OutOfBounds),
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

impl ServerSettings {
    /// Checks every value against its bounds.
    ///
    /// # Errors
    /// The first setting that is out of bounds.
    pub fn check(&self) -> Result<(), SettingsError> {
        self.limits.check()?;
        self.images.check()?;
        self.decision_log.limits.check()?;
        let (default, max) = (self.limits.max_tokens_default, self.limits.max_tokens_max);
        if default > max {
            return Err(SettingsError::MaxTokens { default, max });
        }
        let (body, memory) = (self.limits.body_bytes_max, self.limits.body_memory_bytes_max);
        check_budget("body_memory_bytes_max", memory, "body_bytes_max", body as u64)?;
        if let Some(odd) = self.image_hosts.iter().find(|host| !is_host(host)) {
            return Err(SettingsError::ImageHost(odd.clone()));
        }
        self.access.check()?;
        match &self.admin_token {
            Some(token) if !sendable(token) => Err(SettingsError::AdminToken),
            _ => Ok(()),
        }
    }

    /// Checks that an upload of `upload_bytes`, the largest that policies may have, can be read.
    ///
    /// # Errors
    /// The budget that it does not fit into.
    pub fn check_uploads(&self, upload_bytes: u64) -> Result<(), SettingsError> {
        let memory = self.limits.upload_memory_bytes_max;
        check_budget(
            "upload_memory_bytes_max",
            memory,
            "policies.limits.upload_bytes",
            upload_bytes,
        )
    }

    /// How clients' bodies are read.
    pub(crate) fn body_terms(&self) -> Terms {
        Terms {
            bytes_max: self.limits.body_bytes_max,
            whole: Duration::from_secs(self.limits.body_read_s),
            stall: Duration::from_secs(self.limits.body_stall_s),
        }
    }
}

fn check_budget(
    budget: &'static str,
    bytes: u64,
    largest: &'static str,
    most: u64,
) -> Result<(), SettingsError> {
    if Bodies::largest(bytes) < most {
        let least = most.saturating_mul(8).div_ceil(7);
        return Err(SettingsError::Budget { budget, largest, least });
    }
    Ok(())
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
        check(
            |s| s.limits.in_flight_max = 0,
            Some("limits.in_flight_max is 0 calls; it must be 1 to 65536"),
        );
        check(
            |s| s.images.per_call_max = 17,
            Some("images.per_call_max is 17 images; it must be 1 to 16"),
        );
        check(
            |s| s.limits.max_tokens_default = 40_000,
            Some("max_tokens_default (40000) is above max_tokens_max (32768)"),
        );
        let token = "the admin token must have 8 or more visible ASCII characters";
        check(|s| s.admin_token = Some("short".into()), Some(token));
        check(|s| s.admin_token = Some("with a space".into()), Some(token));
        check(|s| s.admin_token = Some("correct-horse".into()), None);
        let hosts = ["example.com", "10.0.0.1:8080", "[::1]:80"].map(str::to_owned);
        check(|s| s.image_hosts = hosts.to_vec(), None);
        for odd in ["", "http://a.b", "a.b/c", "*", "a@b.c"] {
            let message = format!(
                "\"{odd}\" is no host; write example.com, or example.com:8443 for another port"
            );
            check(|s| s.image_hosts = vec![odd.to_owned()], Some(&message));
        }
    }

    #[test]
    fn the_token_is_never_shown() {
        let admin_token = Some("correct-horse".to_owned());
        let shown = format!("{:?}", ServerSettings { admin_token, ..ServerSettings::default() });
        assert!(!shown.contains("horse"), "{shown}");
    }
}

//! `server_config`, `admin`, `limits` and `images`: where the host listens and what it bounds.

use std::time::Duration;

use signalbox_server::{ServerSettings, SettingsError};

use super::{Address, Environment, access};
use crate::config::Section;

/// Where the token of the admin plane is looked for when the file does not say.
pub(crate) const TOKEN_VARIABLE: &str = "SIGNALBOX_ADMIN_TOKEN";
/// The data plane's port when the file does not say.
const PORT_DEFAULT: u16 = 8080;

const LOG_LEVELS: &[(&str, &str)] = &[
    ("critical", "error"),
    ("error", "error"),
    ("warning", "warn"),
    ("warn", "warn"),
    ("info", "info"),
    ("debug", "debug"),
    ("trace", "trace"),
];

/// Sets one number of [`ServerSettings`].
type Setter = fn(&mut ServerSettings, u64);

/// The keys of `limits` that the server knows; it also knows their bounds.
const LIMITS: &[(&str, Setter)] = &[
    ("body_bytes_max", |s, n| s.body_bytes_max = n as usize),
    ("body_memory_bytes_max", |s, n| s.body_memory_bytes_max = n),
    ("upload_memory_bytes_max", |s, n| s.upload_memory_bytes_max = n),
    ("upload_bytes_max", |s, n| s.upload_bytes_max = n as usize),
    ("in_flight_max", |s, n| s.in_flight_max = n as usize),
    ("connections_max", |s, n| s.connections_max = n as usize),
    ("header_read_s", |s, n| s.header_read = Duration::from_secs(n)),
    ("body_read_s", |s, n| s.body_read = Duration::from_secs(n)),
    ("body_stall_s", |s, n| s.body_stall = Duration::from_secs(n)),
    ("write_stall_s", |s, n| s.write_stall = Duration::from_secs(n)),
    ("answer_s", |s, n| s.answer = Duration::from_secs(n)),
    ("drain_s", |s, n| s.drain = Duration::from_secs(n)),
    ("max_tokens_default", |s, n| s.max_tokens_default = small(n)),
    ("max_tokens_max", |s, n| s.max_tokens_max = small(n)),
    ("consensus_members_max", |s, n| s.consensus_members_max = n as usize),
    ("consensus_tokens_max", |s, n| s.consensus_tokens_max = small(n)),
    ("decisions_kept", |s, n| s.decisions_kept = n as usize),
    ("decisions_bytes_max", |s, n| s.decisions_bytes_max = n as usize),
];

/// The keys of `images` that are numbers.
const IMAGES: &[(&str, Setter)] = &[
    ("bytes_max", |s, n| s.image_bytes_max = n as usize),
    ("pixels_max", |s, n| s.image_pixels_max = n),
    ("per_call_max", |s, n| s.images_per_call_max = n as usize),
    ("memory_bytes_max", |s, n| s.image_memory_bytes_max = n),
    ("fetches_max", |s, n| s.image_fetches_max = n as usize),
    ("fetch_s", |s, n| s.image_fetch = Duration::from_secs(n)),
];

/// Saturates, so that the bounds that follow see a number that is too large.
fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// What the outside sees of a host.
pub(super) struct Front {
    pub(super) server: ServerSettings,
    pub(super) data: Address,
    pub(super) admin: Address,
    pub(super) log_level: &'static str,
}

pub(super) fn read(
    root: &Section<'_>,
    limits: &Section<'_>,
    environment: Environment<'_>,
) -> Front {
    let config = root.section("server_config");
    let data = address(&config, PORT_DEFAULT);
    let admin = root.section("admin");
    let front = Front {
        log_level: config.choice("log_level", LOG_LEVELS).unwrap_or("info"),
        server: ServerSettings {
            access: access::read(&root.section("access"), environment),
            ..server(limits, &root.section("images"), &admin, environment)
        },
        admin: address(&admin, data.port_beside()),
        data,
    };
    if front.data == front.admin && front.data.port != 0 {
        admin.mistake("port", "is the port of server_config; the admin plane needs its own");
    }
    front
}

fn address(section: &Section<'_>, port: u16) -> Address {
    Address {
        host: section.text("host").unwrap_or("127.0.0.1").to_owned(),
        port: section.integer("port", 0..=u16::MAX).unwrap_or(port),
    }
}

fn server(
    limits: &Section<'_>,
    images: &Section<'_>,
    admin: &Section<'_>,
    environment: Environment<'_>,
) -> ServerSettings {
    let mut settings = ServerSettings::default();
    numbers(limits, LIMITS, &mut settings);
    numbers(images, IMAGES, &mut settings);
    settings.image_hosts = images.texts("allowed_hosts");
    settings.admin_token = token(admin, environment);
    match settings.check() {
        Err(error @ SettingsError::MaxTokens { .. }) => {
            limits.mistake("max_tokens_default", error.to_string());
        }
        Err(error @ SettingsError::Budget { budget, .. }) => {
            limits.mistake(budget, error.to_string());
        }
        Err(error @ SettingsError::ImageHost(_)) => {
            images.mistake("allowed_hosts", error.to_string());
        }
        Err(error @ SettingsError::AdminToken) => admin.mistake("token", error.to_string()),
        Ok(()) | Err(SettingsError::OutOfBounds { .. } | SettingsError::Access(_)) => {}
    }
    settings
}

fn numbers(section: &Section<'_>, keys: &[(&'static str, Setter)], settings: &mut ServerSettings) {
    for (key, set) in keys {
        let Some(number) = section.integer(key, 0..=u64::MAX) else { continue };
        if let Some(problem) = out_of_bounds(*set, number) {
            section.mistake(key, problem);
        }
        set(settings, number);
    }
}

/// What the server says of one number alone, so that every bad one can be named at once.
fn out_of_bounds(set: Setter, number: u64) -> Option<String> {
    let mut trial = ServerSettings::default();
    set(&mut trial, number);
    match trial.check() {
        Err(SettingsError::OutOfBounds { unit, bounds, .. }) => {
            Some(format!("{number} {unit}; it must be {} to {}", bounds.start(), bounds.end()))
        }
        _ => None,
    }
}

/// `admin.token`, or the variable that `admin.token_env` names, or [`TOKEN_VARIABLE`] if it is set.
fn token(admin: &Section<'_>, environment: Environment<'_>) -> Option<String> {
    let written = admin.text("token").map(str::to_owned);
    match admin.text("token_env") {
        Some(_) if written.is_some() => {
            admin.mistake("token_env", "and `token` say the same thing; keep one");
            None
        }
        Some(name) => {
            let token = environment(name);
            if token.is_none() {
                admin.mistake("token_env", format!("the environment has no variable {name}"));
            }
            token
        }
        None => written.or_else(|| environment(TOKEN_VARIABLE)),
    }
}

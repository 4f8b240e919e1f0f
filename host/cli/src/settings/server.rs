//! `server_config`, `admin`, `limits`, `images` and `decision_log`: where the host listens, what it bounds and what it
//! writes down.

use signalbox_server::{DecisionLog, LoggedText, ServerSettings, SettingsError};

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

const LOGGED_TEXTS: &[(&str, LoggedText)] =
    &[("off", LoggedText::Off), ("hashes", LoggedText::Hashes), ("full", LoggedText::Full)];

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
            decision_log: decision_log(&root.section("decision_log")),
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

fn decision_log(section: &Section<'_>) -> DecisionLog {
    let mut log = DecisionLog::default();
    section.limits(&mut log.limits);
    log.text = section.choice("text", LOGGED_TEXTS).unwrap_or_default();
    log
}

fn server(
    limits: &Section<'_>,
    images: &Section<'_>,
    admin: &Section<'_>,
    environment: Environment<'_>,
) -> ServerSettings {
    let mut settings = ServerSettings::default();
    limits.limits(&mut settings.limits);
    images.limits(&mut settings.images);
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

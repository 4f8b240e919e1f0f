//! The configuration of a serving host, read anew when an operator asks: on SIGHUP, or by `POST /reload`.

mod command;

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use signalbox_confine::{Bounded, Limit};
use signalbox_engine::Templates;
use signalbox_policy::Limits;
use signalbox_server::{App, Reloadable, ServerLimits, Source, Waiting};

use crate::{
    deploy::configured,
    settings::{Settings, exposed},
};
pub(crate) use command::run;

const OF_LIMITS: &str = "memory, listeners and rings are made by it at the start";
const OF_POLICY_LIMITS: &str = "threads, memory and the code cache are made by it at the start";
const OF_TEMPLATES: &str = "the processes that render templates have it from the start";

/// Where the configuration is, and what it said at the start.
pub(crate) struct Origin {
    path: PathBuf,
    strict: bool,
    first: Settings,
}

impl Origin {
    /// `first` is what stood in the file, before the command line had its word.
    pub(crate) fn new(path: &Path, strict: bool, first: Settings) -> Self {
        Self { path: path.to_owned(), strict, first }
    }

    /// Reads it anew, for a host whose data plane listens on `ip`.
    pub(crate) fn source(self, ip: IpAddr) -> Source {
        Box::new(move || {
            let mut settings =
                Settings::load(&self.path, self.strict).map_err(|error| format!("{error:#}"))?;
            if let Some(problem) = exposed(&self.first.data, ip, &settings.server.access) {
                return Err(problem);
            }
            let needs_restart = self.waiting(&settings);
            settings.server.access.hosts.push(self.first.data.host.clone());
            Ok(Reloadable {
                server: settings.server,
                fleet: settings.fleet,
                configured: configured(&settings.policies).map_err(|error| format!("{error:#}"))?,
                policies: settings.policies.registry,
                needs_restart,
            })
        })
    }

    /// What says something else than at the start and is not heeded before the next one.
    fn waiting(&self, now: &Settings) -> Vec<Waiting> {
        let waiting = |(key, reason): (&str, _)| Waiting { key: key.to_owned(), reason };
        let limits = self.limits(now).into_iter().filter_map(|(limit, reason)| {
            let key = limit.key?;
            Some(waiting((key, reason)))
        });
        self.sections(now).into_iter().map(waiting).chain(limits).collect()
    }

    fn limits(&self, now: &Settings) -> Vec<(&'static Limit, &'static str)> {
        let first = &self.first;
        let serving = first.server.limits.differing(&now.server.limits).into_iter();
        let serving = serving.map(|(_, limit)| limit).filter(|limit| ServerLimits::is_fixed(limit));
        let (before, after) = (&first.policies.registry.limits, &now.policies.registry.limits);
        let policies = before.differing(after).into_iter().map(|(_, limit)| limit);
        let policies = policies.filter(|limit| Limits::is_fixed(limit));
        let templates = match (&first.fleet.templates, &now.fleet.templates) {
            (Templates::Child { limits: before, .. }, Templates::Child { limits: after, .. }) => {
                before.differing(after)
            }
            _ => Vec::new(),
        };
        let templates = templates.into_iter().map(|(_, limit)| (limit, OF_TEMPLATES));
        let serving = serving.map(|limit| (limit, OF_LIMITS));
        serving.chain(policies.map(|limit| (limit, OF_POLICY_LIMITS))).chain(templates).collect()
    }

    /// Sections that differ, each with the reason why it waits.
    fn sections(&self, now: &Settings) -> Vec<(&'static str, &'static str)> {
        let first = &self.first;
        let (before, after) = (&first.server, &now.server);
        let sections = [
            (
                "policies.data_dir",
                first.policies.registry.data_dir != now.policies.registry.data_dir,
                "the registry is open",
            ),
            (
                "pack_files",
                first.fleet.pack_files != now.fleet.pack_files,
                "where packed weights are kept is decided at the start",
            ),
            (
                "traces",
                before.traces != after.traces,
                "the task that sends them has its settings from the start",
            ),
            ("decision_log", before.decision_log != after.decision_log, "its files are open"),
            (
                "images",
                (&before.images, &before.image_hosts) != (&after.images, &after.image_hosts),
                "the budget of images and the way to their hosts are made at the start",
            ),
            (
                "admin",
                (&before.admin_token, &first.admin) != (&after.admin_token, &now.admin),
                "the admin plane keeps its listener and its token",
            ),
            (
                "server_config",
                (&first.data, first.log_level) != (&now.data, now.log_level),
                "the data plane keeps its listener, and the log its level",
            ),
        ];
        let differing = sections.into_iter().filter(|(_, differs, _)| *differs);
        differing.map(|(key, _, reason)| (key, reason)).collect()
    }
}

/// Reads the configuration anew whenever SIGHUP asks for it. Needs the runtime.
#[cfg(unix)]
pub(crate) fn on_hangup(app: App) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            let app = app.clone();
            let reloaded = tokio::task::spawn_blocking(move || app.reload()).await;
            if let Ok(Err(error)) = reloaded {
                tracing::error!("SIGHUP: {error}");
            }
        }
    });
}

#[cfg(not(unix))]
pub(crate) fn on_hangup(_app: App) {}

//! The configuration of a serving host, read anew when an operator asks: on SIGHUP, or by `POST /reload`.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use signalbox_server::{App, Reloadable, Source};

use crate::settings::{Settings, exposed};

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
            let settings =
                Settings::load(&self.path, self.strict).map_err(|error| format!("{error:#}"))?;
            let mut access = settings.server.access.clone();
            match exposed(&self.first.data, ip, &access) {
                Some(problem) => return Err(problem),
                None => access.hosts.push(self.first.data.host.clone()),
            }
            let aliases = settings.server.aliases.clone();
            let needs_restart = self.waiting(settings);
            Ok(Reloadable { access, aliases, needs_restart })
        })
    }

    /// Sections that say something else than at the start, beside those that are heeded now.
    fn waiting(&self, now: Settings) -> Vec<&'static str> {
        let first = &self.first;
        let (before, after) = (&first.server, &now.server);
        let sections = [
            ("experts", first.fleet != now.fleet),
            ("policies", first.policies != now.policies),
            ("limits", before.limits != after.limits),
            ("decision_log", before.decision_log != after.decision_log),
            (
                "images",
                (&before.images, &before.image_hosts) != (&after.images, &after.image_hosts),
            ),
            ("admin", (&before.admin_token, &first.admin) != (&after.admin_token, &now.admin)),
            ("server_config", (&first.data, first.log_level) != (&now.data, now.log_level)),
        ];
        sections.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
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

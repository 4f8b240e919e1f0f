//! What settings speak of outside of the file: addresses, the machine, the environment.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// A host name or address, and a port; port 0 is any free one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Address {
    /// Reads `HOST:PORT`; an IPv6 address stands in brackets.
    ///
    /// # Errors
    /// What the text should have been.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let parts = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        let (host, port) = parts.ok_or("write HOST:PORT, as in 127.0.0.1:8081")?;
        let port = port.parse().map_err(|_| format!("\"{port}\" is no port, 0 to 65535"))?;
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        Ok(Self { host: bare.unwrap_or(host).to_owned(), port })
    }

    /// The default for a second port: the next one, and any free one beside any free one.
    pub(super) fn port_beside(&self) -> u16 {
        match self.port {
            0 => 0,
            u16::MAX => u16::MAX - 1,
            port => port + 1,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// What of the machine the defaults depend on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine {
    /// Memory that this process may use, in bytes.
    pub(crate) memory_bytes: u64,
}

impl Machine {
    /// This machine, or what limits this process to less of it.
    pub(crate) fn here() -> Self {
        Self { memory_bytes: signalbox_engine::machine_memory() }
    }
}

/// Looks a variable of the environment up.
pub(crate) type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// Where paths of a file begin.
pub(super) struct Places<'p> {
    pub(super) folder: &'p Path,
    pub(super) home: Option<PathBuf>,
}

impl Places<'_> {
    /// A path as it is meant: `~` is the user's folder, and one that is not absolute begins at the file's.
    pub(super) fn find(&self, path: &str) -> PathBuf {
        let below_home = match path.strip_prefix('~') {
            Some("") => Some(""),
            Some(rest) => rest.strip_prefix('/'),
            None => None,
        };
        match (below_home, &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => self.folder.join(path),
        }
    }
}

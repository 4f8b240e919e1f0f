//! Where what can be made again is kept.

use std::path::PathBuf;

use crate::settings::Environment;

/// Our folder in the user's cache, as the XDG base directory specification has it.
pub(crate) fn cache_dir(environment: Environment<'_>) -> Option<PathBuf> {
    let set = |name| environment(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    cache.map(|cache| cache.join("signalbox"))
}

/// The variables of this process; an empty one is none.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

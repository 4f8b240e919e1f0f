//! Every hook there is, and a value for each of them. What else is declared of a hook, and how it is
//! called, stands in its own file beside this one.

pub(crate) mod bounds;
mod handled;
pub(crate) mod post;
pub(crate) mod pre;
mod refusal;
pub(crate) mod route;
mod spec;
pub(crate) mod table;

use std::{
    fmt,
    ops::{Index, IndexMut},
};

use serde::{Deserialize, Serialize};

pub(crate) use handled::Handled;
pub(crate) use refusal::{Answer, Refusal};
pub(crate) use spec::Spec;

/// Where in a call's life a policy works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hook {
    /// Before routing.
    Pre,
    /// Choosing who answers.
    Route,
    /// While the reply streams.
    Post,
}

impl Hook {
    /// Every hook, in the order a call meets them.
    pub const ALL: [Hook; 3] = [Hook::Pre, Hook::Route, Hook::Post];

    /// The name used in the contract: `pre`, `route` or `post`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pre => "pre",
            Self::Route => "route",
            Self::Post => "post",
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A value for each hook.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PerHook<T>([T; Hook::ALL.len()]);

impl<T> PerHook<T> {
    /// What `value` says of each.
    pub fn from_fn(value: impl FnMut(Hook) -> T) -> Self {
        Self(Hook::ALL.map(value))
    }
}

impl<T> Index<Hook> for PerHook<T> {
    type Output = T;

    fn index(&self, hook: Hook) -> &T {
        &self.0[hook as usize]
    }
}

impl<T> IndexMut<Hook> for PerHook<T> {
    fn index_mut(&mut self, hook: Hook) -> &mut T {
        &mut self.0[hook as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hook_has_its_own_value_and_is_written_by_its_name() {
        let names = PerHook::from_fn(Hook::name);
        for hook in Hook::ALL {
            assert_eq!(names[hook], hook.name());
            assert_eq!(serde_json::to_value(hook).unwrap(), hook.name());
        }
    }
}

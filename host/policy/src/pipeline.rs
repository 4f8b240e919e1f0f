//! Which policies run: a place in the pipeline for every hook, and all that depends on how many
//! policies fit into one.

use serde::{Deserialize, Serialize};

use crate::Hook;

/// Which policies run, by name and in order; or what stands for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pipeline<P = String> {
    /// Before routing, in this order.
    #[serde(default = "Vec::new")]
    pub pre: Vec<P>,
    /// The one router; `None` leaves routing to the host's own default.
    #[serde(default = "Option::default")]
    pub route: Option<P>,
    /// On replies, in this order.
    #[serde(default = "Vec::new")]
    pub post: Vec<P>,
}

/// The place of one hook.
enum Place<'p, P> {
    One(&'p mut Option<P>),
    Several(&'p mut Vec<P>),
}

impl<P> Default for Pipeline<P> {
    fn default() -> Self {
        Self::named(|_| Vec::new(), |_| None)
    }
}

impl<P> Pipeline<P> {
    /// What `several` and `one` find for each hook, by how many policies there may be in it.
    pub fn named(several: impl Fn(Hook) -> Vec<P>, one: impl Fn(Hook) -> Option<P>) -> Self {
        Self { pre: several(Hook::Pre), route: one(Hook::Route), post: several(Hook::Post) }
    }

    fn place(&mut self, hook: Hook) -> Place<'_, P> {
        match hook {
            Hook::Pre => Place::Several(&mut self.pre),
            Hook::Route => Place::One(&mut self.route),
            Hook::Post => Place::Several(&mut self.post),
        }
    }

    /// Who is called in `hook`, in this order.
    pub fn of(&self, hook: Hook) -> &[P] {
        match hook {
            Hook::Pre => &self.pre,
            Hook::Route => self.route.as_slice(),
            Hook::Post => &self.post,
        }
    }

    /// Everyone with the hook in which it is called, in the order a call meets them.
    pub fn iter(&self) -> impl Iterator<Item = (Hook, &P)> {
        Hook::ALL
            .into_iter()
            .flat_map(|hook| self.of(hook).iter().map(move |policy| (hook, policy)))
    }

    /// The same pipeline of other values; who has none is not in it.
    pub fn filter_map<Q>(&self, value: impl Fn(&P) -> Option<Q>) -> Pipeline<Q> {
        let value = &value;
        Pipeline::named(
            |hook| self.of(hook).iter().filter_map(value).collect(),
            |hook| self.of(hook).iter().find_map(value),
        )
    }

    /// Takes out whom `stays` does not keep.
    pub(crate) fn retain(&mut self, stays: impl Fn(Hook, &P) -> bool) {
        for hook in Hook::ALL {
            match self.place(hook) {
                Place::One(policy) => drop(policy.take_if(|policy| !stays(hook, policy))),
                Place::Several(policies) => policies.retain(|policy| stays(hook, policy)),
            }
        }
    }
}

impl Pipeline {
    fn has(&self, hook: Hook, name: &str) -> bool {
        self.of(hook).iter().any(|policy| policy == name)
    }

    /// Hooks in which `name` is called.
    pub(crate) fn places(&self, name: &str) -> Vec<Hook> {
        Hook::ALL.into_iter().filter(|hook| self.has(*hook, name)).collect()
    }

    /// Puts `name` at the end, or where there may be only one, in the place of the other.
    pub(crate) fn join(&mut self, name: &str, hook: Hook) {
        let known = self.has(hook, name);
        match self.place(hook) {
            Place::One(policy) => *policy = Some(name.to_string()),
            Place::Several(policies) if !known => policies.push(name.to_string()),
            Place::Several(_) => {}
        }
    }

    /// Puts `name` where it was `before`, or out if it was nowhere.
    pub(crate) fn restore(&mut self, name: &str, before: &Pipeline) {
        for hook in Hook::ALL {
            let at = |list: &[String]| list.iter().position(|policy| policy == name);
            let (now, then) = (at(self.of(hook)), at(before.of(hook)));
            match (self.place(hook), now, then) {
                (Place::One(policy), now, then) if now != then => {
                    *policy = before.of(hook).first().cloned();
                }
                (Place::Several(policies), Some(now), None) => drop(policies.remove(now)),
                (Place::Several(policies), None, Some(then)) => {
                    policies.insert(then.min(policies.len()), name.to_string());
                }
                _ => {}
            }
        }
    }
}

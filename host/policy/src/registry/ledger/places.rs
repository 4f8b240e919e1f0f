//! Who stands where in the pipeline, and coming and going there.

use crate::{Hook, Pipeline};

impl Pipeline {
    fn list(&mut self, hook: Hook) -> Option<&mut Vec<String>> {
        match hook {
            Hook::Pre => Some(&mut self.pre),
            Hook::Post => Some(&mut self.post),
            Hook::Route => None,
        }
    }

    /// Hooks in which `name` is called.
    pub(in crate::registry) fn places(&self, name: &str) -> Vec<Hook> {
        let is_in = |hook: &Hook| match hook {
            Hook::Pre => self.pre.iter().any(|policy| policy == name),
            Hook::Route => self.route.as_deref() == Some(name),
            Hook::Post => self.post.iter().any(|policy| policy == name),
        };
        Hook::ALL.into_iter().filter(is_in).collect()
    }

    /// Every name with the hook in which it is called.
    pub(super) fn names(&self) -> impl Iterator<Item = (Hook, &String)> {
        let pre = self.pre.iter().map(|name| (Hook::Pre, name));
        let route = self.route.iter().map(|name| (Hook::Route, name));
        pre.chain(route).chain(self.post.iter().map(|name| (Hook::Post, name)))
    }

    pub(super) fn join(&mut self, name: &str, hook: Hook) {
        match self.list(hook) {
            None => self.route = Some(name.to_string()),
            Some(list) if list.iter().any(|policy| policy == name) => {}
            Some(list) => list.push(name.to_string()),
        }
    }

    /// Puts `name` where it was `before`, or out if it was nowhere.
    pub(super) fn restore(&mut self, name: &str, before: &Pipeline) {
        for (list, was) in [(&mut self.pre, &before.pre), (&mut self.post, &before.post)] {
            let at = |list: &[String]| list.iter().position(|policy| policy == name);
            match (at(list), at(was)) {
                (Some(now), None) => drop(list.remove(now)),
                (None, Some(then)) => list.insert(then.min(list.len()), name.to_string()),
                _ => {}
            }
        }
        let routes = |pipeline: &Pipeline| pipeline.route.as_deref() == Some(name);
        if routes(self) != routes(before) {
            self.route.clone_from(&before.route);
        }
    }
}

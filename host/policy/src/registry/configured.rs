//! What a configuration wants in force: components and a pipeline. At a start, and when it is read anew, they go the way of
//! uploads, and come into force all at once. Where the configuration says what it said before, what operators did over HTTP
//! stays; so does a revision that the registry knows of a policy that was in force: their rollback survives.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use super::{Policies, Rules, disk, ledger::Ledger, names};
use crate::{
    Pipeline, PolicyError, PolicyRef, PolicySettings, PolicyStatus, Provenance, Uploaded,
    compile::Haste, seat::now_ms,
};

/// The key of the configuration that says who is called.
const PIPELINE: &str = "policies.pipeline";

/// A component that a configuration names.
#[derive(Debug, Clone)]
pub struct Component {
    name: String,
    bytes: Bytes,
    signature: Option<String>,
    built_in: bool,
}

/// What a configuration says of policies that are to be in force.
#[derive(Debug, Clone, Default)]
pub struct Configured {
    /// In its order.
    pub components: Vec<Component>,
    /// `None` leaves the one that the registry remembers.
    pub pipeline: Option<Pipeline>,
    /// What the program brings for names of the pipeline that the registry does not know.
    pub examples: Vec<Component>,
}

/// What a configuration said: its components' revisions, and its pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    revisions: BTreeMap<String, String>,
    pipeline: Option<Pipeline>,
}

/// What is stored and may come into force.
#[derive(Debug, Default)]
pub struct Staged {
    activations: Vec<PolicyRef>,
    pipeline: Option<Pipeline>,
    /// What the configuration calls all of that.
    keys: Vec<String>,
    /// What the registry did not know.
    brought: Vec<PolicyRef>,
    left: Vec<String>,
    /// The configuration says who is called: what comes into force joins no pipeline by itself.
    placed: bool,
}

/// What of a configuration can't be in force, and why.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct Unstaged {
    /// The key of the configuration.
    pub key: String,
    /// What is wrong.
    pub problem: PolicyError,
}

impl Component {
    /// From a file, with the text of its signature where there is one.
    #[must_use]
    pub fn of_file(name: String, bytes: Bytes, signature: Option<String>) -> Self {
        Self { name, bytes, signature, built_in: false }
    }

    /// Out of this program.
    #[must_use]
    pub fn built_in(name: &str, bytes: &'static [u8]) -> Self {
        let (name, bytes) = (name.to_owned(), Bytes::from_static(bytes));
        Self { name, bytes, signature: None, built_in: true }
    }

    fn source(&self) -> Provenance<'_> {
        match self.built_in {
            true => Provenance::BuiltIn,
            false => Provenance::Outside(self.signature.as_deref()),
        }
    }

    fn key(&self) -> String {
        match self.built_in {
            true => PIPELINE.to_owned(),
            false => format!("policies.components.{}", self.name),
        }
    }
}

impl Configured {
    /// What is to be remembered of it until it is read anew.
    #[must_use]
    pub fn said(&self) -> Said {
        let revision =
            |component: &Component| (component.name.clone(), disk::revision(&component.bytes));
        let revisions = self.components.iter().map(revision).collect();
        Said { revisions, pipeline: self.pipeline.clone() }
    }
}

impl Staged {
    /// What comes into force with it.
    pub fn activations(&self) -> &[PolicyRef] {
        &self.activations
    }

    /// The keys of the configuration that say what comes into force.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// Keys of components that stay as operators left them.
    pub fn left(&self) -> &[String] {
        &self.left
    }

    fn named(&mut self, key: String) {
        if !self.keys.contains(&key) {
            self.keys.push(key);
        }
    }

    fn edit(&self, ledger: &mut Ledger, sealed: bool) -> Result<(), PolicyError> {
        let mut pipeline = ledger.pipeline.clone();
        for PolicyRef { name, revision } in &self.activations {
            let revision = ledger.resolve(name, revision)?;
            ledger.activate(name, &revision, now_ms())?;
        }
        match &self.pipeline {
            Some(wanted) => pipeline = wanted.clone(),
            None if self.placed => {
                let has = |name: &String, hook| {
                    let current = ledger.policies.get(name).and_then(|slot| slot.current());
                    current.is_some_and(|stored| stored.hooks.contains(&hook))
                };
                pipeline.retain(|hook, name| has(name, hook));
            }
            None => return Ok(()),
        }
        if pipeline != ledger.pipeline || (sealed && self.pipeline.is_some()) {
            ledger.set_pipeline(pipeline, now_ms())?;
        }
        Ok(())
    }
}

impl Policies {
    /// Uploads what a configuration wants in force and did not want when it said `before`, by `settings` that are to be in
    /// force with it, or by those that are. Nothing comes into force yet, and on an error nothing of it stays. Who names a
    /// component in the configuration allows what it imports.
    ///
    /// # Errors
    /// A component that would be refused as an upload, a pipeline with a policy that there is none of.
    pub async fn stage(
        &self,
        wanted: &Configured,
        before: &Said,
        settings: Option<&PolicySettings>,
        progress: &dyn Fn(String),
    ) -> Result<Staged, Unstaged> {
        let rules = match settings {
            Some(settings) => Arc::new(Rules::new(settings.clone())),
            None => self.0.rules.load_full(),
        };
        let mut staged = Staged::default();
        let all = self.stage_all(wanted, before, &rules, progress, &mut staged).await;
        if all.is_err() {
            self.unstage(&staged);
        }
        all.map(|()| staged)
    }

    async fn stage_all(
        &self,
        wanted: &Configured,
        before: &Said,
        rules: &Arc<Rules>,
        progress: &dyn Fn(String),
        staged: &mut Staged,
    ) -> Result<(), Unstaged> {
        let now = wanted.said();
        staged.placed = now.pipeline.is_some();
        for component in &wanted.components {
            let name = &component.name;
            if before.revisions.get(name) != now.revisions.get(name) {
                progress(format!("policy {name} is being deployed"));
                self.stage_one(component, rules, staged).await?;
            }
        }
        if let Some(pipeline) = wanted.pipeline.as_ref().filter(|_| before.pipeline != now.pipeline)
        {
            progress("the pipeline is being deployed".to_owned());
            for (_, name) in pipeline.iter() {
                self.stage_place(name, &wanted.examples, rules, staged).await?;
            }
            staged.pipeline = Some(pipeline.clone());
            staged.named(PIPELINE.to_owned());
        }
        Ok(())
    }

    /// Uploads a component. It is to come into force if the registry did not know it, or never had the policy in force.
    async fn stage_one(
        &self,
        component: &Component,
        rules: &Arc<Rules>,
        staged: &mut Staged,
    ) -> Result<(), Unstaged> {
        let Component { name, bytes, .. } = component;
        let (source, haste) = (component.source(), Haste::Awaited);
        let uploaded = self.take(name, bytes.clone(), source, haste, rules.clone()).await;
        let Uploaded { revision, already_known, .. } =
            uploaded.map_err(|problem| Unstaged { key: component.key(), problem })?;
        let id = PolicyRef { name: name.clone(), revision };
        if !already_known {
            staged.brought.push(id.clone());
        }
        match already_known && self.was_in_force(name) {
            true => staged.left.push(component.key()),
            false => {
                staged.activations.push(id);
                staged.named(component.key());
            }
        }
        Ok(())
    }

    /// Sees to it that a policy of the pipeline will have a revision in force: the newest one that the registry has, or
    /// that of the example of this name.
    async fn stage_place(
        &self,
        name: &str,
        examples: &[Component],
        rules: &Arc<Rules>,
        staged: &mut Staged,
    ) -> Result<(), Unstaged> {
        if staged.activations.iter().any(|id| id.name == name) {
            return Ok(());
        }
        match (self.show(name), examples.iter().find(|example| example.name == name)) {
            (Some(status), _) if status.active.is_some() => Ok(()),
            (Some(PolicyStatus { revisions, .. }), _) if !revisions.is_empty() => {
                let (name, revision) = (name.to_owned(), revisions[0].revision.clone());
                staged.activations.push(PolicyRef { name, revision });
                Ok(())
            }
            (_, Some(example)) => self.stage_one(example, rules, staged).await,
            (_, None) => {
                let known: Vec<&str> = examples.iter().map(|example| &*example.name).collect();
                let known = known.join(", ");
                let message = format!(
                    "it names '{name}', which is not in the registry and is no example ({known}); \
                     give its file in policies.components"
                );
                let problem = PolicyError::InvalidPipeline { message };
                Err(Unstaged { key: PIPELINE.to_owned(), problem })
            }
        }
    }

    fn was_in_force(&self, name: &str) -> bool {
        let history = self.history();
        history
            .iter()
            .flat_map(|activation| &activation.changes)
            .any(|change| change.policy == name)
    }

    /// Forgets what was stored only to be in force now, and is not.
    pub fn unstage(&self, staged: &Staged) {
        for id in &staged.brought {
            if let Err(problem) = self.remove_revision(&id.name, &id.revision) {
                tracing::warn!(
                    "policy {id}, which did not come into force, stays stored: {problem}"
                );
            }
        }
    }

    /// Puts what is staged in force, all of it or nothing.
    ///
    /// # Errors
    /// As [`Policies::activate`] and [`Policies::set_pipeline`].
    pub fn put_in_force(&self, staged: &Staged) -> Result<(), PolicyError> {
        self.in_force_with(staged, &|_| true, || ())
    }

    /// The same, with something that is done just before calls see it; who keeps a seat `keeps` says by its name.
    pub(super) fn in_force_with(
        &self,
        staged: &Staged,
        keeps: &dyn Fn(&str) -> bool,
        then: impl FnOnce(),
    ) -> Result<(), PolicyError> {
        for PolicyRef { name, revision } in &staged.activations {
            names::check_activated(name, &*self.0.world)?;
            self.0.retry(name, revision)?;
        }
        let sealed = self.unreadable().is_some();
        let edit = |ledger: &mut Ledger| staged.edit(ledger, sealed);
        self.0.edit_keeping(edit, keeps, |book| {
            if staged.pipeline.is_some() {
                book.unseal()?;
            }
            then();
            Ok(())
        })?;
        let set = self.0.current.load();
        for id in &staged.activations {
            tracing::info!(policy = %id, "the configuration put a policy in force");
            set.active.get(&id.name).into_iter().for_each(|seat| seat.reset());
        }
        if let Some(pipeline) = &staged.pipeline {
            tracing::info!(?pipeline, "the configuration put a pipeline in force");
        }
        Ok(())
    }
}

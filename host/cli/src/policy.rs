//! `signalbox policy`: write, build, upload and swap policies of a running host.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use serde::de::DeserializeOwned;
use serde_json::Value;
use signalbox_server::wire::{
    policies::{Pipeline, PipelineStatus, Policy as Known, PolicyRef, Uploaded},
    requests::{Activate, Cast, Share},
    trials::Replay,
};

use crate::{
    args::{AuthorCommand, OperatorCommand, Policy, PolicyCommand},
    client::{Client, read},
    term::{self, Spinner, say, say_json, short_revision},
};

mod component;
mod contract;
mod fixtures;
mod inspect;
mod report;
mod scaffold;

pub(crate) use component::signature_beside;
use component::{Upload, build, revision};

/// Runs one of the `policy` commands.
pub(crate) fn run(args: Policy) -> Result<()> {
    let Policy { plane, json, command } = args;
    let hint = hint(&plane.admin);
    match command {
        PolicyCommand::Author(command) => write(command, json, &hint),
        PolicyCommand::Operator(command) => {
            let client = Client::new(&plane.admin, plane.token);
            operate(command, &Admin { client, json, hint })
        }
    }
}

/// What needs no host.
fn write(command: AuthorCommand, json: bool, hint: &str) -> Result<()> {
    match command {
        AuthorCommand::New { name, lang, hook } => {
            scaffold::create(Path::new(""), &name, lang, hook)?;
            scaffold::say_next(&name, lang, hook, hint);
            Ok(())
        }
        AuthorCommand::Build { dir } => {
            let built = build(&dir)?;
            match json {
                true => say_json(&built.as_json()),
                false => built.say(hint),
            }
            Ok(())
        }
        AuthorCommand::Test { policy, cases, config, repeat } => {
            let cases = cases.unwrap_or_else(|| fixtures::folder_of(&policy));
            let upload = Upload::find(&policy)?;
            let operator = match config {
                Some(file) => fixtures::Operator::read(&file, &upload.name)?,
                None => fixtures::Operator::default(),
            };
            fixtures::run(upload, &cases, &operator, repeat, json)
        }
        AuthorCommand::Profile { policy, cases, case, seconds, output } => {
            let cases = cases.unwrap_or_else(|| fixtures::folder_of(&policy));
            let (upload, long) = (Upload::find(&policy)?, Duration::from_secs(seconds));
            fixtures::profile::run(&upload, &cases, case.as_deref(), long, output)
        }
        AuthorCommand::Inspect { policy } => {
            let Upload { name, bytes, .. } = Upload::find(&policy)?;
            inspect::run(&name, &bytes, &revision(&bytes), json)
        }
        AuthorCommand::Wit { dir } => contract::hand_out(&dir),
    }
}

/// What a host is asked for.
fn operate(command: OperatorCommand, admin: &Admin) -> Result<()> {
    match command {
        OperatorCommand::Push { policy, name, activate, allow_new_imports, signature } => {
            let upload = Upload::find(&policy)?.signed(signature.as_deref())?;
            admin.push(upload, name, activate, allow_new_imports)
        }
        OperatorCommand::List => admin.show("/policies", report::list),
        OperatorCommand::Show { name } => admin.show(&format!("/policies/{name}"), report::policy),
        OperatorCommand::Activate { name, revision, allow_new_imports, min_agreement, canary } => {
            let canary = canary.map(|percent| Share { percent });
            let revision = admin.meant(&name, revision)?;
            admin.activate(&name, &Activate { revision, allow_new_imports, min_agreement, canary })
        }
        OperatorCommand::Replay { candidate, name, since, min_agreement, signature } => {
            let candidate = Upload::find(&candidate)?.signed(signature.as_deref())?;
            admin.replay(candidate, name, since, min_agreement)
        }
        OperatorCommand::Promote { name } => admin.change(&format!("/policies/{name}/promote")),
        OperatorCommand::Shadow { name, off: true, .. } => admin.end_shadow(&name),
        OperatorCommand::Shadow { name, revision, allow_new_imports, off: false } => {
            admin.shadow(&name, revision, allow_new_imports)
        }
        OperatorCommand::Rollback { name } => admin.rollback(name),
        OperatorCommand::Deactivate { name } => {
            admin.change(&format!("/policies/{name}/deactivate"))
        }
        OperatorCommand::Remove { name, revision } => admin.remove(&name, &revision),
        OperatorCommand::Order { pre: None, route: None, post: None } => {
            admin.show("/pipeline", report::pipeline_status)
        }
        OperatorCommand::Order { pre, route, post } => admin.order(pre, route, post),
        OperatorCommand::Decisions { decision: Some(decision), .. } => {
            admin.show(&format!("/decisions/{decision}"), report::decision)
        }
        OperatorCommand::Decisions { decision: None, limit } => {
            admin.show(&format!("/decisions?limit={limit}"), report::decisions)
        }
        OperatorCommand::Activations => admin.show("/activations", report::activations),
    }
}

/// The admin plane, and how its answers are shown.
struct Admin {
    client: Client,
    json: bool,
    /// What a command that is suggested has to say to reach the same host.
    hint: String,
}

/// ` --admin URL` where it is not the one that is asked without it.
fn hint(admin: &str) -> String {
    let implied = std::env::var("SIGNALBOX_ADMIN").ok();
    let implied = implied.as_deref().unwrap_or("http://127.0.0.1:8081");
    if admin == implied { String::new() } else { format!(" --admin {admin}") }
}

impl Admin {
    fn push(
        &self,
        upload: Upload,
        name: Option<String>,
        activate: bool,
        allow_new_imports: bool,
    ) -> Result<()> {
        let name = name.unwrap_or_else(|| upload.name.clone());
        let waiting = Spinner::start(format!("{name} is being compiled and probed by the host"));
        let path =
            format!("/policies/{name}?activate={activate}&allow_new_imports={allow_new_imports}");
        let answer = self.client.upload(&path, &upload.bytes, upload.signature.as_deref())?;
        drop(waiting);
        self.print(answer, |uploaded: &Uploaded| {
            report::upload(uploaded);
            if !activate {
                let revision = short_revision(&uploaded.revision);
                let hint = &self.hint;
                say!("it is staged and changes nothing yet; put it in force with");
                say!("  signalbox policy activate {name} {revision}{hint}");
            }
        })
    }

    fn activate(&self, name: &str, asked: &Activate) -> Result<()> {
        let answer = self.client.post(&format!("/policies/{name}/activate"), asked)?;
        self.print(answer.body, report::activation)
    }

    fn shadow(&self, name: &str, revision: Option<String>, allow_new_imports: bool) -> Result<()> {
        let asked = Cast { revision: self.meant(name, revision)?, allow_new_imports };
        let answer = self.client.post(&format!("/policies/{name}/shadow"), &asked)?;
        self.print(answer.body, report::shadow)
    }

    fn end_shadow(&self, name: &str) -> Result<()> {
        self.client.delete(&format!("/policies/{name}/shadow"))?;
        if !self.json {
            say!("nothing works in the shadow of {name} any more");
        }
        Ok(())
    }

    fn replay(
        &self,
        candidate: Upload,
        name: Option<String>,
        since: Option<u64>,
        min_agreement: Option<f64>,
    ) -> Result<()> {
        let name = name.unwrap_or_else(|| candidate.name.clone());
        let waiting = Spinner::start(format!("decisions are replayed beside {name}"));
        let since = since.map_or(String::new(), |seconds| format!("?since_s={seconds}"));
        let path = format!("/policies/{name}/replay{since}");
        let signature = candidate.signature.as_deref();
        let answer = self.client.upload(&path, &candidate.bytes, signature)?;
        drop(waiting);
        let replay: Replay = read(answer.clone())?;
        self.print(answer, report::replay)?;
        let (shown, wanted) = (replay.agreement.unwrap_or_default(), min_agreement.unwrap_or(0.0));
        ensure!(
            shown >= wanted,
            "{:.1} % of the verdicts agree, and {:.1} % are asked for",
            shown * 100.0,
            wanted * 100.0
        );
        Ok(())
    }

    /// The revision that was named, or the newest one.
    fn meant(&self, name: &str, revision: Option<String>) -> Result<String> {
        revision.map_or_else(|| self.newest(name), Ok)
    }

    /// The revision of a policy that was uploaded last.
    fn newest(&self, name: &str) -> Result<String> {
        let policy: Known = read(self.client.get(&format!("/policies/{name}"))?)?;
        let newest = policy.revisions.into_iter().next();
        Ok(newest.with_context(|| format!("policy '{name}' has no revision"))?.revision)
    }

    fn rollback(&self, name: Option<String>) -> Result<()> {
        let path = match name {
            Some(name) => format!("/policies/{name}/rollback"),
            None => "/rollback".to_owned(),
        };
        self.change(&path)
    }

    /// A lever that needs no more than its name.
    fn change(&self, path: &str) -> Result<()> {
        self.print(self.client.post_nothing(path)?, report::activation)
    }

    fn remove(&self, name: &str, revision: &str) -> Result<()> {
        self.client.delete(&format!("/policies/{name}/revisions/{revision}"))?;
        if !self.json {
            say!("{name}@{} is forgotten", short_revision(revision));
        }
        Ok(())
    }

    /// Sets the pipeline; what is not given stays as it is.
    fn order(
        &self,
        pre: Option<String>,
        route: Option<String>,
        post: Option<String>,
    ) -> Result<()> {
        let now: PipelineStatus = read(self.client.get("/pipeline")?)?;
        let names = |refs: Vec<PolicyRef>| refs.into_iter().map(|policy| policy.name).collect();
        let wanted = Pipeline {
            pre: pre.map_or_else(|| names(now.pre), |given| listed(&given)),
            route: match route.map(|given| listed(&given)) {
                Some(given) if given.len() > 1 => {
                    bail!("--route takes one policy; the pipeline has one router")
                }
                Some(given) => given.into_iter().next(),
                None => now.route.map(|policy| policy.name),
            },
            post: post.map_or_else(|| names(now.post), |given| listed(&given)),
        };
        self.print(self.client.put("/pipeline", &wanted)?, report::activation)
    }

    fn show<T: DeserializeOwned>(&self, path: &str, text: fn(&T)) -> Result<()> {
        self.print(self.client.get(path)?, text)
    }

    /// As it came with `--json`, otherwise in words.
    fn print<T: DeserializeOwned>(&self, answer: Value, text: impl Fn(&T)) -> Result<()> {
        match self.json {
            true => term::say_json(&answer),
            false => text(&read(answer)?),
        }
        Ok(())
    }
}

/// The names in `a,b`.
fn listed(given: &str) -> Vec<String> {
    let names = given.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_names_the_host_where_it_must() {
        assert_eq!(hint("http://other:1"), " --admin http://other:1");
        assert_eq!(hint("http://127.0.0.1:8081"), "");
    }

    #[test]
    fn names_are_listed_with_commas() {
        assert_eq!(listed("a, b"), ["a", "b"]);
        assert!(listed("").is_empty());
    }
}

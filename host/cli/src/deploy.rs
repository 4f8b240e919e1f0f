//! The policies that a configuration wants in force, at the start of a host: its components and the examples that it names
//! are read, and go in through the same door as an upload over HTTP.

use std::fs;

use anyhow::{Context, Result};
use signalbox_policy::{Component, Configured, Pipeline, Policies, PolicyRef, Said};
use signalbox_server::Starting;

use crate::{builtin, policy::signature_beside, settings::Deployment};

/// Reads what a configuration names.
///
/// # Errors
/// A file that can't be read.
pub(crate) fn configured(wanted: &Deployment) -> Result<Configured> {
    let read = |(name, file): &(String, std::path::PathBuf)| {
        let bytes = fs::read(file).with_context(|| {
            format!("policies.components.{name}: {} can't be read", file.display())
        })?;
        let signature = signature_beside(file)
            .with_context(|| format!("policies.components.{name}: its signature can't be read"))?;
        Ok(Component::of_file(name.clone(), bytes.into(), signature))
    };
    let components = wanted.components.iter().map(read).collect::<Result<_>>()?;
    let example = |name: &str| {
        let builtin::Component { name, bytes } = builtin::component(name)?;
        Some(Component::built_in(name, bytes))
    };
    let examples = builtin::names().into_iter().filter_map(example).collect();
    Ok(Configured { components, pipeline: wanted.pipeline.clone(), examples })
}

/// Puts the configuration's policies in force. Answers the names of those that were not, and what it said.
pub(crate) async fn deploy(
    policies: &Policies,
    wanted: &Deployment,
    starting: &Starting,
) -> Result<(Vec<String>, Said)> {
    let configured = configured(wanted)?;
    let says = |words: String| starting.says(words);
    let staged = policies.stage(&configured, &Said::default(), None, &says).await?;
    let put = policies.put_in_force(&staged).context("policies.pipeline");
    put.inspect_err(|_| policies.unstage(&staged))?;
    let mut deployed: Vec<String> = staged.activations().iter().map(PolicyRef::to_string).collect();
    // Where the state can't be read it is not known what is in force, and a default is not an operator's word.
    let undecided = wanted.pipeline.is_none() && policies.unreadable().is_none();
    if undecided && never_had_a_router(policies) {
        deployed.extend(default_router(policies, &says).await);
    }
    Ok((deployed, configured.said()))
}

/// Nobody asked for this router by name, so a failure leaves the choice to the host's own default.
async fn default_router(policies: &Policies, says: &dyn Fn(String)) -> Option<String> {
    let router = builtin::component(builtin::DEFAULT_ROUTER)?;
    let components = vec![Component::built_in(router.name, router.bytes)];
    let configured = Configured { components, ..Configured::default() };
    let staged = policies.stage(&configured, &Said::default(), None, says).await;
    let put = staged.map_err(anyhow::Error::from).and_then(|staged| {
        policies.put_in_force(&staged)?;
        Ok(staged.activations().first().map(PolicyRef::to_string))
    });
    put.unwrap_or_else(|error| {
        tracing::error!("the default router can't be put in force: {error:#}");
        None
    })
}

fn never_had_a_router(policies: &Policies) -> bool {
    let routed = |pipeline: &Pipeline| pipeline.route.is_some();
    policies.pipeline().policies.route.is_none()
        && !policies.history().iter().any(|a| routed(&a.before) || routed(&a.after))
}

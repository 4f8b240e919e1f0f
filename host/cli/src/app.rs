//! Settings become a host: ports bound, experts started, policies deployed.

use std::{fs, net::SocketAddr};

use anyhow::{Context, Result, bail, ensure};
use signalbox_engine::Fleet;
use signalbox_policy::{
    NewImports, Pipeline, PipelineStatus, Policies, PolicyRef, PolicyStatus, Provenance,
};
use signalbox_server::{App, Starting, while_starting};
use tokio::{net::TcpListener, runtime::Handle};

use crate::{
    builtin::{self, Component},
    policy::signature_beside,
    settings::{Address, Deployment, Settings, exposed},
};

/// Both ports, bound, and what is to serve there.
pub(crate) struct Ports {
    /// Where clients come in.
    pub(crate) data: SocketAddr,
    /// Where operators come in.
    pub(crate) admin: SocketAddr,
    listeners: (TcpListener, TcpListener),
    settings: Settings,
}

impl Ports {
    /// Binds both ports.
    ///
    /// # Errors
    /// A port that can't be had or would be open to strangers.
    pub(crate) async fn bind(mut settings: Settings) -> Result<Self> {
        let data = bind(&settings.data, "clients").await?;
        let admin = bind(&settings.admin, "operators").await?;
        let exposed = exposed(&settings.data, data.local_addr()?.ip(), &settings.server.access);
        ensure!(exposed.is_none(), exposed.unwrap_or_default());
        settings.server.access.hosts.push(settings.data.host.clone());
        Ok(Self {
            data: data.local_addr()?,
            admin: admin.local_addr()?,
            listeners: (data, admin),
            settings,
        })
    }

    /// Starts the experts and deploys policies, which can take a while; until then both ports say
    /// so. Experts of the warm pool are still loading when this returns; broken ones are listed and
    /// hold nobody up.
    ///
    /// # Errors
    /// A registry or component that can't be used.
    pub(crate) async fn start(self) -> Result<Host> {
        let Self { data, admin, listeners, settings } = self;
        let starting = Starting::default();
        let open = {
            let (starting, runtime) = (starting.clone(), Handle::current());
            move || runtime.block_on(open(settings, &starting))
        };
        let opening = tokio::task::spawn_blocking(open);
        let opened = while_starting((&listeners.0, &listeners.1), &starting, opening).await;
        let (app, deployed) = opened.context("the start broke down")??;
        Ok(Host { app, data, admin, deployed, listeners })
    }
}

/// Starts the experts, opens the registry, deploys. Blocks now and then.
async fn open(settings: Settings, starting: &Starting) -> Result<(App, Vec<String>)> {
    let fleet = Fleet::start(settings.fleet);
    let registry = settings.policies.registry.clone();
    let app = App::open_reporting(fleet, registry, settings.server, starting)?;
    let deployed = deploy(app.policies(), &settings.policies, starting).await?;
    Ok((app, deployed))
}

/// A host that is ready to serve.
pub(crate) struct Host {
    /// Experts and policies.
    pub(crate) app: App,
    /// Where clients come in.
    pub(crate) data: SocketAddr,
    /// Where operators come in.
    pub(crate) admin: SocketAddr,
    /// Policies that were put in force by this start.
    pub(crate) deployed: Vec<String>,
    listeners: (TcpListener, TcpListener),
}

impl Host {
    /// Serves until `shutdown` resolves and running replies have ended.
    ///
    /// # Errors
    /// A listener that can't accept any more.
    pub(crate) async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<()> {
        let (data, admin) = self.listeners;
        signalbox_server::run(self.app, data, admin, shutdown).await.context("serving failed")
    }
}

async fn bind(address: &Address, whom: &str) -> Result<TcpListener> {
    let pair = (address.host.as_str(), address.port);
    TcpListener::bind(pair).await.with_context(|| {
        format!(
            "can't listen for {whom} on {address}; choose another host or port, or stop what is \
             there"
        )
    })
}

/// Puts the configuration's policies in force, through the same door as an upload over HTTP.
/// Answers the names it put in force.
async fn deploy(
    policies: &Policies,
    wanted: &Deployment,
    starting: &Starting,
) -> Result<Vec<String>> {
    let mut deployed = Vec::new();
    for (name, file) in &wanted.components {
        starting.says(format!("policy {name} is being deployed"));
        let bytes = fs::read(file).with_context(|| {
            format!("policies.components.{name}: {} can't be read", file.display())
        })?;
        let signature = signature_beside(file)
            .with_context(|| format!("policies.components.{name}: its signature can't be read"))?;
        let provenance = Provenance::Outside(signature.as_deref());
        deployed.extend(put_in_force(policies, name, bytes, provenance).await?);
    }
    starting.says("the pipeline is being deployed".to_owned());
    match &wanted.pipeline {
        Some(pipeline) => {
            deployed.extend(ensure_in_force(policies, pipeline).await?);
            set_pipeline(policies, pipeline)?;
        }
        // What is in force is not known then, and a default is not an operator's word.
        None if policies.unreadable().is_some() => {}
        None if never_had_a_router(policies) => deployed.extend(default_router(policies).await),
        None => {}
    }
    Ok(deployed)
}

/// Nobody asked for this router by name, so a failure leaves the choice to the host's own default.
async fn default_router(policies: &Policies) -> Option<String> {
    let router = builtin::component(builtin::DEFAULT_ROUTER)?;
    let component = router.bytes.to_vec();
    let put = put_in_force(policies, router.name, component, Provenance::BuiltIn).await;
    put.unwrap_or_else(|error| {
        tracing::error!("the default router can't be put in force: {error:#}");
        None
    })
}

/// Uploads, and activates what the registry did not know or never had in force. Anything else stays
/// as the operators left it: their rollback survives a restart. Who names a component in the
/// configuration allows what it imports.
async fn put_in_force(
    policies: &Policies,
    name: &str,
    component: Vec<u8>,
    provenance: Provenance<'_>,
) -> Result<Option<String>> {
    let uploaded = policies.install(name, component.into(), provenance).await?;
    if uploaded.already_known && was_in_force(policies, name) {
        return Ok(None);
    }
    policies.activate(name, &uploaded.revision, NewImports::Allowed)?;
    let revision = PolicyRef { name: name.to_owned(), revision: uploaded.revision };
    Ok(Some(revision.to_string()))
}

fn was_in_force(policies: &Policies, name: &str) -> bool {
    policies.history().iter().flat_map(|activation| &activation.changes).any(|c| c.policy == name)
}

/// Sees to it that every policy of a pipeline has a revision in force: the newest one that the
/// registry has, or the built-in example of that name.
async fn ensure_in_force(policies: &Policies, pipeline: &Pipeline) -> Result<Vec<String>> {
    let mut deployed = Vec::new();
    for name in pipeline.iter().map(|(_, name)| name) {
        match (policies.show(name), builtin::component(name)) {
            (Some(status), _) if status.active.is_some() => {}
            (Some(PolicyStatus { revisions, .. }), _) if !revisions.is_empty() => {
                policies.activate(name, &revisions[0].revision, NewImports::Allowed)?;
                deployed.push(name.clone());
            }
            (_, Some(Component { bytes, .. })) => {
                deployed.extend(
                    put_in_force(policies, name, bytes.to_vec(), Provenance::BuiltIn).await?,
                );
            }
            (_, None) => bail!(
                "policies.pipeline names '{name}', which is not in the registry and is no example \
                 ({}); give its file in policies.components",
                builtin::names().join(", ")
            ),
        }
    }
    Ok(deployed)
}

fn set_pipeline(policies: &Policies, wanted: &Pipeline) -> Result<()> {
    if policies.unreadable().is_some() || names_of(&policies.pipeline()) != *wanted {
        policies.set_pipeline(wanted.clone()).context("policies.pipeline")?;
    }
    Ok(())
}

fn names_of(status: &PipelineStatus) -> Pipeline {
    status.policies.filter_map(|policy| Some(policy.name.clone()))
}

fn never_had_a_router(policies: &Policies) -> bool {
    let routed = |pipeline: &Pipeline| pipeline.route.is_some();
    policies.pipeline().policies.route.is_none()
        && !policies.history().iter().any(|a| routed(&a.before) || routed(&a.after))
}

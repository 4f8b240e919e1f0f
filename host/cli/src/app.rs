//! Settings become a host: ports bound, experts started, policies deployed.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use signalbox_engine::Fleet;
use signalbox_policy::Said;
use signalbox_server::{App, Starting, while_starting};
use tokio::{net::TcpListener, runtime::Handle};

use crate::{
    deploy::deploy,
    settings::{Address, Settings, exposed},
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
        let (app, deployed, said) = opened.context("the start broke down")??;
        Ok(Host { app, data, admin, deployed, said, listeners })
    }
}

/// Starts the experts, opens the registry, deploys. Blocks now and then.
async fn open(settings: Settings, starting: &Starting) -> Result<(App, Vec<String>, Said)> {
    let fleet = Fleet::start(settings.fleet);
    let registry = settings.policies.registry.clone();
    let app = App::open_reporting(fleet, registry, settings.server, starting)?;
    let (deployed, said) = deploy(app.policies(), &settings.policies, starting).await?;
    Ok((app, deployed, said))
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
    /// What the configuration said of policies.
    pub(crate) said: Said,
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

//! `signalbox serve`: a configuration file becomes a serving host.

use std::process::ExitCode;

use anyhow::{Context, Result};
use signalbox_engine::{ExpertState, ExpertStatus};

use crate::{
    app::Ports,
    args::Serve,
    limits::Granted,
    reload::{self, Origin},
    report::{self, Entry},
    runtime,
    settings::{Settings, TOKEN_VARIABLE},
    term::say,
};

/// Serves until asked to stop.
pub(crate) fn run(args: Serve) -> Result<ExitCode> {
    let (path, strict) = (args.what.path().to_owned(), args.what.strict);
    let read = Settings::load(&path, strict)?;
    let origin = Origin::new(&path, strict, read.clone());
    let mut settings = overruled(read, args);
    let unfit = Granted::raised().fit(&mut settings, runtime::cores() as u64);
    runtime::log(settings.log_level).context("no threads can be started")?;
    unfit.iter().for_each(|message| say!("{message}"));
    settings.warnings.iter().for_each(|warning| say!("warning: {warning}"));
    runtime::start().context("no threads can be started")?.block_on(serve(settings, origin))
}

/// The command line has the last word.
fn overruled(mut settings: Settings, args: Serve) -> Settings {
    settings.data.host = args.host.unwrap_or(settings.data.host);
    settings.data.port = args.port.unwrap_or(settings.data.port);
    settings.admin = args.admin_addr.unwrap_or(settings.admin);
    let registry = &mut settings.policies.registry;
    registry.data_dir = args.data_dir.unwrap_or(registry.data_dir.clone());
    settings
}

async fn serve(settings: Settings, origin: Origin) -> Result<ExitCode> {
    runtime::ignore_signals();
    let ignored = settings.ignored.len();
    let guarded = settings.server.admin_token.is_some();
    let ports = Ports::bind(settings).await?;
    say_addresses(&ports);
    let host = ports.start().await?;
    host.app.reload_from(origin.source(host.data.ip()), host.said.clone());
    reload::on_hangup(host.app.clone());
    say_report(&host.app.fleet().menu(), ignored);
    for policy in &host.deployed {
        say!("deployed {policy}");
    }
    if !guarded {
        say!("no admin token ({TOKEN_VARIABLE}): operators are answered on this machine only");
    }
    host.serve(runtime::asked_to_stop()).await?;
    Ok(ExitCode::SUCCESS)
}

fn say_report(menu: &[ExpertStatus], ignored: usize) {
    let failed = menu.iter().filter(|e| matches!(e.state, ExpertState::Failed(_))).count();
    say!("{} of {} experts can be served", menu.len() - failed, menu.len());
    report::say_experts(&menu.iter().map(entry).collect::<Vec<_>>());
    if ignored > 0 {
        say!("{ignored} keys of the configuration have no effect; `signalbox check` says why");
    }
}

/// Where both planes are, one line each, for people and for scripts.
pub(crate) fn say_addresses(ports: &Ports) {
    say!("clients    http://{}", ports.data);
    say!("operators  http://{}", ports.admin);
}

fn entry(status: &ExpertStatus) -> Entry<'_> {
    Entry {
        id: &status.id,
        domain: &status.domain,
        architecture: status.architecture.as_deref(),
        quantization: status.quantization.as_deref(),
        weight_bytes: Some(status.weight_bytes).filter(|&bytes| bytes > 0),
        context_length: Some(status.context_length).filter(|&tokens| tokens > 0),
        findings: &status.findings,
    }
}

//! `signalbox demo`: five toy experts and a router, with nothing to download and nothing left
//! behind but a cache of the unpacked toys.

use std::{path::Path, process::ExitCode};

use anyhow::{Context, Result, anyhow};
use signalbox_server::App;
use tempfile::TempDir;

use crate::{
    app::{Host, Ports},
    args::Demo,
    cache::environment,
    runtime, serve,
    settings::{Machine, Settings},
    term::say,
};

mod smoke;
mod toys;

/// The demo's configuration, in the format of any other.
const CONFIG: &str = include_str!("../demo.json");
/// Where the demo serves unless asked otherwise: clients, operators.
const PORTS: (u16, u16) = (8080, 8081);
/// Printed when the demo is ready.
const WHAT_TO_TRY: &str = include_str!("../demo.txt");

/// Serves the toys until asked to stop, or tries everything once with `--smoke`.
pub(crate) fn run(args: Demo) -> Result<ExitCode> {
    let toys = toys::unpack()?;
    let mut settings = settings(toys.path())?;
    // Policies of a demo without a folder of its own go when it does.
    let forgotten = TempDir::with_prefix("signalbox-demo-").context("no temporary folder")?;
    settings.policies.registry.data_dir =
        args.data_dir.unwrap_or_else(|| forgotten.path().to_owned());
    let (data, admin) = if args.smoke { (0, 0) } else { PORTS };
    settings.data.port = args.port.unwrap_or(data);
    settings.admin.port = args.admin_port.unwrap_or(admin);
    runtime::log(settings.log_level).context("no threads can be started")?;
    let threads = runtime::start().context("no threads can be started")?;
    match args.smoke {
        true => smoke::run(&threads, settings),
        false => threads.block_on(serve_until_stopped(settings)),
    }
}

/// The demo's settings for toys that lie in `folder`.
fn settings(folder: &Path) -> Result<Settings> {
    Settings::parse(CONFIG, folder, Machine::here(), &environment).map_err(|mistakes| {
        let message: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
        anyhow!("the demo can't be configured: {}", message.join("; "))
    })
}

async fn serve_until_stopped(settings: Settings) -> Result<ExitCode> {
    let ports = Ports::bind(settings).await?;
    serve::say_addresses(&ports);
    let host = ports.start().await?;
    smoke::warm(&host.app).await;
    say_what_to_try(&host);
    host.serve(runtime::asked_to_stop()).await?;
    Ok(ExitCode::SUCCESS)
}

fn say_what_to_try(host: &Host) {
    let text = WHAT_TO_TRY
        .replace("@data@", &host.data.to_string())
        .replace("@admin@", &host.admin.to_string())
        .replace("@router@", &router(&host.app));
    say!("{}", text.trim_end());
}

fn router(app: &App) -> String {
    let router = app.policies().pipeline().policies.route;
    router.map_or("the host itself".to_owned(), |router| router.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_has_five_experts_and_no_idle_key() {
        let settings = settings(Path::new("/toys")).unwrap();
        assert_eq!(settings.fleet.experts.len(), 5);
        assert_eq!(settings.fleet.experts[0].path, Path::new("/toys/phi4_fast"));
        assert!(settings.ignored.is_empty(), "{:?}", settings.ignored);
    }
}

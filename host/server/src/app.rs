//! The wired process: experts, policies, settings. What handlers and the pipeline share.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Instant, SystemTime},
};

use arc_swap::ArcSwap;
use signalbox_confine::{Bounded, Limit};
use signalbox_engine::{ExpertStatus, Fleet, FleetChange, FleetSettings, MESSAGES_MAX};
use signalbox_policy::{CallBounds, Policies, PolicyError, PolicySettings, Said, Staged};
use tokio::runtime::Handle;

use crate::{
    ReloadError, Reloaded, ServerSettings, Source, Starting,
    access::Keyring,
    admission::Admission,
    bodies::{Bodies, Terms},
    caller::Caller,
    decisions::{Decisions, Keep},
    images::Images,
    limits::FIXED,
    otel::Tracer,
    pipeline::{Bounds, Pipeline, Recall},
    reload::{deployed, renewed},
    responses::Responses,
    telemetry::Telemetry,
    world::FleetWorld,
};

/// Where the decision log lies in the registry's folder.
const DECISIONS: &str = "decisions";

/// Everything a running server needs. Cheap to clone; all clones are one server.
#[derive(Clone)]
pub struct App(Arc<Shared>);

struct Shared {
    pipeline: Pipeline,
    fleet: Fleet,
    images: Images,
    bodies: Bodies,
    uploads: Bodies,
    responses: Responses,
    settings: ArcSwap<ServerSettings>,
    keyring: ArcSwap<Keyring>,
    source: OnceLock<Source>,
    /// What the configuration said of policies when it was read last. Held while it is read anew.
    reloading: Mutex<Said>,
    warm: AtomicBool,
    draining: AtomicBool,
    started: Instant,
    started_at: SystemTime,
}

impl App {
    /// Opens the policy registry over the fleet.
    ///
    /// # Errors
    /// A registry that can't be read; a broken revision alone is not an error.
    pub fn open(
        fleet: Fleet,
        policies: PolicySettings,
        settings: ServerSettings,
    ) -> Result<Self, PolicyError> {
        Self::open_reporting(fleet, policies, settings, &Starting::default())
    }

    /// As [`App::open`], reporting to `starting` what is under way: compiling a policy takes a while.
    ///
    /// # Errors
    /// As [`App::open`].
    pub fn open_reporting(
        fleet: Fleet,
        mut policies: PolicySettings,
        settings: ServerSettings,
        starting: &Starting,
    ) -> Result<Self, PolicyError> {
        policies.bounds = call_bounds(&settings);
        let world = Arc::new(FleetWorld::new(fleet.clone()));
        let policies = Policies::open_reporting(policies, world, &|words| starting.says(words))?;
        Ok(Self(Arc::new(Shared {
            pipeline: pipeline(fleet.clone(), policies, &settings),
            fleet,
            images: Images::new(&settings),
            bodies: Bodies::new(settings.limits.body_memory_bytes_max),
            uploads: Bodies::new(settings.limits.upload_memory_bytes_max),
            responses: Responses::new(&settings.limits),
            keyring: ArcSwap::from_pointee(Keyring::new(settings.access.clone())),
            source: OnceLock::new(),
            reloading: Mutex::default(),
            settings: ArcSwap::from_pointee(settings),
            warm: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            started: Instant::now(),
            started_at: SystemTime::now(),
        })))
    }

    /// Where settings are read anew; the first call counts. Of policies they have `said` this.
    pub fn reload_from(&self, source: Source, said: Said) {
        if self.0.source.set(source).is_ok() {
            *self.0.reloading.lock().unwrap_or_else(PoisonError::into_inner) = said;
        }
    }

    /// Reads settings anew and puts those in force that may change while the host serves. Blocks, and needs the runtime.
    ///
    /// # Errors
    /// Mistakes in them, experts or policies that can't be served with them, or none to read; nothing is changed then.
    pub fn reload(&self) -> Result<Reloaded, ReloadError> {
        let mut said = self.0.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let source = self.0.source.get().ok_or(ReloadError::NoSource)?;
        let fresh = source().map_err(ReloadError::Mistakes)?;
        let (settings, mut changed) = renewed(&self.settings(), &fresh.server);
        settings.check().map_err(|mistake| ReloadError::of([mistake]))?;
        let policies = PolicySettings { bounds: call_bounds(&settings), ..fresh.policies };
        let (configured, says) = (&fresh.configured, |words: String| tracing::info!("{words}"));
        let staging = self.policies().stage(configured, &said, Some(&policies), &says);
        let staged = Handle::current().block_on(staging);
        let staged = staged.map_err(|mistake| ReloadError::of([mistake]))?;
        let put = self.put_in_force(fresh.fleet, policies, &staged);
        let (experts, renewed) = put.inspect_err(|_| self.policies().unstage(&staged))?;
        *said = configured.said();
        let (deployed, left) = deployed(&staged);
        let shared = experts.shared.iter().map(|key| (*key).to_owned());
        changed.extend(renewed.into_iter().chain(deployed).chain(shared));
        self.serve_by(settings);
        let needs_restart = fresh.needs_restart;
        tracing::info!(?changed, ?experts, ?left, ?needs_restart, "settings were read anew");
        Ok(Reloaded { changed, experts, left, needs_restart })
    }

    /// Other experts, and other policies with other settings. Answers what became of the experts, and which keys of the
    /// policies' settings changed.
    fn put_in_force(
        &self,
        fleet: FleetSettings,
        policies: PolicySettings,
        staged: &Staged,
    ) -> Result<(FleetChange, Vec<String>), ReloadError> {
        let experts = self.fleet().plan(fleet).map_err(ReloadError::of)?;
        let renewed = self.policies().renew(policies, staged);
        let renewed = renewed.map_err(|mistake| ReloadError::of([mistake]))?;
        Ok((experts.apply(), renewed))
    }

    /// From now on calls are let in by these.
    fn serve_by(&self, settings: ServerSettings) {
        let pipeline = self.pipeline();
        pipeline.admission.serve(settings.limits.in_flight_max, settings.access.classes());
        pipeline.aliases.store(Arc::new(settings.aliases.clone()));
        pipeline.bounds.store(Arc::new(bounds(&settings)));
        self.0.keyring.store(Arc::new(self.keyring().renewed(settings.access.clone())));
        self.0.settings.store(Arc::new(settings));
    }

    /// Who may use the data plane now.
    pub(crate) fn keyring(&self) -> Arc<Keyring> {
        self.0.keyring.load_full()
    }

    /// The policy registry, for deploying policies at start through the same door as HTTP.
    pub fn policies(&self) -> &Policies {
        &self.0.pipeline.policies
    }

    /// The experts.
    pub fn fleet(&self) -> &Fleet {
        &self.0.fleet
    }

    /// The experts that a caller may ask.
    pub(crate) fn menu(&self, caller: &Caller) -> Vec<ExpertStatus> {
        let mut menu = self.fleet().menu();
        menu.retain(|expert| caller.may_ask(&expert.id));
        menu
    }

    pub(crate) fn pipeline(&self) -> &Pipeline {
        &self.0.pipeline
    }

    pub(crate) fn images(&self) -> &Images {
        &self.0.images
    }

    /// What clients send.
    pub(crate) fn bodies(&self) -> &Bodies {
        &self.0.bodies
    }

    /// What was answered and is kept.
    pub(crate) fn responses(&self) -> &Responses {
        &self.0.responses
    }

    /// What operators send.
    pub(crate) fn uploads(&self) -> &Bodies {
        &self.0.uploads
    }

    pub(crate) fn settings(&self) -> Arc<ServerSettings> {
        self.0.settings.load_full()
    }

    /// How operators' bodies are read.
    pub(crate) fn upload_terms(&self) -> Terms {
        let bytes_max = self.policies().limits().upload_bytes as usize;
        Terms { bytes_max, ..self.settings().body_terms() }
    }

    /// Everything that bounds something, here, in policies and in the engine.
    pub(crate) fn limits(&self) -> Vec<(&'static Limit, u64)> {
        let (settings, policies) = (self.settings(), self.policies());
        let set = [
            settings.limits.table(),
            settings.images.table(),
            settings.decision_log.limits.table(),
            policies.limits().table(),
            policies.breaker().table(),
            policies.canary().table(),
            self.fleet().limits(),
        ];
        let fixed = FIXED.iter().chain(signalbox_engine::FIXED);
        let fixed = fixed.map(|limit| (limit, limit.default));
        set.into_iter().flatten().chain(fixed).collect()
    }

    /// When this server was opened: a steady clock, and the wall's.
    pub(crate) fn started(&self) -> (Instant, SystemTime) {
        (self.0.started, self.0.started_at)
    }

    /// Whether the warm pool is done.
    pub(crate) fn is_warm(&self) -> bool {
        self.0.warm.load(Ordering::Relaxed)
    }

    pub(crate) fn set_warm(&self) {
        self.0.warm.store(true, Ordering::Relaxed);
    }

    /// Whether this server is shutting down.
    pub(crate) fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn set_draining(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }
}

/// What a call may become in the hands of policies: what the engine reads, and twice what a client
/// may send.
fn call_bounds(settings: &ServerSettings) -> CallBounds {
    CallBounds {
        messages_max: MESSAGES_MAX,
        text_bytes_max: 2 * settings.limits.body_bytes_max as u64,
        members_max: settings.limits.consensus_members_max,
    }
}

fn pipeline(fleet: Fleet, policies: Policies, settings: &ServerSettings) -> Pipeline {
    let decisions = decisions(&policies, settings);
    Pipeline {
        experts: Arc::new(fleet),
        policies,
        admission: Admission::new(settings.limits.in_flight_max, settings.access.classes()),
        decisions,
        telemetry: Arc::new(Telemetry::new()),
        bounds: ArcSwap::from_pointee(bounds(settings)),
        aliases: ArcSwap::from_pointee(settings.aliases.clone()),
        recall: Recall::default(),
        ask_cache: Arc::default(),
    }
}

/// What one call may take.
fn bounds(settings: &ServerSettings) -> Bounds {
    Bounds {
        answer: settings.limits.answer(),
        tokens_default: settings.limits.max_tokens_default,
        tokens_max: settings.limits.max_tokens_max,
        member_tokens_max: settings.limits.consensus_tokens_max,
        ask_cache_bytes_max: settings.limits.ask_cache_bytes_max,
    }
}

/// The decision log, beside the registry, whose lock is its lock.
fn decisions(policies: &Policies, settings: &ServerSettings) -> Decisions {
    let (limits, log) = (&settings.limits, &settings.decision_log);
    Decisions::open(Keep {
        records: limits.decisions_kept,
        bytes_max: limits.decisions_bytes_max,
        folder: Some(policies.data_dir().join(DECISIONS)),
        disk_bytes_max: log.limits.bytes_max,
        text: log.text,
        text_bytes_max: log.limits.text_bytes_max,
        ratable_bytes_max: limits.ratable_bytes_max,
        tracer: Tracer::new(settings.traces.clone()),
    })
}

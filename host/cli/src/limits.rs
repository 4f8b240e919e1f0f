//! What the system grants this process in descriptors and threads, held against what the settings may
//! need. What does not fit is said at start, with numbers and the mend, instead of failing under load.

use rustix::process::{Resource, Rlimit, geteuid, getrlimit, setrlimit};
use signalbox_engine::machine_threads;

use crate::{runtime, settings::Settings};

/// Descriptors that connections never take: listeners, the registry, weight files of a load, the
/// streams of a child that compiles.
const DESCRIPTORS_RESERVED: u64 = 192;
/// Threads that each expert may have beside those that share its arithmetic: its own, and one that
/// loads or unloads it.
const THREADS_PER_EXPERT: u64 = 2;
/// Threads of policies, of the log and of upkeep.
const THREADS_OTHER: u64 = 16;

/// What this process may have; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Granted {
    descriptors: Option<u64>,
    threads: Option<u64>,
}

impl Granted {
    /// Raises the soft limits as far as the hard ones allow, and returns what there is.
    pub(crate) fn raised() -> Self {
        let descriptors = raise(Resource::Nofile);
        // Privileged processes are not counted.
        let own = raise(Resource::Nproc).filter(|_| !geteuid().is_root());
        Self { descriptors, threads: own.into_iter().chain(machine_threads()).min() }
    }

    /// Lowers what does not fit, and says so.
    pub(crate) fn fit(self, settings: &mut Settings, cores: u64) -> Vec<String> {
        let mut message = Vec::new();
        let wanted = settings.server.limits.connections_max;
        if let Some(granted) = self.descriptors {
            let most = connections(granted);
            if wanted as u64 > most {
                settings.server.limits.connections_max = usize::try_from(most).unwrap_or(wanted);
                let needed = 2 * wanted as u64 + DESCRIPTORS_RESERVED;
                message.push(format!(
                    "limits.connections_max is {wanted} for each of two planes, but the system \
                     grants {granted} file descriptors: {most} are accepted; raise `ulimit -n` to \
                     {needed}, or lower limits.connections_max"
                ));
            }
        }
        // Guests, and token counts for them.
        let guests = 2 * settings.policies.registry.limits.workers;
        let needed = threads(settings.fleet.experts.len() as u64, cores) + guests;
        if let Some(granted) = self.threads.filter(|granted| *granted < needed) {
            message.push(format!(
                "the system grants {granted} threads, and this configuration may start {needed}: \
                 calls that find none are refused with expert_unavailable; raise `ulimit -u` and \
                 the pids limit of the control group, or serve fewer experts"
            ));
        }
        message
    }
}

/// Connections of each plane that leave the host's own files a reserve: half of what there is, where
/// there is little.
fn connections(descriptors: u64) -> u64 {
    let reserve = DESCRIPTORS_RESERVED.min(descriptors / 2);
    ((descriptors - reserve) / 2).max(1)
}

fn threads(experts: u64, cores: u64) -> u64 {
    let sharing = cores.saturating_sub(1);
    runtime::THREADS_MAX as u64 + experts * (THREADS_PER_EXPERT + sharing) + THREADS_OTHER
}

/// Raises a soft limit to the hard one; answers what counts then.
fn raise(resource: Resource) -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(resource);
    if current == maximum || setrlimit(resource, Rlimit { current: maximum, maximum }).is_ok() {
        return maximum;
    }
    current
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::settings::Machine;

    fn check(descriptors: u64, wanted: u32, expect: usize) {
        let config = format!(
            r#"{{"experts": [{{"expert_id": "a", "model_path": "a"}}],
                 "limits": {{"connections_max": {wanted}}}}}"#
        );
        let machine = Machine { memory_bytes: 1 << 30 };
        let mut settings = Settings::parse(&config, Path::new("/"), machine, &|_| None).unwrap();
        let granted = Granted { descriptors: Some(descriptors), threads: Some(1 << 20) };
        let message = granted.fit(&mut settings, 4);
        assert_eq!(settings.server.limits.connections_max, expect, "{message:?}");
        assert_eq!(message.len(), usize::from(expect < wanted as usize), "{message:?}");
    }

    #[test]
    fn connections_leave_a_reserve() {
        check(1 << 20, 1024, 1024);
        check(2240, 1024, 1024);
        check(1024, 1024, 416);
        check(64, 1024, 16);
        check(2, 1, 1);
    }

    #[test]
    fn threads_that_do_not_fit_are_said() {
        let config = r#"{"experts": [{"expert_id": "a", "model_path": "a"}]}"#;
        let machine = Machine { memory_bytes: 1 << 30 };
        let mut settings = Settings::parse(config, Path::new("/"), machine, &|_| None).unwrap();
        let message = Granted { descriptors: None, threads: Some(8) }.fit(&mut settings, 4);
        assert!(message.concat().contains("grants 8 threads"), "{message:?}");
        assert_eq!(Granted::default().fit(&mut settings, 4), Vec::<String>::new());
    }
}

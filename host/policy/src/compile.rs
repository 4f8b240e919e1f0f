//! Compiling: from a stranger's component to machine code. It takes memory and time that nobody can
//! predict, so it is done in a child process that the system bounds; reading and judging
//! the component is done there too. The host itself looks at nothing but the first bytes.

use std::{io, time::Duration};

use serde::{Deserialize, Serialize};
use signalbox_confine::{Bounds, Failure, Program, Worker};

use crate::{
    Limits, PolicyError, UploadProblem,
    code::{Code, frame, unframe},
    engine,
    surface::{self, Surface},
};

/// Where components are compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compile {
    /// In a child process per component: a program that calls [`serve_compiler`].
    Child(Program),
    /// In this process, which a hostile component then can end: for tests and tools that trust what
    /// they compile.
    InProcess,
}

/// How far compiling steps back behind other work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Haste {
    /// An operator, or the start of the host, waits for a revision: like other work.
    Awaited,
    /// An upload steps back behind replies, but not so far that a busy host starves it.
    Upload,
}

impl Haste {
    /// A third of the processor time of a process that wants it as well.
    const UPLOAD_NICENESS: i32 = 5;

    fn niceness(self) -> i32 {
        match self {
            Self::Awaited => 0,
            Self::Upload => Self::UPLOAD_NICENESS,
        }
    }
}

/// Why there is no code.
#[derive(Debug)]
pub(crate) enum NotCompiled {
    /// The component is to blame.
    Component(UploadProblem),
    /// The host is, for the moment; its words.
    Host(String),
}

impl NotCompiled {
    /// As an error of an upload or a command; `component` says how to blame the component.
    pub(crate) fn into_error(
        self,
        component: impl FnOnce(UploadProblem) -> PolicyError,
    ) -> PolicyError {
        match self {
            Self::Component(problem) => component(problem),
            Self::Host(problem) => PolicyError::Compiler { problem },
        }
    }
}

/// The order to a child, before the component.
#[derive(Serialize, Deserialize)]
struct Order {
    limits: Limits,
    niceness: i32,
}

impl Compile {
    /// Judges and compiles `component`. Slow; never on a thread that serves.
    pub(crate) fn run(
        &self,
        component: &[u8],
        limits: &Limits,
        haste: Haste,
    ) -> Result<Code, NotCompiled> {
        surface::glance(component, limits).map_err(NotCompiled::Component)?;
        match self {
            Self::InProcess => compile(component, limits).map_err(NotCompiled::Component),
            Self::Child(program) => in_child(program, component, limits, haste),
        }
    }
}

/// Reads, judges and compiles, in this process.
fn compile(component: &[u8], limits: &Limits) -> Result<Code, UploadProblem> {
    let surface = Surface::read(component, limits)?;
    let machine = engine::on_demand(limits)
        .and_then(|engine| engine.precompile_component(component))
        .map_err(surface::not_runnable)?;
    Code::new(surface, &machine).map_err(|error| surface::not_runnable(error.into()))
}

fn in_child(
    program: &Program,
    component: &[u8],
    limits: &Limits,
    haste: Haste,
) -> Result<Code, NotCompiled> {
    let bounds = Bounds {
        memory_bytes: limits.compile_memory_bytes,
        cpu: Duration::from_secs(limits.compile_cpu_s),
        wall: Duration::from_secs(limits.compile_wall_s),
        answer_bytes: limits.compiled_bytes,
    };
    let order = Order { limits: limits.clone(), niceness: haste.niceness() };
    let request = frame(&order, component).map_err(|error| NotCompiled::Host(error.to_string()))?;
    let mut child = Worker::start(program, bounds).map_err(failed)?;
    child.ask(&request).map(Code::vouched).map_err(failed)
}

/// Whose fault it is that a child gave no code.
fn failed(failure: Failure) -> NotCompiled {
    let words = failure.to_string();
    let (code, mend) = match failure {
        Failure::Refused(problem) => {
            return match serde_json::from_str(&problem) {
                Ok(problem) => NotCompiled::Component(problem),
                Err(_) => NotCompiled::Host(problem),
            };
        }
        Failure::NotStarted(_) | Failure::Killed => return NotCompiled::Host(words),
        Failure::Memory { .. } => ("upload_compile_memory", "compile_memory_bytes"),
        Failure::Time { .. } => ("upload_compile_time", "compile_cpu_s and compile_wall_s"),
        Failure::Answer { .. } => ("upload_compiled_too_large", "compiled_bytes"),
        Failure::Depth => ("upload_compile_depth", ""),
        Failure::Crashed(_) => ("upload_compile_crashed", ""),
    };
    let mend = match mend {
        "" => "build it with fewer and smaller functions".to_owned(),
        limit => format!(
            "build it with fewer and smaller functions, or have the operator raise \
             policies.limits.{limit}"
        ),
    };
    let text = format!("the component can't be compiled here: {words}");
    NotCompiled::Component(UploadProblem { code: code.into(), text, mend })
}

/// The child's side of [`Compile::Child`]: compiles what the parent asks for until it is gone.
///
/// # Errors
/// Limits that can't be set; streams that broke.
pub fn serve_compiler() -> io::Result<()> {
    signalbox_confine::serve(|request| {
        let (order, component): (Order, _) = unframe(request)?;
        step_back(order.niceness);
        match compile(component, &order.limits) {
            Ok(code) => Ok(code.into_bytes()),
            Err(problem) => Err(serde_json::to_string(&problem).unwrap_or(problem.text)),
        }
    })
}

/// Lowers this process's priority. That it can't be lowered only costs time.
fn step_back(niceness: i32) {
    if niceness > 0 {
        let _ = rustix::process::nice(niceness);
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{DefaultHasher, Hash, Hasher};

    use super::*;
    use crate::runtime::Runtime;

    #[test]
    fn what_a_child_compiles_runs_in_the_pooled_engine() {
        let limits = Limits::default();
        let hash = |engine: &wasmtime::Engine| {
            let mut hasher = DefaultHasher::new();
            engine.precompile_compatibility_hash().hash(&mut hasher);
            hasher.finish()
        };
        let runtime = Runtime::start(&limits).unwrap();
        assert_eq!(hash(&engine::on_demand(&limits).unwrap()), hash(runtime.engine()));
    }

    #[test]
    fn the_host_and_the_component_are_distinguished() {
        let check = |failure: Failure, expect: Option<&str>| {
            let code = match failed(failure.clone()) {
                NotCompiled::Component(problem) => Some(problem.code.into_owned()),
                NotCompiled::Host(_) => None,
            };
            assert_eq!(code.as_deref(), expect, "{failure:?}");
        };
        check(Failure::Memory { limit_bytes: 1 }, Some("upload_compile_memory"));
        check(Failure::Time { limit: Duration::from_secs(1) }, Some("upload_compile_time"));
        check(Failure::Answer { limit_bytes: 1 }, Some("upload_compiled_too_large"));
        check(Failure::Depth, Some("upload_compile_depth"));
        check(Failure::Crashed("signal: 11".into()), Some("upload_compile_crashed"));
        check(Failure::Killed, None);
        check(Failure::NotStarted("no processes".into()), None);
        check(Failure::Refused("no JSON".into()), None);
        let problem = UploadProblem { code: "upload_x".into(), text: "t".into(), mend: "m".into() };
        check(Failure::Refused(serde_json::to_string(&problem).unwrap()), Some("upload_x"));
    }
}

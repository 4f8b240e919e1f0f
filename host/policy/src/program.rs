//! A component turned into code: compiled once, instantiated for every call.

use wasmtime::component::InstancePre;

use crate::{
    Hook, Limits, UploadProblem,
    bindings::exports::signalbox::policy::{post, pre, route},
    runtime::Runtime,
    store::State,
    surface::Surface,
};

/// Code, ready to be instantiated, and where its hooks are.
pub(crate) struct Program {
    pub(crate) surface: Surface,
    pub(crate) instance: InstancePre<State>,
    pub(crate) pre: Option<pre::GuestIndices>,
    pub(crate) route: Option<route::GuestIndices>,
    pub(crate) post: Option<post::GuestIndices>,
}

impl Program {
    /// Judges and compiles `bytes`. Slow; see [`Runtime::compile`].
    pub(crate) fn new(
        runtime: &Runtime,
        limits: &Limits,
        bytes: &[u8],
    ) -> Result<Program, UploadProblem> {
        let surface = Surface::read(bytes, limits)?;
        let instance = runtime.compile(bytes).map_err(not_runnable)?;
        let has = |hook| surface.hooks.contains(&hook);
        let pre = has(Hook::Pre).then(|| pre::GuestIndices::new(&instance)).transpose();
        let route = has(Hook::Route).then(|| route::GuestIndices::new(&instance)).transpose();
        let post = has(Hook::Post).then(|| post::GuestIndices::new(&instance)).transpose();
        Ok(Program {
            pre: pre.map_err(not_runnable)?,
            route: route.map_err(not_runnable)?,
            post: post.map_err(not_runnable)?,
            surface,
            instance,
        })
    }
}

fn not_runnable(error: wasmtime::Error) -> UploadProblem {
    UploadProblem {
        code: "upload_not_runnable",
        text: format!("the component can't be run here: {error:#}"),
        mend: "build it against this host's contract (signalbox:policy 0.1), within its limits"
            .into(),
    }
}

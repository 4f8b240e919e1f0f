//! A component turned into code: compiled once, instantiated for every call.

use wasmtime::component::InstancePre;

use crate::{
    Hook, UploadProblem,
    bindings::exports::signalbox::policy::{feedback, post, pre, route},
    code::Code,
    runtime::Runtime,
    store::State,
    surface::{Surface, not_runnable},
};

/// Code, ready to be instantiated, and where its hooks are.
pub(crate) struct Program {
    pub(crate) surface: Surface,
    pub(crate) instance: InstancePre<State>,
    pub(crate) pre: Option<pre::GuestIndices>,
    pub(crate) route: Option<route::GuestIndices>,
    pub(crate) post: Option<post::GuestIndices>,
    pub(crate) feedback: Option<feedback::GuestIndices>,
}

impl Program {
    /// Makes `code` ready to run. The outer error is about the code itself (it is not of this
    /// program), the inner one about the component it was made from.
    pub(crate) fn new(
        runtime: &Runtime,
        code: &Code,
    ) -> Result<Result<Program, UploadProblem>, String> {
        let (surface, component) = code.load(runtime.engine())?;
        let linked = runtime.link(&component);
        Ok(linked.and_then(|instance| Self::find(surface, instance)).map_err(not_runnable))
    }

    fn find(surface: Surface, instance: InstancePre<State>) -> wasmtime::Result<Program> {
        let has = |hook| surface.hooks.contains(&hook);
        Ok(Program {
            pre: has(Hook::Pre).then(|| pre::GuestIndices::new(&instance)).transpose()?,
            route: has(Hook::Route).then(|| route::GuestIndices::new(&instance)).transpose()?,
            post: has(Hook::Post).then(|| post::GuestIndices::new(&instance)).transpose()?,
            feedback: surface
                .feedback
                .then(|| feedback::GuestIndices::new(&instance))
                .transpose()?,
            surface,
            instance,
        })
    }
}

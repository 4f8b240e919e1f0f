//! Every hook, a file each: its trait, what it answers with, and its bindings. And the macro that turns
//! a type into the exports of a component.

#[cfg(target_arch = "wasm32")]
mod exported;
pub mod feedback;
pub mod post;
pub mod pre;
mod refusal;
pub mod route;

#[cfg(target_arch = "wasm32")]
pub use exported::Exported;
pub use feedback::{Decided, Feedback};
pub use post::{Action, Post};
pub use pre::{Outcome, Pre};
pub use refusal::{Refusal, RefusalKind};
pub use route::{Decision, Mode, Plan, Route};

/// Exports a policy's hooks from the component: `export!(MyPolicy: pre, post);`, and `feedback` beside `route`.
///
/// Write it once in a crate, after the type and its `impl`s. A hook that is named must be
/// implemented, and one that is not named is not exported. Natively it only checks that.
///
/// ```compile_fail
/// struct NoRouter;
/// signalbox_sdk::export!(NoRouter: route); // `Route` is not implemented
/// ```
#[macro_export]
macro_rules! export {
    ($policy:ty: $($hook:ident),+ $(,)?) => {
        $( const _: () = { $crate::__export_hook!($hook $policy); }; )+
    };
}

/// One hook of [`export!`].
#[doc(hidden)]
#[macro_export]
macro_rules! __export_hook {
    (pre $policy:ty) => {
        $crate::__export_hook!($policy, Pre, pre);
    };
    (route $policy:ty) => {
        $crate::__export_hook!($policy, Route, route);
    };
    (post $policy:ty) => {
        $crate::__export_hook!($policy, Post, post);
    };
    (feedback $policy:ty) => {
        $crate::__export_hook!($policy, Feedback, feedback);
    };
    ($policy:ty, $hook:ident, $module:ident) => {
        const fn implements<P: $crate::$hook>() {}
        implements::<$policy>();
        #[cfg(target_arch = "wasm32")]
        type Exported = $crate::hooks::Exported<$policy>;
        #[cfg(target_arch = "wasm32")]
        $crate::hooks::$module::generated::export!(
            Exported with_types_in $crate::hooks::$module::generated
        );
    };
    ($other:ident $policy:ty) => {
        compile_error!("a hook is one of pre, route and post; feedback stands beside route");
    };
}

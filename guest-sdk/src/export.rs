//! The macro that turns a type into the exports of a component.

/// Exports a policy's hooks from the component: `export!(MyPolicy: pre, post);`
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
        $crate::__export_hook!($policy, Pre, $crate::bindings::pre::export_pre, pre);
    };
    (route $policy:ty) => {
        $crate::__export_hook!($policy, Route, $crate::bindings::route::export_route, route);
    };
    (post $policy:ty) => {
        $crate::__export_hook!($policy, Post, $crate::bindings::post::export_post, post);
    };
    ($policy:ty, $hook:ident, $export:path, $module:ident) => {
        const fn implements<P: $crate::$hook>() {}
        implements::<$policy>();
        #[cfg(target_arch = "wasm32")]
        type Exported = $crate::glue::Exported<$policy>;
        #[cfg(target_arch = "wasm32")]
        $export!(Exported with_types_in $crate::bindings::$module);
    };
    ($other:ident $policy:ty) => {
        compile_error!("a hook is one of pre, route and post");
    };
}

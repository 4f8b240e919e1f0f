//! What wit-bindgen generates from `wit/`. Nobody outside this crate should name anything in here.
//!
//! The imports are generated once. Each hook's world is generated apart and borrows those imports,
//! so that a policy exports only the hooks it has; a component with several hooks carries several
//! worlds, and the linker joins them.

wit_bindgen::generate!({ path: "../wit", world: "imports", generate_all });

/// The imports under the names that `native` has too.
#[cfg(target_arch = "wasm32")]
pub(crate) mod host {
    pub(crate) use super::signalbox::policy::{experts::menu, tokens::count, types::Expert};
    pub(crate) use super::wasi::{config::store::get, logging::logging::log};

    use super::signalbox::policy::types;

    pub(crate) type Request<'a> = &'a types::Request;
    pub(crate) type Edits<'a> = &'a types::Edits;
}

/// One module per hook: its types, its `Guest` trait, its export macro.
macro_rules! hook {
    ($module:ident, $world:literal, $export:literal) => {
        pub mod $module {
            wit_bindgen::generate!({
                path: "../wit",
                world: $world,
                with: {
                    "signalbox:policy/types@0.1.0": crate::bindings::signalbox::policy::types,
                    "signalbox:policy/experts@0.1.0": crate::bindings::signalbox::policy::experts,
                    "signalbox:policy/tokens@0.1.0": crate::bindings::signalbox::policy::tokens,
                    "wasi:logging/logging@0.1.0-draft": crate::bindings::wasi::logging::logging,
                    "wasi:config/store@0.2.0-rc.1": crate::bindings::wasi::config::store,
                },
                pub_export_macro: true,
                export_macro_name: $export,
            });
        }
    };
}

hook!(pre, "pre-policy", "export_pre");
hook!(route, "route-policy", "export_route");
hook!(post, "post-policy", "export_post");

//! The contract as Rust types, generated from `wit/`. The one place where that happens.

#![allow(missing_docs, unreachable_pub, reason = "generated code")]
#![allow(clippy::all, reason = "generated code")]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "learning-policy",
    imports: {
        "signalbox:policy/tokens": async | trappable,
        "signalbox:policy/embeddings": async | trappable,
        "signalbox:policy/inference": async | trappable,
        "signalbox:policy/decide": async | trappable,
        "signalbox:policy/types.[method]expert.cached-tokens": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    with: {
        "signalbox:policy/types.request": crate::import::shown::ShownRequest,
        "signalbox:policy/types.edits": crate::edits::Edits,
        "signalbox:policy/types.expert": crate::import::shown::ShownExpert,
        "signalbox:policy/types.ending": crate::hook::post::Ending,
        "signalbox:policy/outcomes.outcome": crate::CallOutcome,
        "wasi:keyvalue/store.bucket": crate::import::shown::OpenBucket,
        "wasi:keyvalue/atomics.cas": crate::import::shown::Swap,
    },
});

//! Components in, verdicts out. This crate runs policies: WebAssembly components that look at calls
//! before, while and after an expert answers. It knows neither HTTP nor tensors, and no type of the
//! WebAssembly engine leaves it.
//!
//! Start at [`Policies`]: it keeps revisions on disk and puts them in force. A call takes one
//! [`Snapshot`] and asks it [`pre`](Snapshot::pre), [`route`](Snapshot::route) and
//! [`post`](Seats::post); a swap never splits a call.

mod agreement;
mod ask_budget;
mod asking;
mod bindings;
mod breaker;
mod buckets;
mod call;
mod canary;
mod code;
mod comparison;
mod compile;
mod edits;
mod engine;
mod error;
mod failure_mode;
mod fallback;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod hook;
mod hostcall_fuel;
mod http_host;
mod http_problem;
mod import;
mod instance_log;
mod instances;
mod learn;
mod lent;
mod lessons;
mod limits;
mod meter;
mod needless;
mod notes;
mod origin;
mod outcome;
mod pace;
mod parameters;
mod pipeline;
mod policy;
mod policy_ref;
mod program;
mod registry;
mod runs;
mod runtime;
mod sampling;
mod scheduler;
mod seat;
mod settings;
mod shadow;
mod shared;
mod signature;
mod snapshot;
mod status;
mod store;
mod surface;
mod token_counts;
mod told;
mod verdict;
mod whole;
mod witness;

pub use agreement::Agreement;
pub use asking::{Answer, AskError, Asked, Bill, Decide, Label, Question, Terms, Texts, Weights};
pub use breaker::BreakerSettings;
pub use call::{
    Call, CallBounds, Delegate, ExpertState, ExpertView, HAS_IMAGES, IMAGE_MARK, Message, OnBehalf,
    Sender, TokenError, World,
};
pub use canary::CanarySettings;
pub use comparison::Comparison;
pub use compile::{Compile, serve_compiler};
pub use error::{Blame, Failure, Outage, PolicyError, RefusalKind, UploadProblem};
pub use failure_mode::OnFailure;
pub use hook::{
    Hook, PerHook,
    post::{Ending, PostChain, Reason, Seats},
};
pub use http_host::HttpHost;
pub use http_problem::HttpProblem;
pub use import::is_plain_wasi;
pub use limits::Limits;
pub use notes::{Note, Notes};
pub use origin::Origin;
pub use outcome::{CallEnd, CallOutcome, Fault, Rating};
pub use parameters::{Parameters, ResponseFormat, Tool, ToolChoice};
pub use pipeline::Pipeline;
pub use policy_ref::PolicyRef;
pub use registry::{
    Component, Configured, NewImports, Policies, RecordedCall, Replayed, Said, Staged, Unstaged,
};
pub use runs::{Run, Runs};
pub use sampling::Sample;
pub use settings::PolicySettings;
pub use signature::{Provenance, SigningKeys};
pub use snapshot::Snapshot;
pub use status::{
    Activation, BucketStatus, CanarySide, CanaryStatus, Cause, Change, FeedbackStatus,
    HookCounters, OutOfService, PipelineStatus, PolicyStatus, RevisionStatus, ShadowStatus,
    Uploaded,
};
pub use surface::{Contract, Surface, contract};
pub use told::Told;
pub use verdict::{ConsensusMode, Decision, Plan, PreVerdict, Release};

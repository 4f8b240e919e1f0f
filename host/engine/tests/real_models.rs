//! A model that people use, kept apart from the default run because it must be downloaded first:
//!
//! ```sh
//! export SIGNALBOX_MODEL_CACHE=$(dirname "$(tests/models/fetch)")
//! cargo test -p signalbox-engine --test real_models -- --ignored
//! ```

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "engine/support.rs"]
mod support;

use std::{env, path::PathBuf};

use signalbox_engine::{ExpertSettings, Fleet, Sampling};
use support::{ask, chat, settings};

fn smollm() -> ExpertSettings {
    let cache = env::var_os("SIGNALBOX_MODEL_CACHE").expect("set SIGNALBOX_MODEL_CACHE; see above");
    let path = PathBuf::from(cache).join("SmolLM2-135M-Instruct.Q4_1.gguf");
    ExpertSettings {
        id: "smollm".into(),
        path,
        max_model_len: Some(2048),
        ..support::toy("phi4_fast")
    }
}

#[tokio::test]
#[ignore = "needs a downloaded model; tests/models/fetch gets it"]
async fn smollm2_knows_the_capital_of_france() {
    let mut settings = settings(&[]);
    settings.experts = vec![smollm()];
    settings.lazy_loading.max_loaded_experts = 1;
    let fleet = Fleet::start(settings);
    let mut request = chat("What is the capital of France?");
    request.sampling = Sampling { temperature: Some(0.0), ..Sampling::default() };
    let reply = ask(&fleet, "smollm", request).await.unwrap();
    assert!(reply.text.contains("Paris"), "{}", reply.text);
}

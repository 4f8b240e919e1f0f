//! `wasi:logging`: what policies say to operators.

use crate::{bindings::wasi::logging::logging, instance_log::one_line, store::State};

impl logging::Host for State {
    fn log(
        &mut self,
        level: logging::Level,
        context: String,
        message: String,
    ) -> wasmtime::Result<()> {
        if self.log.take_line() {
            let policy = &self.lent.policy;
            write(level, &policy.to_string(), &one_line(&context), &one_line(&message));
        }
        Ok(())
    }
}

fn write(level: logging::Level, policy: &str, context: &str, message: &str) {
    use logging::Level;
    match level {
        Level::Trace => tracing::trace!(target: "policy", policy, context, "{message}"),
        Level::Debug => tracing::debug!(target: "policy", policy, context, "{message}"),
        Level::Info => tracing::info!(target: "policy", policy, context, "{message}"),
        Level::Warn => tracing::warn!(target: "policy", policy, context, "{message}"),
        Level::Error | Level::Critical => {
            tracing::error!(target: "policy", policy, context, "{message}");
        }
    }
}

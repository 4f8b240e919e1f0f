//! Counters and histograms, as Prometheus text. Own recorder, not the process-wide one: two servers
//! in one process (as in tests) don't mix.
//!
//! Gauges are read from their owners at each scrape, so nothing is counted in two places. Labels
//! are endpoints, experts and policies: a client can't make new ones.

use std::{sync::atomic::AtomicU64, time::Duration};

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, histogram,
    with_local_recorder,
};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use signalbox_engine::Usage;

use crate::{openai::finish_reason, pipeline::end::Ending};

const FIRST_TEXT: &str = "signalbox_time_to_first_token_seconds";
const BETWEEN: &str = "signalbox_inter_token_seconds";
const REQUEST: &str = "signalbox_request_duration_seconds";

/// Seconds.
const FIRST_TEXT_BUCKETS: [f64; 11] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];
const BETWEEN_BUCKETS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];
const REQUEST_BUCKETS: [f64; 10] = [0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 20.0, 60.0, 300.0];

/// Lines that this process could not print. A process has one log, so this is the one number that
/// servers of one process share; whoever writes the log counts here.
pub static LOG_LINES_DROPPED: AtomicU64 = AtomicU64::new(0);

/// The numbers of one server.
pub(crate) struct Telemetry {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

impl Telemetry {
    pub(crate) fn new() -> Self {
        let recorder = builder().build_recorder();
        let handle = recorder.handle();
        with_local_recorder(&recorder, describe);
        Self { recorder, handle }
    }

    /// One HTTP exchange, counted when its head is sent.
    pub(crate) fn request(&self, endpoint: &str, status: u16, expert: &str, took: Duration) {
        with_local_recorder(&self.recorder, || {
            let (endpoint, status) = (endpoint.to_owned(), status.to_string());
            let labels =
                [("endpoint", endpoint.clone()), ("status", status), ("expert", expert.to_owned())];
            counter!("signalbox_requests_total", &labels).increment(1);
            histogram!(REQUEST, "endpoint" => endpoint).record(took);
        });
    }

    pub(crate) fn first_text(&self, expert: &str, took: Duration) {
        with_local_recorder(&self.recorder, || {
            histogram!(FIRST_TEXT, "expert" => expert.to_owned()).record(took);
        });
    }

    pub(crate) fn between_texts(&self, expert: &str, took: Duration) {
        with_local_recorder(&self.recorder, || {
            histogram!(BETWEEN, "expert" => expert.to_owned()).record(took);
        });
    }

    pub(crate) fn reply_ended(&self, expert: &str, ending: &Ending, usage: Option<Usage>) {
        self.reply(expert, finish_reason(ending));
        let Some(usage) = usage else { return };
        with_local_recorder(&self.recorder, || {
            let expert = expert.to_owned();
            let prompt = u64::from(usage.prompt_tokens);
            counter!("signalbox_prompt_tokens_total", "expert" => expert.clone()).increment(prompt);
            let completion = u64::from(usage.completion_tokens);
            counter!("signalbox_completion_tokens_total", "expert" => expert).increment(completion);
        });
    }

    pub(crate) fn reply_failed(&self, expert: &str) {
        self.reply(expert, "error");
    }

    fn reply(&self, expert: &str, finish: &'static str) {
        with_local_recorder(&self.recorder, || {
            let labels = [("expert", expert.to_owned()), ("finish", finish.to_owned())];
            counter!("signalbox_replies_total", &labels).increment(1);
        });
    }

    /// Folds histogram samples together, so that they don't pile up between scrapes.
    pub(crate) fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    /// Everything, as Prometheus text; `read` sets what is read from its owners at this moment.
    pub(crate) fn render(&self, read: impl FnOnce()) -> String {
        with_local_recorder(&self.recorder, read);
        self.handle.render()
    }
}

/// Buckets that can't be refused: they are not empty.
fn builder() -> PrometheusBuilder {
    [
        (FIRST_TEXT, &FIRST_TEXT_BUCKETS[..]),
        (BETWEEN, &BETWEEN_BUCKETS),
        (REQUEST, &REQUEST_BUCKETS),
    ]
    .into_iter()
    .fold(PrometheusBuilder::new(), |builder, (name, buckets)| set_buckets(builder, name, buckets))
}

#[expect(clippy::expect_used, reason = "fails on empty buckets only, and these are constants")]
fn set_buckets(builder: PrometheusBuilder, name: &str, buckets: &[f64]) -> PrometheusBuilder {
    builder
        .set_buckets_for_metric(Matcher::Full(name.to_owned()), buckets)
        .expect("buckets are not empty")
}

/// The help lines.
fn describe() {
    describe_counter!("signalbox_requests_total", "HTTP exchanges, counted when the head is sent");
    describe_histogram!(REQUEST, Unit::Seconds, "Until the head of the response was sent");
    describe_histogram!(FIRST_TEXT, Unit::Seconds, "From received to the first text sent");
    describe_histogram!(BETWEEN, Unit::Seconds, "Between two texts sent of one reply");
    describe_counter!("signalbox_replies_total", "Replies that ended, by how");
    describe_counter!("signalbox_prompt_tokens_total", "Prompt tokens of completed replies");
    describe_counter!("signalbox_completion_tokens_total", "Tokens of completed replies");
    describe_counter!("signalbox_log_lines_dropped_total", "Lines that could not be written");
    describe_counter!("signalbox_decisions_written_total", "Decisions written down");
    describe_counter!("signalbox_decisions_dropped_total", "Decisions not written down, by why");
    describe_counter!("signalbox_traces_dropped_total", "Calls whose traces were not sent, by why");
    describe_gauge!("signalbox_decision_log_bytes", "Files of the decision log");
    describe_gauge!("signalbox_requests_in_flight", "Calls being answered");
    describe_gauge!("signalbox_body_bytes_held", "Request bodies and calls' texts in memory");
    describe_gauge!("signalbox_memory_bytes_max", "Memory that experts may take");
    describe_gauge!("signalbox_memory_bytes_reserved", "Memory reserved for experts");
    describe_gauge!("signalbox_limit", "Every bound of the server and of its policies");
    describe_gauge!("signalbox_expert_up", "1 when the expert can answer, now or after loading");
    describe_gauge!("signalbox_expert_resident_bytes", "Weights in memory");
    describe_gauge!("signalbox_expert_kv_bytes", "KV cache in memory");
    describe_gauge!("signalbox_expert_queue_depth", "Calls running and waiting");
    describe_gauge!("signalbox_expert_running", "Calls running");
    describe_counter!("signalbox_expert_loads_total", "Loads that succeeded");
    describe_counter!("signalbox_expert_unloads_total", "Times the expert left memory");
    describe_counter!("signalbox_prefetch_hits_total", "Experts loaded ahead and asked then");
    describe_counter!("signalbox_prefetch_wastes_total", "Experts loaded ahead and never asked");
    describe_gauge!("signalbox_ask_cache_bytes", "What experts said to policies and is kept");
    describe_gauge!("signalbox_ask_cache_entries", "Vectors and weights of that");
    describe_counter!("signalbox_ask_cache_total", "What policies asked, by whether it was kept");
    describe_policies();
}

/// Those of policies.
fn describe_policies() {
    describe_counter!("signalbox_policy_asks_total", "What it asked of experts");
    describe_counter!("signalbox_policy_asked_tokens_total", "Tokens that experts spent on that");
    describe_counter!("signalbox_policy_calls_total", "Calls of a policy, whatever its revision");
    describe_counter!("signalbox_policy_refusals_total", "Calls it turned away on purpose");
    describe_counter!("signalbox_policy_failures_total", "Calls it failed in, by how");
    describe_counter!(
        "signalbox_policy_http_requests_total",
        "Requests it sent over wasi:http, by what came of them"
    );
    describe_counter!("signalbox_policy_feedback_total", "Outcomes that it was told to learn from");
    describe_counter!("signalbox_policy_feedback_failures_total", "Those it failed in, by how");
    describe_counter!("signalbox_policy_feedback_dropped_total", "Those it was not told, by why");
    describe_gauge!("signalbox_policy_feedback_seconds", "Time it took to learn");
    describe_gauge!("signalbox_policy_feedback_guest_seconds", "Of it, the guests' own time");
    describe_gauge!("signalbox_policies_unreadable", "1 while nobody knows what is in force");
    describe_gauge!("signalbox_policy_out_of_service", "1 while a hook is out of service");
    describe_counter!("signalbox_policy_openings_total", "Times a hook was taken out of service");
    describe_gauge!("signalbox_policy_bucket_bytes", "Keys and values that it keeps");
    describe_gauge!("signalbox_policy_bucket_entries", "Keys that it keeps");
    describe_counter!("signalbox_policy_bucket_refused_total", "What did not fit into its bucket");
    describe_gauge!("signalbox_policy_canary_percent", "Share of its calls that a canary answers");
    describe_counter!("signalbox_policy_canaries_ended_total", "Canaries that the host ended");
    describe_gauge!("signalbox_policy_shadow_calls", "Calls of the revision in shadow, by verdict");
    describe_gauge!(
        "signalbox_policy_shadow_added_seconds",
        "What it took beyond the one in force"
    );
    describe_gauge!("signalbox_policy_seconds", "Time spent in it");
    describe_gauge!("signalbox_policy_guest_seconds", "Of it, the guests' own time");
    describe_gauge!(
        "signalbox_policy_host_seconds",
        "Of it, waiting for turns, room, token counts, other hosts"
    );
}

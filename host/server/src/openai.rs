//! OpenAI's words for what happened here, the same in replies, in counters and in the decision log.

use signalbox_engine::Finish;

use crate::pipeline::end::Ending;

/// `finish_reason`: why a reply ended.
pub(crate) fn finish_reason(ending: &Ending) -> &'static str {
    match ending {
        Ending::Expert(Finish::Stop | Finish::StopString(_)) => "stop",
        Ending::Expert(Finish::Length) => "length",
        Ending::Called => "tool_calls",
        Ending::Stopped(_) => "content_filter",
    }
}

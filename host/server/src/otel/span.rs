//! Spans, and how OTLP writes them in JSON.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::context::{SpanId, TraceId};

/// What it is in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A step within the host.
    Internal = 1,
    /// A call of a client's.
    Server = 2,
}

/// One span.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) id: SpanId,
    pub(super) parent: Option<SpanId>,
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) begin: SystemTime,
    pub(super) end: SystemTime,
    pub(super) attributes: Vec<(&'static str, Value)>,
    pub(super) failed: bool,
}

/// All spans of one call.
#[derive(Debug)]
pub(super) struct TraceOfCall {
    pub(super) trace: TraceId,
    pub(super) spans: Vec<Span>,
}

/// The body of one request to whoever takes traces.
pub(super) fn written(service: &str, traces: &[TraceOfCall]) -> Value {
    let spans =
        traces.iter().flat_map(|call| call.spans.iter().map(|span| span.written(call.trace)));
    let version = env!("CARGO_PKG_VERSION");
    let resource = [("service.name", json!(service)), ("service.version", json!(version))];
    json!({"resourceSpans": [{
        "resource": {"attributes": attributes(&resource)},
        "scopeSpans": [{
            "scope": {"name": "signalbox", "version": version},
            "spans": spans.collect::<Vec<_>>(),
        }],
    }]})
}

impl Span {
    fn written(&self, trace: TraceId) -> Value {
        let mut span = json!({
            "traceId": format!("{:032x}", trace.0),
            "spanId": format!("{:016x}", self.id.0),
            "name": self.name,
            "kind": self.kind as u8,
            "startTimeUnixNano": nanos(self.begin),
            "endTimeUnixNano": nanos(self.end.max(self.begin)),
            "attributes": attributes(&self.attributes),
            "status": if self.failed { json!({"code": 2}) } else { json!({}) },
        });
        if let Some(parent) = self.parent {
            span["parentSpanId"] = json!(format!("{:016x}", parent.0));
        }
        span
    }
}

fn attributes(attributes: &[(&'static str, Value)]) -> Vec<Value> {
    attributes.iter().map(|(key, value)| json!({"key": key, "value": any(value)})).collect()
}

/// A value as OTLP has it: 64-bit numbers are texts.
fn any(value: &Value) -> Value {
    match value {
        Value::Bool(yes) => json!({"boolValue": yes}),
        Value::Number(number) if number.is_f64() => json!({"doubleValue": number}),
        Value::Number(number) => json!({"intValue": number.to_string()}),
        Value::Array(list) => {
            json!({"arrayValue": {"values": list.iter().map(any).collect::<Vec<_>>()}})
        }
        Value::String(text) => json!({"stringValue": text}),
        other => json!({"stringValue": other.to_string()}),
    }
}

fn nanos(at: SystemTime) -> String {
    at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_nanos().to_string()
}

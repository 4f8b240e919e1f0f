//! `traces`: where traces of calls go. What the file does not say, OpenTelemetry's own variables may.

use signalbox_server::{GenAi, TraceSettings};

use super::Environment;
use crate::config::Section;

/// Where traces are taken below a base address.
const PATH: &str = "/v1/traces";
/// What a host is called that nobody has named.
const SERVICE: &str = "signalbox";
/// The one way that traces are written; the variable stands for all exporters of a machine, so another is no mistake.
const PROTOCOL: &str = "http/json";

const VERSIONS: &[(&str, GenAi)] =
    &[("off", GenAi::Off), ("1.36", GenAi::V1_36), ("1.37", GenAi::V1_37)];

/// `None` where nobody names an endpoint.
pub(super) fn read(section: &Section<'_>, environment: Environment<'_>) -> Option<TraceSettings> {
    let written = section.text("otlp_endpoint").map(below);
    let gen_ai = section.choice("gen_ai", VERSIONS);
    let service = section.text("service_name").map(str::to_owned);
    let headers = section.section("otlp_headers").pairs();
    let wanted = written.or_else(|| {
        let whole = environment("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        whole.or_else(|| environment("OTEL_EXPORTER_OTLP_ENDPOINT").map(|base| below(&base)))
    });
    let wanted = wanted.filter(|_| environment("OTEL_SDK_DISABLED").as_deref() != Some("true"))?;
    if let Some(other) = environment("OTEL_EXPORTER_OTLP_PROTOCOL").filter(|it| it != PROTOCOL) {
        let problem =
            format!("OTEL_EXPORTER_OTLP_PROTOCOL is {other}; traces are sent as {PROTOCOL}");
        section.warn("otlp_endpoint", problem);
    }
    let headers = match headers.is_empty() {
        true => {
            environment("OTEL_EXPORTER_OTLP_HEADERS").map(|list| pairs(&list)).unwrap_or_default()
        }
        false => headers,
    };
    let endpoint = TraceSettings::endpoint(&wanted);
    if endpoint.is_none() {
        let problem = format!("\"{wanted}\" is no address; write http://127.0.0.1:4318");
        section.mistake("otlp_endpoint", problem);
    }
    let header = |(name, value): &(String, String)| {
        let header = TraceSettings::header(name, value);
        if header.is_none() {
            // Its value may be a key.
            let problem = format!("\"{name}\" and its value can't be a header");
            section.mistake("otlp_headers", problem);
        }
        header
    };
    let latest = || {
        let opted = environment("OTEL_SEMCONV_STABILITY_OPT_IN").unwrap_or_default();
        opted.split(',').any(|word| word.trim() == "gen_ai_latest_experimental")
    };
    Some(TraceSettings {
        endpoint: endpoint?,
        headers: headers.iter().filter_map(header).collect(),
        service: service.or_else(|| environment("OTEL_SERVICE_NAME")).unwrap_or(SERVICE.to_owned()),
        gen_ai: gen_ai.unwrap_or(if latest() { GenAi::V1_37 } else { GenAi::V1_36 }),
    })
}

fn below(base: &str) -> String {
    format!("{}{PATH}", base.trim_end_matches('/'))
}

/// `key=value,key=value`, as the variable has them.
fn pairs(list: &str) -> Vec<(String, String)> {
    let pairs = list.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).collect()
}

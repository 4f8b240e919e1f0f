//! Where traces go, by the file and by OpenTelemetry's own variables.

use signalbox_server::GenAi;

use super::*;

#[test]
fn traces_go_nowhere_unless_an_endpoint_is_named() {
    let traces = |more: &str, variables: &[(&str, &str)]| {
        let environment = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let settings = Settings::parse(&with(more), Path::new("/etc"), MACHINE, &environment);
        settings.unwrap().server.traces
    };
    assert_eq!(traces("", &[]), None);
    let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318/");
    let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret, x-team = a");
    let found = traces("", &[base, headers, ("OTEL_SERVICE_NAME", "edge")]).unwrap();
    assert_eq!(found.endpoint, "http://127.0.0.1:4318/v1/traces");
    assert_eq!(
        (found.service.as_str(), found.headers.len(), found.gen_ai),
        ("edge", 2, GenAi::V1_36)
    );
    assert!(!format!("{found:?}").contains("secret"), "{found:?}");
    let whole = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://o.example/here");
    let latest = ("OTEL_SEMCONV_STABILITY_OPT_IN", "http,gen_ai_latest_experimental");
    let found = traces("", &[base, whole, latest]).unwrap();
    assert_eq!((found.endpoint.to_string(), found.gen_ai), (whole.1.to_owned(), GenAi::V1_37));
    let written = r#""traces": {"otlp_endpoint": "http://c:1", "gen_ai": "off"}"#;
    let found = traces(written, &[base, whole, latest]).unwrap();
    assert_eq!(
        (found.endpoint.to_string(), found.gen_ai),
        ("http://c:1/v1/traces".to_owned(), GenAi::Off)
    );
    assert_eq!(traces(written, &[("OTEL_SDK_DISABLED", "true")]), None);
    let wrong = mistakes(&with(r#""traces": {"otlp_endpoint": "collector:4317"}"#));
    assert!(wrong[0].contains("http://127.0.0.1:4318"), "{wrong:?}");
}

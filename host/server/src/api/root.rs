//! `GET /`: what this is; as a page for those who ask for one, which browsers do.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
    response::{Html, IntoResponse, Response},
};
use signalbox_confine::{LINE_BYTES, clean};
use signalbox_engine::{ExpertState, ExpertStatus};

use crate::{
    App,
    wire::models::{Models, Root},
};

/// Name and version of this host.
pub(super) async fn show(State(app): State<App>, headers: HeaderMap) -> Response {
    let accepted = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    if accepted.is_some_and(|accept| accept.contains("text/html")) {
        let policy = "script-src 'none'; object-src 'none'; frame-ancestors 'none'";
        let page = Html(page(&app.fleet().menu()));
        return ([(header::CONTENT_SECURITY_POLICY, policy)], page).into_response();
    }
    let root = Json(Root {
        name: "signalbox".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        models: models(&app.fleet().menu()),
        routing_enabled: app.policies().pipeline().policies.route.is_some(),
    });
    root.into_response()
}

/// The page: what this is, and the experts.
fn page(menu: &[ExpertStatus]) -> String {
    let rows: String = menu.iter().map(row).collect();
    PAGE.replace("{version}", env!("CARGO_PKG_VERSION")).replace("{rows}", &rows)
}

const PAGE: &str = include_str!("root/page.html");

fn row(expert: &ExpertStatus) -> String {
    let state = match &expert.state {
        ExpertState::Resident => "in memory",
        ExpertState::Loading => "loading",
        ExpertState::Cold => "on disk",
        ExpertState::Failed(_) => "can't be served",
    };
    let words = [&*expert.id, &*expert.domain, state, &*expert.description];
    let cells: String = words.iter().map(|text| format!("<td>{}</td>", escaped(text))).collect();
    format!("<tr>{cells}</tr>\n")
}

/// Words as a page shows them.
fn escaped(text: &str) -> String {
    let marks = [('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&quot;"), ('\'', "&#39;")];
    clean(text, LINE_BYTES)
        .chars()
        .map(|c| {
            let mark = marks.iter().find(|(mark, _)| *mark == c);
            mark.map_or(c.to_string(), |(_, entity)| (*entity).to_owned())
        })
        .collect()
}

/// Those that can't be served.
pub(super) fn failed(menu: &[ExpertStatus]) -> Vec<String> {
    let failed = menu.iter().filter(|expert| matches!(expert.state, ExpertState::Failed(_)));
    failed.map(|expert| expert.id.clone()).collect()
}

/// Counts a menu: in memory, and able to answer at all.
pub(super) fn models(menu: &[ExpertStatus]) -> Models {
    let loaded = menu.iter().filter(|expert| expert.state == ExpertState::Resident);
    let able = menu.iter().filter(|expert| !matches!(expert.state, ExpertState::Failed(_)));
    Models { models_loaded: loaded.count(), models_available: able.count() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_runs_nobodys_words() {
        let shown = escaped("<script>alert(\"a\" & 'b')</script>\n");
        assert!(!shown.contains(['<', '>', '"', '\'', '\n']), "{shown}");
        assert!(
            shown.starts_with("&lt;script&gt;alert(&quot;a&quot; &amp; &#39;b&#39;)"),
            "{shown}"
        );
    }
}

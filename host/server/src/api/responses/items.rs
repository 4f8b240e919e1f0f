//! `GET /v1/responses/{id}/input_items`: what a kept response was made from, a page at a time.

use axum::{Extension, Json, extract::State};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::unknown;
use crate::{
    App,
    api::input::{Asked, Named},
    caller::Caller,
    error::ApiError,
    wire::responses::ResponseItems,
};

/// Items given when the client does not say.
const LIMIT_DEFAULT: usize = 20;
const LIMIT_MAX: usize = 100;

/// Which of the items.
#[derive(Deserialize)]
pub(in crate::api) struct Page {
    limit: Option<usize>,
    #[serde(default)]
    order: Order,
    after: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Order {
    Asc,
    #[default]
    Desc,
}

/// The items of the input of one that is kept.
pub(in crate::api) async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
    Asked(page): Asked<Page>,
) -> Result<Json<ResponseItems>, ApiError> {
    let input = app.responses().input(&id, &caller).ok_or_else(|| unknown(&id))?;
    let kept: Vec<Map<String, Value>> =
        serde_json::from_str(&format!("[{input}]")).map_err(|error| {
            ApiError::value("path", format!("the items of '{id}' were kept badly: {error}"))
        })?;
    Ok(Json(page.of(named(kept, &id))?))
}

/// Items as OpenAI shows them: each has a type and an id, and content is a list of parts.
fn named(items: Vec<Map<String, Value>>, response: &str) -> Vec<Value> {
    let response = response.trim_start_matches("resp_");
    let name = |(index, mut item): (usize, Map<String, Value>)| {
        let kind = item.entry("type").or_insert_with(|| json!("message"));
        let prefix = if kind == "message" { "msg" } else { "item" };
        item.entry("id").or_insert_with(|| json!(format!("{prefix}_{response}_in{index}")));
        let said = item.get("role") == Some(&json!("assistant"));
        if let Some(Value::String(text)) = item.get("content") {
            let kind = if said { "output_text" } else { "input_text" };
            item.insert("content".to_owned(), json!([{ "type": kind, "text": text }]));
        }
        Value::Object(item)
    };
    items.into_iter().enumerate().map(name).collect()
}

impl Page {
    fn of(&self, mut items: Vec<Value>) -> Result<ResponseItems, ApiError> {
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            let message = format!("'limit' must be 1 to {LIMIT_MAX}");
            return Err(ApiError::value("limit", message));
        }
        if self.order == Order::Desc {
            items.reverse();
        }
        if let Some(after) = &self.after {
            let place = items.iter().position(|item| item["id"] == **after);
            let place = place.ok_or_else(|| {
                ApiError::value("after", "'after' names no item of this response".to_owned())
            })?;
            items.drain(..=place);
        }
        let has_more = items.len() > limit;
        items.truncate(limit);
        let id =
            |item: Option<&Value>| item.and_then(|item| item["id"].as_str().map(str::to_owned));
        let (first_id, last_id) = (id(items.first()), id(items.last()));
        Ok(ResponseItems { object: "list".into(), data: items, first_id, last_id, has_more })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(query: (Option<usize>, Order, Option<&str>), expect: &[&str], more: bool) {
        let (limit, order, after) = query;
        let page = Page { limit, order, after: after.map(str::to_owned) };
        let items = vec![
            json!({ "role": "user", "content": "a" }),
            json!({ "type": "function_call", "id": "fc_1" }),
            json!({ "role": "assistant", "content": "b" }),
        ];
        let items = items.into_iter().map(|item| item.as_object().cloned().unwrap_or_default());
        let shown = page.of(named(items.collect(), "resp_7")).unwrap();
        let ids: Vec<&str> = shown.data.iter().filter_map(|item| item["id"].as_str()).collect();
        assert_eq!((ids.as_slice(), shown.has_more), (expect, more));
        assert_eq!(shown.first_id.as_deref(), expect.first().copied());
        assert_eq!(shown.last_id.as_deref(), expect.last().copied());
    }

    #[test]
    fn items_come_in_pages() {
        let (first, last) = ("msg_7_in0", "msg_7_in2");
        page((None, Order::Desc, None), &[last, "fc_1", first], false);
        page((Some(2), Order::Asc, None), &[first, "fc_1"], true);
        page((Some(2), Order::Asc, Some("fc_1")), &[last], false);
        page((None, Order::Desc, Some(first)), &[], false);
        let wrong = |limit, after: Option<&str>| {
            let page = Page { limit, order: Order::Asc, after: after.map(str::to_owned) };
            page.of(vec![]).is_err()
        };
        assert!(wrong(Some(0), None) && wrong(Some(101), None) && wrong(None, Some("x")));
    }

    #[test]
    fn items_have_types_and_parts() {
        let item = json!({ "role": "assistant", "content": "b" }).as_object().cloned();
        let shown = named(item.into_iter().collect(), "resp_7");
        let parts = json!([{ "type": "output_text", "text": "b" }]);
        assert_eq!((&shown[0]["type"], &shown[0]["content"]), (&json!("message"), &parts));
    }
}

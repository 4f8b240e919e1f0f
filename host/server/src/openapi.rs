//! The OpenAPI document of a plane, made from its table of routes: OpenAPI 3.1, whose schemas are those
//! of JSON Schema.

use axum::{Extension, body::Bytes, http::header::CONTENT_TYPE, response::IntoResponse};
use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::{
    api::route::{Payload, Route},
    wire::error::ErrorAnswer,
};

/// A plane's document, made once when its listener is.
#[derive(Clone)]
pub(crate) struct Document(Bytes);

impl Document {
    pub(crate) fn new(plane: &str, table: &[Route]) -> Self {
        Self(document(plane, table).to_string().into())
    }
}

/// `GET /openapi.json`.
pub(crate) async fn show(Extension(Document(text)): Extension<Document>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], text)
}

fn document(plane: &str, table: &[Route]) -> Value {
    let mut schemas = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    schemas.untagged_enum_variant_titles = false;
    let mut schemas = schemas.into_generator();
    let error = schemas.subschema_for::<ErrorAnswer>();
    let mut paths = Map::new();
    for route in table {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.to_lowercase()] = operation(route, &mut schemas, &error);
    }
    let title = format!("Signalbox, {plane} plane");
    let secured = json!([{ "bearer": [] }, {}]);
    json!({
        "openapi": "3.1.0",
        "info": { "title": title, "version": env!("CARGO_PKG_VERSION") },
        "security": secured,
        "paths": paths,
        "components": {
            "schemas": schemas.take_definitions(true),
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn operation(route: &Route, schemas: &mut SchemaGenerator, error: &Schema) -> Value {
    let (status, answer) = route.answers;
    let mut success = json!({ "description": "Done." });
    if let Some(answer) = answer {
        success["content"] = content(answer, schemas);
    }
    let failure = json!({
        "description": "Refused, with the reason and the mend; docs/errors.md lists the codes.",
        "content": { "application/json": { "schema": error } },
    });
    let mut operation = json!({
        "summary": route.summary,
        "responses": { status.to_string(): success, "default": failure },
    });
    let parameters = parameters(route);
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(takes) = route.takes {
        operation["requestBody"] = json!({ "required": true, "content": content(takes, schemas) });
    }
    operation
}

fn content(payload: Payload, schemas: &mut SchemaGenerator) -> Value {
    let described = match payload.schema {
        Some(schema) => json!({ "schema": schema(schemas) }),
        None => json!({}),
    };
    json!({ payload.media: described })
}

/// Parts of the path in braces, and what is read of the query.
fn parameters(route: &Route) -> Vec<Value> {
    let string = json!({ "type": "string" });
    let in_path = route.path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let in_path = in_path
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": string }));
    let in_query = route.query.iter().map(|(name, sentence)| {
        json!({ "name": name, "in": "query", "description": sentence, "schema": string })
    });
    in_path.chain(in_query).collect()
}

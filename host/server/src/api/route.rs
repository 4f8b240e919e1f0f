//! One line of a plane's table: a method, a path, its handler, and what is said of it in the OpenAPI
//! document and in `docs/http.md`.

use axum::{
    handler::Handler,
    routing::{self, MethodRouter},
};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::App;

/// The schema of a type, put among those of the document.
pub(crate) type Describe = fn(&mut SchemaGenerator) -> Schema;

/// What goes over the wire in one direction.
#[derive(Clone, Copy)]
pub(crate) struct Payload {
    pub(crate) media: &'static str,
    /// `None` for what has no schema: a component, Prometheus text.
    pub(crate) schema: Option<Describe>,
}

/// One line of a table.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// One sentence, for people.
    pub(crate) summary: &'static str,
    pub(crate) takes: Option<Payload>,
    /// The status of success, and what comes with it.
    pub(crate) answers: (u16, Option<Payload>),
    /// Query parameters, with a sentence each.
    pub(crate) query: &'static [(&'static str, &'static str)],
    pub(super) handler: MethodRouter<App>,
}

const JSON: &str = "application/json";

impl Route {
    fn new(
        method: &'static str,
        path: &'static str,
        summary: &'static str,
        handler: MethodRouter<App>,
    ) -> Self {
        Self { method, path, summary, takes: None, answers: (200, None), query: &[], handler }
    }

    /// Answers JSON of this type.
    pub(super) fn answers<T: JsonSchema>(self) -> Self {
        self.answers_as(
            200,
            Payload { media: JSON, schema: Some(SchemaGenerator::subschema_for::<T>) },
        )
    }

    /// Answers JSON of this type with another status than 200.
    pub(super) fn makes<T: JsonSchema>(self, status: u16) -> Self {
        self.answers_as(
            status,
            Payload { media: JSON, schema: Some(SchemaGenerator::subschema_for::<T>) },
        )
    }

    /// Answers text of this type.
    pub(super) fn answers_text(self, media: &'static str) -> Self {
        self.answers_as(200, Payload { media, schema: None })
    }

    /// Answers nothing.
    pub(super) fn answers_nothing(self) -> Self {
        Self { answers: (204, None), ..self }
    }

    fn answers_as(self, status: u16, payload: Payload) -> Self {
        Self { answers: (status, Some(payload)), ..self }
    }

    /// Takes JSON of this type.
    pub(super) fn takes<T: JsonSchema>(self) -> Self {
        let schema: Option<Describe> = Some(SchemaGenerator::subschema_for::<T>);
        Self { takes: Some(Payload { media: JSON, schema }), ..self }
    }

    /// Takes bytes.
    pub(super) fn takes_bytes(self, media: &'static str) -> Self {
        Self { takes: Some(Payload { media, schema: None }), ..self }
    }

    /// Reads these of the query.
    pub(super) fn reads(self, query: &'static [(&'static str, &'static str)]) -> Self {
        Self { query, ..self }
    }
}

pub(super) fn get<H: Handler<T, App>, T: 'static>(
    path: &'static str,
    summary: &'static str,
    handler: H,
) -> Route {
    Route::new("GET", path, summary, routing::get(handler))
}

pub(super) fn post<H: Handler<T, App>, T: 'static>(
    path: &'static str,
    summary: &'static str,
    handler: H,
) -> Route {
    Route::new("POST", path, summary, routing::post(handler))
}

pub(super) fn put<H: Handler<T, App>, T: 'static>(
    path: &'static str,
    summary: &'static str,
    handler: H,
) -> Route {
    Route::new("PUT", path, summary, routing::put(handler))
}

pub(super) fn delete<H: Handler<T, App>, T: 'static>(
    path: &'static str,
    summary: &'static str,
    handler: H,
) -> Route {
    Route::new("DELETE", path, summary, routing::delete(handler))
}

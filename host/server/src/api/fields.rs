//! A JSON object read field by field, so that every problem names its field. Fields that nobody
//! reads are ignored, as OpenAI's clients send what other servers want.

use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::ApiError;

/// The object; reading a field takes it out.
#[derive(Debug)]
pub(super) struct Fields {
    map: Map<String, Value>,
    /// Where it stands in the body: empty, or `messages[2].`.
    path: String,
}

impl Fields {
    /// Parses a whole body.
    pub(super) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let value: Value = serde_json::from_slice(body).map_err(|error| {
            let message = format!(
                "the body is not JSON: {error}; it must be one object like {{\"messages\": [...]}}"
            );
            ApiError::client(StatusCode::BAD_REQUEST, "invalid_json", message)
        })?;
        Self::of(value, "").ok_or_else(|| {
            let message = "the body must be a JSON object, like {\"messages\": [...]}";
            ApiError::client(StatusCode::BAD_REQUEST, "invalid_json", message)
        })
    }

    /// An object inside a body, at `path` (`messages[2].`).
    pub(super) fn of(value: Value, path: impl Into<String>) -> Option<Self> {
        match value {
            Value::Object(map) => Some(Self { map, path: path.into() }),
            _ => None,
        }
    }

    /// A field; `null` is the same as absent.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|value| !value.is_null())
    }

    /// A field of a type.
    pub(super) fn read<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let wrong = |error| ApiError::value(self.at(name), format!("'{}': {error}", self.at(name)));
        serde_json::from_value(value).map(Some).map_err(wrong)
    }

    /// A field that must be there.
    pub(super) fn need(&mut self, name: &str) -> Result<Value, ApiError> {
        self.take(name).ok_or_else(|| self.missing(name))
    }

    /// A number within bounds, both included.
    pub(super) fn number(
        &mut self,
        name: &str,
        low: f64,
        high: f64,
    ) -> Result<Option<f32>, ApiError> {
        let Some(number) = self.read::<f64>(name)? else { return Ok(None) };
        if (low..=high).contains(&number) {
            #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
            return Ok(Some(number as f32));
        }
        Err(self.out_of_bounds(name, number, low, high))
    }

    /// A whole number within bounds, both included.
    pub(super) fn count(
        &mut self,
        name: &str,
        low: u32,
        high: u32,
    ) -> Result<Option<u32>, ApiError> {
        let Some(number) = self.read::<i64>(name)? else { return Ok(None) };
        match u32::try_from(number) {
            Ok(count) if (low..=high).contains(&count) => Ok(Some(count)),
            _ => Err(self.out_of_bounds(name, number, low, high)),
        }
    }

    /// All fields as one value.
    pub(super) fn whole<T: DeserializeOwned>(self, name: &str) -> Result<T, ApiError> {
        serde_json::from_value(Value::Object(self.map))
            .map_err(|error| ApiError::value(name, format!("the {name}: {error}")))
    }

    /// The full name of a field.
    pub(super) fn at(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }

    /// The error for a field that is not there.
    pub(super) fn missing(&self, name: &str) -> ApiError {
        let at = self.at(name);
        let message = format!("'{at}' is missing");
        ApiError::client(StatusCode::BAD_REQUEST, "missing_parameter", message).at(at)
    }

    fn out_of_bounds<N: std::fmt::Display, B: std::fmt::Display>(
        &self,
        name: &str,
        number: N,
        low: B,
        high: B,
    ) -> ApiError {
        let at = self.at(name);
        let message = format!("'{at}' is {number}; it must be {low} to {high}");
        ApiError::value(at, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: &str) -> Fields {
        Fields::parse(body.as_bytes()).unwrap()
    }

    #[test]
    fn a_body_that_is_not_json_is_told_where() {
        let error = Fields::parse(b"{\"a\": 1,\n oops}").unwrap_err();
        assert_eq!(error.code(), "invalid_json");
        assert!(format!("{error:?}").contains("line 2 column 2"), "{error:?}");
        assert_eq!(Fields::parse(b"[1]").unwrap_err().code(), "invalid_json");
        assert_eq!(Fields::parse(b"").unwrap_err().code(), "invalid_json");
    }

    #[test]
    fn null_is_the_same_as_absent() {
        assert_eq!(fields(r#"{"a": null}"#).read::<u32>("a").unwrap(), None);
        assert_eq!(fields(r"{}").need("a").unwrap_err().code(), "missing_parameter");
    }

    #[test]
    fn numbers_are_bounded_and_named() {
        let number = |body: &str| fields(body).number("t", 0.0, 2.0);
        assert_eq!(number(r#"{"t": 2}"#).unwrap(), Some(2.0));
        for body in [r#"{"t": 2.1}"#, r#"{"t": -0.1}"#, r#"{"t": "hot"}"#, r#"{"t": 1e400}"#] {
            let refused = Fields::parse(body.as_bytes()).and_then(|mut f| f.number("t", 0.0, 2.0));
            assert!(refused.is_err(), "{body}");
        }
        let count = |body: &str| fields(body).count("n", 1, 9);
        assert_eq!(count(r#"{"n": 9}"#).unwrap(), Some(9));
        for body in [r#"{"n": 0}"#, r#"{"n": -1}"#, r#"{"n": 1.5}"#, r#"{"n": 99999999999}"#] {
            assert_eq!(count(body).unwrap_err().code(), "invalid_value", "{body}");
        }
    }
}

//! An answer that is foretold.

use harness::Answer;
use serde_json::{Value, json};

/// What must be answered. The answer may say more.
#[derive(Clone, Debug)]
pub struct Expected {
    pub status: u16,
    /// Members that the body must have; null for one that it must not have.
    pub body: Value,
}

/// The answer with what is there afterwards, or a refusal, after which nothing has changed.
pub type Prediction<T> = Result<(Expected, T), Expected>;

/// A problem of this code.
pub fn refused(status: u16, code: &str) -> Expected {
    Expected {
        status,
        body: json!({ "code": code }),
    }
}

/// A problem with a field.
pub fn invalid(field: impl Into<String>) -> Expected {
    let errors = json!([{ "field": field.into() }]);
    Expected {
        status: 422,
        body: json!({ "code": "invalid_field", "errors": errors }),
    }
}

impl Expected {
    /// 204.
    pub fn nothing() -> Self {
        Self {
            status: 204,
            body: Value::Null,
        }
    }

    /// Asserts that this was answered.
    pub fn check(&self, answer: &Answer) {
        let Self { status, body } = self;
        assert!(
            answer.status() == *status && fits(body, &in_order(answer.json())),
            "expected {status} {body}\nbut got  {} {}",
            answer.status(),
            answer.text()
        );
    }
}

/// Whether `got` has everything that is wanted of it.
pub fn fits(wanted: &Value, got: &Value) -> bool {
    match (wanted, got) {
        (Value::Object(wanted), Value::Object(got)) => wanted
            .iter()
            .all(|(name, member)| fits(member, got.get(name).unwrap_or(&Value::Null))),
        (Value::Array(wanted), Value::Array(got)) => {
            wanted.len() == got.len() && wanted.iter().zip(got).all(|(wanted, got)| fits(wanted, got))
        }
        (wanted, got) => wanted == got,
    }
}

/// What the API sorts by key is sorted further, since one key may stand there twice: a secret that had it is deleted
/// by the change that gives it to another one.
pub fn in_order(mut body: Value) -> Value {
    if let Some(results) = body.get_mut("results").and_then(Value::as_array_mut) {
        let key = |result: &Value| result["key"].as_str().unwrap_or_default().to_owned();
        assert!(results.is_sorted_by_key(key), "sorted by key: {results:?}");
        results.sort_by_key(|result| (key(result), result["status"].to_string(), result["version"].as_u64()));
    }
    if let Some(keys) = body.get_mut("keys").and_then(Value::as_array_mut) {
        keys.sort_by_key(Value::to_string);
    }
    body
}

#[test]
fn an_answer_must_have_what_is_wanted_and_may_have_more() {
    let got = json!({ "a": 1, "b": [{ "c": "d", "e": 2 }] });
    for wanted in [json!({}), json!({ "a": 1 }), json!({ "b": [{ "c": "d" }], "f": null })] {
        assert!(fits(&wanted, &got), "{wanted}");
    }
    for wanted in [
        json!({ "a": 2 }),
        json!({ "f": 1 }),
        json!({ "a": null }),
        json!({ "b": [] }),
        json!(null),
    ] {
        assert!(!fits(&wanted, &got), "{wanted}");
    }
}

//! Holds JSON bodies to the published schema before an operation reads them. poem-openapi does not name the field at
//! fault, and takes a number or a boolean for a text: a secret of `1.10` would be stored as `1.1`.

use std::borrow::Cow;
use std::sync::Arc;

use domain::kernel::{Problem, Timestamp};
use poem::Request;
use poem::http::Method;
use serde_json::Value;

use super::json::joined;

/// The body of this request, as it was admitted.
#[derive(Clone)]
pub struct Admitted(pub bytes::Bytes);

/// The schemas of the JSON bodies.
#[derive(Clone, Default)]
pub struct BodySchemas(Arc<Schemas>);

#[derive(Default)]
struct Schemas {
    bodies: Vec<Body>,
    /// The published document, which has the schemas that are named.
    document: Arc<Value>,
}

/// The body of one operation.
struct Body {
    method: String,
    /// Segments of the path; `None` for a parameter.
    path: Vec<Option<String>>,
    is_public: bool,
    schema: Value,
}

/// What is wrong with a field.
struct Fault {
    /// Path within the body; empty for the body itself.
    field: String,
    /// What it must be; `None` when it is missing.
    wanted: Option<Cow<'static, str>>,
}

impl BodySchemas {
    /// Those of the published document.
    pub fn of(document: &Arc<Value>) -> Self {
        let paths = members(document.get("paths"));
        let operations = paths.flat_map(|(path, methods)| {
            let methods = members(Some(methods));
            methods.map(move |(method, operation)| (path, method, operation))
        });
        let bodies = operations.filter_map(|(path, method, operation)| {
            Some(Body {
                method: method.to_ascii_uppercase(),
                path: path.split('/').map(literal).collect(),
                is_public: operation
                    .get("security")
                    .and_then(Value::as_array)
                    .is_some_and(Vec::is_empty),
                schema: operation
                    .pointer("/requestBody/content/application~1json/schema")?
                    .clone(),
            })
        });
        Self(Arc::new(Schemas {
            bodies: bodies.collect(),
            document: document.clone(),
        }))
    }

    /// Why the body of a request is not what its operation reads, if so. A caller who is not known is told that first,
    /// by the operation.
    pub fn refusal(&self, request: &Request, is_known: bool) -> Option<Problem> {
        let is_other = |media_type: &str| !media_type.to_ascii_lowercase().contains("json");
        if request.content_type().is_some_and(is_other) {
            return None;
        }
        let body = &request.data::<Admitted>()?.0;
        let expected = self.0.body(request.method(), request.uri().path())?;
        if !(is_known || expected.is_public) {
            return None;
        }
        let value: Value = serde_json::from_slice(body).ok()?;
        let Fault { field, wanted } = self.0.fault(&expected.schema, &value)?;
        let field = if field.is_empty() { "body".to_owned() } else { field };
        Some(match wanted {
            None => Problem::field(field, "required", "is required"),
            Some(wanted) => Problem::field(field, "type", format!("must be {wanted}")),
        })
    }
}

/// `None` for `{org}`.
fn literal(segment: &str) -> Option<String> {
    (!segment.starts_with('{')).then(|| segment.to_owned())
}

impl Schemas {
    /// The body that a request of this method and path has; of several, that of the most literal path.
    fn body(&self, method: &Method, path: &str) -> Option<&Body> {
        let segments: Vec<_> = path.split('/').collect();
        let fits = |body: &&Body| {
            body.method == method.as_str()
                && body.path.len() == segments.len()
                && body
                    .path
                    .iter()
                    .zip(&segments)
                    .all(|(known, given)| known.as_deref().is_none_or(|known| known == *given))
        };
        self.bodies
            .iter()
            .filter(fits)
            .max_by_key(|body| body.path.iter().flatten().count())
    }

    /// The first fault within `value`, in the order in which its fields are documented.
    fn fault(&self, schema: &Value, value: &Value) -> Option<Fault> {
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            let (_, name) = name.rsplit_once('/')?;
            return self.fault(self.document.get("components")?.get("schemas")?.get(name)?, value);
        }
        if let Some(wanted) = mismatch(schema, value) {
            let field = String::new();
            return Some(Fault {
                field,
                wanted: Some(wanted),
            });
        }
        if let (Some(items), Some(entries)) = (schema.get("items"), value.as_array()) {
            let mut faults = entries.iter().map(|entry| self.fault(items, entry)).enumerate();
            return faults.find_map(|(index, fault)| Some(fault?.within(&format!("[{index}]"))));
        }
        if let Some(choices) = ["oneOf", "anyOf"]
            .into_iter()
            .find_map(|key| schema.get(key)?.as_array())
        {
            return self.choice_fault(choices, value);
        }
        if let (Some(others), Some(entries)) = (schema.get("additionalProperties"), value.as_object()) {
            let known = |name: &str| schema.get("properties").is_some_and(|known| known.get(name).is_some());
            let mut others = entries
                .iter()
                .filter(|(name, _)| !known(name))
                .map(|(name, entry)| (name, self.fault(others, entry)));
            if let Some(fault) = others.find_map(|(name, fault)| Some(fault?.within(name))) {
                return Some(fault);
            }
        }
        let is_required = |name: &str| {
            let mut names = schema.get("required").and_then(Value::as_array).into_iter().flatten();
            names.any(|required| required == name)
        };
        members(schema.get("properties")).find_map(|(name, property)| match value.get(name) {
            None | Some(Value::Null) => is_required(name).then(|| Fault {
                field: name.clone(),
                wanted: None,
            }),
            Some(member) => self.fault(property, member).map(|fault| fault.within(name)),
        })
    }
}

impl Schemas {
    /// Why a value is none of several things: the fault of the one that it resembles.
    fn choice_fault(&self, choices: &[Value], value: &Value) -> Option<Fault> {
        let faults: Vec<_> = choices
            .iter()
            .map(|choice| self.fault(choice, value))
            .collect::<Option<_>>()?;
        let inside = faults
            .iter()
            .position(|fault| !fault.field.is_empty() || fault.wanted.is_none());
        if let Some(inside) = inside {
            return faults.into_iter().nth(inside);
        }
        let wanted: Vec<_> = faults.into_iter().filter_map(|fault| fault.wanted).collect();
        Some(Fault {
            field: String::new(),
            wanted: Some(wanted.join(" or ").into()),
        })
    }
}

impl Fault {
    fn within(mut self, outer: &str) -> Self {
        self.field = joined(outer, &self.field);
        self
    }
}

/// What the schema wants, when the value is not that.
fn mismatch(schema: &Value, value: &Value) -> Option<Cow<'static, str>> {
    let wanted = match schema.get("type").and_then(Value::as_str) {
        Some("object") if !value.is_object() => "an object",
        Some("array") if !value.is_array() => "a list",
        Some("string") if !value.is_string() => "a string",
        Some("boolean") if !value.is_boolean() => "true or false",
        Some("integer") if !value.is_i64() => "an integer",
        Some("number") if !value.is_number() => "a number",
        Some("string") if !is_of_format(schema, value) => "an instant such as `2030-01-02T03:04:05Z`",
        _ => {
            let words = schema.get("enum").and_then(Value::as_array)?;
            let listed = || {
                words
                    .iter()
                    .filter_map(Value::as_str)
                    .map(|word| format!("`{word}`"))
                    .collect::<Vec<_>>()
            };
            return (!words.contains(value)).then(|| format!("one of {}", listed().join(", ")).into());
        }
    };
    Some(wanted.into())
}

/// Whether a text that must be an instant is one. Other formats are for the operation to check.
fn is_of_format(schema: &Value, text: &Value) -> bool {
    let is_instant = schema.get("format").and_then(Value::as_str) == Some("date-time");
    !is_instant || text.as_str().is_none_or(|text| Timestamp::parse(text).is_ok())
}

fn members(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    value.and_then(Value::as_object).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schemas() -> BodySchemas {
        let keys = json!({ "type": "array", "items": { "type": "string" } });
        let entry = json!({ "type": "object", "required": ["value"], "properties": { "value": { "type": "string" } } });
        let hook = json!({ "type": "object", "required": ["url"], "properties": {
            "url": { "type": "string" }, "days": { "type": "integer" }, "filters": { "$ref": "#/components/schemas/Filters" },
            "mode": { "type": "string", "enum": ["a", "b"] }, "at": { "type": "string", "format": "date-time" },
            "values": { "type": "object", "additionalProperties": { "oneOf": [{ "type": "string" }, entry] } },
        } });
        let body = json!({ "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Hook" } } } });
        let operation = |security| json!({ "security": security, "requestBody": body });
        BodySchemas::of(&Arc::new(json!({
            "paths": { "/hooks/{id}": { "post": operation(json!([{}])) }, "/hooks/open": { "post": operation(json!([])) } },
            "components": { "schemas": { "Hook": hook, "Filters": { "type": "object", "properties": { "keys": keys } } } },
        })))
    }

    fn refused(path: &str, body: &Value, is_known: bool) -> Option<(String, String)> {
        let mut request = Request::builder().method(Method::POST).uri_str(path).finish();
        request.set_data(Admitted(body.to_string().into()));
        let problem = schemas().refusal(&request, is_known)?;
        let error = problem.errors.first()?;
        Some((error.field.to_string(), error.message.to_string()))
    }

    #[test]
    fn the_first_wrong_field_is_named_by_its_path() {
        let said = |body: Value| refused("/hooks/7", &body, true).map(|(field, message)| format!("{field} {message}"));
        assert_eq!(said(json!({ "url": "u", "days": null, "other": 1 })), None);
        assert_eq!(said(json!({ "days": "x" })).as_deref(), Some("url is required"));
        assert_eq!(said(json!({ "url": null })).as_deref(), Some("url is required"));
        assert_eq!(said(json!({ "url": 1.10 })).as_deref(), Some("url must be a string"));
        assert_eq!(
            said(json!({ "url": "u", "days": 1.5 })).as_deref(),
            Some("days must be an integer")
        );
        assert_eq!(
            said(json!({ "url": "u", "mode": "c" })).as_deref(),
            Some("mode must be one of `a`, `b`")
        );
        assert_eq!(said(json!({ "url": "u", "at": "2030-01-02T03:04:05+01:00" })), None);
        assert_eq!(
            said(json!({ "url": "u", "at": "tomorrow" })).as_deref(),
            Some("at must be an instant such as `2030-01-02T03:04:05Z`")
        );
        let keys = json!({ "url": "u", "filters": { "keys": ["a", 7] } });
        assert_eq!(said(keys).as_deref(), Some("filters.keys[1] must be a string"));
        assert_eq!(said(json!([])).as_deref(), Some("body must be an object"));
        let values = |values: Value| said(json!({ "url": "u", "values": values }));
        assert_eq!(values(json!({ "A": "a", "B": { "value": "b" } })), None);
        assert_eq!(
            values(json!({ "A": 1.10 })).as_deref(),
            Some("values.A must be a string or an object")
        );
        assert_eq!(
            values(json!({ "A": { "value": 1 } })).as_deref(),
            Some("values.A.value must be a string")
        );
        assert_eq!(
            values(json!({ "A": {} })).as_deref(),
            Some("values.A.value is required")
        );
    }

    #[test]
    fn strangers_are_left_to_the_operation_unless_it_is_public() {
        assert_eq!(refused("/hooks/7", &json!({}), false), None);
        assert!(refused("/hooks/open", &json!({}), false).is_some());
        assert_eq!(refused("/other", &json!({}), true), None);
    }
}

//! Holds JSON bodies to the published schema before an operation reads them. poem-openapi does not name the field at
//! fault, and takes a number or a boolean for a text: a secret of `1.10` would be stored as `1.1`.

use std::borrow::Cow;
use std::sync::Arc;

use domain::kernel::Problem;
use poem::Request;
use poem::http::Method;
use serde_json::Value;

use super::json::joined;
use super::schema::{Names, Schema, Shape, members};

/// The body of this request, as it was admitted.
#[derive(Clone)]
pub struct Admitted(pub bytes::Bytes);

/// The schemas of the JSON bodies.
#[derive(Clone, Default)]
pub struct BodySchemas(Arc<Schemas>);

#[derive(Default)]
struct Schemas {
    bodies: Vec<Body>,
    /// Those that are named, and named by others.
    named: Vec<Shape>,
}

/// The body of one operation.
struct Body {
    method: String,
    /// Segments of the path; `None` for a parameter.
    path: Vec<Option<String>>,
    is_public: bool,
    schema: Schema,
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
    pub fn of(document: &Value) -> Self {
        let mut names = Names::of(document);
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
                schema: names.schema(operation.pointer("/requestBody/content/application~1json/schema")?),
            })
        });
        let bodies = bodies.collect();
        Self(Arc::new(Schemas {
            bodies,
            named: names.shapes(),
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
    fn fault(&self, schema: &Schema, value: &Value) -> Option<Fault> {
        let shape = match schema {
            Schema::Inline(shape) => shape,
            Schema::Named(number) => self.named.get(*number)?,
        };
        if let Some(wanted) = shape.mismatch(value) {
            let field = String::new();
            return Some(Fault {
                field,
                wanted: Some(wanted),
            });
        }
        if let (Some(items), Some(entries)) = (&shape.items, value.as_array()) {
            let mut faults = entries.iter().map(|entry| self.fault(items, entry)).enumerate();
            return faults.find_map(|(index, fault)| Some(fault?.within(&format!("[{index}]"))));
        }
        if !shape.choices.is_empty() {
            return self.choice_fault(&shape.choices, value);
        }
        if let (Some(others), Some(entries)) = (&shape.others, value.as_object()) {
            let known = |name: &str| shape.properties.iter().any(|known| known.name == name);
            let mut others = entries
                .iter()
                .filter(|(name, _)| !known(name))
                .map(|(name, entry)| (name, self.fault(others, entry)));
            if let Some(fault) = others.find_map(|(name, fault)| Some(fault?.within(name))) {
                return Some(fault);
            }
        }
        shape
            .properties
            .iter()
            .find_map(|property| match value.get(&property.name) {
                None | Some(Value::Null) => property.is_required.then(|| Fault {
                    field: property.name.clone(),
                    wanted: None,
                }),
                Some(member) => self
                    .fault(&property.schema, member)
                    .map(|fault| fault.within(&property.name)),
            })
    }
}

impl Schemas {
    /// Why a value is none of several things: the fault of the one that it resembles.
    fn choice_fault(&self, choices: &[Schema], value: &Value) -> Option<Fault> {
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
        BodySchemas::of(&json!({
            "paths": { "/hooks/{id}": { "post": operation(json!([{}])) }, "/hooks/open": { "post": operation(json!([])) } },
            "components": { "schemas": { "Hook": hook, "Filters": { "type": "object", "properties": { "keys": keys } } } },
        }))
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

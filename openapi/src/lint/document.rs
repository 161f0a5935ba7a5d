//! The document as the rules read it: its operations, and its references followed.

use serde_json::{Map, Value};

/// The methods that an OpenAPI path item may hold.
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// One operation and where it stands.
pub struct Operation<'a> {
    pub path: &'a str,
    pub method: &'a str,
    /// Empty when the document gives none.
    pub id: &'a str,
    pub value: &'a Value,
}

impl<'a> Operation<'a> {
    /// How findings call it: its id, or method and path when it has none.
    pub fn name(&self) -> String {
        if self.id.is_empty() {
            format!("{} {}", self.method, self.path)
        } else {
            self.id.to_owned()
        }
    }

    pub fn parameters(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        list(self.value, "parameters")
    }

    /// The responses by status.
    pub fn responses(&self) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
        entries(self.value, "responses")
    }
}

/// The document and its operations.
pub struct Document<'a> {
    pub root: &'a Value,
    pub operations: Vec<Operation<'a>>,
    /// What we send to others; `path` is the event's name.
    pub webhooks: Vec<Operation<'a>>,
}

impl<'a> Document<'a> {
    pub fn new(root: &'a Value) -> Self {
        Self {
            root,
            operations: operations(root, "paths"),
            webhooks: operations(root, "webhooks"),
        }
    }

    /// What a `$ref` points to; any other value is its own target.
    pub fn follow(&self, value: &'a Value) -> Option<&'a Value> {
        match value.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.target(reference),
            None => Some(value),
        }
    }

    fn target(&self, reference: &str) -> Option<&'a Value> {
        reference
            .strip_prefix('#')
            .and_then(|pointer| self.root.pointer(pointer))
    }

    /// Finds references, those of discriminators included, that point nowhere in this document.
    pub fn unresolved_references(&self, findings: &mut Vec<String>) {
        self.unresolved_in(self.root, "", findings);
    }

    fn unresolved_in(&self, value: &Value, at: &str, findings: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                let mapping = map
                    .get("mapping")
                    .and_then(Value::as_object)
                    .into_iter()
                    .flatten()
                    .map(|(_, to)| to);
                for reference in mapping.chain(map.get("$ref")).filter_map(Value::as_str) {
                    if self.target(reference).is_none() {
                        findings.push(format!("{at}: `{reference}` does not resolve"));
                    }
                }
                // Examples are data: what looks like a reference there is none.
                for (key, child) in map.iter().filter(|(key, _)| *key != "examples") {
                    self.unresolved_in(child, &format!("{at}/{key}"), findings);
                }
            }
            Value::Array(items) => {
                for (index, child) in items.iter().enumerate() {
                    self.unresolved_in(child, &format!("{at}/{index}"), findings);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// The entries of the object under `key`; none when it is absent.
pub fn entries<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
    value
        .get(key)
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::iter)
}

/// The items of the array under `key`; none when it is absent.
pub fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// The text under `key`; empty when it is absent.
pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn operations<'a>(root: &'a Value, key: &str) -> Vec<Operation<'a>> {
    let mut found = Vec::new();
    for (path, item) in entries(root, key) {
        for (method, value) in item.as_object().into_iter().flat_map(Map::iter) {
            if METHODS.contains(&method.as_str()) {
                found.push(Operation {
                    path,
                    method,
                    id: text(value, "operationId"),
                    value,
                });
            }
        }
    }
    found
}

/// A small document that keeps every rule; `get_health` is public and `Org.api_token` a known secret field.
#[cfg(test)]
pub fn example() -> Value {
    use serde_json::json;

    let problem = json!({"description": "d", "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}});
    let org =
        json!({"description": "d", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Org"}}}});
    let path_parameter =
        json!({"name": "org", "in": "path", "required": true, "description": "d", "schema": {"type": "string"}});
    json!({
        "openapi": "3.1.0",
        "tags": [{"name": "orgs"}, {"name": "health"}],
        "paths": {
            "/health": {"get": {
                "operationId": "get_health", "tags": ["health"], "summary": "s", "description": "d", "security": [],
                "responses": {"200": {"description": "d"}, "400": problem, "500": problem},
            }},
            "/v1/orgs/{org}": {"patch": {
                "operationId": "update_org", "tags": ["orgs"], "summary": "s", "description": "d",
                "security": [{"bearer": []}],
                "parameters": [path_parameter],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/UpdateOrg"}}}},
                "responses": {"200": org, "400": problem, "401": problem, "404": problem, "413": problem,
                    "415": problem, "422": problem, "500": problem},
            }},
        },
        "components": {
            "schemas": {
                "Org": {"type": "object", "properties": {
                    "slug": {"description": "d", "type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,62}$"},
                    "api_token": {"description": "d", "type": "string"},
                    "has_password": {"description": "d", "type": "boolean"},
                }},
                "UpdateOrg": {"type": "object", "properties": {"password": {"description": "d", "type": "string"}}},
                "Problem": {"type": "object", "properties": {"code": {"description": "d", "type": "string"}}},
            },
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    })
}

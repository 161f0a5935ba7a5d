//! The whole document, from the 3.0 shape that poem-openapi prints to OpenAPI 3.1.0.

mod operation;
mod prune;

use std::fmt;
use std::mem;

use serde_json::{Map, Value};

use crate::{merge, schema};

use self::operation::Components;

/// The JSON Schema dialect that every schema of a 3.1 document is written in.
const DIALECT: &str = "https://spec.openapis.org/oas/3.1/dialect/base";

/// Why a document cannot be upgraded.
#[derive(Debug)]
pub enum UpgradeError {
    /// It is not JSON, or declares the same operation twice.
    Json(serde_json::Error),
    /// It is JSON, and no OpenAPI 3.0 document; holds the version found, if any.
    Version(Option<String>),
    /// Two spellings of one path declare the same method.
    DuplicateOperation {
        /// The path: `/v1/orgs/{org}`.
        path: String,
        /// The method: `get`.
        method: String,
    },
}

impl fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(f, "cannot be read: {error}"),
            Self::Version(Some(found)) => write!(f, "expected OpenAPI 3.0, found `{found}`"),
            Self::Version(None) => f.write_str("expected OpenAPI 3.0, found no version"),
            Self::DuplicateOperation { path, method } => write!(f, "`{path}` declares `{method}` twice"),
        }
    }
}

impl std::error::Error for UpgradeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Json(error) => Some(error),
            Self::Version(_) | Self::DuplicateOperation { .. } => None,
        }
    }
}

/// The 3.1.0 document for what poem-openapi 5.1 printed, in the author's order, without unused schemas.
///
/// # Errors
/// [`UpgradeError`]: not JSON, not 3.0, or an operation declared twice.
pub fn upgrade(spec30: &str) -> Result<Value, UpgradeError> {
    let Value::Object(mut root) = merge::parse(spec30).map_err(UpgradeError::Json)? else {
        return Err(UpgradeError::Version(None));
    };
    let version = root.get("openapi").and_then(Value::as_str);
    if !version.is_some_and(|version| version.starts_with("3.0.")) {
        return Err(UpgradeError::Version(version.map(str::to_owned)));
    }
    let components = components(&root);
    if let Some(Value::Object(paths)) = root.get_mut("paths") {
        *paths = with_braces(mem::take(paths))?;
        paths.values_mut().for_each(|item| path_item(item, &components));
    }
    if let Some(Value::Object(webhooks)) = root.get_mut("webhooks") {
        webhooks.values_mut().for_each(|item| path_item(item, &components));
    }
    if let Some(Value::Object(schemas)) = root
        .get_mut("components")
        .and_then(|components| components.get_mut("schemas"))
    {
        schemas.values_mut().for_each(schema::upgrade);
    }
    let mut document = Map::new();
    document.insert("openapi".into(), "3.1.0".into());
    document.insert("info".into(), root.shift_remove("info").unwrap_or_default());
    document.insert("jsonSchemaDialect".into(), DIALECT.into());
    root.shift_remove("openapi");
    document.append(&mut root);
    prune::unused_schemas(&mut document);
    Ok(document.into())
}

/// The document as published and committed: two-space indent, trailing newline, the same bytes for the same value.
pub fn to_pretty(document: &Value) -> String {
    format!("{document:#}\n")
}

/// The component schemas as they are before their upgrade.
fn components(root: &Map<String, Value>) -> Components {
    let schemas = root.get("components").and_then(|components| components.get("schemas"));
    Components::new(schemas.and_then(Value::as_object).cloned().unwrap_or_default())
}

/// Turns every path template into the OpenAPI spelling; two spellings of one path are joined.
fn with_braces(paths: Map<String, Value>) -> Result<Map<String, Value>, UpgradeError> {
    let mut out = Map::new();
    for (path, item) in paths {
        let path = braces(&path);
        match (out.get_mut(&path), item) {
            (Some(Value::Object(old)), Value::Object(new)) => {
                merge::join(old, new).map_err(|method| UpgradeError::DuplicateOperation { path, method })?;
            }
            (_, item) => {
                out.insert(path, item);
            }
        }
    }
    Ok(out)
}

/// `/v1/:id/x`, left by `prefix_path`, as `/v1/{id}/x`; a pattern as in `:id<\d+>` goes.
fn braces(path: &str) -> String {
    let segment = |segment: &str| match segment.strip_prefix(':') {
        Some(name) => format!("{{{}}}", name.split('<').next().unwrap_or(name)),
        None => segment.to_owned(),
    };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

fn path_item(item: &mut Value, components: &Components) {
    let Some(methods) = item.as_object_mut() else { return };
    methods
        .values_mut()
        .filter_map(Value::as_object_mut)
        .for_each(|operation| operation::upgrade(operation, components));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with_paths(paths: &Value) -> Result<Value, UpgradeError> {
        upgrade(&json!({"openapi": "3.0.0", "info": {"title": "t"}, "paths": paths}).to_string())
    }

    #[test]
    fn names_version_and_dialect_first() {
        let document = with_paths(&json!({})).unwrap();
        let keys: Vec<_> = document.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["openapi", "info", "jsonSchemaDialect", "paths"]);
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["jsonSchemaDialect"], DIALECT);
    }

    #[test]
    fn refuses_what_is_not_3_0() {
        assert!(matches!(upgrade(r#"{"openapi":"3.1.0"}"#), Err(UpgradeError::Version(Some(v))) if v == "3.1.0"));
        assert!(matches!(upgrade("[]"), Err(UpgradeError::Version(None))));
        assert!(matches!(upgrade("{"), Err(UpgradeError::Json(_))));
    }

    #[test]
    fn joins_paths_printed_twice() {
        let spec = r#"{"openapi":"3.0.0","info":{},"paths":{"/a":{"get":{}},"/a":{"post":{}}}}"#;
        let document = upgrade(spec).unwrap();
        assert!(document["paths"]["/a"]["get"].is_object() && document["paths"]["/a"]["post"].is_object());
    }

    #[test]
    fn colon_parameters_become_braces() {
        let document = with_paths(&json!({r"/v1/:id/x/:n<\d+>": {"get": {}}})).unwrap();
        assert!(document["paths"]["/v1/{id}/x/{n}"]["get"].is_object());
    }

    #[test]
    fn two_spellings_of_a_path_are_joined_or_refused() {
        let joined = with_paths(&json!({"/a/:id": {"get": {}}, "/a/{id}": {"put": {}}})).unwrap();
        assert_eq!(joined["paths"]["/a/{id}"].as_object().unwrap().len(), 2);
        let error = with_paths(&json!({"/a/:id": {"get": {}}, "/a/{id}": {"get": {}}})).unwrap_err();
        assert_eq!(error.to_string(), "`/a/{id}` declares `get` twice");
    }

    #[test]
    fn webhooks_and_components_are_upgraded_too() {
        let nullable = json!({"type": "string", "nullable": true});
        let body =
            json!({"content": {"application/json; charset=utf-8": {"schema": {"$ref": "#/components/schemas/A"}}}});
        let spec = json!({"openapi": "3.0.0", "info": {}, "paths": {},
            "webhooks": {"secret.created": {"post": {"requestBody": body}}},
            "components": {"schemas": {"A": nullable}}});
        let document = upgrade(&spec.to_string()).unwrap();
        assert!(
            document["webhooks"]["secret.created"]["post"]["requestBody"]["content"]["application/json"].is_object()
        );
        assert_eq!(
            document["components"]["schemas"]["A"]["type"],
            json!(["string", "null"])
        );
    }

    #[test]
    fn what_only_an_event_stream_names_is_written_out_and_nowhere_else() {
        let event = json!({"type": "object", "properties": {"keys": {"type": "array", "items": {"$ref": "#/components/schemas/Key"}}}});
        let stream = json!({"type": "array", "items": {"$ref": "#/components/schemas/Event"}});
        let answer = json!({"responses": {"200": {"content": {"text/event-stream": {"schema": stream}}}}});
        let spec = json!({"openapi": "3.0.0", "info": {}, "paths": {"/a": {"get": answer}},
            "components": {"schemas": {"Event": event, "Key": {"type": "string", "nullable": true}}}});
        let document = upgrade(&spec.to_string()).unwrap();
        let media = &document["paths"]["/a"]["get"]["responses"]["200"]["content"]["text/event-stream"];
        let key = &media["schema"]["x-itemSchema"]["properties"]["keys"]["items"];
        assert_eq!(key, &json!({"type": ["string", "null"]}));
        assert_eq!(document["components"]["schemas"], json!({}));
    }

    #[test]
    fn pretty_text_ends_in_one_newline() {
        assert_eq!(
            to_pretty(&json!({"b": 1, "a": [2]})),
            "{\n  \"b\": 1,\n  \"a\": [\n    2\n  ]\n}\n"
        );
    }
}

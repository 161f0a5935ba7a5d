//! Operations as the document shows them.
#![expect(clippy::expect_used, clippy::panic, reason = "harness: a failure ends the test")]

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::Value;

/// An operation as the document shows it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub method: Method,
    /// `/v1/orgs/{org}`
    pub template: String,
    /// Names of the parameters in the path, in order.
    pub path_params: Vec<String>,
    pub query_params: Vec<String>,
    /// Whether it takes no credential.
    pub is_public: bool,
    /// Names of the body's properties, nested ones with their parents: `filters.projects`.
    pub body_fields: Vec<String>,
}

impl Endpoint {
    /// The path with names filled in.
    ///
    /// # Panics
    /// When a parameter has no value.
    pub fn path(&self, names: &BTreeMap<&'static str, String>) -> String {
        self.path_params.iter().fold(self.template.clone(), |path, param| {
            let value = names.get(param.as_str());
            path.replace(
                &format!("{{{param}}}"),
                value.unwrap_or_else(|| panic!("no value for {{{param}}}")),
            )
        })
    }
}

/// The operations of a document by their ids.
///
/// # Panics
/// When it is no document.
pub fn endpoints(document: &Value) -> BTreeMap<String, Endpoint> {
    let mut found = BTreeMap::new();
    for (template, item) in document["paths"].as_object().expect("paths") {
        let shared = params(item);
        for (method, operation) in item.as_object().expect("a path item") {
            let Some(id) = operation.get("operationId").and_then(Value::as_str) else {
                continue;
            };
            let all: Vec<_> = shared.iter().cloned().chain(params(operation)).collect();
            let named = |place: &str| {
                all.iter()
                    .filter(|(at, _)| at == place)
                    .map(|(_, name)| name.clone())
                    .collect()
            };
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let endpoint = Endpoint {
                method: method.to_uppercase().parse().expect("a method"),
                template: template.clone(),
                path_params: named("path"),
                query_params: named("query"),
                is_public: operation["security"].as_array().is_some_and(Vec::is_empty),
                body_fields: fields(document, schema, ""),
            };
            found.insert(id.to_owned(), endpoint);
        }
    }
    found
}

/// Where each parameter stands, and its name.
fn params(item: &Value) -> Vec<(String, String)> {
    let list = item["parameters"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    list.iter()
        .map(|param| (text(&param["in"]), text(&param["name"])))
        .collect()
}

fn fields(document: &Value, schema: &Value, parent: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document
            .pointer(reference.trim_start_matches('#'))
            .expect("a schema that is there");
        return fields(document, target, parent);
    }
    let parts = ["allOf", "anyOf", "oneOf"]
        .into_iter()
        .filter_map(|key| schema[key].as_array());
    let mut found: Vec<_> = parts
        .flatten()
        .flat_map(|part| fields(document, part, parent))
        .collect();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{parent}{name}");
        let below = fields(document, property, &format!("{path}."));
        if below.is_empty() {
            found.push(path);
        } else {
            found.extend(below);
        }
    }
    found
}

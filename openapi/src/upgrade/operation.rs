//! One Operation Object: parameters, bodies, responses, security.

use std::collections::BTreeSet;
use std::mem;

use serde_json::{Map, Value, json};

use crate::schema;

/// The component schemas, as far as an operation's upgrade must know them: those of before their own.
pub struct Components {
    schemas: Map<String, Value>,
    /// Names of those that are arrays or objects: only for them does `explode` mean anything.
    containers: BTreeSet<String>,
}

impl Components {
    pub fn new(schemas: Map<String, Value>) -> Self {
        let containers = schemas.iter().filter(|(_, schema)| is_container(schema));
        Self {
            containers: containers.map(|(name, _)| name.clone()).collect(),
            schemas,
        }
    }
}

/// Upgrades an operation in place.
pub fn upgrade(operation: &mut Map<String, Value>, components: &Components) {
    if let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) {
        parameters
            .iter_mut()
            .filter_map(Value::as_object_mut)
            .for_each(|each| parameter(each, &components.containers));
    }
    if let Some(body) = operation.get_mut("requestBody") {
        content(body, components);
    }
    if let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) {
        for (status, each) in responses.iter_mut() {
            response(status, each, components);
        }
    }
    security(operation);
    if let Some(samples) = operation.get("x-code-samples").cloned() {
        schema::replace(operation, "x-code-samples", "x-codeSamples", samples);
    }
}

/// Whether values of this schema have parts, so that `explode` matters.
fn is_container(schema: &Value) -> bool {
    matches!(schema.get("type").and_then(Value::as_str), Some("array" | "object"))
}

/// An open operation says so; the schemes of one requirement come from a hash map and are put in a fixed order.
fn security(operation: &mut Map<String, Value>) {
    let Some(requirements) = operation.get_mut("security").and_then(Value::as_array_mut) else {
        operation.insert("security".into(), json!([]));
        return;
    };
    requirements
        .iter_mut()
        .filter_map(Value::as_object_mut)
        .for_each(Map::sort_keys);
}

fn parameter(parameter: &mut Map<String, Value>, containers: &BTreeSet<String>) {
    // The default `explode`: true for the style form (query, cookie), false for simple (path, header).
    let form = matches!(parameter.get("in").and_then(Value::as_str), Some("query" | "cookie"));
    let is_default = parameter.get("explode") == Some(&Value::Bool(form));
    let of_parts = parameter
        .get("schema")
        .is_some_and(|schema| has_parts(schema, containers));
    if is_default || !of_parts {
        parameter.shift_remove("explode");
    }
    described_schema(parameter);
}

fn has_parts(schema: &Value, containers: &BTreeSet<String>) -> bool {
    let all_of = schema.get("allOf").and_then(Value::as_array).into_iter().flatten();
    let mut references = all_of
        .chain([schema])
        .filter_map(|part| part.get("$ref").and_then(Value::as_str));
    is_container(schema)
        || references.any(|target| target.rsplit('/').next().is_some_and(|name| containers.contains(name)))
}

/// What parameters and headers share.
fn described_schema(map: &mut Map<String, Value>) {
    if map.get("deprecated") == Some(&Value::Bool(false)) {
        map.shift_remove("deprecated");
    }
    if let Some(schema) = map.get_mut("schema") {
        schema::upgrade(schema);
    }
}

fn response(status: &str, response: &mut Value, components: &Components) {
    content(response, components);
    let Some(response) = response.as_object_mut() else {
        return;
    };
    if response
        .get("description")
        .is_none_or(|text| text.as_str().is_some_and(str::is_empty))
    {
        response.insert("description".into(), reason(status).into());
    }
    if let Some(headers) = response.get_mut("headers").and_then(Value::as_object_mut) {
        *headers = mem::take(headers)
            .into_iter()
            .map(|(name, header)| (header_name(&name), header))
            .collect();
        headers
            .values_mut()
            .filter_map(Value::as_object_mut)
            .for_each(described_schema);
    }
}

/// Media types lose their parameters: generators compare the whole key with `application/json`.
fn content(holder: &mut Value, components: &Components) {
    let Some(content) = holder.get_mut("content").and_then(Value::as_object_mut) else {
        return;
    };
    let mut out = Map::new();
    for (key, mut media) in mem::take(content) {
        let essence = key.split(';').next().unwrap_or(&key).trim();
        if let Some(schema) = media.get_mut("schema") {
            if essence == "text/event-stream" {
                event_stream(schema, components);
            }
            schema::upgrade(schema);
        }
        if !out.contains_key(essence) {
            out.insert(essence.to_owned(), media);
        }
    }
    *content = out;
}

/// An event stream is text, not the array that poem-openapi prints; the shape of one event stays as an extension. It is
/// written out, because validators do not look into extensions and would find what only it refers to unused.
fn event_stream(schema: &mut Value, components: &Components) {
    let mut item = schema.get("items").cloned().unwrap_or_else(|| json!({}));
    schema::write_out(&mut item, &components.schemas, &mut Vec::new());
    *schema = json!({
        "type": "string",
        "description": "Server-sent events; the data of each is one JSON value.",
        "x-itemSchema": item,
    });
}

/// `LOCATION` as `Location`: poem-openapi prints response headers in capitals.
fn header_name(name: &str) -> String {
    let word = |word: &str| match word.to_ascii_lowercase().as_str() {
        "etag" => "ETag".to_owned(),
        "ratelimit" => "RateLimit".to_owned(),
        "www" => "WWW".to_owned(),
        lower => {
            let mut letters = lower.chars();
            letters
                .next()
                .map(|first| format!("{}{}", first.to_ascii_uppercase(), letters.as_str()))
                .unwrap_or_default()
        }
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}

/// The reason phrase of a status. Source: RFC 9110 §15, RFC 6585.
fn reason(status: &str) -> &'static str {
    match status {
        "200" => "OK",
        "201" => "Created",
        "202" => "Accepted",
        "204" => "No Content",
        "206" => "Partial Content",
        "301" => "Moved Permanently",
        "302" => "Found",
        "303" => "See Other",
        "304" => "Not Modified",
        "307" => "Temporary Redirect",
        "308" => "Permanent Redirect",
        "400" => "Bad Request",
        "401" => "Unauthorized",
        "402" => "Payment Required",
        "403" => "Forbidden",
        "404" => "Not Found",
        "405" => "Method Not Allowed",
        "406" => "Not Acceptable",
        "408" => "Request Timeout",
        "409" => "Conflict",
        "410" => "Gone",
        "412" => "Precondition Failed",
        "413" => "Content Too Large",
        "415" => "Unsupported Media Type",
        "422" => "Unprocessable Content",
        "428" => "Precondition Required",
        "429" => "Too Many Requests",
        "431" => "Request Header Fields Too Large",
        "500" => "Internal Server Error",
        "501" => "Not Implemented",
        "503" => "Service Unavailable",
        "507" => "Insufficient Storage",
        // A range or one that we do not send.
        _ => "Response",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upgraded(operation: &Value) -> Value {
        let mut operation = operation.as_object().unwrap().clone();
        let labels = json!({"Labels": {"type": "object"}});
        upgrade(&mut operation, &Components::new(labels.as_object().unwrap().clone()));
        operation.into()
    }

    fn parameter_of(parameter: &Value) -> Value {
        upgraded(&json!({"parameters": [parameter]}))["parameters"][0].clone()
    }

    fn response_of(status: &str, response: &Value) -> Value {
        upgraded(&json!({"responses": {status: response}}))["responses"][status].clone()
    }

    #[test]
    fn noise_of_parameters_goes() {
        for (place, explode) in [("query", true), ("path", true), ("path", false), ("query", false)] {
            let before = json!({"in": place, "deprecated": false, "explode": explode, "schema": {"type": "string"}});
            assert_eq!(
                parameter_of(&before),
                json!({"in": place, "schema": {"type": "string"}})
            );
        }
    }

    #[test]
    fn explode_stays_where_it_means_something() {
        for schema in [
            json!({"type": "array", "items": {"type": "string"}}),
            json!({"$ref": "#/components/schemas/Labels"}),
        ] {
            let kept = json!({"in": "query", "explode": false, "deprecated": true, "schema": schema});
            assert_eq!(parameter_of(&kept), kept);
            let default = json!({"in": "query", "explode": true, "schema": schema});
            assert_eq!(parameter_of(&default), json!({"in": "query", "schema": schema}));
        }
        let scalar = json!({"in": "path", "explode": true, "schema": {"$ref": "#/components/schemas/Slug"}});
        assert!(parameter_of(&scalar).get("explode").is_none());
    }

    #[test]
    fn schemas_of_parameters_and_headers_are_upgraded() {
        let nullable = json!({"type": "string", "nullable": true});
        let parameter = parameter_of(&json!({"in": "query", "schema": nullable}));
        assert_eq!(parameter["schema"]["type"], json!(["string", "null"]));
        let response = response_of(
            "200",
            &json!({"headers": {"A": {"deprecated": false, "schema": nullable}}}),
        );
        assert_eq!(
            response["headers"]["A"],
            json!({"schema": {"type": ["string", "null"]}})
        );
    }

    #[test]
    fn media_types_lose_their_parameters() {
        let schema = json!({"type": "string", "format": "bytes"});
        let body = json!({"content": {"application/json; charset=utf-8": {"schema": schema}}});
        let after =
            json!({"content": {"application/json": {"schema": {"type": "string", "contentEncoding": "base64"}}}});
        let operation = upgraded(&json!({"requestBody": body, "responses": {"200": body}}));
        assert_eq!(operation["requestBody"], after);
        assert_eq!(operation["responses"]["200"]["content"], after["content"]);
    }

    #[test]
    fn header_names_get_their_usual_spelling() {
        let headers =
            json!({"LOCATION": {}, "WWW-AUTHENTICATE": {}, "ETAG": {}, "X-RATELIMIT-RESET": {}, "X-REQUEST-ID": {}});
        let response = response_of("201", &json!({"description": "d", "headers": headers}));
        let names: Vec<_> = response["headers"].as_object().unwrap().keys().collect();
        assert_eq!(
            names,
            [
                "Location",
                "WWW-Authenticate",
                "ETag",
                "X-RateLimit-Reset",
                "X-Request-Id"
            ]
        );
    }

    #[test]
    fn empty_descriptions_become_the_reason() {
        assert_eq!(
            response_of("404", &json!({"description": ""}))["description"],
            "Not Found"
        );
        assert_eq!(response_of("4XX", &json!({}))["description"], "Response");
        assert_eq!(
            response_of("404", &json!({"description": "gone"}))["description"],
            "gone"
        );
    }

    #[test]
    fn security_is_always_said_and_stable() {
        assert_eq!(upgraded(&json!({}))["security"], json!([]));
        let operation = upgraded(&json!({"security": [{"b": [], "a": []}, {"c": []}]}));
        assert_eq!(operation["security"].to_string(), r#"[{"a":[],"b":[]},{"c":[]}]"#);
    }

    #[test]
    fn event_streams_are_text() {
        let item = json!({"type": "integer", "format": "uint32"});
        let before = json!({"content": {"text/event-stream": {"schema": {"type": "array", "items": item}}}});
        let schema = response_of("200", &before)["content"]["text/event-stream"]["schema"].clone();
        assert_eq!(schema["type"], "string");
        assert_eq!(
            schema["x-itemSchema"],
            json!({"type": "integer", "format": "uint32", "minimum": 0})
        );
        assert!(schema.get("items").is_none());
    }

    #[test]
    fn code_samples_get_their_usual_name() {
        let operation = upgraded(&json!({"x-code-samples": [{"lang": "curl"}], "operationId": "a_b"}));
        assert_eq!(operation["x-codeSamples"][0]["lang"], "curl");
        assert!(operation.get("x-code-samples").is_none());
    }
}

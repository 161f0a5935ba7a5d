//! Leaves out component schemas that nothing reaches: poem-openapi registers every type that it meets on the way.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

const SCHEMAS: &str = "#/components/schemas/";

/// Removes the schemas that no path, webhook or kept schema refers to.
pub fn unused_schemas(document: &mut Map<String, Value>) {
    let mut used = BTreeSet::new();
    let mut waiting = Vec::new();
    document
        .iter()
        .filter(|(key, _)| *key != "components")
        .for_each(|(_, part)| references(part, &mut waiting));
    let components = document.get("components").and_then(Value::as_object);
    let others = components.into_iter().flatten().filter(|(key, _)| *key != "schemas");
    others.for_each(|(_, part)| references(part, &mut waiting));
    let schemas = components.and_then(|components| components.get("schemas"));
    while let Some(name) = waiting.pop() {
        if let Some(schema) = schemas.and_then(|schemas| schemas.get(&name))
            && used.insert(name)
        {
            references(schema, &mut waiting);
        }
    }
    let schemas = document
        .get_mut("components")
        .and_then(|components| components.get_mut("schemas"));
    if let Some(Value::Object(schemas)) = schemas {
        schemas.retain(|name, _| used.contains(name));
    }
}

/// Collects the schema names that `value` refers to, by `$ref` or by the mapping of a discriminator.
fn references(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            let mapping = map
                .get("mapping")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .map(|(_, target)| target);
            let targets = mapping.chain(map.get("$ref")).filter_map(Value::as_str);
            names.extend(
                targets
                    .filter_map(|target| target.strip_prefix(SCHEMAS))
                    .map(str::to_owned),
            );
            map.values().for_each(|child| references(child, names));
        }
        Value::Array(items) => items.iter().for_each(|child| references(child, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keeps_what_is_reached_and_its_order() {
        let mut document = json!({
            "paths": {"/a": {"get": {"schema": {"$ref": "#/components/schemas/Z"}}}},
            "components": {"schemas": {
                "Unused": {"$ref": "#/components/schemas/OnlyByUnused"},
                "Z": {"discriminator": {"mapping": {"m": "#/components/schemas/M"}}},
                "OnlyByUnused": {},
                "M": {"items": {"$ref": "#/components/schemas/B"}},
                "B": {"properties": {"self": {"$ref": "#/components/schemas/B"}}},
            }},
        });
        unused_schemas(document.as_object_mut().unwrap());
        let names: Vec<_> = document["components"]["schemas"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["Z", "M", "B"]);
    }
}

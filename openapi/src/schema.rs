//! One Schema Object, from the 3.0 dialect to JSON Schema 2020-12.

use std::mem;

use serde_json::{Map, Value, json};

/// Keywords that hold one schema. `x-itemSchema` is ours: the item of an event stream.
pub const SINGLE: [&str; 4] = ["items", "additionalProperties", "not", "x-itemSchema"];

/// Keywords that hold a list of schemas.
pub const LISTS: [&str; 3] = ["allOf", "anyOf", "oneOf"];

/// Upgrades a schema and everything inside it, in place. References are left as they are.
pub fn upgrade(schema: &mut Value) {
    let Some(map) = schema.as_object_mut() else { return };
    // Before anything is rewritten: it compares 3.0 keys with their copies.
    collapse_documented_reference(map);
    for key in SINGLE {
        if let Some(child) = map.get_mut(key) {
            upgrade(child);
        }
    }
    for key in LISTS {
        if let Some(children) = map.get_mut(key).and_then(Value::as_array_mut) {
            children.iter_mut().for_each(upgrade);
        }
    }
    if let Some(properties) = map.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(upgrade);
    }
    drop_object_type_of_union(map);
    exclusive_bound(map, "exclusiveMinimum", "minimum");
    exclusive_bound(map, "exclusiveMaximum", "maximum");
    example_to_examples(map);
    formats(map);
    if map.get("multipleOf") == Some(&json!(1)) && map.get("type") == Some(&json!("integer")) {
        map.shift_remove("multipleOf");
    }
    nullable(map);
    single_value_to_const(map);
}

/// Where references to component schemas point.
const COMPONENT: &str = "#/components/schemas/";

/// Puts component schemas in the place of the references to them. `inside` are the names of those that `value` is part
/// of: one that is part of itself is not written out for ever, it may hold anything there.
pub fn write_out(value: &mut Value, schemas: &Map<String, Value>, inside: &mut Vec<String>) {
    let reference = value.get("$ref").and_then(Value::as_str);
    if let Some(name) = reference.and_then(|target| target.strip_prefix(COMPONENT)) {
        let name = name.to_owned();
        let known = schemas.get(&name).filter(|_| !inside.contains(&name));
        *value = known.cloned().unwrap_or_else(|| json!({}));
        inside.push(name);
        write_out_parts(value, schemas, inside);
        inside.pop();
    } else {
        write_out_parts(value, schemas, inside);
    }
}

fn write_out_parts(value: &mut Value, schemas: &Map<String, Value>, inside: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.values_mut().for_each(|part| write_out(part, schemas, inside)),
        Value::Array(parts) => parts.iter_mut().for_each(|part| write_out(part, schemas, inside)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Puts `value` under `to` where `from` stood, so that the author's order stays.
pub fn replace(map: &mut Map<String, Value>, from: &str, to: &str, value: Value) {
    let mut value = Some(value);
    *map = mem::take(map)
        .into_iter()
        .filter_map(|(key, old)| {
            if key == from {
                value.take().map(|new| (to.to_owned(), new))
            } else {
                Some((key, old))
            }
        })
        .collect();
}

/// `allOf: [{$ref}, {notes}]` with the notes repeated beside it: in 3.1 a `$ref` may have siblings.
fn collapse_documented_reference(map: &mut Map<String, Value>) {
    let Some([reference, notes]) = map.get("allOf").and_then(Value::as_array).map(Vec::as_slice) else {
        return;
    };
    let (Some(reference), Some(notes)) = (reference.as_object(), notes.as_object()) else {
        return;
    };
    let (1, Some(target)) = (reference.len(), reference.get("$ref").cloned()) else {
        return;
    };
    if notes.iter().all(|(key, note)| map.get(key) == Some(note)) {
        replace(map, "allOf", "$ref", target);
    }
}

/// poem-openapi prints `type: object` on every union; one of string and integer would accept nothing.
fn drop_object_type_of_union(map: &mut Map<String, Value>) {
    let union = map.contains_key("oneOf") || map.contains_key("anyOf");
    if union && map.get("type") == Some(&json!("object")) && !map.contains_key("properties") {
        map.shift_remove("type");
    }
}

/// A boolean beside the bound becomes the bound itself.
fn exclusive_bound(map: &mut Map<String, Value>, exclusive: &str, bound: &str) {
    match map.get(exclusive) {
        Some(Value::Bool(true)) => {
            map.shift_remove(exclusive);
            if let Some(limit) = map.get(bound).cloned() {
                replace(map, bound, exclusive, limit);
            }
        }
        Some(Value::Bool(false)) => {
            map.shift_remove(exclusive);
        }
        Some(_) | None => {}
    }
}

/// `example` becomes `examples`, unless it lacks a required property: poem-openapi leaves write-only ones out.
fn example_to_examples(map: &mut Map<String, Value>) {
    let Some(example) = map.get("example").cloned() else {
        return;
    };
    let incomplete = example.as_object().is_some_and(|example| {
        let required = map.get("required").and_then(Value::as_array).into_iter().flatten();
        required
            .filter_map(Value::as_str)
            .any(|name| !example.contains_key(name))
    });
    if incomplete {
        map.shift_remove("example");
    } else {
        replace(map, "example", "examples", json!([example]));
    }
}

/// `bytes` is base64; unsigned integers start at zero. `binary` stays beside its 3.1 spelling: generators key on it.
fn formats(map: &mut Map<String, Value>) {
    match map.get("format").and_then(Value::as_str) {
        Some("byte" | "bytes") => replace(map, "format", "contentEncoding", "base64".into()),
        Some("binary") => {
            map.insert("contentMediaType".into(), "application/octet-stream".into());
        }
        Some("uint8" | "uint16" | "uint32" | "uint64")
            if !map.contains_key("minimum") && !map.contains_key("exclusiveMinimum") =>
        {
            map.insert("minimum".into(), 0.into());
        }
        Some(_) | None => {}
    }
}

/// `nullable` becomes the type `null`, and a null default goes where null is no value.
fn nullable(map: &mut Map<String, Value>) {
    let nullable = map.shift_remove("nullable") == Some(Value::Bool(true));
    if !nullable {
        // `#[oai(default)]` on an `Option` prints it.
        if map.get("default") == Some(&Value::Null) {
            map.shift_remove("default");
        }
        return;
    }
    let nothing = json!({"type": "null"});
    if let Some(target) = map.get("$ref").cloned() {
        replace(map, "$ref", "anyOf", json!([{"$ref": target}, nothing]));
    } else if let Some(kind) = map.get("type").cloned() {
        map.insert("type".into(), json!([kind, "null"]));
        if let Some(values) = map.get_mut("enum").and_then(Value::as_array_mut) {
            values.push(Value::Null);
        }
    } else if let Some(choices) = ["anyOf", "oneOf"].into_iter().find(|key| map.contains_key(*key)) {
        if let Some(choices) = map.get_mut(choices).and_then(Value::as_array_mut) {
            choices.push(nothing);
        }
    } else if let Some(all) = map.get("allOf").cloned() {
        replace(map, "allOf", "anyOf", json!([{"allOf": all}, nothing]));
    }
}

fn single_value_to_const(map: &mut Map<String, Value>) {
    if let Some([only]) = map.get("enum").and_then(Value::as_array).map(Vec::as_slice) {
        let only = only.clone();
        map.shift_remove("examples");
        replace(map, "enum", "const", only);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The schema after its upgrade, as text: order counts.
    fn upgraded(mut schema: Value) -> String {
        upgrade(&mut schema);
        schema.to_string()
    }

    #[track_caller]
    fn check(before: Value, after: &Value) {
        assert_eq!(upgraded(before), after.to_string());
    }

    #[test]
    fn references_are_written_out_and_circles_end() {
        let schemas = json!({
            "A": {"type": "object", "properties": {"b": {"$ref": "#/components/schemas/B"}, "n": {"type": "integer"}}},
            "B": {"type": "array", "items": {"allOf": [{"$ref": "#/components/schemas/A"}, {"description": "d"}]}},
        });
        let mut schema =
            json!({"items": {"$ref": "#/components/schemas/A"}, "x": {"$ref": "#/components/schemas/Gone"}});
        write_out(&mut schema, schemas.as_object().unwrap(), &mut Vec::new());
        let b = json!({"type": "array", "items": {"allOf": [{}, {"description": "d"}]}});
        let a = json!({"type": "object", "properties": {"b": b, "n": {"type": "integer"}}});
        assert_eq!(schema, json!({"items": a, "x": {}}));
    }

    #[test]
    fn nullable_becomes_a_type() {
        check(
            json!({"type": "string", "nullable": true}),
            &json!({"type": ["string", "null"]}),
        );
        check(json!({"type": "string", "nullable": false}), &json!({"type": "string"}));
        check(
            json!({"type": "string", "enum": ["a", "b"], "nullable": true}),
            &json!({"type": ["string", "null"], "enum": ["a", "b", null]}),
        );
        check(
            json!({"type": "object", "oneOf": [{"type": "string"}], "nullable": true}),
            &json!({"oneOf": [{"type": "string"}, {"type": "null"}]}),
        );
        check(
            json!({"allOf": [{"type": "object"}, {"$ref": "#/a"}], "nullable": true}),
            &json!({"anyOf": [{"allOf": [{"type": "object"}, {"$ref": "#/a"}]}, {"type": "null"}]}),
        );
    }

    #[test]
    fn nullable_reference_becomes_a_choice() {
        let notes = json!({"description": "d", "nullable": true, "example": "x"});
        let mut before = notes.clone();
        before["allOf"] = json!([{"$ref": "#/a"}, notes]);
        check(
            before,
            &json!({"description": "d", "examples": ["x"], "anyOf": [{"$ref": "#/a"}, {"type": "null"}]}),
        );
    }

    #[test]
    fn boolean_exclusive_bounds_become_numbers() {
        check(
            json!({"type": "number", "minimum": 0, "exclusiveMinimum": true, "maximum": 9, "exclusiveMaximum": true}),
            &json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 9}),
        );
        check(json!({"maximum": 9, "exclusiveMaximum": false}), &json!({"maximum": 9}));
        check(json!({"exclusiveMinimum": true}), &json!({}));
    }

    #[test]
    fn example_becomes_examples() {
        check(
            json!({"example": "acme", "type": "string"}),
            &json!({"examples": ["acme"], "type": "string"}),
        );
    }

    #[test]
    fn example_without_a_required_property_is_dropped() {
        let schema = json!({"type": "object", "required": ["email", "password"]});
        let mut before = schema.clone();
        before["example"] = json!({"email": "dana@example.com"});
        check(before, &schema);
    }

    #[test]
    fn documented_reference_keeps_its_notes_beside_it() {
        check(
            json!({"description": "d", "default": "x", "allOf": [{"$ref": "#/a"}, {"description": "d", "default": "x"}]}),
            &json!({"description": "d", "default": "x", "$ref": "#/a"}),
        );
    }

    #[test]
    fn a_real_intersection_stays() {
        let schema = json!({"allOf": [{"$ref": "#/a"}, {"type": "object", "required": ["kind"]}]});
        check(schema.clone(), &schema);
    }

    #[test]
    fn union_loses_its_object_type() {
        check(
            json!({"type": "object", "anyOf": [{"type": "string"}]}),
            &json!({"anyOf": [{"type": "string"}]}),
        );
        let with_properties = json!({"type": "object", "oneOf": [{"$ref": "#/a"}], "properties": {"kind": {}}});
        check(with_properties.clone(), &with_properties);
    }

    #[test]
    fn single_value_becomes_const() {
        check(
            json!({"type": "string", "enum": ["a"], "example": "a"}),
            &json!({"type": "string", "const": "a"}),
        );
        check(
            json!({"type": "string", "enum": ["a"], "nullable": true}),
            &json!({"type": ["string", "null"], "enum": ["a", null]}),
        );
    }

    #[test]
    fn base64_and_binary_name_their_content() {
        check(
            json!({"type": "string", "format": "bytes"}),
            &json!({"type": "string", "contentEncoding": "base64"}),
        );
        check(
            json!({"type": "string", "format": "binary"}),
            &json!({"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}),
        );
    }

    #[test]
    fn unsigned_integers_start_at_zero() {
        check(
            json!({"type": "integer", "format": "uint64"}),
            &json!({"type": "integer", "format": "uint64", "minimum": 0}),
        );
        check(
            json!({"type": "integer", "format": "uint8", "minimum": 1, "multipleOf": 1}),
            &json!({"type": "integer", "format": "uint8", "minimum": 1}),
        );
    }

    #[test]
    fn null_default_goes_unless_null_is_a_value() {
        check(json!({"type": "string", "default": null}), &json!({"type": "string"}));
        check(
            json!({"type": "string", "default": null, "nullable": true}),
            &json!({"type": ["string", "null"], "default": null}),
        );
    }

    #[test]
    fn reaches_every_nested_schema() {
        let before = json!({"type": "string", "nullable": true});
        let after = json!({"type": ["string", "null"]});
        for key in SINGLE {
            check(json!({key: before.clone()}), &json!({key: after.clone()}));
        }
        for key in LISTS {
            check(json!({key: [before.clone()]}), &json!({key: [after.clone()]}));
        }
        check(
            json!({"properties": {"a": before}}),
            &json!({"properties": {"a": after}}),
        );
    }
}

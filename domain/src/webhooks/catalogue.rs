//! The catalogue of events: what each type that is delivered holds, as a JSON Schema and an example. The one source of
//! what receivers are promised; a test holds every body to it.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::facts::{Fact, Place, Shape, shape};
use crate::journal::{Action, public_id};
use crate::kernel::id::{EnvId, EventId, OrgId, ProjectId, UserId};

/// The dialect that the schemas are written in.
pub const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The id of everything in examples.
const EXAMPLE: Uuid = Uuid::from_u128(0x0192_8f3c_5d6e_7a1b_9c2d_3e4f_5061_7283);

/// A type of event that is delivered.
#[derive(Clone, Debug)]
pub struct EventType {
    pub name: &'static str,
    /// One sentence.
    pub description: &'static str,
    /// JSON Schema of the body, whole in itself.
    pub schema: Value,
    /// A body.
    pub example: Value,
}

/// Every type of event that is delivered, in the order of [`Action::ALL`].
pub fn event_types() -> Vec<EventType> {
    let entry = |action: &Action| {
        let shape = shape(*action)?;
        Some(EventType {
            name: action.as_str(),
            description: action.description(),
            schema: schema(*action, &shape),
            example: example(*action, &shape),
        })
    };
    Action::ALL.iter().filter_map(entry).collect()
}

/// An object of which every listed member is there. It stays open: members may be added.
fn object(description: &str, properties: Map<String, Value>) -> Map<String, Value> {
    let required: Vec<_> = properties.keys().cloned().collect();
    members([
        ("type", json!("object")),
        ("description", json!(description)),
        ("required", json!(required)),
        ("properties", Value::Object(properties)),
    ])
}

fn members<const N: usize>(list: [(&str, Value); N]) -> Map<String, Value> {
    list.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn schema(action: Action, shape: &Shape) -> Value {
    let body = members([
        (
            "id",
            json!({ "type": "string", "description": "Id of the event, in every attempt the same." }),
        ),
        (
            "type",
            json!({ "const": action.as_str(), "description": "Type of the event." }),
        ),
        (
            "timestamp",
            json!({ "type": "string", "format": "date-time", "description": "When it happened." }),
        ),
        (
            "seq",
            json!({ "type": "integer", "description": "Its number in the organisation: the feed's `after`." }),
        ),
        (
            "org_id",
            json!({ "type": "string", "description": "Id of the organisation." }),
        ),
        ("data", data_schema(shape)),
    ]);
    let mut schema = members([("$schema", json!(DIALECT)), ("title", json!(action.as_str()))]);
    schema.extend(object(action.description(), body));
    schema.into()
}

fn data_schema(shape: &Shape) -> Value {
    let Shape {
        place,
        resources,
        has_keys: _,
        facts,
    } = shape;
    let common = members([
        (
            "project",
            json!({ "type": place.project_type(), "description": "Id of the project; null for none." }),
        ),
        (
            "environment",
            json!({ "type": place.environment_type("string"), "description": "Id of the environment; null for none." }),
        ),
        (
            "revision",
            json!({ "type": place.environment_type("integer"), "description": "The environment's revision." }),
        ),
        ("keys", keys_schema()),
        ("resource", resource_schema(resources)),
        ("actor", actor_schema()),
    ]);
    let mut data = object("What happened where.", common);
    for fact in *facts {
        add_fact(&mut data, fact);
    }
    data.into()
}

fn add_fact(data: &mut Map<String, Value>, fact: &Fact) {
    let mut schema = fact.kind.schema();
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("description".to_owned(), json!(fact.description));
    }
    if let Some(properties) = data.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert(fact.name.to_owned(), schema);
    }
    if let (true, Some(required)) = (fact.is_always, data.get_mut("required").and_then(Value::as_array_mut)) {
        required.push(json!(fact.name));
    }
}

fn keys_schema() -> Value {
    let key = members([
        (
            "key",
            json!({ "type": "string", "description": "The key; its hash for a webhook with `hash_key_names`." }),
        ),
        (
            "version",
            json!({ "type": "integer", "description": "Number of its version after the event." }),
        ),
    ]);
    json!({
        "type": "array", "description": "The secrets that changed, never their values; empty when none did.",
        "items": object("A secret.", key),
    })
}

fn resource_schema(resources: &[&str]) -> Value {
    let resource = members([
        (
            "type",
            json!({ "type": "string", "enum": resources, "description": "What kind of thing it is." }),
        ),
        ("id", json!({ "type": "string", "description": "Its id." })),
    ]);
    object("What it happened to.", resource).into()
}

fn actor_schema() -> Value {
    let actor = members([
        (
            "type",
            json!({ "type": "string", "enum": ["user", "service_account", "superuser", "system"], "description": "Who that is." }),
        ),
        (
            "id",
            json!({ "type": ["string", "null"], "description": "Id of the account; null for the system." }),
        ),
    ]);
    object("Who did it.", actor).into()
}

fn example(action: Action, shape: &Shape) -> Value {
    let Shape {
        place,
        resources,
        has_keys,
        facts,
    } = shape;
    let is_in_env = *place == Place::Environment;
    let keys = if *has_keys {
        json!([{ "key": "DB_URL", "version": 4 }])
    } else {
        json!([])
    };
    let resource = resources.first().copied().unwrap_or_default();
    let mut data = members([
        ("project", json!((*place != Place::Org).then_some(ProjectId(EXAMPLE)))),
        ("environment", json!(is_in_env.then_some(EnvId(EXAMPLE)))),
        ("revision", json!(is_in_env.then_some(17))),
        ("keys", keys),
        (
            "resource",
            json!({ "type": resource, "id": public_id(resource, EXAMPLE) }),
        ),
        ("actor", json!({ "type": "user", "id": UserId(EXAMPLE) })),
    ]);
    data.extend(facts.iter().map(|fact| (fact.name.to_owned(), fact.kind.example())));
    json!({
        "id": EventId(EXAMPLE),
        "type": action.as_str(),
        "timestamp": "2030-01-02T03:04:05.678Z",
        "seq": 4711,
        "org_id": OrgId(EXAMPLE),
        "data": data,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_is_delivered_is_in_the_catalogue_and_nothing_else() {
        for action in Action::ALL {
            assert_eq!(shape(*action).is_some(), action.is_deliverable(), "{}", action.as_str());
        }
    }

    #[test]
    fn no_fact_hides_another() {
        for action in Action::ALL {
            let Some(Shape { facts, .. }) = shape(*action) else {
                continue;
            };
            let mut names = BTreeSet::from([
                "project",
                "environment",
                "revision",
                "keys",
                "resource",
                "actor",
                "webhook_id",
            ]);
            for fact in facts {
                assert!(names.insert(fact.name), "{}: {}", action.as_str(), fact.name);
                assert!(!fact.description.is_empty(), "{}: {}", action.as_str(), fact.name);
            }
        }
    }

    #[test]
    fn a_schema_asks_for_what_is_always_there() {
        let types = event_types();
        let one = |name: &str| types.iter().find(|each| each.name == name).unwrap().clone();
        let updated = one("secret.updated");
        assert_eq!(updated.schema["$schema"], DIALECT);
        assert_eq!(updated.schema["properties"]["type"]["const"], "secret.updated");
        let data = &updated.schema["properties"]["data"];
        let common = ["project", "environment", "revision", "keys", "resource", "actor"];
        assert_eq!(data["required"], json!(common), "{data}");
        assert_eq!(data["properties"]["project"]["type"], "string");
        assert_eq!(data["properties"]["renamed_from"]["type"], "string");
        let created = one("org.created");
        let required = created.schema["properties"]["data"]["required"].to_string();
        assert!(required.contains("\"slug\""), "{required}");
        assert_eq!(
            created.schema["properties"]["data"]["properties"]["project"]["type"],
            "null"
        );
        assert_eq!(created.example["data"]["project"], Value::Null);
    }
}

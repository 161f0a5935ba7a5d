//! The body of a delivery. It is built from the journal's row and the endpoint's options alone, so every attempt sends the
//! same bytes. It names keys and versions and never carries a value. For endpoints that are not to learn the names of
//! keys it has their hashes instead, and leaves out patterns over them.

use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::Sha256;

use crate::journal::entity::event;
use crate::kernel::id::{EnvId, EventId, OrgId, ProjectId};
use crate::kernel::{Error, Result, Secret, Timestamp};

/// Who did it.
#[derive(Serialize)]
struct Actor<'a> {
    r#type: &'a str,
    id: Option<String>,
}

#[derive(Serialize)]
struct Data<'a> {
    project: Option<ProjectId>,
    environment: Option<EnvId>,
    revision: Option<i64>,
    keys: Vec<Value>,
    actor: Actor<'a>,
    #[serde(flatten)]
    facts: Map<String, Value>,
}

#[derive(Serialize)]
struct Body<'a> {
    id: EventId,
    r#type: &'a str,
    timestamp: Timestamp,
    seq: i64,
    org_id: OrgId,
    data: Data<'a>,
}

/// Facts of a row that stay inside: digests and ids of rows mean nothing to a receiver, and slugs are in the ids.
const INTERNAL: [&str; 4] = ["keys", "project", "environment", "webhook_id"];

/// Facts that name keys: one by its name, or many by a pattern.
const KEY: &str = "key";
const PATTERN: &str = "pattern";

/// The body for an event. With `names` keys are named by their hashes under it.
///
/// # Errors
/// [`Error::Internal`] when the row is stored wrongly.
pub fn body(row: &event::Model, names: Option<&Secret<Vec<u8>>>) -> Result<Vec<u8>> {
    let mut facts: Map<String, Value> =
        serde_json::from_str(&row.data).map_err(|_| Error::internal(format!("event {} is stored wrongly", row.id)))?;
    let keys = match facts.get("keys") {
        Some(Value::Array(changes)) => changes.iter().map(|change| public_key(change, names)).collect(),
        _ => Vec::new(),
    };
    for name in INTERNAL {
        facts.remove(name);
    }
    if names.is_some() {
        facts.remove(PATTERN);
        if let Some(key) = facts.get_mut(KEY) {
            *key = public_name(Some(&*key), names);
        }
    }
    let body = Body {
        id: row.id,
        r#type: &row.action,
        timestamp: row.at,
        seq: row.seq,
        org_id: OrgId(row.ledger_id),
        data: Data {
            project: row.project_id,
            environment: row.environment_id,
            revision: row.revision,
            keys,
            actor: Actor {
                r#type: &row.actor_type,
                id: actor_id(row),
            },
            facts,
        },
    };
    serde_json::to_vec(&body).map_err(|e| Error::internal(format!("event {}: {e}", row.id)))
}

fn public_key(change: &Value, names: Option<&Secret<Vec<u8>>>) -> Value {
    json!({ "key": public_name(change.get(KEY), names), "version": change.get("version") })
}

/// The name of a key as the endpoint gets it.
fn public_name(key: Option<&Value>, names: Option<&Secret<Vec<u8>>>) -> Value {
    match (key.and_then(Value::as_str), names) {
        (Some(key), Some(names)) => hashed(key, names).into(),
        (Some(key), None) => key.into(),
        (None, _) => Value::Null,
    }
}

/// HMAC-SHA256 of a name, hex.
fn hashed(key: &str, names: &Secret<Vec<u8>>) -> Option<String> {
    // HMAC takes keys of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(names.expose()).ok()?;
    mac.update(key.as_bytes());
    Some(hex::encode(mac.finalize().into_bytes()))
}

/// The actor's id in its public form.
pub fn actor_id(row: &event::Model) -> Option<String> {
    use crate::kernel::id::{ServiceAccountId, UserId};
    let id = row.actor_id?;
    match row.actor_type.as_str() {
        "user" => Some(UserId(id).to_string()),
        "service_account" => Some(ServiceAccountId(id).to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn row(data: &Value) -> event::Model {
        event::Model {
            ledger_id: Uuid::nil(),
            seq: 7,
            id: EventId(Uuid::nil()),
            at: Timestamp(0),
            action: "secret.created".to_owned(),
            actor_type: "system".to_owned(),
            actor_id: None,
            actor_label: None,
            credential_id: None,
            target_type: "secret".to_owned(),
            target_id: None,
            project_id: None,
            environment_id: None,
            revision: None,
            data: data.to_string(),
            ip: None,
            user_agent: None,
            request_id: None,
            prev_hash: Vec::new(),
            hash: Vec::new(),
        }
    }

    fn data(row: &event::Model, names: Option<&Secret<Vec<u8>>>) -> Value {
        let body: Value = serde_json::from_slice(&body(row, names).unwrap()).unwrap();
        body["data"].clone()
    }

    #[test]
    fn names_of_keys_are_hashed_wherever_they_stand() {
        let row =
            row(&json!({ "keys": [{ "key": "DB_URL", "version": 2 }], "key": "DB_URL", "pattern": "web/*/DB_URL" }));
        let plain = data(&row, None);
        assert_eq!(plain["keys"], json!([{ "key": "DB_URL", "version": 2 }]));
        assert_eq!(
            (&plain["key"], &plain["pattern"]),
            (&json!("DB_URL"), &json!("web/*/DB_URL"))
        );
        let hashed = data(&row, Some(&Secret::new(b"key".to_vec())));
        // printf DB_URL | openssl dgst -sha256 -hmac key
        let hash = "1b7158ab67e7b96dfecea31ddc619fd1535a309be21a24d443f92421b69600f1";
        assert_eq!(hashed["keys"], json!([{ "key": hash, "version": 2 }]));
        assert_eq!((&hashed["key"], hashed.get("pattern")), (&json!(hash), None));
    }
}

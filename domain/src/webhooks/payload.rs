//! An event as it is told to others: the body of a delivery, and an entry of the feed. It is built from the journal's
//! row and, for a delivery, the endpoint's options alone, so every attempt sends the same bytes. It names keys and
//! versions and never carries a value. For endpoints that are not to learn the names of keys a delivery has their hashes
//! instead, and leaves out patterns over them.

use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::Sha256;

use crate::journal::entity::event;
use crate::journal::public_id;
use crate::kernel::id::{EventId, OrgId};
use crate::kernel::{Error, Result, Secret, Timestamp};

/// An event. What its `data` holds is in [`super::catalogue`].
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    pub id: EventId,
    #[serde(rename = "type")]
    pub kind: String,
    pub timestamp: Timestamp,
    pub seq: i64,
    pub org_id: OrgId,
    pub data: Map<String, Value>,
}

/// Facts of a row that stay inside: digests and ids of rows mean nothing to a receiver, and slugs are in the ids.
const INTERNAL: [&str; 4] = ["keys", "project", "environment", "webhook_id"];

/// Facts that are the name of a key.
const NAMES: [&str; 2] = ["key", "renamed_from"];

/// The fact that may name many keys.
const PATTERN: &str = "pattern";

/// The event that a row tells of.
///
/// # Errors
/// [`Error::Internal`] when the row is stored wrongly.
pub fn of_row(row: &event::Model) -> Result<Event> {
    let mut facts: Map<String, Value> =
        serde_json::from_str(&row.data).map_err(|_| Error::internal(format!("event {} is stored wrongly", row.id)))?;
    let keys: Vec<Value> = match facts.get("keys") {
        Some(Value::Array(changes)) => changes.iter().map(public_key).collect(),
        _ => Vec::new(),
    };
    for name in INTERNAL {
        facts.remove(name);
    }
    let resource_id = row.target_id.map(|id| public_id(&row.target_type, id));
    let mut data = Map::from_iter([
        ("project".to_owned(), json!(row.project_id)),
        ("environment".to_owned(), json!(row.environment_id)),
        ("revision".to_owned(), json!(row.revision)),
        ("keys".to_owned(), Value::Array(keys)),
        (
            "resource".to_owned(),
            json!({ "type": row.target_type, "id": resource_id }),
        ),
        (
            "actor".to_owned(),
            json!({ "type": row.actor_type, "id": actor_id(row) }),
        ),
    ]);
    data.extend(facts);
    Ok(Event {
        id: row.id,
        kind: row.action.clone(),
        timestamp: row.at,
        seq: row.seq,
        org_id: OrgId(row.ledger_id),
        data,
    })
}

/// The body of a delivery of the event. With `names` keys are named by their hashes under it.
///
/// # Errors
/// As [`of_row`].
pub fn body(row: &event::Model, names: Option<&Secret<Vec<u8>>>) -> Result<Vec<u8>> {
    let mut event = of_row(row)?;
    if let Some(names) = names {
        hide_names(&mut event.data, names)?;
    }
    serde_json::to_vec(&event).map_err(|e| Error::internal(format!("event {}: {e}", row.id)))
}

fn public_key(change: &Value) -> Value {
    json!({ "key": change.get("key"), "version": change.get("version") })
}

/// Puts hashes in the place of the names of keys, wherever they stand, and takes away what may name many.
fn hide_names(data: &mut Map<String, Value>, names: &Secret<Vec<u8>>) -> Result<()> {
    data.shift_remove(PATTERN);
    for fact in NAMES {
        if let Some(Value::String(key)) = data.get_mut(fact) {
            *key = hashed(key, names)?;
        }
    }
    if let Some(Value::Array(changes)) = data.get_mut("keys") {
        for change in changes {
            if let Some(Value::String(key)) = change.get_mut("key") {
                *key = hashed(key, names)?;
            }
        }
    }
    Ok(())
}

/// HMAC-SHA256 of a name, hex.
fn hashed(key: &str, names: &Secret<Vec<u8>>) -> Result<String> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(names.expose()).map_err(|_| Error::internal("HMAC takes keys of any length"))?;
    mac.update(key.as_bytes());
    Ok(hex::encode(mac.finalize().into_bytes()))
}

/// The actor's id in its public form.
pub fn actor_id(row: &event::Model) -> Option<String> {
    use crate::kernel::id::{RealmUserId, ServiceAccountId, UserId};
    let id = row.actor_id?;
    match row.actor_type.as_str() {
        "user" | "superuser" => Some(UserId(id).to_string()),
        "service_account" => Some(ServiceAccountId(id).to_string()),
        "realm_user" => Some(RealmUserId(id).to_string()),
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
        let keys = json!([{ "key": "DB_URL", "version": 2 }]);
        let row = row(
            &json!({ "keys": keys, "key": "DB_URL", "renamed_from": "DB_URL", "pattern": "web/*/DB_URL", "from": "dev" }),
        );
        let plain = data(&row, None);
        assert_eq!(plain["keys"], keys);
        assert_eq!(
            (&plain["key"], &plain["renamed_from"]),
            (&json!("DB_URL"), &json!("DB_URL"))
        );
        assert_eq!(plain["pattern"], "web/*/DB_URL");
        let hashed = data(&row, Some(&Secret::new(b"key".to_vec())));
        // printf DB_URL | openssl dgst -sha256 -hmac key
        let hash = "1b7158ab67e7b96dfecea31ddc619fd1535a309be21a24d443f92421b69600f1";
        assert_eq!(hashed["keys"], json!([{ "key": hash, "version": 2 }]));
        assert_eq!((&hashed["key"], &hashed["renamed_from"]), (&json!(hash), &json!(hash)));
        assert_eq!((hashed.get("pattern"), &hashed["from"]), (None, &json!("dev")));
    }

    #[test]
    fn the_feed_names_keys() {
        let told = of_row(&row(
            &json!({ "keys": [{ "key": "DB_URL", "version": 2, "digest": "00" }] }),
        ))
        .unwrap();
        assert_eq!(told.data["keys"], json!([{ "key": "DB_URL", "version": 2 }]));
    }
}

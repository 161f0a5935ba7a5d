//! An event as it is told to others: the body of a delivery, and an entry of the feed. It is built from the journal's
//! row alone, so every attempt sends the same bytes. It names keys and versions and never carries a value.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::journal::entity::event;
use crate::journal::public_id;
use crate::kernel::id::{EventId, OrgId};
use crate::kernel::{Error, Result, Timestamp};

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

/// The body of a delivery of the event.
///
/// # Errors
/// As [`of_row`].
pub fn body(row: &event::Model) -> Result<Vec<u8>> {
    serde_json::to_vec(&of_row(row)?).map_err(|e| Error::internal(format!("event {}: {e}", row.id)))
}

fn public_key(change: &Value) -> Value {
    json!({ "key": change.get("key"), "version": change.get("version") })
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

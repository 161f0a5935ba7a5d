//! The body of a delivery. It is built from the journal's row alone, so every attempt sends the same bytes. It names
//! keys and versions and never carries a value.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::journal::entity::event;
use crate::kernel::id::{EnvId, EventId, OrgId, ProjectId};
use crate::kernel::{Error, Result, Timestamp};

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

/// The body for an event.
///
/// # Errors
/// [`Error::Internal`] when the row is stored wrongly.
pub fn body(row: &event::Model) -> Result<Vec<u8>> {
    let mut facts: Map<String, Value> =
        serde_json::from_str(&row.data).map_err(|_| Error::internal(format!("event {} is stored wrongly", row.id)))?;
    let keys = match facts.get("keys") {
        Some(Value::Array(changes)) => changes.iter().map(public_key).collect(),
        _ => Vec::new(),
    };
    for name in INTERNAL {
        facts.remove(name);
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

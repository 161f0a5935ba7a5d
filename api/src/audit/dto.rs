//! Events as the audit log shows them.

use std::collections::BTreeMap;

use domain::journal::entity::event;
use domain::journal::{Anchor, Fault, Verification, public_id};
use domain::webhooks::payload::actor_id;
use poem_openapi::Object;
use serde_json::Value;

use crate::http::time::Time;

/// Who did it.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Actor {
    /// `user`, `service_account`, `realm_user` of the organisation's own application, `superuser` for a person
    /// who looks after the instance, or `system`.
    #[oai(rename = "type")]
    pub kind: String,
    /// Id of the account or service account; absent for the system.
    pub id: Option<String>,
    /// The person's address, or the service account's name, as it was then.
    pub email: Option<String>,
}

/// An event.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct AuditEvent {
    /// Id of the event: `evt_…`.
    pub id: String,
    /// Its number in the organisation, without gaps.
    pub seq: i64,
    /// When it happened.
    pub at: Time,
    /// Who did it.
    pub actor: Actor,
    /// What happened: `secret.updated`.
    pub action: String,
    /// What it happened to: `secret`.
    pub resource_type: String,
    /// Id of what it happened to.
    pub resource_id: Option<String>,
    /// Id of the project.
    pub project_id: Option<String>,
    /// Id of the environment.
    pub environment_id: Option<String>,
    /// The environment's revision.
    pub revision: Option<i64>,
    /// Facts of the event. Never a secret value.
    pub metadata: BTreeMap<String, Value>,
    /// Where it came from.
    pub ip_address: Option<String>,
    /// What it came from.
    pub user_agent: Option<String>,
    /// The request that did it.
    pub request_id: Option<String>,
    /// SHA-256 over every field of the event and the hash of the event before it, hex.
    pub hash: String,
}

impl From<event::Model> for AuditEvent {
    fn from(row: event::Model) -> Self {
        let actor = Actor {
            kind: row.actor_type.clone(),
            id: actor_id(&row),
            email: row.actor_label,
        };
        Self {
            id: row.id.to_string(),
            seq: row.seq,
            at: row.at.into(),
            actor,
            action: row.action,
            resource_id: row.target_id.map(|id| public_id(&row.target_type, id)),
            resource_type: row.target_type,
            project_id: row.project_id.map(|id| id.to_string()),
            environment_id: row.environment_id.map(|id| id.to_string()),
            revision: row.revision,
            metadata: serde_json::from_str(&row.data).unwrap_or_default(),
            ip_address: row.ip,
            user_agent: row.user_agent,
            request_id: row.request_id,
            hash: hex::encode(&row.hash),
        }
    }
}

/// Something wrong with the journal, or with what is stored beside it.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct AuditFault {
    /// `altered`, `unlinked`, `missing`, `truncated`, `anchor_altered`, `secret_rolled_back`, `secret_altered` or
    /// `secret_missing`.
    pub kind: String,
    /// The number of the event where it shows.
    pub seq: i64,
    /// Id of the secret that is not what the journal says.
    pub secret_id: Option<String>,
}

impl From<Fault> for AuditFault {
    fn from(fault: Fault) -> Self {
        let Fault { kind, seq, secret } = fault;
        Self {
            kind: kind.as_str().to_owned(),
            seq,
            secret_id: secret.map(|id| id.to_string()),
        }
    }
}

/// Where the log begins that is kept: behind the last of the events that are older than the plan keeps them.
#[derive(Clone, Debug, Object)]
pub struct AuditAnchor {
    /// Number of the last event that is gone.
    pub seq: i64,
    /// Its hash, hex: what the oldest event that is kept stands on.
    pub hash: String,
    /// When it was removed.
    pub moved_at: Time,
}

impl From<Anchor> for AuditAnchor {
    fn from(anchor: Anchor) -> Self {
        Self {
            seq: anchor.seq,
            hash: hex::encode(&anchor.hash),
            moved_at: anchor.moved_at.into(),
        }
    }
}

/// The result of a check of the whole journal.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct AuditVerification {
    /// Whether nothing is wrong.
    pub valid: bool,
    /// Events checked.
    pub checked: u64,
    /// Stored secrets compared with the journal.
    pub secrets_checked: u64,
    /// Where the log begins; absent while everything that ever happened is kept.
    pub anchor: Option<AuditAnchor>,
    /// Number of the newest event.
    pub head_seq: i64,
    /// Hash of the newest event, hex. Keep it: a later check must still lead to it.
    pub head_hash: String,
    /// How many faults there are.
    pub fault_count: u64,
    /// The first hundred of them.
    pub faults: Vec<AuditFault>,
}

impl From<Verification> for AuditVerification {
    fn from(found: Verification) -> Self {
        let Verification {
            checked,
            secrets_checked,
            anchor,
            head_seq,
            head_hash,
            faults,
            fault_count,
        } = found;
        Self {
            valid: fault_count == 0,
            checked,
            secrets_checked,
            anchor: anchor.map(Into::into),
            head_seq,
            head_hash: hex::encode(&head_hash),
            fault_count,
            faults: faults.into_iter().map(Into::into).collect(),
        }
    }
}

//! From an event to the deliveries that it causes: the one place that joins events and webhooks.

use sea_orm::FromQueryResult;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::entity::event;
use super::{Action, subscribes};
use crate::jobs::{Cause, Job, NewJob};
use crate::kernel::id::{EnvId, OrgId, ProjectId, WebhookId};
use crate::kernel::{Backend, Error, Reads, Result, WriteTx};

/// Facts of an event that name a key besides those that it changed: who wants to know of a key is told too that it is
/// another's name now, that a version of it was destroyed, or what the template says of it.
const KEY_FACTS: [&str; 2] = ["key", "renamed_from"];

/// Which of the subscribed events a webhook wants; an empty list lets everything pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookFilter {
    pub projects: Vec<ProjectId>,
    pub environments: Vec<EnvId>,
    /// Keys, or prefixes ending in `*`.
    pub keys: Vec<String>,
}

impl WebhookFilter {
    /// Whether a subscribed event is wanted.
    pub fn admits(&self, row: &event::Model) -> bool {
        let project = self.projects.is_empty() || row.project_id.is_some_and(|id| self.projects.contains(&id));
        let environment =
            self.environments.is_empty() || row.environment_id.is_some_and(|id| self.environments.contains(&id));
        project && environment && (self.keys.is_empty() || self.admits_keys(&row.data))
    }

    fn admits_keys(&self, data: &str) -> bool {
        let data: Value = serde_json::from_str(data).unwrap_or_default();
        let listed = data.get("keys").and_then(Value::as_array);
        let changed = listed.into_iter().flatten().filter_map(|change| change.get("key"));
        let named = KEY_FACTS.iter().filter_map(|fact| data.get(fact));
        changed
            .chain(named)
            .filter_map(Value::as_str)
            .any(|key| self.admits_key(key))
    }

    fn admits_key(&self, key: &str) -> bool {
        self.keys.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => key.starts_with(prefix),
            None => key == pattern,
        })
    }
}

#[derive(FromQueryResult)]
struct Listener {
    id: WebhookId,
    events: String,
    filters: String,
}

/// One job for each webhook that wants one of the events, beside the event's place among them, to be emitted once the
/// event has its number. All are of one ledger; `actions` are theirs.
pub(super) async fn deliveries(
    tx: &WriteTx,
    actions: &[Action],
    rows: &[event::Model],
) -> Result<Vec<(usize, NewJob)>> {
    let Some(ledger) = rows.first().map(|row| row.ledger_id) else {
        return Ok(Vec::new());
    };
    if !actions.iter().any(|action| action.is_deliverable()) {
        return Ok(Vec::new());
    }
    // The lock makes a webhook that is being deleted wait for us, so that it cancels the jobs made here.
    let lock = match tx.backend() {
        Backend::Postgres => " FOR KEY SHARE",
        Backend::Sqlite => "",
    };
    let sql = format!(
        "SELECT id, events, filters FROM webhooks WHERE org_id = $1 AND enabled AND deleted_at IS NULL ORDER BY id{lock}"
    );
    let listeners = Listener::find_by_statement(tx.sql(&sql, [ledger.into()]))
        .all(tx.conn())
        .await?;
    let mut wishes = Vec::with_capacity(listeners.len());
    for Listener { id, events, filters } in listeners {
        let broken = |e| Error::internal(format!("webhook {id} is stored wrongly: {e}"));
        let events: Vec<String> = serde_json::from_str(&events).map_err(broken)?;
        let filter: WebhookFilter = serde_json::from_str(&filters).map_err(broken)?;
        wishes.push((id, events, filter));
    }
    let mut jobs = Vec::new();
    for (n, (action, row)) in actions.iter().zip(rows).enumerate() {
        if !action.is_deliverable() {
            continue;
        }
        for (id, events, filter) in &wishes {
            let subscribed = events.iter().any(|name| subscribes(name, *action));
            if subscribed && filter.admits(row) {
                jobs.push((n, job(row, *id)));
            }
        }
    }
    Ok(jobs)
}

fn job(row: &event::Model, webhook: WebhookId) -> NewJob {
    NewJob {
        job: Job::DeliverWebhookV1,
        lane: webhook.0.simple().to_string(),
        org_id: Some(OrgId(row.ledger_id)),
        webhook_id: Some(webhook),
        event_id: Some(row.id),
        cause: Cause::Event,
        idempotency_key: format!("{}:{}", row.id.0.simple(), webhook.0.simple()),
    }
}

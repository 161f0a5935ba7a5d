//! How deliveries to webhook endpoints have been going: a row for each, kept by whoever writes down results.

use std::collections::{BTreeMap, HashMap};

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter};
use serde_json::{Value, json};

use super::entity::health;
use super::{Cause, breaker};
use crate::kernel::id::WebhookId;
use crate::kernel::{Backend, Db, Error, Reads, Result, Timestamp, WriteTx};

/// How deliveries to an endpoint have been going.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    pub last_success_at: Option<Timestamp>,
    pub last_failure_at: Option<Timestamp>,
    /// Attempts that failed since the last success.
    pub consecutive_failures: i64,
    /// When the first of them failed.
    pub failing_since: Option<Timestamp>,
    /// Nothing is sent before then, because too many attempts failed in a row.
    pub paused_until: Option<Timestamp>,
}

/// The health of endpoints; one that nothing was sent to yet is left out.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn of(from: &impl Reads, webhooks: Vec<WebhookId>) -> Result<HashMap<WebhookId, Health>> {
    if webhooks.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = health::Entity::find()
        .filter(health::Column::WebhookId.is_in(webhooks))
        .all(from.conn())
        .await?;
    let healths = rows.into_iter().map(|row| {
        let health::Model {
            webhook_id,
            last_success_at,
            last_failure_at,
            consecutive_failures,
            failing_since,
            unreachable: _,
            breaker_step: _,
            breaker_until,
            rate_at: _,
        } = row;
        let health = Health {
            last_success_at,
            last_failure_at,
            consecutive_failures,
            failing_since,
            paused_until: breaker_until.filter(|until| *until > from.now()),
        };
        (webhook_id, health)
    });
    Ok(healths.collect())
}

/// Forgets the failures of an endpoint: it was switched on again, or moved.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn forgive(tx: &WriteTx, webhook: WebhookId) -> Result<()> {
    let sql = "UPDATE webhook_health SET consecutive_failures = 0, failing_since = NULL, unreachable = 0,
                breaker_step = 0, breaker_until = NULL
               WHERE webhook_id = $1";
    tx.conn().execute_raw(tx.sql(sql, [webhook.into()])).await?;
    Ok(())
}

/// How many endpoints nothing is sent to for now.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn paused(db: &Db) -> Result<u64> {
    let sql = "SELECT COUNT(*) AS n FROM webhook_health WHERE breaker_until > $1";
    let row = db.conn().query_one_raw(db.sql(sql, [db.queue_now().into()])).await?;
    let paused: Option<i64> = row.map(|row| row.try_get("", "n")).transpose()?;
    Ok(paused.and_then(|n| u64::try_from(n).ok()).unwrap_or(0))
}

/// What the results of one batch say of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Note {
    last_success_at: Option<Timestamp>,
    last_failure_at: Option<Timestamp>,
    /// Since the last success among them.
    failures: i64,
    failing_since: Option<Timestamp>,
    unreachable: i64,
    /// The one delivery that an open breaker let through has failed.
    has_failed_trial: bool,
}

/// What results say of the endpoints that they came from. Results are noted in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Notes(BTreeMap<WebhookId, Note>);

#[derive(FromQueryResult)]
struct Counted {
    webhook_id: WebhookId,
    consecutive_failures: i64,
    unreachable: i64,
    breaker_step: i32,
    breaker_until: Option<Timestamp>,
}

impl Notes {
    /// Takes in the result of an attempt. A fault of ours tells nothing; a test that fails is somebody trying, and
    /// switches nothing off.
    pub(super) fn note(&mut self, webhook: WebhookId, cause: &str, outcome: &str, is_trial: bool, now: Timestamp) {
        let found_nobody = match outcome {
            "ok" => {
                let note = self.0.entry(webhook).or_default();
                *note = Note {
                    last_success_at: Some(now),
                    last_failure_at: note.last_failure_at,
                    ..Note::default()
                };
                return;
            }
            "timeout" | "dns" | "tls" | "connect" => true,
            "http" | "blocked" => false,
            _ => return,
        };
        if cause == Cause::Test.as_str() {
            return;
        }
        let note = self.0.entry(webhook).or_default();
        note.last_failure_at = Some(now);
        note.failures += 1;
        note.failing_since = note.failing_since.or(Some(now));
        note.unreachable = if found_nobody { note.unreachable + 1 } else { 0 };
        note.has_failed_trial |= is_trial;
    }

    /// Adds the notes to what is known, and opens and closes breakers. Locks the rows in the order of their ids.
    pub(super) async fn write(self, tx: &WriteTx) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let rows: Vec<Value> = self.0.iter().map(|(id, note)| row(*id, note)).collect();
        let rows = serde_json::to_string(&rows).map_err(|e| Error::internal(format!("health: {e}")))?;
        let sql = format!(
            "INSERT INTO webhook_health AS h (webhook_id, last_success_at, last_failure_at, consecutive_failures, failing_since, unreachable)
             {} ON CONFLICT (webhook_id) DO UPDATE SET
                last_success_at = COALESCE(excluded.last_success_at, h.last_success_at),
                last_failure_at = COALESCE(excluded.last_failure_at, h.last_failure_at),
                consecutive_failures = excluded.consecutive_failures
                    + CASE WHEN excluded.last_success_at IS NULL THEN h.consecutive_failures ELSE 0 END,
                failing_since = CASE WHEN excluded.last_success_at IS NULL
                    THEN COALESCE(h.failing_since, excluded.failing_since) ELSE excluded.failing_since END,
                unreachable = excluded.unreachable
                    + CASE WHEN excluded.last_success_at IS NULL AND excluded.unreachable = excluded.consecutive_failures
                        THEN h.unreachable ELSE 0 END,
                breaker_step = CASE WHEN excluded.last_success_at IS NULL THEN h.breaker_step ELSE 0 END,
                breaker_until = CASE WHEN excluded.last_success_at IS NULL THEN h.breaker_until END
             RETURNING webhook_id, consecutive_failures, unreachable, breaker_step, breaker_until",
            rows_of(tx.backend())
        );
        let counted = Counted::find_by_statement(tx.sql(&sql, [rows.into()]))
            .all(tx.conn())
            .await?;
        for row in counted {
            let note = self.0.get(&row.webhook_id).copied().unwrap_or_default();
            if note.failures > 0 {
                judge(tx, &row, note).await?;
            }
        }
        Ok(())
    }
}

fn row(id: WebhookId, note: &Note) -> Value {
    json!({
        "id": id.0.simple().to_string(),
        "ok_at": note.last_success_at.map(Timestamp::micros),
        "bad_at": note.last_failure_at.map(Timestamp::micros),
        "bad": note.failures,
        "since": note.failing_since.map(Timestamp::micros),
        "gone": note.unreachable,
    })
}

/// Reads the rows of `$1`. The condition tells SQLite that no join follows.
const fn rows_of(backend: Backend) -> &'static str {
    match backend {
        Backend::Postgres => {
            "SELECT id, ok_at, bad_at, bad, since, gone FROM json_to_recordset($1::json)
                AS v (id uuid, ok_at bigint, bad_at bigint, bad bigint, since bigint, gone bigint) WHERE true"
        }
        Backend::Sqlite => {
            "SELECT unhex(value->>'id'), value->>'ok_at', value->>'bad_at', value->>'bad', value->>'since', value->>'gone'
                FROM json_each($1) WHERE true"
        }
    }
}

/// Opens the breaker if it is time to. One that is open stays as it is: what fails meanwhile was begun before.
async fn judge(tx: &WriteTx, row: &Counted, note: Note) -> Result<()> {
    let is_open = row.breaker_until.is_some_and(|until| until > tx.queue_now());
    let opens = note.has_failed_trial || (!is_open && breaker::trips(row.unreachable, row.consecutive_failures));
    if !opens {
        return Ok(());
    }
    let step = row.breaker_step.saturating_add(1);
    let until = tx.queue_now() + breaker::open_for(step);
    let sql = "UPDATE webhook_health SET breaker_step = $2, breaker_until = $3 WHERE webhook_id = $1";
    let values = [row.webhook_id.into(), step.into(), until.into()];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const HOOK: WebhookId = WebhookId(Uuid::from_u128(1));

    fn noted(results: &[(&str, &str)]) -> Option<Note> {
        let mut notes = Notes::default();
        for ((cause, outcome), at) in results.iter().zip(1..) {
            notes.note(HOOK, cause, outcome, false, Timestamp(at));
        }
        notes.0.get(&HOOK).copied()
    }

    #[test]
    fn a_success_forgives_what_failed_before_it() {
        let health = noted(&[
            ("event", "http"),
            ("event", "ok"),
            ("event", "dns"),
            ("resend", "timeout"),
        ]);
        let expected = Note {
            last_success_at: Some(Timestamp(2)),
            last_failure_at: Some(Timestamp(4)),
            failures: 2,
            failing_since: Some(Timestamp(3)),
            unreachable: 2,
            has_failed_trial: false,
        };
        assert_eq!(health, Some(expected));
        let health = noted(&[("event", "http"), ("test", "ok")]);
        let expected = Note {
            last_success_at: Some(Timestamp(2)),
            last_failure_at: Some(Timestamp(1)),
            ..Note::default()
        };
        assert_eq!(health, Some(expected));
    }

    #[test]
    fn an_answer_is_somebody() {
        let note = noted(&[("event", "timeout"), ("event", "http"), ("event", "connect")]).unwrap();
        assert_eq!((note.failures, note.unreachable), (3, 1));
    }

    #[test]
    fn failed_tests_and_faults_of_ours_say_nothing() {
        assert_eq!(
            noted(&[("test", "http"), ("event", "internal"), ("event", "cancelled")]),
            None
        );
    }
}

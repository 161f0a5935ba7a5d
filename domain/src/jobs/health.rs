//! How deliveries to webhook endpoints have been going: a row for each, kept by whoever writes down results.

use std::collections::{BTreeMap, HashMap};

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Value};

use super::Cause;
use super::entity::health;
use crate::kernel::db::value_marks;
use crate::kernel::id::WebhookId;
use crate::kernel::{Reads, Result, Timestamp, WriteTx};

/// How deliveries to an endpoint have been going.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    pub last_success_at: Option<Timestamp>,
    pub last_failure_at: Option<Timestamp>,
    /// Attempts that failed since the last success.
    pub consecutive_failures: i64,
    /// When the first of them failed.
    pub failing_since: Option<Timestamp>,
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
        } = row;
        let health = Health {
            last_success_at,
            last_failure_at,
            consecutive_failures,
            failing_since,
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
    let sql = "UPDATE webhook_health SET consecutive_failures = 0, failing_since = NULL WHERE webhook_id = $1";
    tx.conn().execute_raw(tx.sql(sql, [webhook.into()])).await?;
    Ok(())
}

/// What results say of the endpoints that they came from. Results are noted in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Notes(BTreeMap<WebhookId, Health>);

impl Notes {
    /// Takes in the result of an attempt. A fault of ours tells nothing; a test that fails is somebody trying, and
    /// switches nothing off.
    pub(super) fn note(&mut self, webhook: WebhookId, cause: &str, outcome: &str, now: Timestamp) {
        match outcome {
            "ok" => {
                let health = self.0.entry(webhook).or_default();
                *health = Health {
                    last_success_at: Some(now),
                    last_failure_at: health.last_failure_at,
                    ..Health::default()
                };
            }
            "http" | "timeout" | "dns" | "tls" | "connect" | "blocked" if cause != Cause::Test.as_str() => {
                let health = self.0.entry(webhook).or_default();
                health.last_failure_at = Some(now);
                health.consecutive_failures += 1;
                health.failing_since = health.failing_since.or(Some(now));
            }
            _ => {}
        }
    }

    /// Adds the notes to what is known. Locks the rows in the order of their ids.
    pub(super) async fn write(self, tx: &WriteTx) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let rows = self.0.len();
        let values = self.0.into_iter().flat_map(|(webhook, health)| {
            let Health {
                last_success_at,
                last_failure_at,
                consecutive_failures,
                failing_since,
            } = health;
            let row: [Value; 5] = [
                webhook.into(),
                last_success_at.into(),
                last_failure_at.into(),
                consecutive_failures.into(),
                failing_since.into(),
            ];
            row
        });
        let sql = format!(
            "INSERT INTO webhook_health (webhook_id, last_success_at, last_failure_at, consecutive_failures, failing_since)
             VALUES {}
             ON CONFLICT (webhook_id) DO UPDATE SET
                last_success_at = COALESCE(excluded.last_success_at, webhook_health.last_success_at),
                last_failure_at = COALESCE(excluded.last_failure_at, webhook_health.last_failure_at),
                consecutive_failures = excluded.consecutive_failures
                    + CASE WHEN excluded.last_success_at IS NULL THEN webhook_health.consecutive_failures ELSE 0 END,
                failing_since = CASE WHEN excluded.last_success_at IS NULL
                    THEN COALESCE(webhook_health.failing_since, excluded.failing_since) ELSE excluded.failing_since END",
            value_marks(rows, 5)
        );
        tx.conn().execute_raw(tx.sql(&sql, values)).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const HOOK: WebhookId = WebhookId(Uuid::from_u128(1));

    fn noted(results: &[(&str, &str)]) -> Option<Health> {
        let mut notes = Notes::default();
        for ((cause, outcome), at) in results.iter().zip(1..) {
            notes.note(HOOK, cause, outcome, Timestamp(at));
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
        let expected = Health {
            last_success_at: Some(Timestamp(2)),
            last_failure_at: Some(Timestamp(4)),
            consecutive_failures: 2,
            failing_since: Some(Timestamp(3)),
        };
        assert_eq!(health, Some(expected));
        let health = noted(&[("event", "http"), ("test", "ok")]);
        let expected = Health {
            last_success_at: Some(Timestamp(2)),
            last_failure_at: Some(Timestamp(1)),
            ..Health::default()
        };
        assert_eq!(health, Some(expected));
    }

    #[test]
    fn failed_tests_and_faults_of_ours_say_nothing() {
        assert_eq!(
            noted(&[("test", "http"), ("event", "internal"), ("event", "cancelled")]),
            None
        );
    }
}

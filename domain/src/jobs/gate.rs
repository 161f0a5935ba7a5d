//! What stands between a claim and the jobs of a webhook: it may be off, its breaker open, its rate used up, its order
//! strict.

use std::collections::HashMap;
use std::time::Duration;

use sea_orm::{ConnectionTrait, FromQueryResult};
use uuid::Uuid;

use super::claim::Claim;
use super::rate::{Leave, Rate};
use super::{JobKind, LEASE, lane_kind};
use crate::kernel::id::WebhookId;
use crate::kernel::lists::{id_param, is_one_of};
use crate::kernel::{Reads, Result, Timestamp, WriteTx};

/// Ends the names of lanes whose jobs somebody asked for: they pass breakers and order, and keep to the rate.
pub const AT_ONCE: &str = ":now";

/// Wait when another worker's delivery is trying an endpoint.
const TRIAL_UNDERWAY: Duration = Duration::from_secs(1);

/// How much a claim may take of a lane.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pass {
    pub(super) count: u32,
    pub(super) is_ordered: bool,
    pub(super) is_trial: bool,
    pub(super) is_timed: bool,
    held: Option<Duration>,
}

#[derive(FromQueryResult)]
struct Gate {
    id: WebhookId,
    ordered: bool,
    rate_deliveries: Option<i32>,
    rate_per: Option<String>,
    breaker_step: Option<i32>,
    breaker_until: Option<Timestamp>,
}

/// The gates of the lanes of one claim.
pub(super) struct Gates {
    of_webhooks: HashMap<WebhookId, Gate>,
    /// What rates allow.
    leaves: HashMap<WebhookId, Leave>,
    trials: Vec<(WebhookId, String)>,
}

/// The webhook of a lane, and whether its jobs pass breakers and order.
fn webhook_of(lane: &str) -> Option<(WebhookId, bool)> {
    let name = lane.strip_prefix(JobKind::Webhook.lane_prefix())?;
    let (name, at_once) = match name.strip_suffix(AT_ONCE) {
        Some(name) => (name, true),
        None => (name, false),
    };
    let id = Uuid::try_parse(name).ok()?;
    Some((WebhookId(id), at_once))
}

impl Gates {
    /// Reads the gates of all these lanes.
    pub(super) async fn open(tx: &WriteTx, lanes: &[(String, u32)]) -> Result<Self> {
        let webhooks: Vec<Uuid> = lanes
            .iter()
            .filter_map(|(lane, _)| webhook_of(lane))
            .map(|(id, _)| id.0)
            .collect();
        let mut gates = HashMap::new();
        if !webhooks.is_empty() {
            let sql = format!(
                "SELECT w.id, w.ordered, w.rate_deliveries, w.rate_per, h.breaker_step, h.breaker_until
                 FROM webhooks w LEFT JOIN webhook_health h ON h.webhook_id = w.id
                 WHERE w.enabled AND w.deleted_at IS NULL AND {}",
                is_one_of(tx.backend(), "w.id", "$1")
            );
            let rows = Gate::find_by_statement(tx.sql(&sql, [id_param(webhooks)]))
                .all(tx.conn())
                .await?;
            gates = rows.into_iter().map(|gate| (gate.id, gate)).collect();
        }
        Ok(Self {
            of_webhooks: gates,
            leaves: HashMap::new(),
            trials: Vec::new(),
        })
    }

    /// How many of `wanted` jobs a lane may give.
    pub(super) async fn pass(&mut self, tx: &WriteTx, lane: &str, wanted: u32) -> Result<Pass> {
        let free = Pass {
            count: wanted,
            ..Pass::default()
        };
        let Some((webhook, at_once)) = webhook_of(lane) else {
            // Lanes of webhooks always name one.
            let is_ours = lane_kind(lane) != Some(JobKind::Webhook);
            return Ok(if is_ours { free } else { Pass::default() });
        };
        let Some(gate) = self.of_webhooks.get(&webhook) else {
            return Ok(Pass::default());
        };
        let mut pass = Pass {
            is_ordered: gate.ordered && !at_once,
            ..free
        };
        if pass.is_ordered {
            pass.count = pass.count.min(1);
        }
        let rate = Rate::stored(gate.rate_deliveries, gate.rate_per.as_deref())?;
        let (step, until) = (gate.breaker_step.unwrap_or(0), gate.breaker_until);
        if !at_once && step > 0 {
            pass = self.past_breaker(tx, webhook, lane, until, pass).await?;
        }
        if let Some(rate) = rate
            && pass.count > 0
        {
            pass = self.within_rate(tx, webhook, rate, pass).await?;
        }
        Ok(pass)
    }

    /// Past an open breaker goes nothing until its time is over, and then one job of all workers.
    async fn past_breaker(
        &mut self,
        tx: &WriteTx,
        webhook: WebhookId,
        lane: &str,
        until: Option<Timestamp>,
        pass: Pass,
    ) -> Result<Pass> {
        let now = tx.queue_now();
        let closed = |held| Pass {
            count: 0,
            held: Some(held),
            ..pass
        };
        if let Some(until) = until
            && until > now
        {
            return Ok(closed(until.since(now)));
        }
        // Others see it open for as long as this one may take.
        let sql = "UPDATE webhook_health SET breaker_until = $2
                   WHERE webhook_id = $1 AND breaker_step > 0 AND (breaker_until IS NULL OR breaker_until <= $3)";
        let values = [webhook.into(), (now + LEASE).into(), now.into()];
        let won = tx.conn().execute_raw(tx.sql(sql, values)).await?;
        if won.rows_affected() == 0 {
            return Ok(closed(TRIAL_UNDERWAY));
        }
        self.trials.push((webhook, lane.to_owned()));
        Ok(Pass {
            count: pass.count.min(1),
            is_trial: true,
            ..pass
        })
    }

    /// Holds the row of the endpoint until the claim is committed, so that no other worker gives out the same leave.
    async fn within_rate(&mut self, tx: &WriteTx, webhook: WebhookId, rate: Rate, pass: Pass) -> Result<Pass> {
        let leave = if let Some(leave) = self.leaves.get(&webhook) {
            *leave
        } else {
            let leave = Leave::new(rate, rate_at(tx, webhook).await?, tx.queue_now());
            self.leaves.insert(webhook, leave);
            leave
        };
        let count = pass.count.min(leave.available());
        Ok(Pass {
            count,
            is_timed: true,
            ..pass
        })
    }

    /// Gives out one delivery of a webhook; returns how long it must wait.
    pub(super) fn give(&mut self, webhook: Option<WebhookId>) -> Duration {
        match webhook {
            Some(webhook) => self.leaves.get_mut(&webhook).map_or(Duration::ZERO, Leave::give),
            None => Duration::ZERO,
        }
    }

    /// How long nothing can be had of a lane that was passed so.
    pub(super) fn held(&self, lane: &str, pass: &Pass) -> Option<Duration> {
        let leave = webhook_of(lane).and_then(|(webhook, _)| self.leaves.get(&webhook));
        let by_rate = leave.filter(|leave| leave.available() == 0).map(Leave::wait);
        pass.held.or(by_rate)
    }

    /// Writes down what was given out.
    pub(super) async fn close(self, tx: &WriteTx, claim: &Claim) -> Result<()> {
        for (webhook, leave) in self.leaves {
            let sql = "UPDATE webhook_health SET rate_at = $2 WHERE webhook_id = $1";
            let values = [webhook.into(), leave.next.into()];
            tx.conn().execute_raw(tx.sql(sql, values)).await?;
        }
        for (webhook, lane) in self.trials {
            // There was nothing to try with.
            if claim.lanes.get(&lane).is_none_or(|news| news.claimed == 0) {
                let sql = "UPDATE webhook_health SET breaker_until = $2 WHERE webhook_id = $1";
                let values = [webhook.into(), tx.queue_now().into()];
                tx.conn().execute_raw(tx.sql(sql, values)).await?;
            }
        }
        Ok(())
    }
}

#[derive(FromQueryResult)]
struct RateAt {
    rate_at: Option<Timestamp>,
}

/// From when on a webhook may be asked; its row is made if it is not there, and held.
async fn rate_at(tx: &WriteTx, webhook: WebhookId) -> Result<Option<Timestamp>> {
    let sql = "INSERT INTO webhook_health (webhook_id, consecutive_failures) VALUES ($1, 0)
               ON CONFLICT (webhook_id) DO UPDATE SET rate_at = webhook_health.rate_at
               RETURNING rate_at";
    let row = RateAt::find_by_statement(tx.sql(sql, [webhook.into()]))
        .one(tx.conn())
        .await?;
    Ok(row.and_then(|row| row.rate_at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_name_their_webhooks() {
        let id = WebhookId(Uuid::from_u128(7));
        let lane = format!("wh:{}", id.0.simple());
        assert_eq!(webhook_of(&lane), Some((id, false)));
        assert_eq!(webhook_of(&format!("{lane}{AT_ONCE}")), Some((id, true)));
        assert_eq!(webhook_of("wh:nobody"), None);
        assert_eq!(webhook_of(&lane.replace("wh:", "mail:")), None);
    }
}

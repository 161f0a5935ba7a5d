//! Whom is told of what is due: owners hear of an invoice that is not paid, and of a trial that ends. What is due is told by
//! the state and the time, so that a reminder is not lost with an event, nor sent twice.

use std::time::Duration;

use super::standing::Status;
use super::subscription::Subscribed;
use crate::kernel::id::OrgId;
use crate::kernel::{Reads, Result, Timestamp, WriteTx};
use crate::mail::{self, NewMail, Template, To};
use crate::members::ownership;
use crate::orgs::plan::Billed;

const DAY: Duration = Duration::from_hours(24);
/// Days after the invoice on which owners are told of it.
const REMINDERS: [u32; 4] = [0, 3, 7, 12];
/// Owners are told of the end of a trial this long before, as Stripe tells of it.
pub(super) const TRIAL_NOTICE: Duration = Duration::from_hours(3 * 24);

/// How many reminders are due.
pub(super) fn due(since: Timestamp, now: Timestamp) -> i32 {
    let passed = now.since(since);
    let due = REMINDERS.iter().filter(|days| passed >= DAY * **days).count();
    i32::try_from(due).unwrap_or(i32::MAX)
}

/// Queues what is to be told now, and notes in `now` that it was.
pub(super) async fn tell(
    tx: &WriteTx,
    org: OrgId,
    billed: &Billed,
    before: Option<&Subscribed>,
    now: &mut Subscribed,
) -> Result<()> {
    if billed.is_deleted {
        return Ok(());
    }
    let is_another = before.is_none_or(|before| before.past_due_since != now.past_due_since);
    if is_another {
        now.dunning_sent = 0;
    }
    if let (Status::PastDue, Some(since), Some(until)) = (&now.status, now.past_due_since, now.grace_until) {
        let due = due(since, tx.now());
        if due > now.dunning_sent {
            now.dunning_sent = due;
            tell_owners(
                tx,
                org,
                |mail| {
                    mail.with("org", billed.name.clone())
                        .with("plan", billed.plan.clone())
                        .with("until", until.to_string())
                },
                Template::PaymentFailed,
            )
            .await?;
        }
    }
    if let (Status::Trialing, Some(end)) = (&now.status, now.trial_end)
        && end <= tx.now() + TRIAL_NOTICE
        && now.trial_told_for != Some(end)
    {
        now.trial_told_for = Some(end);
        tell_owners(
            tx,
            org,
            |mail| mail.with("org", billed.name.clone()).with("end", end.to_string()),
            Template::TrialEnding,
        )
        .await?;
    }
    Ok(())
}

async fn tell_owners(tx: &WriteTx, org: OrgId, says: impl Fn(NewMail) -> NewMail, template: Template) -> Result<()> {
    for owner in ownership::owners(tx, org).await? {
        mail::queue(tx, says(NewMail::new(template, To::Primary(owner)))).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reminders_are_due_on_four_days() {
        let since = Timestamp(1_900_000_000_000_000);
        let after = |hours| due(since, since + Duration::from_hours(hours));
        let days = [
            0,
            3 * 24 - 1,
            3 * 24,
            7 * 24 - 1,
            7 * 24,
            12 * 24 - 1,
            12 * 24,
            400 * 24,
        ];
        assert_eq!(days.map(after), [1, 1, 2, 2, 3, 3, 4, 4]);
        assert_eq!(due(since, Timestamp(0)), 1, "an invoice from the future is due at once");
    }
}

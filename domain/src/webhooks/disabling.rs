//! Endpoints that are switched off by themselves, and whom that is told.

use std::time::Duration;

use sea_orm::{ConnectionTrait, EntityTrait, Value};
use url::Url;

use super::endpoint::{self, Webhook};
use super::entity::webhook;
use crate::access::Origin;
use crate::jobs;
use crate::journal::{self, Action};
use crate::kernel::id::WebhookId;
use crate::kernel::{Error, Reads, Result, WriteTx};
use crate::mail::{self, NewMail, Template, To};
use crate::members::ownership;
use crate::orgs::organisation;

/// An endpoint that has only failed for this long is switched off.
pub const PATIENCE: Duration = Duration::from_hours(5 * 24);

/// Why an endpoint is switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisableReason {
    /// The receiver answered `410 Gone`. What waits is cancelled: nobody is there.
    Gone,
    /// Nothing but failures for five days. What waits is kept for when it is switched on again.
    Failing,
}

impl DisableReason {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Failing => "failing",
        }
    }

    /// For the mail.
    const fn sentence(self) -> &'static str {
        match self {
            Self::Gone => "the receiver answered 410 Gone",
            Self::Failing => "every delivery failed for five days",
        }
    }
}

/// Whether an endpoint has only failed for so long that it is to be switched off.
///
/// # Errors
/// [`Error::Db`].
pub async fn is_overdue(from: &impl Reads, id: WebhookId) -> Result<bool> {
    let health = jobs::health::of(from, vec![id]).await?;
    let since = health.get(&id).and_then(|health| health.failing_since);
    Ok(since.is_some_and(|since| since + PATIENCE <= from.now()))
}

/// Switches an endpoint off that fails at `url`, and mails its owners; tells whether it did. One that was deleted,
/// switched off, moved to another URL or forgiven meanwhile stays as it is, and nothing is recorded.
///
/// # Errors
/// [`Error::Db`].
pub async fn disable(tx: &WriteTx, id: WebhookId, url: &str, reason: DisableReason) -> Result<bool> {
    let mut values: Vec<Value> = vec![id.into(), tx.now().into(), url.into(), reason.as_str().into()];
    let still = match reason {
        DisableReason::Gone => "",
        DisableReason::Failing => {
            values.push((tx.now() - PATIENCE).into());
            " AND EXISTS (SELECT 1 FROM webhook_health h WHERE h.webhook_id = webhooks.id AND h.failing_since <= $5)"
        }
    };
    let sql = format!(
        "UPDATE webhooks SET enabled = false, disabled_reason = $4, updated_at = $2
         WHERE id = $1 AND url = $3 AND enabled AND deleted_at IS NULL{still}"
    );
    let changed = tx.conn().execute_raw(tx.sql(&sql, values)).await?;
    if changed.rows_affected() == 0 {
        return Ok(false);
    }
    if reason == DisableReason::Gone {
        jobs::cancel_waiting(tx, id).await?;
    }
    let row = webhook::Entity::find_by_id(id).one(tx.conn()).await?;
    let disabled = row.ok_or_else(|| Error::internal("a webhook vanished while it was switched off"))?;
    let disabled = endpoint::webhook(disabled)?;
    tell_owners(tx, &disabled, reason).await?;
    let entry = endpoint::entry(Action::WebhookDisabled, &disabled)
        .with("webhook", id.to_string())
        .with("reason", reason.as_str());
    journal::record(tx, &Origin::system(), entry).await?;
    Ok(true)
}

async fn tell_owners(tx: &WriteTx, webhook: &Webhook, reason: DisableReason) -> Result<()> {
    let org = organisation::name_of(tx, webhook.org_id).await?.unwrap_or_default();
    // The path and the query of a URL may be as good as a password.
    let url = Url::parse(&webhook.url).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    for owner in ownership::owners(tx, webhook.org_id).await? {
        let mail = NewMail::new(Template::WebhookDisabled, To::Primary(owner))
            .with("org", org.clone())
            .with("webhook", webhook.id.to_string())
            .with("host", host)
            .with("reason", reason.sentence());
        mail::queue(tx, mail).await?;
    }
    Ok(())
}

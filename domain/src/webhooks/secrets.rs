//! The secrets of an endpoint: those that sign, of which several are valid while they rotate, and the one of the making,
//! under which the names of keys are hashed. A rotation leaves that one as it is: a receiver would not know the keys again
//! whose hashes it has kept.

use std::time::Duration;

use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder};

use super::endpoint::{self, Webhook};
use super::entity::secret;
use super::signature;
use crate::access::grant::WebhooksManage;
use crate::access::{Caller, OrgAccess};
use crate::crypto::aad::{Aad, Purpose};
use crate::crypto::key_store::{KeyScope, KeyStore};
use crate::journal::{self, Action};
use crate::kernel::id::{KeyId, OrgId, WebhookId};
use crate::kernel::{Error, Problem, ProblemCode, Reads, Result, Secret, Timestamp, WriteTx};

/// Secrets of one endpoint that sign at the same time, at most: each adds 48 characters to a header.
const MAX_LIVE: u64 = 5;
/// Hours that the old secrets go on signing, when nobody says.
const DEFAULT_OVERLAP: u64 = 24;
/// The same at most: seven days.
const MAX_OVERLAP: u64 = 168;
const HOUR: u64 = 3600;

/// What deliveries to an endpoint are made with.
pub struct Secrets {
    /// Those that are valid now, newest first.
    pub signing: Vec<Secret<Vec<u8>>>,
    /// Hashes the names of keys.
    pub names: Option<Secret<Vec<u8>>>,
}

/// A new secret, shown this once.
pub struct Rotated {
    pub secret: Secret<String>,
    /// When the secrets of before stop signing.
    pub previous_expires_at: Timestamp,
}

/// Binds a sealed secret to its endpoint.
fn place(org: OrgId, webhook: WebhookId, secret: KeyId) -> Vec<u8> {
    Aad::new(Purpose::WebhookSecret)
        .uuid(org)
        .uuid(webhook)
        .uuid(secret)
        .finish()
}

/// Makes the first secret of an endpoint.
pub(super) async fn first(tx: &WriteTx, keys: &KeyStore, webhook: &Webhook) -> Result<Secret<String>> {
    insert(tx, keys, webhook, true).await
}

async fn insert(tx: &WriteTx, keys: &KeyStore, webhook: &Webhook, hashes_names: bool) -> Result<Secret<String>> {
    let text = signature::new_secret(tx.rng())?;
    let id: KeyId = tx.new_id()?;
    let key = keys.active(tx, KeyScope::Org(webhook.org_id)).await?;
    let aad = place(webhook.org_id, webhook.id, id);
    let row = secret::ActiveModel {
        id: Set(id),
        webhook_id: Set(webhook.id),
        org_id: Set(webhook.org_id),
        sealed: Set(key.seal(tx.rng(), &aad, text.expose().as_bytes())?),
        created_at: Set(tx.now()),
        expires_at: Set(None),
        hashes_names: Set(hashes_names),
    };
    secret::Entity::insert(row).exec_without_returning(tx.conn()).await?;
    Ok(text)
}

/// Gives an endpoint a new secret. Those of before sign beside it until the overlap is over, or their own end comes; an
/// overlap of 0 ends them at once.
///
/// # Errors
/// `not_found`; `invalid_field` naming `overlap_hours`; `conflict` when five secrets would be valid besides.
pub async fn rotate(
    tx: &WriteTx,
    keys: &KeyStore,
    caller: &Caller,
    access: &OrgAccess<WebhooksManage>,
    webhook: &str,
    overlap_hours: Option<i64>,
) -> Result<Rotated> {
    let webhook = endpoint::get(tx, access, webhook).await?;
    let end = tx.now() + overlap(overlap_hours)?;
    expire(tx, webhook.id, end).await?;
    let live = secret::Entity::find()
        .filter(secret::Column::WebhookId.eq(webhook.id))
        .filter(secret::Column::ExpiresAt.gt(tx.now()))
        .count(tx.conn())
        .await?;
    if live >= MAX_LIVE {
        let detail = format!(
            "{MAX_LIVE} secrets of the webhook are valid already. Wait until one ends, or rotate with `overlap_hours: 0`."
        );
        return Err(Problem::new(ProblemCode::Conflict, detail).into());
    }
    let secret = insert(tx, keys, &webhook, false).await?;
    let entry = endpoint::entry(Action::WebhookSecretRotated, &webhook).with("previous_expires_at", end.to_string());
    journal::record(tx, &caller.origin, entry).await?;
    Ok(Rotated {
        secret,
        previous_expires_at: end,
    })
}

fn overlap(hours: Option<i64>) -> Result<Duration> {
    let hours = match hours.map(u64::try_from) {
        None => DEFAULT_OVERLAP,
        Some(Ok(hours @ 0..=MAX_OVERLAP)) => hours,
        Some(Ok(_) | Err(_)) => {
            let message = format!("must be between 0 and {MAX_OVERLAP}");
            return Err(Problem::field("overlap_hours", "range", message).into());
        }
    };
    Ok(Duration::from_secs(hours * HOUR))
}

/// Ends the secrets of an endpoint at `end`, or at their own earlier end. What ended before is wiped out, but for the
/// one that hashes names.
async fn expire(tx: &WriteTx, webhook: WebhookId, end: Timestamp) -> Result<()> {
    // The row is held from here on: of two rotations at once, the second sees the secret of the first.
    let sql = "UPDATE webhooks SET updated_at = $2 WHERE id = $1";
    tx.conn()
        .execute_raw(tx.sql(sql, [webhook.into(), tx.now().into()]))
        .await?;
    let sql = "DELETE FROM webhook_secrets WHERE webhook_id = $1 AND expires_at <= $2 AND NOT hashes_names";
    tx.conn()
        .execute_raw(tx.sql(sql, [webhook.into(), tx.now().into()]))
        .await?;
    let sql = "UPDATE webhook_secrets SET expires_at = $2
               WHERE webhook_id = $1 AND (expires_at IS NULL OR expires_at > $2)";
    tx.conn().execute_raw(tx.sql(sql, [webhook.into(), end.into()])).await?;
    Ok(())
}

/// The secrets that a delivery is made with now.
///
/// # Errors
/// [`Error::Internal`] when one does not open.
pub async fn of(from: &impl Reads, keys: &KeyStore, webhook: WebhookId) -> Result<Secrets> {
    let rows = secret::Entity::find()
        .filter(secret::Column::WebhookId.eq(webhook))
        .order_by_desc(secret::Column::CreatedAt)
        .all(from.conn())
        .await?;
    let mut secrets = Secrets {
        signing: Vec::new(),
        names: None,
    };
    for row in rows {
        if row.hashes_names {
            secrets.names = Some(open(from, keys, &row).await?);
        }
        if row.expires_at.is_none_or(|end| end > from.now()) {
            secrets.signing.push(open(from, keys, &row).await?);
        }
    }
    Ok(secrets)
}

async fn open(from: &impl Reads, keys: &KeyStore, row: &secret::Model) -> Result<Secret<Vec<u8>>> {
    let key = keys.of_blob(from, &row.sealed).await?;
    let bytes = key.open(&place(row.org_id, row.webhook_id, row.id), &row.sealed)?;
    let text = std::str::from_utf8(bytes.expose()).map_err(|_| Error::internal("a signing secret is not text"))?;
    signature::decode_secret(text).map_err(|_| Error::internal("a signing secret is malformed"))
}

//! The secrets of an endpoint: those that sign, of which several are valid while they rotate, and the one of the making,
//! under which the names of keys are hashed. A rotation leaves that one as it is: a receiver would not know the keys again
//! whose hashes it has kept. With each secret comes a key pair that lives as long as it and signs beside it.

use std::collections::HashMap;
use std::time::Duration;

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect,
};
use zeroize::Zeroizing;

use super::endpoint::{self, Webhook};
use super::entity::secret;
use super::signature::{self, SEED_LEN, SigningKey};
use crate::access::grant::WebhooksManage;
use crate::access::{Caller, OrgAccess};
use crate::crypto::aad::{Aad, Purpose};
use crate::crypto::key_store::{KeyScope, KeyStore};
use crate::journal::{self, Action};
use crate::kernel::id::{KeyId, OrgId, WebhookId};
use crate::kernel::{Error, Problem, ProblemCode, Reads, Result, Secret, Timestamp, WriteTx};

/// Secrets of one endpoint that sign at the same time, at most: each adds 141 characters to a header.
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
    /// The private keys that came with them.
    pub keys: Vec<SigningKey>,
    /// Hashes the names of keys.
    pub names: Option<Secret<Vec<u8>>>,
}

/// A new secret, shown this once, and the public key that came with it.
pub struct Fresh {
    pub secret: Secret<String>,
    pub public_key: String,
}

/// What a rotation brought.
pub struct Rotated {
    pub fresh: Fresh,
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

/// Binds the private key that came with a secret to its endpoint.
fn key_place(org: OrgId, webhook: WebhookId, secret: KeyId) -> Vec<u8> {
    Aad::new(Purpose::SigningKey)
        .uuid(org)
        .uuid(webhook)
        .uuid(secret)
        .finish()
}

/// Makes the first secret of an endpoint.
pub(super) async fn first(tx: &WriteTx, keys: &KeyStore, webhook: &Webhook) -> Result<Fresh> {
    insert(tx, keys, webhook, true).await
}

async fn insert(tx: &WriteTx, keys: &KeyStore, webhook: &Webhook, hashes_names: bool) -> Result<Fresh> {
    let text = signature::new_secret(tx.rng())?;
    let seed = Zeroizing::new(tx.rng().bytes::<SEED_LEN>()?);
    let public_key = SigningKey::from_seed(seed.as_slice())?.public_key();
    let id: KeyId = tx.new_id()?;
    let key = keys.active(tx, KeyScope::Org(webhook.org_id)).await?;
    let aad = place(webhook.org_id, webhook.id, id);
    let key_aad = key_place(webhook.org_id, webhook.id, id);
    let row = secret::ActiveModel {
        id: Set(id),
        webhook_id: Set(webhook.id),
        org_id: Set(webhook.org_id),
        sealed: Set(key.seal(tx.rng(), &aad, text.expose().as_bytes())?),
        created_at: Set(tx.now()),
        expires_at: Set(None),
        hashes_names: Set(hashes_names),
        sealed_key: Set(Some(key.seal(tx.rng(), &key_aad, seed.as_slice())?)),
        public_key: Set(Some(public_key.clone())),
    };
    secret::Entity::insert(row).exec_without_returning(tx.conn()).await?;
    Ok(Fresh {
        secret: text,
        public_key,
    })
}

/// Gives an endpoint a new secret and key pair. Those of before sign beside them until the overlap is over, or their own
/// end comes; an overlap of 0 ends them at once.
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
    let fresh = insert(tx, keys, &webhook, false).await?;
    let entry = endpoint::entry(Action::WebhookSecretRotated, &webhook).with("previous_expires_at", end.to_string());
    journal::record(tx, &caller.origin, entry).await?;
    Ok(Rotated {
        fresh,
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
/// one that hashes names, which loses its key pair.
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
    let sql = "UPDATE webhook_secrets SET sealed_key = NULL, public_key = NULL
               WHERE webhook_id = $1 AND expires_at <= $2 AND sealed_key IS NOT NULL";
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
        keys: Vec::new(),
        names: None,
    };
    for row in rows {
        if row.hashes_names {
            secrets.names = Some(open(from, keys, &row).await?);
        }
        if row.expires_at.is_none_or(|end| end > from.now()) {
            secrets.signing.push(open(from, keys, &row).await?);
            secrets.keys.extend(open_key(from, keys, &row).await?);
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

/// `None` for a secret that is older than key pairs.
async fn open_key(from: &impl Reads, keys: &KeyStore, row: &secret::Model) -> Result<Option<SigningKey>> {
    let Some(sealed) = &row.sealed_key else {
        return Ok(None);
    };
    let key = keys.of_blob(from, sealed).await?;
    let seed = key.open(&key_place(row.org_id, row.webhook_id, row.id), sealed)?;
    SigningKey::from_seed(seed.expose()).map(Some)
}

#[derive(FromQueryResult)]
struct Published {
    webhook_id: WebhookId,
    public_key: Option<String>,
}

/// The public keys that came with the newest secrets of endpoints.
///
/// # Errors
/// [`Error::Db`].
pub(super) async fn public_keys(from: &impl Reads, webhooks: Vec<WebhookId>) -> Result<HashMap<WebhookId, String>> {
    if webhooks.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = secret::Entity::find()
        .select_only()
        .columns([secret::Column::WebhookId, secret::Column::PublicKey])
        .filter(secret::Column::WebhookId.is_in(webhooks))
        // Those of before have an end.
        .filter(secret::Column::ExpiresAt.is_null())
        .into_model::<Published>()
        .all(from.conn())
        .await?;
    let published = rows
        .into_iter()
        .filter_map(|row| Some((row.webhook_id, row.public_key?)));
    Ok(published.collect())
}

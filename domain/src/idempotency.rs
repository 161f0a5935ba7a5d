//! Answers kept for requests that are sent twice. The answer is stored in the very transaction of the change, sealed,
//! because it may hold a token that is shown once: a client that never got it can ask again and gets the same.

use std::time::Duration;

use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::crypto::aad::{Aad, Purpose};
use crate::crypto::key_store::KeyStore;
use crate::kernel::id::CredentialId;
use crate::kernel::{Error, Problem, ProblemCode, Reads, Result, Timestamp, WriteTx};

/// How long an answer is kept. Source: design of the API, retries.
pub const KEPT: Duration = Duration::from_hours(24);
/// Longest key, characters.
pub const MAX_KEY_LEN: usize = 255;

/// A stored answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// One request's claim to be the only one of its key.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Which credential, and which key: a narrow token cannot see the answers of a wide one, nor anybody another's.
    scope: [u8; 32],
    /// What was asked: method, path and body.
    request: [u8; 32],
}

#[derive(FromQueryResult)]
struct Row {
    request_hash: Vec<u8>,
    sealed: Vec<u8>,
    expires_at: Timestamp,
}

impl Claim {
    /// # Errors
    /// `invalid_field` for a key that is empty, too long, or not printable ASCII.
    pub fn new(
        keys: &KeyStore,
        credential: Option<CredentialId>,
        key: &str,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Result<Self> {
        if key.is_empty() || key.len() > MAX_KEY_LEN || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Problem::field(
                "Idempotency-Key",
                "format",
                "must be 1 to 255 printable ASCII characters without spaces",
            )
            .into());
        }
        let who = credential.map_or_else(|| "anonymous".to_owned(), |id| id.to_string());
        let mut request = Sha256::new();
        for part in [method.as_bytes(), path.as_bytes(), body] {
            request.update((part.len() as u64).to_be_bytes());
            request.update(part);
        }
        Ok(Self {
            scope: keys.token_mac().mac_text("idempotency", &format!("{who}\n{key}")),
            request: request.finalize().into(),
        })
    }

    fn aad(&self) -> Vec<u8> {
        Aad::new(Purpose::IdempotentResponse)
            .bytes(&self.scope)
            .bytes(&self.request)
            .finish()
    }

    /// The answer that this request got before.
    ///
    /// # Errors
    /// `idempotency_key_reused` when the key belongs to another request.
    pub async fn answer(&self, from: &impl Reads, keys: &KeyStore) -> Result<Option<Answer>> {
        let sql = "SELECT request_hash, sealed, expires_at FROM idempotent_responses WHERE scope_mac = $1";
        let row = Row::find_by_statement(from.sql(sql, [self.scope.to_vec().into()]))
            .one(from.conn())
            .await?;
        let Some(row) = row.filter(|row| row.expires_at > from.now()) else {
            return Ok(None);
        };
        if row.request_hash != self.request {
            let detail = "This Idempotency-Key was used with another request in the last 24 hours. Use a new key.";
            return Err(Problem::new(ProblemCode::IdempotencyKeyReused, detail).into());
        }
        let bytes = keys.instance().open(&self.aad(), &row.sealed)?;
        let answer =
            serde_json::from_slice(bytes.expose()).map_err(|_| Error::internal("a stored answer is malformed"))?;
        Ok(Some(answer))
    }

    /// Stores the answer in the transaction of the change.
    ///
    /// # Errors
    /// `conflict` when another request of this key was faster; nothing of this one may then be committed.
    pub async fn store(&self, tx: &WriteTx, keys: &KeyStore, answer: &Answer) -> Result<()> {
        let text = serde_json::to_vec(answer).map_err(|e| Error::internal(format!("answer: {e}")))?;
        let sealed = keys.instance().seal(tx.rng(), &self.aad(), &text)?;
        let sql = "INSERT INTO idempotent_responses (scope_mac, request_hash, sealed, created_at, expires_at)
                   VALUES ($1, $2, $3, $4, $5)
                   ON CONFLICT (scope_mac) DO UPDATE SET request_hash = excluded.request_hash, sealed = excluded.sealed,
                       created_at = excluded.created_at, expires_at = excluded.expires_at
                   WHERE idempotent_responses.expires_at <= excluded.created_at";
        let values = [
            self.scope.to_vec().into(),
            self.request.to_vec().into(),
            sealed.into(),
            tx.now().into(),
            (tx.now() + KEPT).into(),
        ];
        let stored = tx.conn().execute_raw(tx.sql(sql, values)).await?;
        if stored.rows_affected() == 1 {
            return Ok(());
        }
        let detail = "Another request with this Idempotency-Key was answered at the same time. Send it again to get that answer.";
        Err(Problem::new(ProblemCode::Conflict, detail).into())
    }
}

/// Deletes answers that are no longer kept; returns how many.
///
/// # Errors
/// [`Error::Db`].
pub async fn prune(tx: &WriteTx) -> Result<u64> {
    let sql = "DELETE FROM idempotent_responses WHERE expires_at <= $1";
    Ok(tx
        .conn()
        .execute_raw(tx.sql(sql, [tx.now().into()]))
        .await?
        .rows_affected())
}

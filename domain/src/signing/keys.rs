//! The stored keys.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, FromQueryResult};
use serde_json::Value;

use super::pair::{self, Pair};
use super::{Alg, Jwk};
use crate::crypto::key_store::KeyStore;
use crate::crypto::{Aad, Purpose};
use crate::kernel::{Db, Error, Reads, Result, Timestamp, WriteTx};

/// Where a key stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Published, and not used yet.
    Next,
    /// Signs.
    Active,
    /// Signs no more; what it signed is still taken.
    Retired,
}

impl State {
    /// The state as stored and printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Active => "active",
            Self::Retired => "retired",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Next, Self::Active, Self::Retired]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// A key, without the key itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyShown {
    pub kid: String,
    pub alg: Alg,
    pub state: State,
    pub created_at: Timestamp,
    pub activated_at: Option<Timestamp>,
    pub retired_at: Option<Timestamp>,
}

#[derive(FromQueryResult)]
struct Row {
    kid: String,
    alg: String,
    public_jwk: String,
    state: String,
    created_at: Timestamp,
    activated_at: Option<Timestamp>,
    retired_at: Option<Timestamp>,
}

const SELECT: &str = "SELECT kid, alg, public_jwk, state, created_at, activated_at, retired_at FROM signing_keys";

fn broken() -> Error {
    Error::internal("a signing key is stored wrongly")
}

impl Row {
    fn shown(self) -> Result<KeyShown> {
        Ok(KeyShown {
            alg: Alg::parse(&self.alg).ok_or_else(broken)?,
            state: State::parse(&self.state).ok_or_else(broken)?,
            kid: self.kid,
            created_at: self.created_at,
            activated_at: self.activated_at,
            retired_at: self.retired_at,
        })
    }

    fn jwk(&self) -> Result<Jwk> {
        let value: Value = serde_json::from_str(&self.public_jwk).map_err(|_| broken())?;
        Jwk::from_json(&value).ok_or_else(broken)
    }
}

async fn rows(from: &impl Reads) -> Result<Vec<Row>> {
    let sql = format!("{SELECT} ORDER BY alg, created_at, kid");
    Ok(Row::find_by_statement(from.sql(&sql, [])).all(from.conn()).await?)
}

/// Every key that there is, by algorithm and age.
///
/// # Errors
/// [`Error::Db`].
pub async fn list(from: &impl Reads) -> Result<Vec<KeyShown>> {
    rows(from).await?.into_iter().map(Row::shown).collect()
}

/// The public keys by their ids: those to come, those in use, and those whose tokens may still live.
///
/// # Errors
/// [`Error::Db`].
pub(super) async fn public(from: &impl Reads) -> Result<BTreeMap<String, Jwk>> {
    let rows = rows(from).await?;
    rows.into_iter().map(|row| Ok((row.kid.clone(), row.jwk()?))).collect()
}

/// The public key of this id, if there is one that has been used.
///
/// # Errors
/// [`Error::Db`].
pub(super) async fn find(from: &impl Reads, kid: &str) -> Result<Option<Jwk>> {
    let sql = format!("{SELECT} WHERE kid = $1 AND state <> 'next'");
    let row = Row::find_by_statement(from.sql(&sql, [kid.into()]))
        .one(from.conn())
        .await?;
    row.map(|row| row.jwk()).transpose()
}

/// A private key as it lies in the database.
#[derive(FromQueryResult)]
pub(super) struct Sealed {
    pub(super) kid: String,
    sealed_private: Vec<u8>,
}

/// The key of this algorithm that signs.
///
/// # Errors
/// [`Error::Db`].
pub(super) async fn active(from: &impl Reads, alg: Alg) -> Result<Option<Sealed>> {
    let sql = "SELECT kid, sealed_private FROM signing_keys WHERE alg = $1 AND state = 'active'";
    Ok(Sealed::find_by_statement(from.sql(sql, [alg.as_str().into()]))
        .one(from.conn())
        .await?)
}

/// Binds a private key to its row.
fn place(kid: &str, alg: Alg) -> Vec<u8> {
    Aad::new(Purpose::SigningKey).text(kid).text(alg.as_str()).finish()
}

impl Sealed {
    /// Opens it.
    ///
    /// # Errors
    /// [`Error::Internal`] when it does not belong to its row.
    pub(super) fn open(&self, keys: &KeyStore, alg: Alg) -> Result<Pair> {
        let opened = keys.instance().open(&place(&self.kid, alg), &self.sealed_private);
        let bytes = opened.map_err(|_| Error::internal("a signing key does not open"))?;
        Pair::open(alg, bytes.expose())
    }
}

/// A key that was made and is not stored yet.
pub(super) struct Fresh {
    alg: Alg,
    kid: String,
    sealed_private: Vec<u8>,
    public_jwk: String,
}

/// Makes a key, off the runtime's threads: RSA takes a while.
///
/// # Errors
/// [`Error::Internal`].
pub(super) async fn make(db: &Db, keys: &KeyStore, alg: Alg) -> Result<Fresh> {
    let rng = db.rng().clone();
    let made = tokio::task::spawn_blocking(move || pair::generate(alg, &rng)).await;
    let bytes = made.map_err(|_| Error::internal("making a signing key was cut off"))??;
    let public = Pair::open(alg, bytes.expose())?.public()?;
    let kid = public.thumbprint();
    let sealed_private = keys.instance().seal(db.rng(), &place(&kid, alg), bytes.expose())?;
    Ok(Fresh {
        alg,
        kid,
        sealed_private,
        public_jwk: public.to_json().to_string(),
    })
}

/// Stores a key, unless another process was first: one of an algorithm waits, and one signs.
///
/// # Errors
/// [`Error::Db`].
pub(super) async fn insert(tx: &WriteTx, key: Fresh, state: State) -> Result<bool> {
    let Fresh {
        alg,
        kid,
        sealed_private,
        public_jwk,
    } = key;
    let sql = "INSERT INTO signing_keys (kid, alg, sealed_private, public_jwk, state, created_at, activated_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
    let activated: Option<Timestamp> = (state == State::Active).then(|| tx.now());
    let values = [
        kid.into(),
        alg.as_str().into(),
        sealed_private.into(),
        public_jwk.into(),
        state.as_str().into(),
        tx.now().into(),
        activated.into(),
    ];
    let inserted = tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(inserted.rows_affected() == 1)
}

//! Signing and checking.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use moka::sync::Cache;
use serde_json::{Map, Value, json};

use super::jws::{self, Parsed};
use super::keys;
use super::pair::Pair;
use super::rotation::tend;
use super::{Alg, Claims, Expectation, Typ};
use crate::crypto::key_store::KeyStore;
use crate::kernel::{Db, Error, Reads, Result};

/// Opened private keys held in memory.
const OPENED: u64 = 8;
/// For how long.
const OPENED_FOR: Duration = Duration::from_mins(10);

/// Signs tokens. Which key signs is asked of the database each time, so that all processes change keys together.
pub struct Signer {
    opened: Cache<String, Arc<Pair>>,
    is_ready: AtomicBool,
}

impl Default for Signer {
    fn default() -> Self {
        Self {
            opened: Cache::builder().max_capacity(OPENED).time_to_live(OPENED_FOR).build(),
            is_ready: AtomicBool::new(false),
        }
    }
}

impl Signer {
    /// Sees to it that there are keys. A new instance makes its first when somebody first wants them.
    ///
    /// # Errors
    /// [`Error::Db`].
    pub async fn ready(&self, db: &Db, store: &KeyStore) -> Result<()> {
        if !self.is_ready.load(Ordering::Acquire) {
            tend(db, store).await?;
            self.is_ready.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Signs claims as a token of a kind. Call [`Signer::ready`] before.
    ///
    /// # Errors
    /// [`Error::Internal`] when there is no key.
    pub async fn sign(
        &self,
        from: &impl Reads,
        store: &KeyStore,
        claims: &Map<String, Value>,
        typ: Typ,
        alg: Alg,
    ) -> Result<String> {
        let sealed = keys::active(from, alg)
            .await?
            .ok_or_else(|| Error::internal("no key signs"))?;
        let pair = if let Some(pair) = self.opened.get(&sealed.kid) {
            pair
        } else {
            let pair = Arc::new(sealed.open(store, alg)?);
            self.opened.insert(sealed.kid.clone(), Arc::clone(&pair));
            pair
        };
        let signed = jws::signing_input(alg, &sealed.kid, typ.as_str(), claims)?;
        Ok(jws::with_signature(&signed, &pair.sign(signed.as_bytes())?))
    }
}

/// The claims of a token of ours that is what is expected; `None` for any other. A key that is only to come has signed
/// nothing yet.
///
/// # Errors
/// [`Error::Db`], which says nothing about the token.
pub async fn verify(from: &impl Reads, token: &str, expected: &Expectation<'_>) -> Result<Option<Claims>> {
    let Expectation { iss, aud, typ } = *expected;
    let claims = opened(from, token, typ).await?;
    Ok(claims.filter(|claims| claims.meet(iss, aud, from.now())))
}

/// The claims of a token of a kind that we signed, from whomever and for whomever: it is not to be taken before
/// [`Claims::meet`] says so.
///
/// # Errors
/// [`Error::Db`], which says nothing about the token.
pub async fn opened(from: &impl Reads, token: &str, typ: Typ) -> Result<Option<Claims>> {
    let Some(parsed) = Parsed::read(token).filter(|parsed| parsed.typ().eq_ignore_ascii_case(typ.as_str())) else {
        return Ok(None);
    };
    let Some(key) = (match parsed.kid() {
        Some(kid) => keys::find(from, kid).await?,
        None => None,
    }) else {
        return Ok(None);
    };
    Ok(parsed.opened_with(&key))
}

/// The published set of keys (RFC 7517).
///
/// # Errors
/// [`Error::Db`].
pub async fn jwks(from: &impl Reads) -> Result<Value> {
    let public = keys::public(from).await?;
    let shown: Vec<_> = public.iter().map(|(kid, key)| key.published(kid)).collect();
    Ok(json!({ "keys": shown }))
}

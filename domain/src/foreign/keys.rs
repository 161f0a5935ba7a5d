//! The keys of issuers. A token that names a key we do not know makes us look again, once a minute at most, however many
//! such tokens come.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::{Checked, Failure, Issuers};
use crate::kernel::Timestamp;
use crate::signing::Jwk;

/// How long keys are taken as they are: also how long a key lives on here that its issuer took back.
const REMEMBERED_FOR: Duration = Duration::from_hours(1);
/// How long they are taken when their issuer does not answer.
const OUTAGE: Duration = Duration::from_hours(24);
/// The time between two looks for a key that is not known.
const LOOK_AGAIN: Duration = Duration::from_mins(1);
/// Keys of one issuer that are looked at.
const MAX_KEYS: usize = 50;

/// The keys of one issuer.
#[derive(Clone, Default)]
pub(super) struct Keys {
    all: Vec<(Option<String>, Jwk)>,
    /// `None`: never yet.
    fetched_at: Option<Timestamp>,
    /// When somebody last tried to fetch them.
    tried_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Published {
    keys: Vec<Value>,
}

/// Keys that sign with an algorithm of ours. Others, symmetric ones among them, are not even read.
fn usable(published: Published) -> Vec<(Option<String>, Jwk)> {
    let is = |value: &Value, name: &str, wanted: &str| value.get(name).is_none_or(|said| said.as_str() == Some(wanted));
    let keys = published.keys.into_iter().take(MAX_KEYS);
    keys.filter_map(|value| {
        let key = Jwk::from_json(&value)?;
        let kid = value.get("kid").and_then(Value::as_str).map(str::to_owned);
        (is(&value, "use", "sig") && is(&value, "alg", key.alg().as_str())).then_some((kid, key))
    })
    .collect()
}

impl Keys {
    /// The keys that a token may be signed with: those of its id; without an id all of them.
    fn of(&self, kid: Option<&str>) -> Vec<Jwk> {
        let fits = |known: &Option<String>| kid.is_none() || known.as_deref() == kid;
        let found = self.all.iter().filter(|(known, _)| fits(known));
        found.map(|(_, key)| key.clone()).collect()
    }

    fn age(&self, now: Timestamp) -> Option<Duration> {
        self.fetched_at.map(|at| now.since(at))
    }
}

impl Issuers {
    /// The keys at an address that a token of this key id may be signed with; none when there is no such key.
    pub(super) async fn keys(&self, jwks_uri: &str, kid: Option<&str>, now: Timestamp) -> Checked<Vec<Jwk>> {
        let known = self.keys.get(jwks_uri).map(|keys| (*keys).clone()).unwrap_or_default();
        let fitting = known.of(kid);
        let age = known.age(now);
        if !fitting.is_empty() && age.is_some_and(|age| age < REMEMBERED_FOR) {
            return Ok(fitting);
        }
        if known.tried_at.is_some_and(|at| now.since(at) < LOOK_AGAIN) {
            return Ok(if age.is_some_and(|age| age < OUTAGE) {
                fitting
            } else {
                Vec::new()
            });
        }
        match self.fetch_json::<Published>("keys", jwks_uri, None, None).await {
            Ok(published) => {
                let fresh = Keys {
                    all: usable(published),
                    fetched_at: Some(now),
                    tried_at: Some(now),
                };
                let fitting = fresh.of(kid);
                self.keys.insert(jwks_uri.to_owned(), Arc::new(fresh));
                Ok(fitting)
            }
            Err(failure) => {
                let tried = Keys {
                    tried_at: Some(now),
                    ..known
                };
                self.keys.insert(jwks_uri.to_owned(), Arc::new(tried));
                if !fitting.is_empty() && age.is_some_and(|age| age < OUTAGE) {
                    return Ok(fitting);
                }
                Err(failure)
            }
        }
    }

    /// Looks for keys at an address; tells how many there are.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn count_keys(&self, jwks_uri: &str) -> Checked<usize> {
        let published: Published = self.fetch_json("keys", jwks_uri, None, None).await?;
        match usable(published).len() {
            0 => Err(Failure::Unreachable("keys: none of RS256, ES256 or EdDSA".to_owned())),
            count => Ok(count),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_keys_that_sign_as_we_check_are_read() {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let key = |more: Value| {
            let mut key = json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
            for (name, value) in more.as_object().unwrap() {
                key[name] = value.clone();
            }
            key
        };
        let published = Published {
            keys: vec![
                json!({ "kty": "oct", "k": "AAAA", "kid": "a" }),
                key(json!({ "kid": "a", "use": "enc" })),
                key(json!({ "kid": "a", "alg": "RS256" })),
                key(json!({ "kid": "a", "use": 7 })),
                key(json!({ "kid": "b", "use": "sig", "alg": "EdDSA" })),
                key(json!({})),
            ],
        };
        let keys = Keys {
            all: usable(published),
            ..Keys::default()
        };
        assert_eq!((keys.all.len(), keys.of(Some("a")).len()), (2, 0));
        assert_eq!((keys.of(Some("b")).len(), keys.of(None).len()), (1, 2));
    }
}

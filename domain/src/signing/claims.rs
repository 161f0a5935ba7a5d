//! What a token says, and what it must say to be taken.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::kernel::Timestamp;

/// How far another machine's clock may be ahead of ours.
const LEEWAY: Duration = Duration::from_mins(1);

/// The kinds of token that we make. One is never taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typ {
    /// RFC 9068.
    AccessToken,
    /// OpenID Connect.
    IdToken,
}

impl Typ {
    /// The header's `typ`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "at+jwt",
            Self::IdToken => "JWT",
        }
    }
}

/// What a token must be to be taken.
#[derive(Clone, Copy, Debug)]
pub struct Expectation<'a> {
    pub iss: &'a str,
    pub aud: &'a str,
    pub typ: Typ,
}

/// The claims of a token whose signature was checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims(Map<String, Value>);

impl Claims {
    pub(super) fn new(claims: Map<String, Value>) -> Self {
        Self(claims)
    }

    /// A claim.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A claim that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// A claim that is an instant: whole or broken seconds since 1970.
    pub fn instant(&self, name: &str) -> Option<Timestamp> {
        let value = self.get(name)?;
        let seconds = match value.as_i64() {
            Some(seconds) => seconds,
            None => whole(value.as_f64()?)?,
        };
        Some(Timestamp(seconds.checked_mul(1_000_000)?))
    }

    /// Whether it comes from whom and is for whom it must, and is in force. A claim of the wrong type is no claim.
    pub fn meet(&self, iss: &str, aud: &str, now: Timestamp) -> bool {
        let is_for = match self.get("aud") {
            Some(Value::String(one)) => one == aud,
            Some(Value::Array(several)) => {
                several.iter().all(Value::is_string) && several.iter().any(|each| each.as_str() == Some(aud))
            }
            _ => false,
        };
        let has_begun = |name| match self.get(name) {
            None => true,
            Some(_) => self.instant(name).is_some_and(|at| at <= now + LEEWAY),
        };
        self.text("iss") == Some(iss)
            && is_for
            && self.instant("exp").is_some_and(|end| end > now)
            && has_begun("nbf")
            && has_begun("iat")
    }
}

/// The whole part of a number that no instant of ours is beyond.
fn whole(number: f64) -> Option<i64> {
    if number.abs() >= 1e15 {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "bounded right before; a fraction does not count"
    )]
    let whole = number as i64;
    Some(whole)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp(1_900_000_000_000_000);

    fn meets(change: &Value) -> bool {
        let mut claims = json!({ "iss": "https://a.example", "aud": "me", "exp": 1_900_000_001, "iat": 1_900_000_000 });
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let mut claims = claims.as_object().unwrap().clone();
        claims.retain(|_, value| !value.is_null());
        Claims::new(claims).meet("https://a.example", "me", NOW)
    }

    #[test]
    fn a_token_is_taken_from_its_issuer_by_its_audience_while_it_is_in_force() {
        for good in [
            json!({}),
            json!({ "aud": ["you", "me"] }),
            json!({ "iat": null }),
            json!({ "nbf": 1_900_000_060 }),
            json!({ "exp": 1_900_000_001.5 }),
        ] {
            assert!(meets(&good), "{good}");
        }
        for bad in [
            json!({ "iss": "https://a.example/" }),
            json!({ "iss": ["https://a.example"] }),
            json!({ "iss": null }),
            json!({ "aud": "you" }),
            json!({ "aud": [] }),
            json!({ "aud": ["me", 7] }),
            json!({ "aud": { "me": true } }),
            json!({ "aud": null }),
            json!({ "exp": 1_900_000_000 }),
            json!({ "exp": "1900000001" }),
            json!({ "exp": null }),
            json!({ "exp": 1e300 }),
            json!({ "exp": true }),
            json!({ "nbf": 1_900_000_061 }),
            json!({ "nbf": "0" }),
            json!({ "iat": 1_900_000_061 }),
        ] {
            assert!(!meets(&bad), "{bad}");
        }
    }
}

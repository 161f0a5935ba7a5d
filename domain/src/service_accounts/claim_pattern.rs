//! Which tokens of another issuer stand for a service account: a pattern for each claim that counts. `*` is any run of
//! letters; everything else is itself.

use std::collections::BTreeMap;

use serde_json::Value;
use url::Url;

use crate::kernel::{Problem, Result};
use crate::signing::Claims;

/// Claims of one rule at most.
const MAX_CLAIMS: usize = 20;
/// Longest name or pattern, bytes.
const MAX_LEN: usize = 500;

/// Issuers that make tokens for everybody, with the claims that say for whom, and how their owner is told from others:
/// a pattern that fits another owner's tokens is nobody's wish.
const SHARED: [(&str, &[(&str, Owner)]); 2] = [
    (
        "token.actions.githubusercontent.com",
        &[
            ("sub", Owner::BeforeSlash),
            ("repository", Owner::BeforeSlash),
            ("repository_id", Owner::Whole),
            ("repository_owner", Owner::Whole),
            ("repository_owner_id", Owner::Whole),
        ],
    ),
    (
        "gitlab.com",
        &[
            ("sub", Owner::BeforeSlash),
            ("project_path", Owner::BeforeSlash),
            ("project_id", Owner::Whole),
            ("namespace_path", Owner::Whole),
            ("namespace_id", Owner::Whole),
        ],
    ),
];

/// How much of a pattern must stand without `*`.
#[derive(Clone, Copy)]
enum Owner {
    BeforeSlash,
    Whole,
}

impl Owner {
    fn is_named(self, pattern: &str) -> bool {
        let (literal, _) = pattern.split_once('*').unwrap_or((pattern, ""));
        match self {
            Self::BeforeSlash => literal.contains('/'),
            Self::Whole => literal == pattern,
        }
    }
}

/// Patterns by the names of their claims.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimPatterns(BTreeMap<String, String>);

impl ClaimPatterns {
    /// Checks what somebody wants of the tokens of an issuer.
    ///
    /// # Errors
    /// `invalid_field` naming `claims`.
    pub fn check(issuer: &Url, claims: BTreeMap<String, String>) -> Result<Self> {
        let wrong = |reason, message: String| Err(Problem::field("claims", reason, message).into());
        if claims.len() > MAX_CLAIMS {
            return wrong("too_many", format!("must be at most {MAX_CLAIMS}"));
        }
        let is_plain = |text: &str| !text.is_empty() && text.len() <= MAX_LEN && !text.chars().any(char::is_control);
        if !claims.iter().all(|(name, pattern)| is_plain(name) && is_plain(pattern)) {
            let message =
                format!("each name and pattern must have 1 to {MAX_LEN} bytes, none of them control characters");
            return wrong("format", message);
        }
        if !claims.values().any(|pattern| !pattern.starts_with('*')) {
            return wrong("required", "must have a pattern that does not begin with *".to_owned());
        }
        let shared = SHARED.iter().find(|(host, _)| issuer.host_str() == Some(*host));
        if let Some((_, owners)) = shared {
            let names_owner = |(name, owner): &(&str, Owner)| claims.get(*name).is_some_and(|p| owner.is_named(p));
            if !owners.iter().any(names_owner) {
                let names: Vec<_> = owners.iter().map(|(name, _)| *name).collect();
                let message = format!(
                    "must say whose tokens: this issuer makes them for everybody. One of {} must name the owner before any *",
                    names.join(", ")
                );
                return wrong("too_wide", message);
            }
        }
        Ok(Self(claims))
    }

    /// The patterns as stored; read back by [`ClaimPatterns::from_stored`].
    pub fn to_stored(&self) -> String {
        Value::from_iter(self.0.clone()).to_string()
    }

    /// `None` for text that is none.
    pub fn from_stored(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self)
    }

    /// The patterns by the names of their claims.
    pub fn into_map(self) -> BTreeMap<String, String> {
        self.0
    }

    /// Whether a token has every claim, and each fits.
    pub fn fit(&self, claims: &Claims) -> bool {
        !self.0.is_empty()
            && self.0.iter().all(|(name, pattern)| {
                let said = said(claims, name).and_then(plain);
                said.is_some_and(|said| fits(pattern, &said))
            })
    }
}

/// A claim by its name, or by a way into it: `/kubernetes.io/namespace`.
fn said<'a>(claims: &'a Claims, name: &str) -> Option<&'a Value> {
    let Some(way) = name.strip_prefix('/') else {
        return claims.get(name);
    };
    let (first, rest) = way.split_once('/').unwrap_or((way, ""));
    let mut found = claims.get(first)?;
    for step in rest.split('/').filter(|step| !step.is_empty()) {
        found = found.as_object()?.get(step)?;
    }
    Some(found)
}

/// Texts, whole numbers and truths as text; lists and objects are nothing that could fit.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether a text fits a pattern, in a time that grows with their lengths alone.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        // No star: the whole text was the first part.
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GITHUB: &str = "https://token.actions.githubusercontent.com";

    fn checked(issuer: &str, claims: &[(&str, &str)]) -> bool {
        let claims = claims
            .iter()
            .map(|(name, pattern)| ((*name).to_owned(), (*pattern).to_owned()));
        ClaimPatterns::check(&Url::parse(issuer).unwrap(), claims.collect()).is_ok()
    }

    #[test]
    fn a_star_is_any_run_of_letters() {
        for (pattern, text) in [
            ("repo:acme/web:*", "repo:acme/web:ref:refs/heads/main"),
            ("repo:acme/web:*", "repo:acme/web:"),
            ("a*c*e", "abcde"),
            ("a*", "a"),
            ("*a", "ba"),
            ("a*b*", "axxbxx"),
            ("a**b", "ab"),
            ("a", "a"),
        ] {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("repo:acme/web:*", "repo:acme/website:ref"),
            ("repo:acme/web:*", "xrepo:acme/web:ref"),
            ("a", "ab"),
            ("ab*bc", "abc"),
            ("a*c*e", "abcd"),
            ("a*a", "a"),
            ("A", "a"),
            ("a?c", "abc"),
        ] {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_rule_about_a_shared_issuer_says_whose_tokens() {
        for good in [
            [("sub", "repo:acme/web:*")],
            [("repository", "acme/*")],
            [("repository_owner", "acme")],
            [("repository_id", "123")],
        ] {
            assert!(checked(GITHUB, &good), "{good:?}");
        }
        for bad in [
            [("sub", "repo:*")],
            [("sub", "*/web:*")],
            [("ref", "refs/heads/main")],
            [("repository_owner", "acme*")],
            [("sub", "")],
        ] {
            assert!(!checked(GITHUB, &bad), "{bad:?}");
        }
        let kubernetes = "https://kubernetes.default.svc.cluster.local";
        assert!(checked(kubernetes, &[("sub", "system:serviceaccount:ci:*")]));
        assert!(!checked(kubernetes, &[("sub", "*")]));
        assert!(!checked(kubernetes, &[]));
    }

    #[test]
    fn patterns_come_back_from_the_database() {
        let claims = BTreeMap::from([
            ("sub".to_owned(), "a\"*".to_owned()),
            ("ref".to_owned(), "b".to_owned()),
        ]);
        let patterns = ClaimPatterns::check(&Url::parse("https://a.example").unwrap(), claims).unwrap();
        assert_eq!(ClaimPatterns::from_stored(&patterns.to_stored()), Some(patterns));
    }
}

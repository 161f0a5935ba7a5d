//! What an application asks for: words of OpenID Connect, and permissions in the one grammar of all credentials.

use std::collections::BTreeSet;
use std::fmt;

use super::refusal::{Refusal, RefusalCode};
use crate::access::GrantSet;
use crate::access::permission::Grant;

/// A word of OpenID Connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Word {
    /// Who the person is: an ID token.
    OpenId,
    /// Names.
    Profile,
    /// The address.
    Email,
    /// Going on without the person: a refresh token.
    OfflineAccess,
}

impl Word {
    pub const ALL: [Self; 4] = [Self::OpenId, Self::Profile, Self::Email, Self::OfflineAccess];

    /// The word as sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenId => "openid",
            Self::Profile => "profile",
            Self::Email => "email",
            Self::OfflineAccess => "offline_access",
        }
    }
}

/// Stands for all that the person may: only our own command line is given that.
const EVERYTHING: &str = "*";

/// A set of scopes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes {
    words: BTreeSet<Word>,
    grants: GrantSet,
    has_everything: bool,
}

impl Scopes {
    /// All that the person may.
    pub fn everything() -> Self {
        Self {
            has_everything: true,
            ..Self::default()
        }
    }

    /// The words of OpenID Connect: what a client may ask for unless it says otherwise.
    pub fn of_words() -> Self {
        Self {
            words: Word::ALL.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Reads what a client sends: words with blanks between.
    ///
    /// # Errors
    /// `invalid_scope` for a word that there is not.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let mut scopes = Self::default();
        for part in text.split(' ').filter(|part| !part.is_empty()) {
            if let Some(word) = Word::ALL.into_iter().find(|word| word.as_str() == part) {
                scopes.words.insert(word);
                continue;
            }
            let grant: Grant = part.parse().map_err(|_| unknown())?;
            scopes.grants = scopes.grants.union(&std::iter::once(grant).collect());
        }
        Ok(scopes)
    }

    /// Reads the stored form; `None` when it is broken.
    pub fn from_stored(text: &str) -> Option<Self> {
        match text {
            EVERYTHING => Some(Self::everything()),
            text => Self::parse(text).ok(),
        }
    }

    /// Whether a word is among them.
    pub fn has(&self, word: Word) -> bool {
        self.words.contains(&word)
    }

    /// What a token of these is narrowed to; `None` = nothing.
    pub fn grants(&self) -> Option<&GrantSet> {
        (!self.has_everything).then_some(&self.grants)
    }

    /// Whether anything in an organisation can be reached with these.
    pub fn reaches_organisations(&self) -> bool {
        self.has_everything || !self.grants.is_empty()
    }

    pub fn is_empty(&self) -> bool {
        self.words.is_empty() && !self.reaches_organisations()
    }

    /// Whether all of these are among `others`.
    pub fn are_within(&self, others: &Self) -> bool {
        if others.has_everything {
            return true;
        }
        !self.has_everything && self.words.is_subset(&others.words) && self.grants.is_subset_of(&others.grants)
    }

    /// These and others.
    #[must_use]
    pub fn union(&self, others: &Self) -> Self {
        Self {
            words: self.words.union(&others.words).copied().collect(),
            grants: self.grants.union(&others.grants),
            has_everything: self.has_everything || others.has_everything,
        }
    }

    /// One by one, as sent.
    pub fn to_list(&self) -> Vec<String> {
        let words = self.words.iter().map(|word| word.as_str().to_owned());
        let everything = self.has_everything.then(|| EVERYTHING.to_owned());
        words.chain(self.grants.to_list()).chain(everything).collect()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_list().join(" "))
    }
}

fn unknown() -> Refusal {
    Refusal::new(
        RefusalCode::InvalidScope,
        "A scope is unknown. There are openid, profile, email, offline_access and permissions such as secrets:read@dev.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(text: &str) -> Scopes {
        Scopes::parse(text).unwrap()
    }

    #[test]
    fn scopes_read_back_and_narrow() {
        let some = scopes("openid  secrets:read@dev email openid");
        assert_eq!(some.to_string(), "openid email secrets:read@dev");
        assert_eq!(Scopes::from_stored(&some.to_string()), Some(some.clone()));
        assert_eq!(Scopes::from_stored("*"), Some(Scopes::everything()));
        assert!(some.are_within(&scopes("openid email secrets:read")));
        assert!(some.are_within(&Scopes::everything()));
        assert!(!scopes("secrets:read").are_within(&some));
        assert!(!scopes("profile").are_within(&some));
        assert!(!Scopes::everything().are_within(&some));
        assert_eq!(Scopes::everything().grants(), None);
        assert_eq!(
            scopes("openid").grants(),
            Some(&GrantSet::EMPTY),
            "signing in opens nothing"
        );
    }

    #[test]
    fn unknown_scopes_and_everything_cannot_be_asked_for() {
        for bad in [
            "*",
            "admin",
            "secrets:explode",
            "secrets:read@moon",
            "openid,email",
            "OPENID",
        ] {
            assert_eq!(Scopes::parse(bad).unwrap_err().code, RefusalCode::InvalidScope, "{bad}");
        }
        assert!(scopes("").is_empty());
    }
}

//! Which environments of a project a template key is about.

use std::fmt;
use std::str::FromStr;

use crate::access::EnvClass;
use crate::kernel::id::EnvId;
use crate::kernel::{Error, Problem, Result};
use crate::projects::environment::Environment;

/// Entries of a scope at most.
const MAX_ENTRIES: usize = 100;

/// An environment for good, whatever it will be called, or all that are of a class then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Env(EnvId),
    Class(EnvClass),
}

/// The stored form: `env_…` or `@prod`.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(id) => write!(f, "{id}"),
            Self::Class(class) => write!(f, "@{class}"),
        }
    }
}

/// Text that is no entry as stored.
#[derive(Debug)]
struct NoEntry;

impl FromStr for Entry {
    type Err = NoEntry;

    fn from_str(text: &str) -> Result<Self, NoEntry> {
        match text.strip_prefix('@') {
            Some(class) => EnvClass::parse(class).map(Self::Class).map_err(|_| NoEntry),
            None => text.parse().map(Self::Env).map_err(|_| NoEntry),
        }
    }
}

/// Environments of a project. Without an entry: all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope(Vec<Entry>);

impl Scope {
    /// Whether it holds an environment of this class.
    pub fn covers(&self, env: EnvId, class: EnvClass) -> bool {
        let is_meant = |entry: &Entry| match entry {
            Entry::Env(id) => *id == env,
            Entry::Class(of) => *of == class,
        };
        self.0.is_empty() || self.0.iter().any(is_meant)
    }

    /// Reads what a caller wrote: slugs or ids of environments that it may know of, and classes.
    ///
    /// # Errors
    /// `invalid_field` naming `environments` or one of its entries.
    pub fn resolve(names: &[String], known: &[Environment]) -> Result<Self> {
        if names.len() > MAX_ENTRIES {
            let message = format!("must be at most {MAX_ENTRIES} environments and classes");
            return Err(Problem::field("environments", "too_many", message).into());
        }
        let mut entries = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            let wrong = |reason: &'static str, message: &'static str| {
                Problem::field(format!("environments[{index}]"), reason, message)
            };
            let unknown = "must be an environment of the project, or one of @dev, @staging, @prod";
            let entry = entry_of(name, known).ok_or_else(|| wrong("unknown", unknown))?;
            if entries.contains(&entry) {
                return Err(wrong("duplicate", "is there twice").into());
            }
            entries.push(entry);
        }
        Ok(Self(entries))
    }

    /// As people write it today. An environment that is deleted, or that the reader may not know of, shows its id.
    pub fn names(&self, known: &[Environment]) -> Vec<String> {
        let name = |entry: &Entry| match entry {
            Entry::Env(id) => match known.iter().find(|env| env.id == *id) {
                Some(env) => env.slug.clone(),
                None => entry.to_string(),
            },
            Entry::Class(_) => entry.to_string(),
        };
        self.0.iter().map(name).collect()
    }

    /// The stored form: a JSON list of strings.
    ///
    /// # Errors
    /// [`Error::Internal`].
    pub fn to_json(&self) -> Result<String> {
        let entries: Vec<String> = self.0.iter().map(Entry::to_string).collect();
        serde_json::to_string(&entries).map_err(|e| Error::internal(format!("environments of a template key: {e}")))
    }

    /// Reads the stored form; `None` when it is none.
    pub fn from_json(text: &str) -> Option<Self> {
        let entries: Vec<String> = serde_json::from_str(text).ok()?;
        let entries = entries.iter().map(|entry| entry.parse::<Entry>().ok());
        entries.collect::<Option<Vec<_>>>().map(Self)
    }
}

fn entry_of(name: &str, known: &[Environment]) -> Option<Entry> {
    if let Some(class) = name.strip_prefix('@') {
        return EnvClass::parse(class).ok().map(Entry::Class);
    }
    let mut meant = known
        .iter()
        .filter(|env| env.slug == name || name.parse() == Ok(env.id));
    meant.next().map(|env| Entry::Env(env.id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Timestamp;

    fn env(number: u128, slug: &str, class: EnvClass) -> Environment {
        Environment {
            id: EnvId(uuid::Uuid::from_u128(number)),
            slug: slug.to_owned(),
            name: slug.to_owned(),
            class,
            protected: false,
            revision: 0,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
        }
    }

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_scope_keeps_its_environments_through_storage_and_renames() {
        let mut known = [env(1, "live", EnvClass::Prod), env(2, "qa", EnvClass::Staging)];
        let scope = Scope::resolve(&names(&["live", "@dev"]), &known).unwrap();
        assert_eq!(Scope::from_json(&scope.to_json().unwrap()), Some(scope.clone()));
        let covers = |env: &Environment| scope.covers(env.id, env.class);
        assert!(covers(&known[0]) && !covers(&known[1]));
        assert!(covers(&env(3, "mine", EnvClass::Dev)));
        known[0].slug = "blue".to_owned();
        assert_eq!(scope.names(&known), names(&["blue", "@dev"]));
        assert_eq!(scope.names(&[]), names(&[&known[0].id.to_string(), "@dev"]));
        assert_eq!(
            Scope::resolve(&names(&[&known[0].id.to_string(), "@dev"]), &known).unwrap(),
            scope
        );
    }

    #[test]
    fn without_an_entry_it_is_everywhere() {
        let scope = Scope::resolve(&[], &[]).unwrap();
        assert_eq!(scope.to_json().unwrap(), "[]");
        assert!(scope.covers(EnvId(uuid::Uuid::nil()), EnvClass::Prod));
    }

    #[test]
    fn what_names_nothing_or_twice_the_same_is_refused_by_its_place() {
        let known = [env(1, "live", EnvClass::Prod)];
        let id = known[0].id.to_string();
        for (list, field, reason) in [
            (names(&["live", "none"]), "environments[1]", "unknown"),
            (names(&["@production"]), "environments[0]", "unknown"),
            (names(&["live", &id]), "environments[1]", "duplicate"),
            (vec!["@dev".to_owned(); 101], "environments", "too_many"),
        ] {
            let problem = Scope::resolve(&list, &known).unwrap_err().into_problem();
            let error = &problem.errors[0];
            assert_eq!(
                (error.field.as_ref(), error.reason.as_ref()),
                (field, reason),
                "{list:?}"
            );
        }
        for stored in ["", "{}", "[1]", "[\"live\"]", "[\"@none\"]"] {
            assert_eq!(Scope::from_json(stored), None, "{stored}");
        }
    }
}

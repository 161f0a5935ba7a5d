//! An environment as the API tells of it: what it holds, and what it held at every revision.

use std::collections::BTreeMap;

use domain::kernel::Timestamp;

/// A version of a secret. One that was destroyed is read no more, and compared still.
#[derive(Clone, Debug)]
pub struct Version {
    pub value: String,
    pub comment: String,
    pub at: Timestamp,
    /// Who wrote it, as an index of the writers.
    pub by: usize,
    pub is_destroyed: bool,
}

/// A secret under the key that it has now, or had when it was deleted.
#[derive(Clone, Debug)]
pub struct Secret {
    pub key: String,
    /// The first is version 1, the last the current one.
    pub versions: Vec<Version>,
    pub deleted_at: Option<Timestamp>,
}

impl Secret {
    /// Number of its current version.
    pub fn version(&self) -> usize {
        self.versions.len()
    }

    pub fn newest(&self) -> &Version {
        &self.versions[self.versions.len() - 1]
    }

    /// A version by number, destroyed or not.
    pub fn numbered(&self, version: usize) -> Option<&Version> {
        self.versions.get(version.checked_sub(1)?)
    }

    /// The same, if it can still be read.
    pub fn kept(&self, version: usize) -> Option<&Version> {
        self.numbered(version).filter(|version| !version.is_destroyed)
    }
}

/// A secret as a revision has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Index of the secret.
    pub secret: usize,
    pub key: String,
    pub version: usize,
}

/// A change that was made.
#[derive(Clone, Debug)]
pub struct Revision {
    pub action: &'static str,
    /// How many secrets it changed.
    pub changes: usize,
    pub at: Timestamp,
    pub by: usize,
    /// What the environment held afterwards, by key.
    pub held: Vec<Held>,
}

#[derive(Clone, Debug, Default)]
pub struct Environment {
    pub secrets: Vec<Secret>,
    /// The first is revision 1.
    pub revisions: Vec<Revision>,
    pub pins: BTreeMap<String, usize>,
}

impl Environment {
    /// Number of the current revision.
    pub fn revision(&self) -> usize {
        self.revisions.len()
    }

    /// The secret that has a key.
    pub fn live(&self, key: &str) -> Option<usize> {
        self.secrets
            .iter()
            .position(|secret| secret.key == key && secret.deleted_at.is_none())
    }

    /// The secret that has a key, or else the one that was deleted last under it.
    pub fn of_key(&self, key: &str) -> Option<usize> {
        let of_key = (0..self.secrets.len()).filter(|index| self.secrets[*index].key == key);
        self.live(key)
            .or_else(|| of_key.max_by_key(|index| self.secrets[*index].deleted_at))
    }

    /// The version that a key has.
    pub fn live_version(&self, key: &str) -> Option<usize> {
        self.live(key).map(|index| self.secrets[index].version())
    }

    /// What it holds now, by key.
    pub fn held(&self) -> Vec<Held> {
        let live = self
            .secrets
            .iter()
            .enumerate()
            .filter(|(_, secret)| secret.deleted_at.is_none());
        let mut held: Vec<_> = live
            .map(|(index, secret)| Held {
                secret: index,
                key: secret.key.clone(),
                version: secret.version(),
            })
            .collect();
        held.sort_by(|left, right| left.key.cmp(&right.key));
        held
    }

    /// What it held at a revision that it has, by key.
    pub fn held_at(&self, revision: usize) -> &[Held] {
        match revision.checked_sub(1) {
            Some(index) => &self.revisions[index].held,
            None => &[],
        }
    }

    /// The version that a revision has of a secret.
    pub fn version(&self, held: &Held) -> &Version {
        &self.secrets[held.secret].versions[held.version - 1]
    }

    /// The revision at an instant.
    pub fn revision_at(&self, at: Timestamp) -> usize {
        self.revisions.iter().filter(|revision| revision.at <= at).count()
    }

    /// The revision that a number or the name of a pin means.
    pub fn named(&self, name: &str) -> Option<usize> {
        match name.parse::<usize>() {
            Ok(number) => Some(number).filter(|number| *number <= self.revision()),
            Err(_) => self.pins.get(name).copied(),
        }
    }
}

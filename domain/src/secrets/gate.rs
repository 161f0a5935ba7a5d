//! Holds one open change to the template of the project, where the environment is gated by it: what the change stores,
//! and which keys are there afterwards.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::FromQueryResult;

use super::current::Current;
use super::place::EnvPlace;
use super::read::open_with;
use crate::access::EnvClass;
use crate::crypto::envelope::SecretField;
use crate::crypto::key_store::KeyStore;
use crate::kernel::id::{EnvId, SecretId};
use crate::kernel::lists::{id_param, is_one_of};
use crate::kernel::{Error, Reads, Result, Secret};
use crate::templates::{Fault, Rules};

/// What the template says against a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KeyFault {
    pub(super) key: String,
    /// Of the secret that has the key after the change, or gives it up.
    pub(super) version: i64,
    pub(super) fault: Fault,
}

/// The template of a gated environment, and what an open change has done so far.
pub(super) struct Gate {
    rules: Rules,
    faults: Vec<KeyFault>,
    /// Keys that secrets have after the change.
    taken: BTreeSet<String>,
    /// Keys that secrets give up, with their versions.
    freed: BTreeMap<String, i64>,
    /// Secrets that keep a value which nobody has opened, by their new keys.
    kept: BTreeMap<SecretId, String>,
}

#[derive(FromQueryResult)]
struct Sealed {
    id: SecretId,
    version: i64,
    value: Option<Vec<u8>>,
}

impl Gate {
    pub(super) async fn open(from: &impl Reads, env: EnvId, class: EnvClass) -> Result<Self> {
        Ok(Self {
            rules: Rules::of_gated(from, env, class).await?,
            faults: Vec::new(),
            taken: BTreeSet::new(),
            freed: BTreeMap::new(),
            kept: BTreeMap::new(),
        })
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// A value is stored under a key.
    pub(super) fn stores(&mut self, key: &str, version: i64, value: &str) -> Result<()> {
        self.taken.insert(key.to_owned());
        if let Some(rule) = self.rules.of(key) {
            let faults = rule.checker()?.faults(value);
            self.faults.extend(faults.into_iter().map(|fault| KeyFault {
                key: key.to_owned(),
                version,
                fault,
            }));
        }
        Ok(())
    }

    /// A secret keeps its value, under a key that is new to it.
    pub(super) fn keeps(&mut self, current: &Current, key: &str) {
        self.taken.insert(key.to_owned());
        if self.rules.of(key).is_some() {
            self.kept.insert(current.id, key.to_owned());
        }
    }

    /// A secret gives its key up.
    pub(super) fn frees(&mut self, current: &Current) {
        self.freed.insert(current.key.clone(), current.version);
    }

    /// Everything that the template says against the change, by key. At most one statement.
    pub(super) async fn faults(
        mut self,
        from: &impl Reads,
        store: &KeyStore,
        place: &EnvPlace,
    ) -> Result<Vec<KeyFault>> {
        for (key, version, value) in self.opened(from, store, place).await? {
            self.stores(&key, version, value.expose())?;
        }
        let Self {
            rules,
            mut faults,
            taken,
            freed,
            kept: _,
        } = self;
        // Secrets may take each other's keys: one that is given up may have been taken.
        let gone = freed
            .into_iter()
            .filter(|(key, _)| rules.requires(key) && !taken.contains(key));
        faults.extend(gone.map(|(key, version)| KeyFault {
            key,
            version,
            fault: Fault::Missing,
        }));
        faults.sort();
        Ok(faults)
    }

    /// The kept values that a rule is about.
    async fn opened(
        &self,
        from: &impl Reads,
        store: &KeyStore,
        place: &EnvPlace,
    ) -> Result<Vec<(String, i64, Secret<String>)>> {
        if self.kept.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT s.id, s.version, v.sealed_value AS value
             FROM secrets s JOIN secret_versions v ON v.secret_id = s.id AND v.version = s.version
             WHERE s.environment_id = $1 AND {}",
            is_one_of(from.backend(), "s.id", "$2")
        );
        let values = [place.env.into(), id_param(self.kept.keys().map(|id| id.0))];
        let rows = Sealed::find_by_statement(from.sql(&sql, values))
            .all(from.conn())
            .await?;
        let mut opened = Vec::with_capacity(rows.len());
        for row in rows {
            let Some(key) = self.kept.get(&row.id) else { continue };
            let gone = || Error::internal("a live secret whose current version is gone");
            let sealed = row.value.ok_or_else(gone)?;
            let data_key = store.of_blob(from, &sealed).await?;
            let value = open_with(&data_key, &sealed, &place.aad(row.id, row.version, SecretField::Value))?;
            opened.push((key.clone(), row.version, value));
        }
        Ok(opened)
    }
}

//! One change of an environment, of one secret or of a thousand: lock it and count its revision up, look, seal what is
//! new, write all rows, tell the journal. The number of statements does not grow with the number of secrets.

use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::change::{self, Change, Step, Texts};
use super::current::Current;
use super::gate::{Gate, KeyFault};
use super::lock::{Changes, Lock};
use super::place::EnvPlace;
use crate::access::grant::SecretsRead;
use crate::access::{Caller, EnvAccess};
use crate::crypto::fingerprint::{self, Fingerprint};
use crate::crypto::key_store::{KeyStore, ProjectKeys};
use crate::journal::{Action, Target};
use crate::kernel::id::SecretId;
use crate::kernel::lists::{id_param, is_one_of};
use crate::kernel::trace::{self, TraceParent};
use crate::kernel::{Error, Reads, Result, Secret, Timestamp, WriteTx};
use crate::templates::{Rules, fault};

/// What is to be stored.
#[derive(Clone)]
pub struct NewValue {
    pub value: Secret<String>,
    /// `None` keeps the comment that there is.
    pub comment: Option<Secret<String>>,
}

/// What a change does to one secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Created,
    Updated,
    Renamed,
    Restored,
    Deleted,
    /// The same was stored already: no new version, no new revision.
    Unchanged,
}

impl Outcome {
    #[cfg(test)]
    pub(super) const ALL: [Self; 6] = [
        Self::Created,
        Self::Updated,
        Self::Renamed,
        Self::Restored,
        Self::Deleted,
        Self::Unchanged,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Renamed => "renamed",
            Self::Restored => "restored",
            Self::Deleted => "deleted",
            Self::Unchanged => "unchanged",
        }
    }

    /// The event when it is the whole change.
    const fn action(self) -> Action {
        match self {
            Self::Created => Action::SecretCreated,
            Self::Updated | Self::Renamed | Self::Unchanged => Action::SecretUpdated,
            Self::Restored => Action::SecretRestored,
            Self::Deleted => Action::SecretDeleted,
        }
    }
}

/// One secret after a change. It does not carry the value.
#[derive(Clone)]
pub struct Stepped {
    pub outcome: Outcome,
    pub id: SecretId,
    pub key: String,
    pub version: i64,
    pub comment: Secret<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// An open change.
pub(super) struct Editor<'a> {
    pub(super) tx: &'a WriteTx,
    pub(super) store: &'a KeyStore,
    pub(super) place: EnvPlace,
    caller: &'a Caller,
    /// What the caller may read there. Nobody is to learn by writing what they may not read.
    reads: Option<EnvAccess<SecretsRead>>,
    keys: ProjectKeys,
    /// The revision that this change makes.
    revision: i64,
    steps: Vec<Step>,
    /// What the change is held to; `None` where it is held to nothing.
    gate: Option<Gate>,
}

impl<'a> Editor<'a> {
    /// Locks the environment against other writers. A change that comes to nothing must be rolled back: the revision
    /// is counted up already.
    pub(super) async fn open<A: Changes>(
        tx: &'a WriteTx,
        store: &'a KeyStore,
        caller: &'a Caller,
        access: &EnvAccess<A>,
    ) -> Result<Self> {
        let lock = Lock::take(tx, store, access, 1).await?;
        let gate = lock.gate(access).await?;
        Ok(Self {
            gate,
            ..Self::within(&lock, caller, access, 0)
        })
    }

    /// One of several changes that are made under one lock, which is no gated one; `before` is how many come before it.
    pub(super) fn within<A: Changes>(
        lock: &Lock<'a>,
        caller: &'a Caller,
        access: &EnvAccess<A>,
        before: usize,
    ) -> Self {
        Self {
            tx: lock.tx,
            store: lock.store,
            place: access.into(),
            caller,
            reads: access.also().ok(),
            keys: lock.keys.clone(),
            revision: lock.revision(before),
            steps: Vec::new(),
            gate: None,
        }
    }

    /// What values are held to here, if to anything.
    pub(super) fn rules(&self) -> Option<&Rules> {
        self.gate.as_ref().map(Gate::rules)
    }

    /// The revision before the change.
    pub(super) const fn base(&self) -> i64 {
        self.revision - 1
    }

    /// Whether the caller may read this key.
    pub(super) fn may_read(&self, key: &str) -> bool {
        self.reads.as_ref().is_some_and(|access| access.allows_key(key))
    }

    /// The comment that a secret keeps, empty for a caller who may not read it.
    pub(super) async fn shown_comment(&self, current: &Current) -> Result<Secret<String>> {
        if self.may_read(&current.key) {
            current.kept_comment(self.tx, self.store, &self.place).await
        } else {
            Ok(Secret::new(String::new()))
        }
    }

    /// The fingerprint of a value, to store it with [`Self::put_known`].
    pub(super) fn fingerprint(&self, new: &NewValue) -> Fingerprint {
        self.keys.fingerprint.of(new.value.expose().as_bytes())
    }

    /// Stores a value under a key: a new secret, or a new version of the one that is or was there.
    pub(super) async fn put(&mut self, current: Option<&Current>, key: &str, new: NewValue) -> Result<Stepped> {
        let print = self.fingerprint(&new);
        self.put_known(current, key, new, print).await
    }

    /// Stores a value whose fingerprint is known.
    pub(super) async fn put_known(
        &mut self,
        current: Option<&Current>,
        key: &str,
        new: NewValue,
        print: Fingerprint,
    ) -> Result<Stepped> {
        let comment = match current {
            Some(current) => current.comment(self.tx, self.store, &self.place).await?,
            None => Secret::new(String::new()),
        };
        let renamed = current.is_some_and(|current| current.is_live() && current.key != key);
        // Whoever may not read the key makes a version each time: that nothing changed would tell them what is stored.
        let reads = self.may_read(current.map_or(key, |current| &current.key));
        if let Some(current) = current.filter(|current| reads && current.is_live() && !renamed) {
            let same_comment = new.comment.as_ref().is_none_or(|new| new.expose() == comment.expose());
            if same_comment && fingerprint::same(&print, &current.fingerprint) {
                return Ok(unchanged(current, comment));
            }
        }
        let shown = if reads {
            None
        } else {
            Some(new.comment.clone().unwrap_or_else(|| Secret::new(String::new())))
        };
        let comment = new.comment.unwrap_or(comment);
        let outcome = match current {
            Some(_) if renamed => Outcome::Renamed,
            Some(current) if current.is_live() => Outcome::Updated,
            Some(_) | None => Outcome::Created,
        };
        let (id, version, created_at) = match current {
            Some(current) => (current.id, current.version + 1, current.created_at),
            None => (self.tx.new_id()?, 1, self.tx.now()),
        };
        if let Some(gate) = &mut self.gate {
            gate.stores(key, version, new.value.expose())?;
            if let Some(current) = current.filter(|_| renamed) {
                gate.frees(current);
            }
        }
        let step = Step {
            outcome,
            id,
            key: key.to_owned(),
            was: current.filter(|_| renamed).map(|current| current.key.clone()),
            version,
            created_at,
            fingerprint: print.to_vec(),
            has_comment: !comment.expose().is_empty(),
            texts: Some(Texts {
                value: new.value,
                comment: comment.clone(),
            }),
        };
        Ok(self.push(step, shown.unwrap_or(comment)))
    }

    /// Deletes a live secret. Its versions stay stored.
    pub(super) fn delete(&mut self, current: &Current) -> Stepped {
        if let Some(gate) = &mut self.gate {
            gate.frees(current);
        }
        self.keep_version(Outcome::Deleted, current, &current.key)
    }

    /// Gives a live secret another key; the version stays.
    pub(super) fn rename(&mut self, current: &Current, key: &str) -> Stepped {
        if let Some(gate) = &mut self.gate {
            gate.frees(current);
            gate.keeps(current, key);
        }
        self.keep_version(Outcome::Renamed, current, key)
    }

    /// Brings a deleted secret back as it was, under a key that is free.
    pub(super) fn restore(&mut self, current: &Current, key: &str) -> Stepped {
        if let Some(gate) = &mut self.gate {
            gate.keeps(current, key);
        }
        self.keep_version(Outcome::Restored, current, key)
    }

    fn keep_version(&mut self, outcome: Outcome, current: &Current, key: &str) -> Stepped {
        let step = Step {
            outcome,
            id: current.id,
            key: key.to_owned(),
            was: (outcome == Outcome::Renamed).then(|| current.key.clone()),
            version: current.version,
            created_at: current.created_at,
            fingerprint: current.fingerprint.clone(),
            has_comment: current.sealed_comment.is_some(),
            texts: None,
        };
        self.push(step, Secret::new(String::new()))
    }

    /// Notes what is to be written; the secret then, with the comment that the caller is shown.
    fn push(&mut self, step: Step, comment: Secret<String>) -> Stepped {
        let stepped = Stepped {
            outcome: step.outcome,
            id: step.id,
            key: step.key.clone(),
            version: step.version,
            comment,
            created_at: step.created_at,
            updated_at: self.tx.now(),
        };
        self.steps.push(step);
        stepped
    }

    /// Writes a change of one secret. Returns the revision.
    pub(super) async fn finish_one(self, facts: Map<String, Value>) -> Result<i64> {
        let (action, target) = self.of_one()?;
        self.finish(action, target, facts).await
    }

    /// A change of one secret, to be written along with others.
    pub(super) fn close_one(self, span: Option<TraceParent>) -> Result<Change<'a>> {
        let (action, target) = self.of_one()?;
        Ok(Change {
            span,
            ..self.close(action, target, Map::new())
        })
    }

    fn of_one(&self) -> Result<(Action, Target)> {
        let step = self
            .steps
            .first()
            .ok_or_else(|| Error::internal("a change of nothing"))?;
        Ok((step.outcome.action(), Target::Secret(step.id)))
    }

    /// Writes a change of many secrets as one event of the environment. Returns the revision.
    pub(super) async fn finish_many(self, action: Action, facts: Map<String, Value>) -> Result<i64> {
        let target = Target::Environment(self.place.env);
        self.finish(action, target, facts).await
    }

    /// Whether nothing changes.
    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// What the template says against the change as a whole. Ask once.
    pub(super) async fn faults(&mut self) -> Result<Vec<KeyFault>> {
        match self.gate.take() {
            Some(gate) => gate.faults(self.tx, self.store, &self.place).await,
            None => Ok(Vec::new()),
        }
    }

    async fn finish(mut self, action: Action, target: Target, facts: Map<String, Value>) -> Result<i64> {
        let faults = self.faults().await?;
        if !faults.is_empty() {
            return Err(fault::violation(faults.into_iter().map(|found| (found.key, found.fault))).into());
        }
        // Keys are unique among the live: those that give one up come first.
        self.steps.sort_by_key(|step| step.outcome != Outcome::Deleted);
        self.free_renamed().await?;
        let (tx, store, revision) = (self.tx, self.store, self.revision);
        let (place, keys) = (self.place.clone(), self.keys.clone());
        change::write(tx, store, &place, &keys, vec![self.close(action, target, facts)]).await?;
        Ok(revision)
    }

    /// What is to be written of it.
    fn close(self, action: Action, target: Target, facts: Map<String, Value>) -> Change<'a> {
        Change {
            caller: self.caller,
            revision: self.revision,
            action,
            target,
            facts,
            steps: self.steps,
            span: trace::current(),
        }
    }

    /// Secrets may take each other's keys: while the rows are written, those that are renamed have none.
    async fn free_renamed(&self) -> Result<()> {
        let renamed = self.steps.iter().filter(|step| step.outcome == Outcome::Renamed);
        let ids: Vec<_> = renamed.map(|step| step.id.0).collect();
        if ids.is_empty() || self.steps.len() < 2 {
            return Ok(());
        }
        let is_one = is_one_of(self.tx.backend(), "id", "$2");
        let sql = format!("UPDATE secrets SET deleted_at = $1 WHERE {is_one}");
        let values = [self.tx.now().into(), id_param(ids)];
        self.tx.conn().execute_raw(self.tx.sql(&sql, values)).await?;
        Ok(())
    }
}

fn unchanged(current: &Current, comment: Secret<String>) -> Stepped {
    Stepped {
        outcome: Outcome::Unchanged,
        id: current.id,
        key: current.key.clone(),
        version: current.version,
        comment,
        created_at: current.created_at,
        updated_at: current.updated_at,
    }
}

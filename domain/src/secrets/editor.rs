//! One change of an environment, of one secret or of a thousand: lock it and count its revision up, look, seal what is
//! new, write all rows, tell the journal. The number of statements does not grow with the number of secrets.

use sea_orm::{ConnectionTrait, FromQueryResult};
use serde_json::{Map, Value};

use super::current::Current;
use super::gate::{Gate, KeyFault};
use super::place::EnvPlace;
use crate::access::grant::{Permitted, SecretsBulkDelete, SecretsDelete, SecretsRead, SecretsWrite};
use crate::access::{ActorKind, Caller, EnvAccess, Permission};
use crate::crypto::envelope::{SecretField, blob_digest};
use crate::crypto::key_store::{Hold, KeyStore, ProjectKeys};
use crate::journal::{self, Action, KeyChange, Target};
use crate::kernel::db::{id_param, is_one_of};
use crate::kernel::id::SecretId;
use crate::kernel::{Error, Problem, Reads, Result, Rows, Secret, Timestamp, WriteTx};
use crate::limits::{self, LimitKey, Scope};
use crate::templates::{Rules, fault};

/// What is to be stored.
#[derive(Clone)]
pub struct NewValue {
    pub value: Secret<String>,
    /// `None` keeps the comment that there is.
    pub comment: Option<Secret<String>>,
}

/// What a change does to one secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    const ALL: [Self; 6] = [
        Self::Created,
        Self::Updated,
        Self::Renamed,
        Self::Restored,
        Self::Deleted,
        Self::Unchanged,
    ];

    /// Reads what a change set holds.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }

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

/// Permissions that change secrets.
pub(super) trait Changes: Permitted {}

impl Changes for SecretsWrite {}
impl Changes for SecretsDelete {}
impl Changes for SecretsBulkDelete {}

/// The rows of one secret's change.
struct Step {
    outcome: Outcome,
    created_at: Timestamp,
    /// `None` when it keeps its version.
    version: Option<SealedVersion>,
    changed: KeyChange,
}

/// What a new version stores.
struct SealedVersion {
    value: Vec<u8>,
    comment: Option<Vec<u8>>,
    fingerprint: Vec<u8>,
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
    /// Texts that it sealed.
    seals: i64,
    /// What the change is held to; `None` where it is held to nothing.
    gate: Option<Gate>,
}

#[derive(FromQueryResult)]
struct Counted {
    revision: i64,
    is_gated: i64,
    is_frozen: i64,
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
        let hold = Hold::on(access.project.id);
        // Asking for the gate along with the lock, a change that is held to nothing pays nothing.
        let sql = format!(
            "UPDATE environments SET revision = revision + 1, updated_at = $2
             WHERE id = $1 AND deleted_at IS NULL
             RETURNING revision, CASE WHEN protected AND EXISTS
                    (SELECT 1 FROM projects p WHERE p.id = $4 AND p.template_gate = 'protected')
                THEN CAST(1 AS bigint) ELSE CAST(0 AS bigint) END AS is_gated,
                (SELECT COUNT(*) FROM projects p WHERE p.id = $4 AND p.frozen_at IS NOT NULL) AS is_frozen, {}",
            hold.column(tx, "$3")
        );
        let (env, project) = (&access.env, access.project.id);
        let values = [env.id.into(), tx.now().into(), hold.number().into(), project.into()];
        let counted = Counted::find_by_statement(tx.sql(&sql, values)).one(tx.conn()).await?;
        let Counted {
            revision,
            is_gated,
            is_frozen,
        } = counted.ok_or_else(Problem::not_found)?;
        // What is too much can always be taken away.
        if is_frozen == 1 && A::PERMISSION == Permission::SecretsWrite {
            return Err(limits::frozen(tx, access.org.id).await);
        }
        let gate = if is_gated == 1 {
            Some(Gate::open(tx, env.id, env.class).await?)
        } else {
            None
        };
        Ok(Self {
            tx,
            store,
            place: access.into(),
            caller,
            reads: access.also().ok(),
            keys: store.project(tx, hold).await?,
            revision,
            steps: Vec::new(),
            seals: 0,
            gate,
        })
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

    /// Whether a value has the fingerprint of a stored one.
    pub(super) fn is_value_of(&self, value: &str, current: &Current) -> bool {
        self.keys.fingerprint.matches(value.as_bytes(), &current.fingerprint)
    }

    /// Stores a value under a key: a new secret, or a new version of the one that is or was there.
    pub(super) async fn put(&mut self, current: Option<&Current>, key: &str, new: NewValue) -> Result<Stepped> {
        let comment = match current {
            Some(current) => current.comment(self.tx, self.store, &self.place).await?,
            None => Secret::new(String::new()),
        };
        let renamed = current.is_some_and(|current| current.is_live() && current.key != key);
        // Whoever may not read the key makes a version each time: that nothing changed would tell them what is stored.
        let reads = self.may_read(current.map_or(key, |current| &current.key));
        if let Some(current) = current.filter(|current| reads && current.is_live() && !renamed) {
            let same_comment = new.comment.as_ref().is_none_or(|new| new.expose() == comment.expose());
            if same_comment && self.is_value_of(new.value.expose(), current) {
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
        let (id, number, created_at) = match current {
            Some(current) => (current.id, current.version + 1, current.created_at),
            None => (self.tx.new_id()?, 1, self.tx.now()),
        };
        if let Some(gate) = &mut self.gate {
            gate.stores(key, number, new.value.expose())?;
            if let Some(current) = current.filter(|_| renamed) {
                gate.frees(current);
            }
        }
        let (sealed, digest) = self.sealed(id, number, &new.value, &comment)?;
        self.push(outcome, id, key, number, created_at, Some(sealed), Some(digest));
        Ok(self.stepped(outcome, id, key, number, shown.unwrap_or(comment), created_at))
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
        let (id, number, created_at) = (current.id, current.version, current.created_at);
        self.push(outcome, id, key, number, created_at, None, None);
        self.stepped(outcome, id, key, number, Secret::new(String::new()), created_at)
    }

    fn stepped(
        &self,
        outcome: Outcome,
        id: SecretId,
        key: &str,
        version: i64,
        comment: Secret<String>,
        created_at: Timestamp,
    ) -> Stepped {
        Stepped {
            outcome,
            id,
            key: key.to_owned(),
            version,
            comment,
            created_at,
            updated_at: self.tx.now(),
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the columns of one step, named at its three calls"
    )]
    fn push(
        &mut self,
        outcome: Outcome,
        id: SecretId,
        key: &str,
        number: i64,
        created_at: Timestamp,
        version: Option<SealedVersion>,
        digest: Option<String>,
    ) {
        let deleted = outcome == Outcome::Deleted;
        let changed = KeyChange {
            key: key.to_owned(),
            version: number,
            secret_id: id,
            digest,
            keeps_version: version.is_none() && !deleted,
        };
        self.steps.push(Step {
            outcome,
            created_at,
            version,
            changed,
        });
    }

    /// The sealed row of a version, and the digest of its sealed value.
    fn sealed(
        &mut self,
        id: SecretId,
        number: i64,
        value: &Secret<String>,
        comment: &Secret<String>,
    ) -> Result<(SealedVersion, String)> {
        let seal = |text: &str, field| {
            let aad = self.place.aad(id, number, field);
            self.keys.data.seal(self.tx.rng(), &aad, text.as_bytes())
        };
        let sealed_value = seal(value.expose(), SecretField::Value)?;
        let has_comment = !comment.expose().is_empty();
        let sealed_comment = has_comment
            .then(|| seal(comment.expose(), SecretField::Comment))
            .transpose()?;
        self.seals += 1 + i64::from(has_comment);
        let digest = hex::encode(blob_digest(&sealed_value));
        let sealed = SealedVersion {
            value: sealed_value,
            comment: sealed_comment,
            fingerprint: self.keys.fingerprint.of(value.expose().as_bytes()).to_vec(),
        };
        Ok((sealed, digest))
    }

    /// Writes a change of one secret. Returns the revision.
    pub(super) async fn finish_one(self, facts: Map<String, Value>) -> Result<i64> {
        let step = self
            .steps
            .first()
            .ok_or_else(|| Error::internal("a change of nothing"))?;
        let (action, target) = (step.outcome.action(), Target::Secret(step.changed.secret_id));
        self.finish(action, target, facts).await
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
        let growth = self.growth();
        self.free_renamed().await?;
        self.write_rows().await?;
        let (tx, revision) = (self.tx, self.revision);
        let changed: Vec<KeyChange> = self.steps.into_iter().map(|step| step.changed).collect();
        let count = i64::try_from(changed.len()).unwrap_or(i64::MAX);
        let (author_type, author_id) = author(self.caller)?;
        let row = limits::counter::Row {
            table: "environment_revisions",
            columns: "environment_id, revision, action, changes, author_type, author_id, author_label, created_at",
            values: vec![
                self.place.env.into(),
                revision.into(),
                action.as_str().into(),
                count.into(),
                author_type.into(),
                author_id.into(),
                self.caller.origin.actor_label.clone().into(),
                tx.now().into(),
            ],
        };
        let scope = Scope::project(self.place.org, self.place.project);
        limits::adjust_along(tx, scope, LimitKey::SecretsPerProject, growth, row).await?;
        if self.seals > 0 {
            self.store.count_seals(tx, self.keys.data.id(), self.seals).await?;
        }
        let mut entry = self.place.entry(action, target, revision).keys(&changed);
        entry.data.extend(facts);
        journal::record(tx, &self.caller.origin, entry).await?;
        tx.will_tell(self.place.env);
        Ok(revision)
    }

    /// The rows of the secrets, of their new versions, and of the revision's change set.
    async fn write_rows(&self) -> Result<()> {
        let (tx, place, steps) = (self.tx, &self.place, &self.steps);
        let deleted = |step: &Step| (step.outcome == Outcome::Deleted).then_some(tx.now());
        let again = "ON CONFLICT (id) DO UPDATE SET key = excluded.key, version = excluded.version,
                     updated_at = excluded.updated_at, deleted_at = excluded.deleted_at";
        Rows::of("secrets", steps.len())
            .each("id", steps.iter().map(|step| step.changed.secret_id))
            .same("org_id", place.org)
            .same("project_id", place.project)
            .same("environment_id", place.env)
            .each("key", steps.iter().map(|step| step.changed.key.clone()))
            .each("version", steps.iter().map(|step| step.changed.version))
            .each("created_at", steps.iter().map(|step| step.created_at))
            .same("updated_at", tx.now())
            .each("deleted_at", steps.iter().map(deleted))
            .insert(tx, again)
            .await?;
        let stored = || {
            steps
                .iter()
                .filter_map(|step| Some((&step.changed, step.version.as_ref()?)))
        };
        let (author_type, author_id) = author(self.caller)?;
        Rows::of("secret_versions", stored().count())
            .each("secret_id", stored().map(|(changed, _)| changed.secret_id))
            .each("version", stored().map(|(changed, _)| changed.version))
            .each("sealed_value", stored().map(|(_, sealed)| sealed.value.clone()))
            .each("sealed_comment", stored().map(|(_, sealed)| sealed.comment.clone()))
            .each("fingerprint", stored().map(|(_, sealed)| sealed.fingerprint.clone()))
            .same("created_by_type", author_type)
            .same("created_by_id", author_id)
            .same("created_at", tx.now())
            .insert(tx, "")
            .await?;
        Rows::of("environment_changes", steps.len())
            .same("environment_id", place.env)
            .same("revision", self.revision)
            .each("secret_id", steps.iter().map(|step| step.changed.secret_id))
            .each("action", steps.iter().map(|step| step.outcome.as_str()))
            .each("key", steps.iter().map(|step| step.changed.key.clone()))
            .each("version", steps.iter().map(|step| step.changed.version))
            .same("created_at", tx.now())
            .insert(tx, "")
            .await
    }

    /// How many more secrets there are afterwards: new keys count, new values do not.
    fn growth(&self) -> i64 {
        let change = |step: &Step| match step.outcome {
            Outcome::Created | Outcome::Restored => 1,
            Outcome::Deleted => -1,
            Outcome::Updated | Outcome::Renamed | Outcome::Unchanged => 0,
        };
        self.steps.iter().map(change).sum()
    }

    /// Secrets may take each other's keys: while the rows are written, those that are renamed have none.
    async fn free_renamed(&self) -> Result<()> {
        let renamed = self.steps.iter().filter(|step| step.outcome == Outcome::Renamed);
        let ids: Vec<_> = renamed.map(|step| step.changed.secret_id.0).collect();
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

/// Who wrote a version, as its row keeps it.
fn author(caller: &Caller) -> Result<(&'static str, uuid::Uuid)> {
    let kind = match caller.origin.actor {
        ActorKind::User | ActorKind::Superuser => "user",
        ActorKind::ServiceAccount => "service_account",
        ActorKind::RealmUser => "realm_user",
        ActorKind::System => "system",
    };
    let id = caller
        .origin
        .actor_id
        .ok_or_else(|| Error::internal("a write without an author"))?;
    Ok((kind, id))
}

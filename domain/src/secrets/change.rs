//! The rows of a change of an environment, or of several that are made together: each is a revision of its own, with its change
//! set and its event. The number of statements grows with neither the secrets nor the changes.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::change_set::{self, Line};
use super::editor::Outcome;
use super::place::EnvPlace;
use crate::access::{ActorKind, Caller};
use crate::crypto::key_store::KeyStore;
use crate::journal::{self, Action, KeyChange, Target};
use crate::kernel::id::KeyId;
use crate::kernel::trace::TraceParent;
use crate::kernel::{Error, Reads, Result, Rows, Timestamp, WriteTx};
use crate::limits::{self, LimitKey, Scope};

/// A change that is to be written.
pub(super) struct Change<'a> {
    pub(super) caller: &'a Caller,
    /// The revision that it makes.
    pub(super) revision: i64,
    pub(super) action: Action,
    pub(super) target: Target,
    /// What the event tells besides the keys.
    pub(super) facts: Map<String, Value>,
    pub(super) steps: Vec<Step>,
    /// Texts that it sealed.
    pub(super) seals: i64,
    /// What it belongs under.
    pub(super) span: Option<TraceParent>,
}

/// The rows of one secret's change.
pub(super) struct Step {
    pub(super) outcome: Outcome,
    /// The key that it had, when it gets another one.
    pub(super) was: Option<String>,
    pub(super) created_at: Timestamp,
    /// `None` when it keeps its version.
    pub(super) version: Option<SealedVersion>,
    pub(super) changed: KeyChange,
}

/// What a new version stores.
pub(super) struct SealedVersion {
    pub(super) value: Vec<u8>,
    pub(super) comment: Option<Vec<u8>>,
    pub(super) fingerprint: Vec<u8>,
}

impl Step {
    /// How many more secrets there are afterwards: new keys count, new values do not.
    const fn growth(&self) -> i64 {
        match self.outcome {
            Outcome::Created | Outcome::Restored => 1,
            Outcome::Deleted => -1,
            Outcome::Updated | Outcome::Renamed | Outcome::Unchanged => 0,
        }
    }

    /// Whether the secret has a key from now on that it had not before, or none any more.
    const fn moves(&self) -> bool {
        !matches!(self.outcome, Outcome::Updated | Outcome::Unchanged)
    }

    /// The key that it has afterwards.
    fn key(&self) -> Option<String> {
        (self.outcome != Outcome::Deleted).then(|| self.changed.key.clone())
    }

    fn line(&self) -> Line {
        Line {
            key: self.changed.key.clone(),
            outcome: self.outcome,
            version: self.changed.version,
            was: self.was.clone(),
        }
    }
}

/// Who made a change, as rows keep it.
#[derive(Clone, Copy)]
struct Author {
    kind: &'static str,
    id: Uuid,
}

impl Author {
    fn of(caller: &Caller) -> Result<Self> {
        let kind = match caller.origin.actor {
            ActorKind::User | ActorKind::Superuser => "user",
            ActorKind::ServiceAccount => "service_account",
            ActorKind::RealmUser => "realm_user",
            ActorKind::System => "system",
        };
        let id = caller.origin.actor_id;
        let id = id.ok_or_else(|| Error::internal("a write without an author"))?;
        Ok(Self { kind, id })
    }
}

/// Writes changes of one environment, which is locked; no two of them touch the same secret. `key` is what they sealed with.
///
/// # Errors
/// `plan_limit_exceeded` when all of them together are too much.
pub(super) async fn write(
    tx: &WriteTx,
    store: &KeyStore,
    place: &EnvPlace,
    key: KeyId,
    changes: Vec<Change<'_>>,
) -> Result<()> {
    write_secrets(tx, place, &changes).await?;
    write_revisions(tx, place, &changes).await?;
    let seals = changes.iter().map(|change| change.seals).sum();
    if seals > 0 {
        store.count_seals(tx, key, seals).await?;
    }
    let events = changes.into_iter().map(|change| {
        let keys: Vec<KeyChange> = change.steps.into_iter().map(|step| step.changed).collect();
        let mut entry = place.entry(change.action, change.target, change.revision).keys(&keys);
        entry.data.extend(change.facts);
        journal::Event {
            origin: &change.caller.origin,
            entry,
            span: change.span,
        }
    });
    journal::record_all(tx, events.collect()).await?;
    tx.will_tell(place.env);
    Ok(())
}

/// The rows of the secrets, of their new versions, and of the keys that they have from now on.
async fn write_secrets(tx: &WriteTx, place: &EnvPlace, changes: &[Change<'_>]) -> Result<()> {
    let steps: Vec<(i64, Author, &Step)> = changes
        .iter()
        .map(|change| {
            let author = Author::of(change.caller)?;
            Ok(change.steps.iter().map(move |step| (change.revision, author, step)))
        })
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect();
    let deleted = |step: &Step| (step.outcome == Outcome::Deleted).then_some(tx.now());
    let again = "ON CONFLICT (id) DO UPDATE SET key = excluded.key, version = excluded.version,
                 updated_at = excluded.updated_at, deleted_at = excluded.deleted_at";
    Rows::of("secrets", steps.len())
        .each("id", steps.iter().map(|(_, _, step)| step.changed.secret_id))
        .same("org_id", place.org)
        .same("project_id", place.project)
        .same("environment_id", place.env)
        .each("key", steps.iter().map(|(_, _, step)| step.changed.key.clone()))
        .each("version", steps.iter().map(|(_, _, step)| step.changed.version))
        .each("created_at", steps.iter().map(|(_, _, step)| step.created_at))
        .same("updated_at", tx.now())
        .each("deleted_at", steps.iter().map(|(_, _, step)| deleted(step)))
        .insert(tx, again)
        .await?;
    let stored: Vec<(i64, Author, &KeyChange, &SealedVersion)> = steps
        .iter()
        .filter_map(|(revision, author, step)| Some((*revision, *author, &step.changed, step.version.as_ref()?)))
        .collect();
    Rows::of("secret_versions", stored.len())
        .each("secret_id", stored.iter().map(|(_, _, changed, _)| changed.secret_id))
        .each("version", stored.iter().map(|(_, _, changed, _)| changed.version))
        .each(
            "sealed_value",
            stored.iter().map(|(_, _, _, sealed)| sealed.value.clone()),
        )
        .each(
            "sealed_comment",
            stored.iter().map(|(_, _, _, sealed)| sealed.comment.clone()),
        )
        .each(
            "fingerprint",
            stored.iter().map(|(_, _, _, sealed)| sealed.fingerprint.clone()),
        )
        .alike("created_by_type", stored.iter().map(|(_, author, _, _)| author.kind))
        .alike("created_by_id", stored.iter().map(|(_, author, _, _)| author.id))
        .same("created_at", tx.now())
        .alike("revision", stored.iter().map(|(revision, _, _, _)| *revision))
        .insert(tx, "")
        .await?;
    let moved: Vec<(i64, &Step)> = steps
        .iter()
        .filter(|(_, _, step)| step.moves())
        .map(|(revision, _, step)| (*revision, *step))
        .collect();
    Rows::of("secret_keys", moved.len())
        .each("secret_id", moved.iter().map(|(_, step)| step.changed.secret_id))
        .alike("revision", moved.iter().map(|(revision, _)| *revision))
        .each("key", moved.iter().map(|(_, step)| step.key()))
        .insert(tx, "")
        .await
}

/// The rows of the revisions, and how many secrets there are now.
async fn write_revisions(tx: &WriteTx, place: &EnvPlace, changes: &[Change<'_>]) -> Result<()> {
    let mut values = Vec::with_capacity(changes.len());
    for change in changes {
        let author = Author::of(change.caller)?;
        let count = i64::try_from(change.steps.len()).unwrap_or(i64::MAX);
        let lines: Vec<Line> = change.steps.iter().map(Step::line).collect();
        values.push(vec![
            place.env.into(),
            change.revision.into(),
            change.action.as_str().into(),
            count.into(),
            author.kind.into(),
            author.id.into(),
            change.caller.origin.actor_label.clone().into(),
            tx.now().into(),
            change_set::text(&lines)?.into(),
        ]);
    }
    let rows = limits::counter::Inserted {
        table: "environment_revisions",
        columns: &[
            "environment_id",
            "revision",
            "action",
            "changes",
            "author_type",
            "author_id",
            "author_label",
            "created_at",
            "change_set",
        ],
        rows: values,
    };
    let growth = changes.iter().flat_map(|change| &change.steps).map(Step::growth).sum();
    let scope = Scope::project(place.org, place.project);
    limits::adjust_along(tx, scope, LimitKey::SecretsPerProject, growth, rows).await
}

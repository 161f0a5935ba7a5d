//! The rows of a change of an environment, or of several that are made together: each is a revision of its own, with its change
//! set and its event. The number of statements grows with neither the secrets nor the changes.

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::change_set::{self, Line};
use super::editor::Outcome;
use super::place::EnvPlace;
use crate::access::{ActorKind, Caller};
use crate::crypto::envelope::{SecretField, blob_digest_text};
use crate::crypto::key_store::{KeyStore, ProjectKeys};
use crate::journal::{self, Action, KeyChange, Target};
use crate::kernel::id::SecretId;
use crate::kernel::trace::TraceParent;
use crate::kernel::{Error, Reads, Result, Rows, Secret, Timestamp, WriteTx};
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
    /// What it belongs under.
    pub(super) span: Option<TraceParent>,
}

/// What becomes of one secret.
pub(super) struct Step {
    pub(super) outcome: Outcome,
    pub(super) id: SecretId,
    pub(super) key: String,
    /// The key that it had, when it gets another one.
    pub(super) was: Option<String>,
    /// Its version afterwards.
    pub(super) version: i64,
    pub(super) created_at: Timestamp,
    /// Of its value afterwards.
    pub(super) fingerprint: Vec<u8>,
    pub(super) has_comment: bool,
    /// What the new version stores; `None` when it keeps the one that it has.
    pub(super) texts: Option<Texts>,
}

/// What a version is to store.
pub(super) struct Texts {
    pub(super) value: Secret<String>,
    pub(super) comment: Secret<String>,
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

    fn is_deleted(&self) -> bool {
        self.outcome == Outcome::Deleted
    }

    fn line(&self) -> Line {
        Line {
            key: self.key.clone(),
            outcome: self.outcome,
            version: self.version,
            was: self.was.clone(),
        }
    }
}

/// A step, with the revision that it belongs to and who makes it.
type Placed<'a> = (i64, Author, &'a Step);

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

/// Writes changes of one environment, which is locked; no two of them touch the same secret.
///
/// # Errors
/// `plan_limit_exceeded` when all of them together are too much.
pub(super) async fn write(
    tx: &WriteTx,
    store: &KeyStore,
    place: &EnvPlace,
    keys: &ProjectKeys,
    changes: Vec<Change<'_>>,
) -> Result<()> {
    let steps = placed(&changes)?;
    // A thousand secrets keep the database busy for longer than the cipher: what can be done meanwhile is.
    let written = write_secrets(tx, place, &steps);
    let (written, sealed) = tokio::join!(written, async { seal_all(tx, place, keys, &steps) });
    written?;
    let Sealed {
        versions,
        digests,
        seals,
    } = sealed?;
    let written = versions.insert(tx, "");
    let (written, told) = tokio::join!(written, async { tell_all(&changes, digests) });
    written?;
    let (change_sets, keys_told): (Vec<_>, Vec<_>) = told?.into_iter().unzip();
    key_rows(&steps).insert(tx, "").await?;
    drop(steps);
    write_revisions(tx, place, &changes, change_sets).await?;
    if seals > 0 {
        store.count_seals(tx, keys.data.id(), seals).await?;
    }
    let events = changes.into_iter().zip(keys_told).map(|(change, keys)| {
        let mut entry = place.entry(change.action, change.target, change.revision);
        entry.keys = Some(keys);
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

fn placed<'a>(changes: &'a [Change<'_>]) -> Result<Vec<Placed<'a>>> {
    let mut placed = Vec::with_capacity(changes.iter().map(|change| change.steps.len()).sum());
    for change in changes {
        let author = Author::of(change.caller)?;
        placed.extend(change.steps.iter().map(|step| (change.revision, author, step)));
    }
    Ok(placed)
}

/// The rows of the secrets, in one statement. Live secrets that keep their keys, as those of most changes of a thousand do, are
/// written over, which costs the database half of what it costs to insert them again. Where keys are taken or given up the order
/// counts, which an update has not.
async fn write_secrets(tx: &WriteTx, place: &EnvPlace, steps: &[Placed<'_>]) -> Result<()> {
    if steps.iter().any(|(_, _, step)| step.moves()) {
        moved_rows(tx, place, steps).insert(tx, AGAIN).await
    } else {
        kept_rows(tx, steps).update(tx, "id").await
    }
}

/// What becomes of the row of a secret that is there already.
const AGAIN: &str = "ON CONFLICT (id) DO UPDATE SET key = excluded.key, version = excluded.version,
    updated_at = excluded.updated_at, deleted_at = excluded.deleted_at, fingerprint = excluded.fingerprint,
    has_comment = excluded.has_comment";

fn moved_rows(tx: &WriteTx, place: &EnvPlace, steps: &[Placed<'_>]) -> Rows {
    let deleted = |step: &Step| step.is_deleted().then_some(tx.now());
    Rows::of("secrets", steps.len())
        .each("id", steps.iter().map(|(_, _, step)| step.id))
        .same("org_id", place.org)
        .same("project_id", place.project)
        .same("environment_id", place.env)
        .each("key", steps.iter().map(|(_, _, step)| step.key.clone()))
        .each("version", steps.iter().map(|(_, _, step)| step.version))
        .each("created_at", steps.iter().map(|(_, _, step)| step.created_at))
        .same("updated_at", tx.now())
        .each("deleted_at", steps.iter().map(|(_, _, step)| deleted(step)))
        .each("fingerprint", steps.iter().map(|(_, _, step)| step.fingerprint.clone()))
        .alike("has_comment", steps.iter().map(|(_, _, step)| step.has_comment))
}

fn kept_rows(tx: &WriteTx, steps: &[Placed<'_>]) -> Rows {
    Rows::of("secrets", steps.len())
        .each("id", steps.iter().map(|(_, _, step)| step.id))
        .each("version", steps.iter().map(|(_, _, step)| step.version))
        .same("updated_at", tx.now())
        .each("fingerprint", steps.iter().map(|(_, _, step)| step.fingerprint.clone()))
        .alike("has_comment", steps.iter().map(|(_, _, step)| step.has_comment))
}

/// What is stored of the new versions.
struct Sealed {
    versions: Rows,
    /// Of their values, in the order of the rows.
    digests: Vec<String>,
    /// How many texts it took the key to seal.
    seals: i64,
}

fn seal_all(tx: &WriteTx, place: &EnvPlace, keys: &ProjectKeys, steps: &[Placed<'_>]) -> Result<Sealed> {
    let seal = |step: &Step, text: &Secret<String>, field| {
        let aad = place.aad(step.id, step.version, field);
        keys.data.seal(tx.rng(), &aad, text.expose().as_bytes())
    };
    let stored: Vec<&Placed<'_>> = steps.iter().filter(|(_, _, step)| step.texts.is_some()).collect();
    let (mut values, mut comments) = (Vec::with_capacity(stored.len()), Vec::with_capacity(stored.len()));
    let (mut digests, mut seals) = (Vec::with_capacity(stored.len()), 0);
    for (_, _, step) in &stored {
        let Some(Texts { value, comment }) = &step.texts else {
            continue;
        };
        let comment = step.has_comment.then(|| seal(step, comment, SecretField::Comment));
        let value = seal(step, value, SecretField::Value)?;
        seals += 1 + i64::from(comment.is_some());
        digests.push(blob_digest_text(&value)?);
        values.push(value);
        comments.push(comment.transpose()?);
    }
    let versions = Rows::of("secret_versions", stored.len())
        .each("secret_id", stored.iter().map(|(_, _, step)| step.id))
        .each("version", stored.iter().map(|(_, _, step)| step.version))
        .each("sealed_value", values)
        .alike("sealed_comment", comments)
        .each(
            "fingerprint",
            stored.iter().map(|(_, _, step)| step.fingerprint.clone()),
        )
        .alike("created_by_type", stored.iter().map(|(_, author, _)| author.kind))
        .alike("created_by_id", stored.iter().map(|(_, author, _)| author.id))
        .same("created_at", tx.now())
        .alike("revision", stored.iter().map(|(revision, _, _)| *revision));
    Ok(Sealed {
        versions,
        digests,
        seals,
    })
}

/// The keys that secrets have from now on.
fn key_rows(steps: &[Placed<'_>]) -> Rows {
    let moved: Vec<&Placed<'_>> = steps.iter().filter(|(_, _, step)| step.moves()).collect();
    let key = |step: &Step| (!step.is_deleted()).then(|| step.key.clone());
    Rows::of("secret_keys", moved.len())
        .each("secret_id", moved.iter().map(|(_, _, step)| step.id))
        .alike("revision", moved.iter().map(|(revision, _, _)| *revision))
        .each("key", moved.iter().map(|(_, _, step)| key(step)))
}

/// What is told of each change: its change set, and the keys as the journal has them. `digests` are of the steps that store
/// something, in their order.
fn tell_all(changes: &[Change<'_>], digests: Vec<String>) -> Result<Vec<(Option<String>, Box<RawValue>)>> {
    let mut digests = digests.into_iter();
    let told = changes.iter().map(|change| {
        let lines: Vec<Line> = change.steps.iter().map(Step::line).collect();
        let keys = change.steps.iter().map(|step| KeyChange {
            key: step.key.clone(),
            version: step.version,
            secret_id: step.id,
            digest: step.texts.as_ref().and_then(|_| digests.next()),
            keeps_version: step.texts.is_none() && !step.is_deleted(),
        });
        Ok((change_set::text(&lines)?, journal::keys(&keys.collect::<Vec<_>>())?))
    });
    told.collect()
}

/// The rows of the revisions, and how many secrets there are now.
async fn write_revisions(
    tx: &WriteTx,
    place: &EnvPlace,
    changes: &[Change<'_>],
    change_sets: Vec<Option<String>>,
) -> Result<()> {
    let mut values = Vec::with_capacity(changes.len());
    for (change, change_set) in changes.iter().zip(change_sets) {
        let author = Author::of(change.caller)?;
        let count = i64::try_from(change.steps.len()).unwrap_or(i64::MAX);
        values.push(vec![
            place.env.into(),
            change.revision.into(),
            change.action.as_str().into(),
            count.into(),
            author.kind.into(),
            author.id.into(),
            change.caller.origin.actor_label.clone().into(),
            tx.now().into(),
            change_set.into(),
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

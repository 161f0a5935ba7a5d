//! Carrying secrets from one environment to another: first a plan, then the plan and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, json};
use sha2::{Digest, Sha256};

use super::bulk::Mode;
use super::current::{self, Current};
use super::editor::Editor;
use super::past::{self, PastSecret};
use super::place::EnvPlace;
use crate::access::grant::{SecretsDelete, SecretsRead, SecretsWrite};
use crate::access::{Caller, EnvAccess};
use crate::crypto::fingerprint;
use crate::crypto::key_store::KeyStore;
use crate::journal::Action;
use crate::kernel::{Problem, ProblemCode, Reads, Result, WriteTx};

/// What promoting does to one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromoteAction {
    Added,
    Changed,
    Same,
    /// Deleted from the target, which has a key that the source has not; with [`Mode::Replace`] only.
    Removed,
    /// Not to be had: `reason` says why.
    Blocked(&'static str),
}

impl PromoteAction {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Same => "same",
            Self::Removed => "removed",
            Self::Blocked(_) => "blocked",
        }
    }

    /// Why it is blocked.
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Blocked(reason) => Some(reason),
            Self::Added | Self::Changed | Self::Same | Self::Removed => None,
        }
    }
}

/// One key of a plan.
#[derive(Clone, Debug)]
pub struct PlannedKey {
    pub key: String,
    pub action: PromoteAction,
    pub source_version: Option<i64>,
    pub target_version: Option<i64>,
}

/// Two environments of one project, and what the caller may do there.
pub struct Route<'a> {
    pub source: &'a EnvAccess<SecretsRead>,
    pub target: &'a EnvAccess<SecretsWrite>,
    /// Needed for [`Mode::Replace`].
    pub deletes: Option<&'a EnvAccess<SecretsDelete>>,
}

/// What is to be promoted.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// `None` = all keys of the source.
    pub keys: Option<Vec<String>>,
    pub mode: Mode,
}

/// What promoting comes to.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Names this very plan: both revisions, and every key with what becomes of it.
    pub digest: String,
    pub source_revision: i64,
    /// Of the target, before; once applied, after.
    pub target_revision: i64,
    /// Sorted by key.
    pub changes: Vec<PlannedKey>,
    /// Whether anything was written. If not, the transaction must be rolled back.
    pub is_applied: bool,
}

/// Both environments as they are.
struct Sides {
    source: BTreeMap<String, PastSecret>,
    target: BTreeMap<String, Current>,
}

impl Sides {
    async fn load(from: &impl Reads, route: &Route<'_>, source_revision: i64) -> Result<Self> {
        let source = past::secrets(from, route.source.env.id, source_revision).await?;
        let target = current::all(from, route.target.env.id).await?;
        Ok(Self {
            source: source.into_iter().map(|secret| (secret.key.clone(), secret)).collect(),
            target: target
                .into_iter()
                .filter(Current::is_live)
                .map(|secret| (secret.key.clone(), secret))
                .collect(),
        })
    }

    /// The keys that the selection means.
    fn selected(&self, selection: &Selection) -> Result<BTreeSet<String>> {
        let Some(keys) = &selection.keys else {
            let mut all: BTreeSet<_> = self.source.keys().cloned().collect();
            if selection.mode == Mode::Replace {
                all.extend(self.target.keys().cloned());
            }
            return Ok(all);
        };
        let mut selected = BTreeSet::new();
        for (index, key) in keys.iter().enumerate() {
            let known =
                self.source.contains_key(key) || (selection.mode == Mode::Replace && self.target.contains_key(key));
            if !known {
                let message = "is no secret of the source environment";
                return Err(Problem::field(format!("keys[{index}]"), "unknown", message).into());
            }
            selected.insert(key.clone());
        }
        Ok(selected)
    }

    fn planned(&self, route: &Route<'_>, key: String) -> PlannedKey {
        let (source, target) = (self.source.get(&key), self.target.get(&key));
        PlannedKey {
            action: action(route, &key, source, target),
            source_version: source.map(|secret| secret.version),
            target_version: target.map(|secret| secret.version),
            key,
        }
    }
}

fn action(route: &Route<'_>, key: &str, source: Option<&PastSecret>, target: Option<&Current>) -> PromoteAction {
    let Some(source) = source else {
        return if route.deletes.is_some_and(|access| access.allows_key(key)) {
            PromoteAction::Removed
        } else {
            PromoteAction::Blocked("no_delete_on_target")
        };
    };
    if !route.source.allows_key(key) {
        return PromoteAction::Blocked("no_read_on_source");
    }
    if !route.target.allows_key(key) {
        return PromoteAction::Blocked("no_write_on_target");
    }
    match target {
        None => PromoteAction::Added,
        Some(target) if fingerprint::same(&source.fingerprint, &target.fingerprint) => PromoteAction::Same,
        Some(_) => PromoteAction::Changed,
    }
}

fn digest(source_revision: i64, target_revision: i64, route: &Route<'_>, changes: &[PlannedKey]) -> String {
    let mut hash = Sha256::new();
    let head = (
        route.source.env.id.to_string(),
        route.target.env.id.to_string(),
        source_revision,
        target_revision,
    );
    hash.update(json!(head).to_string());
    for change in changes {
        let PlannedKey {
            key,
            action,
            source_version,
            target_version,
        } = change;
        let line = (key, action.as_str(), action.reason(), source_version, target_version);
        hash.update(json!(line).to_string());
    }
    hex::encode(hash.finalize())
}

fn plan(route: &Route<'_>, sides: &Sides, selection: &Selection, revisions: (i64, i64)) -> Result<Plan> {
    let (source_revision, target_revision) = revisions;
    let keys = sides.selected(selection)?;
    let changes: Vec<_> = keys.into_iter().map(|key| sides.planned(route, key)).collect();
    Ok(Plan {
        digest: digest(source_revision, target_revision, route, &changes),
        source_revision,
        target_revision,
        changes,
        is_applied: false,
    })
}

fn check(route: &Route<'_>, selection: &Selection) -> Result<()> {
    if route.source.env.id == route.target.env.id {
        return Err(Problem::field("to", "conflict", "must be another environment than `from`").into());
    }
    if selection.keys.as_ref().is_some_and(Vec::is_empty) {
        return Err(Problem::field("keys", "required", "must name at least one key, or be absent for all").into());
    }
    if selection
        .keys
        .as_ref()
        .is_some_and(|keys| keys.len() > super::bulk::MAX_KEYS)
    {
        let message = format!("must be at most {} keys", super::bulk::MAX_KEYS);
        return Err(Problem::field("keys", "too_many", message).into());
    }
    Ok(())
}

/// Tells what promoting would do, and changes nothing.
///
/// # Errors
/// `invalid_field` for a key that the source has not.
pub async fn dry_run(from: &impl Reads, route: &Route<'_>, selection: &Selection) -> Result<Plan> {
    check(route, selection)?;
    let (source, target) = (route.source.env.revision, route.target.env.revision);
    let sides = Sides::load(from, route, source).await?;
    plan(route, &sides, selection, (source, target))
}

/// Promotes: every key of the plan or none. Each value is sealed anew for its place in the target.
///
/// # Errors
/// `version_mismatch` when `digest` names another plan than the one that would be carried out now: one of the
/// environments moved. `forbidden` naming the keys that are blocked.
pub async fn apply(
    tx: &WriteTx,
    store: &KeyStore,
    caller: &Caller,
    route: &Route<'_>,
    selection: &Selection,
    wanted: Option<&str>,
) -> Result<Plan> {
    check(route, selection)?;
    // Counting the target up locks it; of the source the newest committed revision is read, and only that one.
    let mut editor = Editor::open(tx, store, caller, route.target).await?;
    let source_revision = newest(tx, route.source).await?;
    let sides = Sides::load(tx, route, source_revision).await?;
    let mut plan = plan(route, &sides, selection, (source_revision, editor.base()))?;
    if wanted.is_some_and(|wanted| wanted != plan.digest) {
        let detail = "The source or the target changed since the plan was made. Make a new plan and look at it.";
        return Err(Problem::new(ProblemCode::VersionMismatch, detail)
            .with("source_revision", plan.source_revision)
            .with("target_revision", plan.target_revision)
            .into());
    }
    refuse_blocked(&plan)?;
    let from = EnvPlace::from(route.source);
    for change in &plan.changes {
        let current = sides.target.get(&change.key);
        match (change.action, sides.source.get(&change.key)) {
            (PromoteAction::Added | PromoteAction::Changed, Some(source)) => {
                let texts = source.texts(tx, store, &from).await?;
                let destroyed = || Problem::new(ProblemCode::Conflict, "A value of the source was destroyed.");
                editor.put(current, &change.key, texts.ok_or_else(destroyed)?).await?;
            }
            (PromoteAction::Removed, _) => {
                if let Some(current) = current {
                    editor.delete(current);
                }
            }
            (PromoteAction::Same | PromoteAction::Blocked(_) | PromoteAction::Added | PromoteAction::Changed, _) => {}
        }
    }
    if editor.is_empty() {
        return Ok(plan);
    }
    let facts = Map::from_iter([
        ("from".to_owned(), from.env_slug.clone().into()),
        ("source_environment".to_owned(), from.env.to_string().into()),
        ("source_revision".to_owned(), source_revision.into()),
    ]);
    plan.target_revision = editor.finish_many(Action::SecretPromoted, facts).await?;
    plan.is_applied = true;
    Ok(plan)
}

async fn newest(tx: &WriteTx, source: &EnvAccess<SecretsRead>) -> Result<i64> {
    use sea_orm::FromQueryResult;
    #[derive(FromQueryResult)]
    struct Row {
        revision: i64,
    }
    let sql = "SELECT revision FROM environments WHERE id = $1";
    let row = Row::find_by_statement(tx.sql(sql, [source.env.id.into()]))
        .one(tx.conn())
        .await?;
    Ok(row.ok_or_else(Problem::not_found)?.revision)
}

fn refuse_blocked(plan: &Plan) -> Result<()> {
    let blocked = plan.changes.iter().filter(|change| change.action.reason().is_some());
    let keys: Vec<_> = blocked.map(|change| change.key.clone()).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let detail = "You may not promote some of these keys. Look at the plan, and name the keys that you may.";
    Err(Problem::forbidden(detail).with("keys", json!(keys)).into())
}

//! Carrying secrets from one environment to another: first a plan, then the plan and nothing else.

use serde_json::{Map, json};

use super::bulk::{self, Mode};
use super::editor::Editor;
use super::place::EnvPlace;
use super::plan::{Sides, plan};
use crate::access::grant::{SecretsDelete, SecretsRead, SecretsWrite};
use crate::access::{Caller, EnvAccess};
use crate::crypto::key_store::KeyStore;
use crate::journal::Action;
use crate::kernel::{Problem, ProblemCode, Reads, Result, WriteTx};
use crate::templates::{Fault, Rules, fault};

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
    /// The template of the target, which is protected, does not allow it.
    Faulty(Fault),
}

impl PromoteAction {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Same => "same",
            Self::Removed => "removed",
            Self::Blocked(_) | Self::Faulty(_) => "blocked",
        }
    }

    /// Why it is blocked.
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Blocked(reason) => Some(reason),
            Self::Faulty(fault) => Some(fault.blocks()),
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
    /// Sorted by key. With a template also the keys that the target must have, and would not.
    pub changes: Vec<PlannedKey>,
    /// Whether anything was written. If not, the transaction must be rolled back.
    pub is_applied: bool,
}

fn check(route: &Route<'_>, selection: &Selection) -> Result<()> {
    if route.source.env.id == route.target.env.id {
        return Err(Problem::field("to", "conflict", "must be another environment than `from`").into());
    }
    if selection.keys.as_ref().is_some_and(Vec::is_empty) {
        return Err(Problem::field("keys", "required", "must name at least one key, or be absent for all").into());
    }
    let keys = selection.keys.as_deref().unwrap_or_default();
    if keys.len() > bulk::MAX_KEYS {
        let message = format!("must be at most {} keys", bulk::MAX_KEYS);
        return Err(Problem::field("keys", "too_many", message).into());
    }
    bulk::check_unique("keys", keys.iter().map(String::as_str))
}

/// Tells what promoting would do, and changes nothing.
///
/// # Errors
/// `invalid_field` for a key that the source has not.
pub async fn dry_run(from: &impl Reads, store: &KeyStore, route: &Route<'_>, selection: &Selection) -> Result<Plan> {
    check(route, selection)?;
    let target = &route.target.env;
    let sides = Sides::load(from, route).await?;
    let rules = Rules::of_gated(from, target.id, target.class).await?;
    plan(from, store, route, &sides, selection, Some(&rules)).await
}

/// Promotes: every key of the plan or none. Each value is sealed anew for its place in the target.
///
/// # Errors
/// `version_mismatch` when `digest` names another plan than the one that would be carried out now: one of the
/// environments moved. `forbidden` naming the keys that are blocked. `template_violation` naming the keys that the
/// template of a protected target does not allow, and those that it would lack.
pub async fn apply(
    tx: &WriteTx,
    store: &KeyStore,
    caller: &Caller,
    route: &Route<'_>,
    selection: &Selection,
    wanted: Option<&str>,
) -> Result<Plan> {
    check(route, selection)?;
    // Counting the target up locks it; of the source the newest committed state is read, in one statement.
    let mut editor = Editor::open(tx, store, caller, route.target).await?;
    let sides = Sides {
        target_revision: editor.base(),
        ..Sides::load(tx, route).await?
    };
    let source_revision = sides.source_revision;
    let mut plan = plan(tx, store, route, &sides, selection, editor.rules()).await?;
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
                editor
                    .put(
                        current.or_else(|| sides.gone.get(&change.key)),
                        &change.key,
                        texts.ok_or_else(destroyed)?,
                    )
                    .await?;
            }
            (PromoteAction::Removed, _) => {
                if let Some(current) = current {
                    editor.delete(current);
                }
            }
            (
                PromoteAction::Same
                | PromoteAction::Blocked(_)
                | PromoteAction::Faulty(_)
                | PromoteAction::Added
                | PromoteAction::Changed,
                _,
            ) => {}
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

fn refuse_blocked(plan: &Plan) -> Result<()> {
    let (mut keys, mut faults) = (Vec::new(), Vec::new());
    for PlannedKey { key, action, .. } in &plan.changes {
        match action {
            PromoteAction::Blocked(_) => keys.push(key.clone()),
            PromoteAction::Faulty(fault) => faults.push((key.clone(), *fault)),
            PromoteAction::Added | PromoteAction::Changed | PromoteAction::Same | PromoteAction::Removed => {}
        }
    }
    if !keys.is_empty() {
        let detail = "You may not promote some of these keys. Look at the plan, and name the keys that you may.";
        return Err(Problem::forbidden(detail).with("keys", json!(keys)).into());
    }
    if !faults.is_empty() {
        return Err(fault::violation(faults.into_iter()).into());
    }
    Ok(())
}

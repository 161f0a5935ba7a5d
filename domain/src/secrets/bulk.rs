//! Changing many secrets at once: all of them or none, as one revision.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Map;

use super::current::{self, Current};
use super::editor::{Editor, NewValue, Outcome};
use super::gate::KeyFault;
use super::key::check_key_named;
use super::write::check_entry;
use crate::access::grant::{SecretsBulkDelete, SecretsDelete, SecretsWrite};
use crate::access::{Caller, EnvAccess};
use crate::crypto::key_store::KeyStore;
use crate::journal::Action;
use crate::kernel::{Problem, Result, WriteTx};
use crate::templates::Fault;

/// Keys of one call at most. Source: design of the API, limits.
pub const MAX_KEYS: usize = 1000;

/// What becomes of the keys that are not named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// They stay.
    #[default]
    Merge,
    /// They are deleted.
    Replace,
}

/// What a call does to one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyResult {
    pub key: String,
    pub outcome: Outcome,
    /// Its version afterwards; of a deleted one the last.
    pub version: i64,
    /// Why the template of a protected environment does not allow it. Only a change that was tried has one: any other
    /// is refused.
    pub fault: Option<Fault>,
}

/// What a call comes to.
#[derive(Clone, Debug)]
pub struct BulkResult {
    /// The environment's revision afterwards.
    pub revision: i64,
    /// Sorted by key.
    pub results: Vec<KeyResult>,
    /// Whether anything was written. If not, the transaction must be rolled back.
    pub is_written: bool,
}

/// Many values to be stored.
pub struct BulkSet {
    /// In the order in which the caller named them.
    pub secrets: Vec<(String, NewValue)>,
    pub mode: Mode,
    /// Tells what would happen, and does nothing.
    pub dry_run: bool,
}

fn check_count(field: &'static str, count: usize) -> Result<()> {
    match count {
        0 => Err(Problem::field(field, "required", "must name at least one key").into()),
        1..=MAX_KEYS => Ok(()),
        _ => Err(Problem::field(field, "too_many", format!("must be at most {MAX_KEYS} keys")).into()),
    }
}

pub(super) fn check_unique<'a>(field: &'static str, keys: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for key in keys {
        if !seen.insert(key) {
            return Err(Problem::field(field, "duplicate", format!("names `{key}` twice")).into());
        }
    }
    Ok(())
}

/// Stores many values. With [`Mode::Replace`] whatever is not named is deleted, and `deletes` must be the proof that
/// the caller may delete.
///
/// # Errors
/// `invalid_field` naming the key; `forbidden` when one of the keys is not the caller's to write or delete;
/// `template_violation` naming the keys that the template of a protected environment does not allow. Nothing is written
/// then.
pub async fn set(
    tx: &WriteTx,
    keys: &KeyStore,
    caller: &Caller,
    access: &EnvAccess<SecretsWrite>,
    deletes: Option<&EnvAccess<SecretsDelete>>,
    bulk: BulkSet,
) -> Result<BulkResult> {
    let BulkSet { secrets, mode, dry_run } = bulk;
    check_count("secrets", secrets.len())?;
    check_unique("secrets", secrets.iter().map(|(key, _)| key.as_str()))?;
    for (index, (key, new)) in secrets.iter().enumerate() {
        check_entry(index, key, new)?;
        if !access.allows_key(key) {
            return Err(Problem::forbidden(format!("This needs the permission `secrets:write` for `{key}`.")).into());
        }
    }
    let mut editor = Editor::open(tx, keys, caller, access).await?;
    let names: Vec<&str> = secrets.iter().map(|(key, _)| key.as_str()).collect();
    let mut results = Vec::with_capacity(secrets.len());
    let looked_up = async {
        match mode {
            Mode::Merge => Ok((current::of_keys(tx, access.env.id, &names).await?, Vec::new())),
            Mode::Replace => named_and_not(tx, access, &names).await,
        }
    };
    // Done while the database looks.
    let prints = async {
        secrets
            .iter()
            .map(|(_, new)| editor.fingerprint(new))
            .collect::<Vec<_>>()
    };
    let (looked_up, prints) = tokio::join!(looked_up, prints);
    let (stored, others) = looked_up?;
    for current in others {
        if !deletes.is_some_and(|access| access.allows_key(&current.key)) {
            let detail = "Replacing would delete secrets that you may not delete. Merge instead.";
            return Err(Problem::forbidden(detail).into());
        }
        results.push(result(editor.delete(&current)));
    }
    for ((key, new), print) in secrets.into_iter().zip(prints) {
        results.push(result(editor.put_known(stored.get(&key), &key, new, print).await?));
    }
    finish(editor, Action::SecretBulkSet, results, dry_run).await
}

pub(super) fn result(stepped: super::editor::Stepped) -> KeyResult {
    KeyResult {
        key: stepped.key,
        outcome: stepped.outcome,
        version: stepped.version,
        fault: None,
    }
}

/// Notes what the template says against a change that was tried.
pub(super) fn note(results: &mut Vec<KeyResult>, faults: Vec<KeyFault>) {
    for KeyFault { key, version, fault } in faults {
        match results.iter_mut().find(|result| result.key == key) {
            Some(result) => result.fault = result.fault.or(Some(fault)),
            // A required key whose secret takes another one.
            None => results.push(KeyResult {
                key,
                outcome: Outcome::Deleted,
                version,
                fault: Some(fault),
            }),
        }
    }
    results.sort_by(|left, right| left.key.cmp(&right.key));
}

/// What is stored under the keys that a call names, and the live secrets that it does not name.
async fn named_and_not(
    tx: &WriteTx,
    access: &EnvAccess<SecretsWrite>,
    names: &[&str],
) -> Result<(HashMap<String, Current>, Vec<Current>)> {
    let kept: BTreeSet<_> = names.iter().copied().collect();
    let all = current::all(tx, access.env.id).await?;
    let (wanted, mut others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|current| kept.contains(current.key.as_str()));
    others.retain(Current::is_live);
    Ok((current::by_key(wanted), others))
}

async fn finish(
    mut editor: Editor<'_>,
    action: Action,
    mut results: Vec<KeyResult>,
    dry_run: bool,
) -> Result<BulkResult> {
    results.sort_by(|left, right| left.key.cmp(&right.key));
    if dry_run || editor.is_empty() {
        note(&mut results, editor.faults().await?);
        return Ok(BulkResult {
            revision: editor.base(),
            results,
            is_written: false,
        });
    }
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for result in &results {
        *counts.entry(result.outcome.as_str()).or_default() += 1;
    }
    let facts = Map::from_iter([("counts".to_owned(), serde_json::json!(counts))]);
    let revision = editor.finish_many(action, facts).await?;
    Ok(BulkResult {
        revision,
        results,
        is_written: true,
    })
}

/// Deletes many secrets.
///
/// # Errors
/// `invalid_field` naming a key that is none or not there; `forbidden` when one is not the caller's to delete. Nothing
/// is deleted then.
pub async fn delete(
    tx: &WriteTx,
    store: &KeyStore,
    caller: &Caller,
    access: &EnvAccess<SecretsBulkDelete>,
    keys: Vec<String>,
) -> Result<BulkResult> {
    check_count("keys", keys.len())?;
    check_unique("keys", keys.iter().map(String::as_str))?;
    for (index, key) in keys.iter().enumerate() {
        check_key_named("keys", index, key)?;
        if !access.allows_key(key) {
            let detail = format!("This needs the permission `secrets:bulk_delete` for `{key}`.");
            return Err(Problem::forbidden(detail).into());
        }
    }
    let mut editor = Editor::open(tx, store, caller, access).await?;
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    let stored = current::of_keys(tx, access.env.id, &names).await?;
    let mut results = Vec::with_capacity(keys.len());
    for (index, key) in keys.iter().enumerate() {
        let Some(current) = stored.get(key).filter(|current| current.is_live()) else {
            let message = format!("`{key}` is no secret of this environment");
            return Err(Problem::field(format!("keys[{index}]"), "unknown", message).into());
        };
        results.push(result(editor.delete(current)));
    }
    finish(editor, Action::SecretBulkDeleted, results, false).await
}

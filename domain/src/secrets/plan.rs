//! What promoting would do, key by key: from both environments, from what the caller may do there, and from the
//! template that the target is held to.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use sha2::{Digest, Sha256};

use super::bulk::Mode;
use super::current::{self, Current};
use super::past::{self, PastSecret};
use super::place::EnvPlace;
use super::promote::{Plan, PlannedKey, PromoteAction, Route, Selection};
use crate::crypto::fingerprint;
use crate::crypto::key_store::KeyStore;
use crate::kernel::{Problem, Reads, Result};
use crate::templates::{Fault, Rules};

/// Both environments as they are.
pub(super) struct Sides {
    pub(super) source: BTreeMap<String, PastSecret>,
    pub(super) target: BTreeMap<String, Current>,
    /// What was deleted last under each key of the target: a secret that comes back goes on with its versions.
    pub(super) gone: BTreeMap<String, Current>,
    pub(super) source_revision: i64,
    pub(super) target_revision: i64,
}

impl Sides {
    pub(super) async fn load(
        from: &impl Reads,
        route: &Route<'_>,
        source_revision: i64,
        target_revision: i64,
    ) -> Result<Self> {
        let source = past::secrets(from, route.source.env.id, source_revision).await?;
        let target = current::all(from, route.target.env.id).await?;
        let (target, mut gone): (Vec<_>, Vec<_>) = target.into_iter().partition(Current::is_live);
        gone.sort_by_key(|secret| secret.deleted_at);
        let by_key = |secret: Current| (secret.key.clone(), secret);
        Ok(Self {
            source: source.into_iter().map(|secret| (secret.key.clone(), secret)).collect(),
            target: target.into_iter().map(by_key).collect(),
            gone: gone.into_iter().map(by_key).collect(),
            source_revision,
            target_revision,
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

    /// A key with the versions that it has on both sides.
    fn planned(&self, key: String, action: PromoteAction) -> PlannedKey {
        PlannedKey {
            action,
            source_version: self.source.get(&key).map(|secret| secret.version),
            target_version: self.target.get(&key).map(|secret| secret.version),
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

fn digest(sides: &Sides, route: &Route<'_>, changes: &[PlannedKey]) -> String {
    let mut hash = Sha256::new();
    let head = (
        route.source.env.id.to_string(),
        route.target.env.id.to_string(),
        sides.source_revision,
        sides.target_revision,
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

/// The plan. `rules` are what the target is held to, if to anything.
pub(super) async fn plan(
    from: &impl Reads,
    store: &KeyStore,
    route: &Route<'_>,
    sides: &Sides,
    selection: &Selection,
    rules: Option<&Rules>,
) -> Result<Plan> {
    let keys = sides.selected(selection)?.into_iter();
    let planned = |key: String| {
        let action = action(route, &key, sides.source.get(&key), sides.target.get(&key));
        sides.planned(key, action)
    };
    let mut changes: Vec<_> = keys.map(planned).collect();
    if let Some(rules) = rules.filter(|rules| !rules.is_empty()) {
        hold(from, store, route, sides, rules, &mut changes).await?;
    }
    Ok(Plan {
        digest: digest(sides, route, &changes),
        source_revision: sides.source_revision,
        target_revision: sides.target_revision,
        changes,
        is_applied: false,
    })
}

/// Holds the target, as it would be, to its template: the values that come to it, and the keys that it must have.
async fn hold(
    from: &impl Reads,
    store: &KeyStore,
    route: &Route<'_>,
    sides: &Sides,
    rules: &Rules,
    changes: &mut Vec<PlannedKey>,
) -> Result<()> {
    let key = store.fingerprint(from, route.target.project.id).await?;
    let is_empty = |fingerprint: &[u8]| key.matches(b"", fingerprint);
    let place = EnvPlace::from(route.source);
    for change in changes.iter_mut() {
        let source = sides.source.get(&change.key);
        let fault = match (change.action, source) {
            (PromoteAction::Added | PromoteAction::Changed, Some(source)) => {
                new_value(from, store, &place, rules, source).await?
            }
            (PromoteAction::Same, Some(source)) if is_empty(&source.fingerprint) => Some(Fault::Empty),
            (PromoteAction::Removed, _) => Some(Fault::Missing),
            (
                PromoteAction::Added
                | PromoteAction::Changed
                | PromoteAction::Same
                | PromoteAction::Blocked(_)
                | PromoteAction::Faulty(_),
                _,
            ) => None,
        };
        let counts = |fault: &Fault| matches!(fault, Fault::Invalid(_)) || rules.requires(&change.key);
        if let Some(fault) = fault.filter(counts) {
            change.action = PromoteAction::Faulty(fault);
        }
    }
    let planned: BTreeSet<String> = changes.iter().map(|change| change.key.clone()).collect();
    for key in rules.required().filter(|key| !planned.contains(*key)) {
        let fault = match sides.target.get(key) {
            None => Fault::Missing,
            Some(target) if is_empty(&target.fingerprint) => Fault::Empty,
            Some(_) => continue,
        };
        changes.push(sides.planned(key.to_owned(), PromoteAction::Faulty(fault)));
    }
    changes.sort_by(|left, right| left.key.cmp(&right.key));
    Ok(())
}

/// What is wrong with a value that would come to the target. One that was destroyed is for applying to tell.
async fn new_value(
    from: &impl Reads,
    store: &KeyStore,
    place: &EnvPlace,
    rules: &Rules,
    source: &PastSecret,
) -> Result<Option<Fault>> {
    let Some(rule) = rules.of(&source.key) else {
        return Ok(None);
    };
    let texts = source.texts(from, store, place).await?;
    let Some(texts) = texts else {
        return Ok(None);
    };
    Ok(rule.checker()?.faults(texts.value.expose()).into_iter().next())
}

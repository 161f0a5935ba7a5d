//! What promoting would do, key by key: from both environments, from what the caller may do there, and from the
//! template that the target is held to.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::FromQueryResult;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::bulk::Mode;
use super::current::Current;
use super::past::PastSecret;
use super::place::EnvPlace;
use super::promote::{Plan, PlannedKey, PromoteAction, Route, Selection};
use crate::access::EnvAccess;
use crate::access::grant::{SecretsList, SecretsRead};
use crate::crypto::fingerprint;
use crate::crypto::key_store::KeyStore;
use crate::kernel::id::{EnvId, SecretId};
use crate::kernel::{Problem, Reads, Result, Timestamp};
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

/// A row of an environment: a secret, live or deleted, with its newest version; or none, for an empty one.
#[derive(FromQueryResult)]
struct Row {
    environment_id: EnvId,
    revision: i64,
    id: Option<SecretId>,
    key: Option<String>,
    version: Option<i64>,
    created_at: Option<Timestamp>,
    updated_at: Option<Timestamp>,
    deleted_at: Option<Timestamp>,
    written_at: Option<Timestamp>,
    fingerprint: Option<Vec<u8>>,
    /// Of the source only.
    sealed_value: Option<Vec<u8>>,
    sealed_comment: Option<Vec<u8>>,
    destroyed_at: Option<Timestamp>,
}

impl Row {
    fn of_source(self) -> Option<PastSecret> {
        Some(PastSecret {
            id: self.id?,
            key: self.key?,
            version: self.version?,
            created_at: self.created_at?,
            updated_at: self.written_at?,
            fingerprint: self.fingerprint?,
            sealed_value: self.sealed_value,
            sealed_comment: self.sealed_comment,
        })
    }

    fn of_target(self) -> Option<Current> {
        Some(Current {
            id: self.id?,
            key: self.key?,
            version: self.version?,
            created_at: self.created_at?,
            updated_at: self.updated_at?,
            deleted_at: self.deleted_at,
            fingerprint: self.fingerprint?,
            sealed_comment: self.sealed_comment,
            destroyed_at: self.destroyed_at,
        })
    }
}

impl Sides {
    /// Both in one statement, so that they are of one moment.
    pub(super) async fn load(from: &impl Reads, route: &Route<'_>) -> Result<Self> {
        let sql = "SELECT e.id AS environment_id, e.revision, s.id, s.key, s.version, s.created_at, s.updated_at,
                s.deleted_at, v.created_at AS written_at, s.fingerprint, v.sealed_comment, v.destroyed_at,
                CASE WHEN e.id = $1 AND s.deleted_at IS NULL THEN v.sealed_value END AS sealed_value
            FROM environments e
            LEFT JOIN secrets s ON s.environment_id = e.id
            LEFT JOIN secret_versions v ON v.secret_id = s.id AND v.version = s.version
            WHERE e.id IN ($1, $2) AND e.deleted_at IS NULL";
        let (source, target) = (route.source.env.id, route.target.env.id);
        let rows = Row::find_by_statement(from.sql(sql, [source.into(), target.into()]))
            .all(from.conn())
            .await?;
        let revision = |env: EnvId| {
            let row = rows.iter().find(|row| row.environment_id == env);
            row.map(|row| row.revision)
        };
        let source_revision = revision(source).ok_or_else(Problem::not_found)?;
        let target_revision = revision(target).ok_or_else(Problem::not_found)?;
        let (of_source, of_target): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.environment_id == source);
        // Of keys that the caller may neither read nor list there, the plan knows nothing.
        let lists = route.source.also::<SecretsList>().ok();
        let may_know =
            |key: &str| route.source.allows_key(key) || lists.as_ref().is_some_and(|access| access.allows_key(key));
        let live = of_source
            .into_iter()
            .filter(|row| row.deleted_at.is_none() && row.key.as_deref().is_some_and(may_know));
        let all = of_target.into_iter().filter_map(Row::of_target);
        let (target, mut gone): (Vec<_>, Vec<_>) = all.partition(Current::is_live);
        gone.sort_by_key(|secret| secret.deleted_at);
        let by_key = |secret: Current| (secret.key.clone(), secret);
        Ok(Self {
            source: live
                .filter_map(Row::of_source)
                .map(|secret| (secret.key.clone(), secret))
                .collect(),
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

/// What becomes of one key. `reads` is what the caller may read in the target: elsewhere they are not told that both
/// sides are the same.
fn action(
    route: &Route<'_>,
    reads: Option<&EnvAccess<SecretsRead>>,
    key: &str,
    source: Option<&PastSecret>,
    target: Option<&Current>,
) -> PromoteAction {
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
        Some(target)
            if reads.is_some_and(|access| access.allows_key(key))
                && fingerprint::same(&source.fingerprint, &target.fingerprint) =>
        {
            PromoteAction::Same
        }
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
    let reads = route.target.also::<SecretsRead>().ok();
    let planned = |key: String| {
        let action = action(
            route,
            reads.as_ref(),
            &key,
            sides.source.get(&key),
            sides.target.get(&key),
        );
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

//! What the API must answer to a request about a whole environment, or two, and what is there afterwards.

use std::collections::{BTreeMap, BTreeSet};

use domain::secrets::key::is_key;
use serde_json::{Value, json};

use super::change::{Change, Line, Now};
use super::environment::{Environment, Held};
use super::expected::{Expected, Prediction, in_order, invalid, refused};
use super::operation::{Entry, OfEnvironment, OfProject, Operation, Route};

/// Two environments of one project.
#[derive(Clone, Debug, Default)]
pub struct World {
    pub environments: [Environment; 2],
    /// The plan that was made last, and the revisions of both environments then.
    pub plan: Option<(Route, [usize; 2])>,
}

impl World {
    /// The answer, and the world afterwards.
    pub fn predict(&self, operation: &Operation, now: Now) -> (Expected, Self) {
        let of_one = |env: usize, prediction: Prediction<Environment>| {
            prediction.map(|(expected, environment)| {
                let mut after = self.clone();
                after.environments[env] = environment;
                (expected, after)
            })
        };
        let prediction = match operation {
            Operation::Secret { env, key, what } => of_one(*env, what.predict(&self.environments[*env], key, now)),
            Operation::Environment { env, what } => of_one(*env, what.predict(&self.environments[*env], now)),
            Operation::Project(what) => what.predict(self, now),
        };
        prediction.unwrap_or_else(|refusal| (refusal, self.clone()))
    }

    /// The revisions of both environments.
    pub fn revisions(&self) -> [usize; 2] {
        [0, 1].map(|index: usize| self.environments[index].revision())
    }
}

/// A change of several secrets; nothing happens when it is only tried.
fn several(env: &Environment, change: Change, action: &'static str, is_dry_run: bool) -> (Expected, Environment) {
    let (after, lines) = change.close(action);
    let after = if is_dry_run { env.clone() } else { after };
    let result = |Line {
                      key, status, version, ..
                  }| json!({ "key": key, "status": status, "version": version });
    let mut results: Vec<_> = lines.into_iter().map(result).collect();
    results.sort_by_key(|result| result["key"].as_str().unwrap_or_default().to_owned());
    let body = json!({ "revision": after.revision(), "results": results });
    let expected = Expected {
        status: 200,
        body: in_order(body),
    };
    (expected, after)
}

/// Stores values; the keys that are not named stay, or are deleted.
fn set(env: &Environment, secrets: &BTreeMap<String, Entry>, is_replace: bool, now: Now) -> Result<Change, Expected> {
    if let Some(index) = secrets.keys().position(|key| !is_key(key)) {
        return Err(invalid(format!("secrets[{index}]")));
    }
    let mut change = Change::of(env, now);
    let others = env.held().into_iter().filter(|held| !secrets.contains_key(&held.key));
    for other in others.filter(|_| is_replace) {
        change.delete(other.secret);
    }
    for (key, (value, comment)) in secrets {
        change.put(env.of_key(key), key, value, comment.as_deref());
    }
    Ok(change)
}

impl OfEnvironment {
    pub fn predict(&self, env: &Environment, now: Now) -> Prediction<Environment> {
        match self {
            Self::Set {
                secrets,
                is_replace,
                is_dry_run,
            } => {
                let change = set(env, secrets, *is_replace, now)?;
                Ok(several(env, change, "secret.bulk_set", *is_dry_run))
            }
            Self::Import {
                format: _,
                secrets,
                is_replace,
                is_dry_run,
            } => {
                let entry = |(key, value): (&String, &String)| (key.clone(), (value.clone(), None));
                let secrets: BTreeMap<String, Entry> = secrets.iter().map(entry).collect();
                let change = set(env, &secrets, *is_replace, now)?;
                Ok(several(env, change, "secret.bulk_set", *is_dry_run))
            }
            Self::Delete { keys } => {
                let unique: BTreeSet<_> = keys.iter().collect();
                if unique.len() < keys.len() {
                    return Err(invalid("keys"));
                }
                let mut change = Change::of(env, now);
                for (index, key) in keys.iter().enumerate() {
                    let unknown = || invalid(format!("keys[{index}]"));
                    change.delete(env.live(key).ok_or_else(unknown)?);
                }
                Ok(several(env, change, "secret.bulk_delete", false))
            }
            Self::RollBack { to, is_dry_run } => {
                let revision = env.named(to).ok_or_else(|| invalid("revision"))?;
                let change = rolled_back(env, revision, now)?;
                Ok(several(env, change, "environment.rolled_back", *is_dry_run))
            }
            Self::Pin { name, revision } => {
                if name.bytes().all(|letter| letter.is_ascii_digit()) {
                    return Err(invalid("name"));
                }
                let revision = revision.unwrap_or_else(|| env.revision());
                if revision > env.revision() {
                    return Err(invalid("revision"));
                }
                let mut after = env.clone();
                after.pins.insert(name.clone(), revision);
                let body = json!({ "name": name, "revision": revision, "created_at": now.at.to_string() });
                Ok((Expected { status: 200, body }, after))
            }
            Self::Unpin { name } => {
                let mut after = env.clone();
                match after.pins.remove(name) {
                    Some(_) => Ok((Expected::nothing(), after)),
                    None => Err(refused(404, "not_found")),
                }
            }
        }
    }
}

/// Brings every secret back to what it was at a revision.
fn rolled_back(env: &Environment, revision: usize, now: Now) -> Result<Change, Expected> {
    let mut change = Change::of(env, now);
    let mut destroyed = Vec::new();
    for (index, secret) in env.secrets.iter().enumerate() {
        let is_live = secret.deleted_at.is_none();
        let Some(Held { key, version, .. }) = env.held_at(revision).iter().find(|held| held.secret == index) else {
            if is_live {
                change.delete(index);
            }
            continue;
        };
        let is_same_version = secret.version() == *version;
        match secret.kept(*version) {
            Some(_) if is_same_version && is_live && secret.key == *key => {}
            Some(_) if is_same_version && is_live => change.rename(index, key),
            Some(_) if is_same_version => change.restore(index, key),
            Some(old) => change.put(Some(index), key, &old.value, Some(&old.comment)),
            None => destroyed.push(key.as_str()),
        }
    }
    if destroyed.is_empty() {
        return Ok(change);
    }
    let body = json!({ "code": "conflict", "keys": destroyed });
    Err(Expected {
        status: 409,
        body: in_order(body),
    })
}

impl OfProject {
    fn predict(&self, world: &World, now: Now) -> Prediction<World> {
        match self {
            Self::Plan(route) => {
                let (mut expected, _) = route.promote(world, now)?;
                expected.body["applied"] = false.into();
                expected.body["target_revision"] = world.revisions()[1 - route.from].into();
                let mut after = world.clone();
                after.plan = Some((route.clone(), world.revisions()));
                Ok((expected, after))
            }
            Self::Promote(route) => route.promote(world, now),
            Self::CarryOut(route) => {
                let promoted = route.promote(world, now)?;
                let is_unmoved = world
                    .plan
                    .as_ref()
                    .is_some_and(|(_, revisions)| *revisions == world.revisions());
                if is_unmoved {
                    return Ok(promoted);
                }
                let [source, target] = [route.from, 1 - route.from].map(|index| world.revisions()[index]);
                let body = json!({ "code": "version_mismatch", "source_revision": source, "target_revision": target });
                Err(Expected { status: 412, body })
            }
            // No revision, nothing that can be read.
            Self::RotateKey => Ok((
                Expected {
                    status: 202,
                    body: json!({}),
                },
                world.clone(),
            )),
        }
    }
}

impl Route {
    /// The keys that are meant.
    fn selected(&self, source: &Environment, target: &Environment) -> Result<BTreeSet<String>, Expected> {
        let held = |env: &Environment| env.held().into_iter().map(|held| held.key).collect::<BTreeSet<_>>();
        let mut known = held(source);
        if self.is_replace {
            known.extend(held(target));
        }
        let Some(keys) = &self.keys else { return Ok(known) };
        match keys.iter().position(|key| !known.contains(key)) {
            Some(index) => Err(invalid(format!("keys[{index}]"))),
            None => Ok(keys.iter().cloned().collect()),
        }
    }

    fn promote(&self, world: &World, now: Now) -> Prediction<World> {
        let (source, target) = (&world.environments[self.from], &world.environments[1 - self.from]);
        let mut change = Change::of(target, now);
        let mut changes = Vec::new();
        for key in self.selected(source, target)? {
            let versions = (source.live_version(&key), target.live_version(&key));
            let newest = |env: &Environment| env.live(&key).map(|index| env.secrets[index].newest().clone());
            let action = match (newest(source), newest(target)) {
                (None, _) => {
                    change.delete(target.live(&key).expect("it is of the target then"));
                    "removed"
                }
                // The comment alone is no difference.
                (Some(new), Some(old)) if new.value == old.value => "same",
                (Some(new), old) => {
                    // The versions of a key that was deleted go on, as whenever it is made again.
                    change.put(target.of_key(&key), &key, &new.value, Some(&new.comment));
                    if old.is_some() { "changed" } else { "added" }
                }
            };
            changes.push(
                json!({ "key": key, "action": action, "source_version": versions.0, "target_version": versions.1 }),
            );
        }
        let (promoted, _) = change.close("secret.promoted");
        let body = json!({
            "applied": promoted.revision() > target.revision(),
            "source_revision": source.revision(),
            "target_revision": promoted.revision(),
            "changes": Value::from(changes),
        });
        let mut after = world.clone();
        after.environments[1 - self.from] = promoted;
        Ok((Expected { status: 200, body }, after))
    }
}

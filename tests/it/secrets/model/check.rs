//! The whole history, read back: now, every revision, by instant and by name, compared, listed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::kernel::Timestamp;
use harness::Client;
use serde_json::{Value, json};

use super::Writer;
use super::chance::Chance;
use super::environment::{Environment, Held, Revision, Version};
use super::expected::fits;
use super::many::World;
use super::operation::Place;

/// Instants, and pairs of revisions, that are looked at each time.
const SAMPLES: usize = 5;

/// Reads a project, and compares it with the world that it must be.
pub struct Reader<'a> {
    pub client: &'a Client,
    pub place: &'a Place,
    pub writers: &'a [Writer],
}

impl Reader<'_> {
    /// Everything that can be read of both environments.
    pub async fn check(&self, world: &World, chance: &mut Chance) {
        for (index, env) in world.environments.iter().enumerate() {
            self.check_now(index, env).await;
            for revision in 0..=env.revision() {
                let held = env.held_at(revision);
                self.check_state(index, &revision.to_string(), revision, env, held)
                    .await;
            }
            for (name, revision) in &env.pins {
                self.check_state(index, name, *revision, env, env.held_at(*revision))
                    .await;
            }
            self.check_instants(index, env, chance).await;
            self.check_revisions(index, env).await;
            self.check_versions(index, env).await;
            self.check_export(index, env, chance.below(env.revision() + 1)).await;
        }
        for _ in 0..SAMPLES {
            self.check_difference(world, chance).await;
        }
    }

    /// Keys and versions of both environments as they are now.
    pub async fn check_keys(&self, world: &World) {
        for (index, env) in world.environments.iter().enumerate() {
            let line = |held: Held| json!({ "key": held.key, "version": held.version });
            let data: Vec<_> = env.held().into_iter().map(line).collect();
            let wanted = json!({ "data": data, "revision": env.revision() });
            self.must_be(&self.place.env(index).keys(), &wanted).await;
        }
    }

    async fn check_now(&self, index: usize, env: &Environment) {
        let wanted = state(env, env.revision(), &env.held());
        self.must_be(&self.place.env(index).secrets(), &wanted).await;
    }

    async fn check_state(&self, index: usize, name: &str, revision: usize, env: &Environment, held: &[Held]) {
        let path = format!("{}?revision={name}", self.place.env(index).secrets());
        self.must_be(&path, &state(env, revision, held)).await;
    }

    /// The instants of some revisions, and just before them.
    async fn check_instants(&self, index: usize, env: &Environment, chance: &mut Chance) {
        for _ in 0..SAMPLES.min(env.revision()) {
            let at = env.revisions[chance.below(env.revision())].at;
            for at in [at, at - Duration::from_millis(1)] {
                self.check_instant(index, env, at).await;
            }
        }
    }

    async fn check_instant(&self, index: usize, env: &Environment, at: Timestamp) {
        let revision = env.revision_at(at);
        let path = format!("{}?at={at}", self.place.env(index).secrets());
        self.must_be(&path, &state(env, revision, env.held_at(revision))).await;
    }

    /// Every revision with what made it, how much it changed, whose it is, and its names.
    async fn check_revisions(&self, index: usize, env: &Environment) {
        let line = |(index, revision): (usize, &Revision)| {
            let number = index + 1;
            let pins = env.pins.iter().filter(|(_, pinned)| **pinned == number);
            let writer = &self.writers[revision.by];
            json!({
                "revision": number,
                "action": revision.action,
                "changes": revision.changes,
                "pins": pins.map(|(name, _)| name).collect::<Vec<_>>(),
                "created_at": revision.at.to_string(),
                "created_by": { "type": "user", "id": writer.id, "name": writer.email },
            })
        };
        let all: Vec<_> = env.revisions.iter().enumerate().map(line).rev().collect();
        for (page, wanted) in all.chunks(100).enumerate() {
            let path = format!("{}/revisions?limit=100&offset={}", self.place.env(index).0, page * 100);
            let wanted = json!({ "data": wanted, "pagination": { "total": all.len() } });
            self.must_be(&path, &wanted).await;
        }
    }

    /// The versions of every key that is there.
    async fn check_versions(&self, index: usize, env: &Environment) {
        for held in env.held() {
            let line = |(index, version): (usize, &Version)| {
                let by = json!({ "type": "user", "id": self.writers[version.by].id });
                json!({
                    "version": index + 1,
                    "created_at": version.at.to_string(),
                    "created_by": by,
                    "destroyed": version.is_destroyed,
                })
            };
            let versions = &env.secrets[held.secret].versions;
            let newest: Vec<_> = versions.iter().enumerate().map(line).rev().take(100).collect();
            let path = format!("{}/versions?limit=100", self.place.env(index).secret(&held.key));
            let wanted = json!({ "data": newest, "pagination": { "total": versions.len() } });
            self.must_be(&path, &wanted).await;
        }
    }

    async fn check_export(&self, index: usize, env: &Environment, revision: usize) {
        let held = env.held_at(revision).iter();
        let kept = held.filter(|held| !env.version(held).is_destroyed);
        let wanted: Value = kept
            .map(|held| (held.key.clone(), json!(env.version(held).value)))
            .collect();
        let path = format!("{}/export?format=json&revision={revision}", self.place.env(index).0);
        let answer = self.client.get(&path).await.expect(200);
        assert_eq!(answer.json(), wanted, "{path}");
    }

    /// Two revisions of one environment, or of both.
    async fn check_difference(&self, world: &World, chance: &mut Chance) {
        let sides = [chance.below(2), chance.below(2)];
        let [from, to] = sides.map(|index| chance.below(world.environments[index].revision() + 1));
        let against = match sides {
            [one, other] if one == other => String::new(),
            [_, other] => format!("&against={}", self.place.slugs[other]),
        };
        let path = format!("{}/diff?from={from}&to={to}{against}", self.place.env(sides[0]).0);
        let old = side(&world.environments[sides[0]], from);
        let new = side(&world.environments[sides[1]], to);
        let all: BTreeSet<_> = old.keys().chain(new.keys()).copied().collect();
        let keys: Vec<_> = all
            .into_iter()
            .map(|key| difference(key, old.get(key), new.get(key)))
            .collect();
        let wanted = json!({ "from_revision": from, "to_revision": to, "keys": keys });
        self.must_be(&path, &wanted).await;
    }

    async fn must_be(&self, path: &str, wanted: &Value) {
        let answer = self.client.get(path).await;
        assert!(
            answer.status() == 200 && fits(wanted, &answer.json()),
            "{path}\nexpected {wanted}\nbut got  {} {}",
            answer.status(),
            answer.text()
        );
    }
}

/// An environment at a revision, as it is read.
fn state(env: &Environment, revision: usize, held: &[Held]) -> Value {
    let (destroyed, kept): (Vec<_>, Vec<_>) = held.iter().partition(|held| env.version(held).is_destroyed);
    let entry = |held: &Held| {
        let version = env.version(held);
        json!({
            "key": held.key,
            "value": version.value,
            "version": held.version,
            "comment": version.comment,
            "updated_at": version.at.to_string(),
        })
    };
    let destroyed: Vec<_> = destroyed.iter().map(|held| held.key.as_str()).collect();
    json!({
        "data": kept.into_iter().map(entry).collect::<Vec<_>>(),
        "revision": revision,
        "destroyed": (!destroyed.is_empty()).then_some(destroyed),
        "pagination": null,
    })
}

/// A version and its value.
type Valued<'a> = (usize, &'a str);

/// What an environment holds at a revision, by key.
fn side(env: &Environment, revision: usize) -> BTreeMap<&str, Valued<'_>> {
    let held = env.held_at(revision).iter();
    held.map(|held| (held.key.as_str(), (held.version, env.version(held).value.as_str())))
        .collect()
}

fn difference(key: &str, old: Option<&Valued<'_>>, new: Option<&Valued<'_>>) -> Value {
    let name = match (old, new) {
        (None, _) => "added",
        (Some(_), None) => "removed",
        (Some((_, old)), Some((_, new))) if old == new => "same",
        (Some(_), Some(_)) => "changed",
    };
    let version = |side: Option<&Valued<'_>>| side.map(|(version, _)| *version);
    json!({ "key": key, "difference": name, "from_version": version(old), "to_version": version(new) })
}

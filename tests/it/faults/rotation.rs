//! Data keys that are rotated again and again under load, while everything is killed: no read fails, no write is
//! lost, and in the end the old keys open nothing. `STRONGROOM_TEST_FAULT_SECONDS` makes it longer.

use std::sync::Arc;
use std::time::Duration;

use domain::kernel::Db;
use domain::secrets::entity::version;
use harness::app::number_from_environment;
use harness::processes::{self, Api, Installation, Process, Tenant, number, sql};
use harness::{Answer, Client, app, sealed};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::load::{Load, assert_kept, value};

/// How long it goes on.
const SECONDS: u64 = 12;
const WRITERS: usize = 8;
const READERS: u64 = 4;
const KILL_EVERY: Duration = Duration::from_secs(2);
const ROTATE_EVERY: Duration = Duration::from_millis(500);
/// Before something is tried again that broke off.
const PAUSE: Duration = Duration::from_millis(10);
/// How long the last rotations may take.
const PATIENCE: Duration = Duration::from_mins(2);
/// A secret that is stored before the first rotation, and its value.
const KEPT: (&str, &str) = ("KEPT", "stored before all rotations");

/// What runs, and is killed.
struct Running {
    installation: Installation,
    api: Api,
    worker: Option<Process>,
}

impl Running {
    async fn kill(&mut self, load: &Load) {
        self.api.process.kill();
        self.api = self.installation.api().await;
        load.moves_to(&self.api.url);
        if let Some(worker) = &mut self.worker {
            worker.kill();
            *worker = self.installation.worker().await;
        }
    }
}

#[test]
fn an_embedded_server_rotates_its_keys_under_load_and_kills() {
    processes::run(async {
        // Readers are to find keys, not to write rows.
        let installation = Installation::embedded().with("STRONGROOM_AUDIT_READS", "off");
        let (api, worker) = (installation.api().await, None);
        rotation_under_kills(Running {
            installation,
            api,
            worker,
        })
        .await;
    });
}

#[test]
fn an_api_and_a_worker_rotate_keys_under_load_and_kills() {
    processes::run(async {
        let database = app::postgres_database().await;
        let installation = Installation::scaled(&database, &app::redis_url()).with("STRONGROOM_AUDIT_READS", "off");
        let (api, worker) = tokio::join!(installation.api(), installation.worker());
        rotation_under_kills(Running {
            installation,
            api,
            worker: Some(worker),
        })
        .await;
    });
}

async fn rotation_under_kills(mut running: Running) {
    let tenant = Tenant::create(&running.api.url, "acme", None).await;
    let place = Place::of(&tenant);
    let db = running.installation.db().await;
    let body = json!({ "secrets": { (KEPT.0): KEPT.1 } });
    tenant
        .client
        .post(&place.in_production("bulk"), body)
        .await
        .expect(200)
        .ok();
    let before = sealed::version_in(&db, KEPT.0, 1).await;

    let load = Load::new(&tenant, &running.api.url);
    let writers = load.start(WRITERS, usize::MAX);
    let reader = |seed| read_on(load.clone(), place.clone(), seed);
    let readers: JoinSet<usize> = (0..READERS).map(reader).collect();
    let rotating = tokio::spawn(rotate_on(load.clone(), place.clone()));
    let seconds = number_from_environment("STRONGROOM_TEST_FAULT_SECONDS").unwrap_or(SECONDS);
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() + KILL_EVERY < end {
        tokio::time::sleep(KILL_EVERY).await;
        running.kill(&load).await;
    }
    tokio::time::sleep_until(end).await;
    load.end();
    let acknowledged = writers.join_all().await;
    let reads: usize = readers.join_all().await.into_iter().sum();
    let rotations = rotating.await.expect("the rotations go on");

    let felt = (load.done(), load.unanswered(), reads, rotations);
    assert!(
        felt.0 > 20 && felt.1 > 0 && felt.2 > 20 && felt.3 > 1,
        "writes, cut, reads, rotations: {felt:?}"
    );
    let refused = load.refused();
    assert!(
        refused.iter().all(|status| *status < 500),
        "no write fails: {refused:?}"
    );
    let tenant = tenant.at(&running.api.url);
    assert_rotated(&tenant.client, &place, &db).await;
    assert_kept(&tenant, &db, acknowledged).await;
    tenant.verify().await;
    assert_old_keys_open_nothing(&mut running, &load, &place, &before).await;
}

/// Paths of a tenant.
#[derive(Clone)]
struct Place {
    project: String,
}

impl Place {
    fn of(tenant: &Tenant) -> Self {
        Self {
            project: format!("{}/projects/web", tenant.org),
        }
    }

    fn in_production(&self, rest: &str) -> String {
        format!("{}/environments/production/{rest}", self.project)
    }
}

/// Rotates until the load ends; tells how often.
async fn rotate_on(load: Arc<Load>, place: Place) -> usize {
    let path = format!("{}/rotate-key", place.project);
    let mut rotations = 0;
    while !load.is_over() {
        // No answer comes from a process that is being killed.
        if let Ok(answer) = load.client().try_send(Method::POST, &path, None).await {
            // Also while the rotation before is still under way.
            assert_eq!(answer.status(), 202, "{}", answer.text());
            rotations += 1;
        }
        tokio::time::sleep(ROTATE_EVERY).await;
    }
    rotations
}

/// Reads until the load ends: the current version of a key, an older one, or everything; tells how often.
async fn read_on(load: Arc<Load>, place: Place, seed: u64) -> usize {
    let mut chance = StdRng::seed_from_u64(seed);
    let mut reads = 0;
    while !load.is_over() {
        let known = load.versions();
        let is_read = if known.is_empty() || chance.random_ratio(1, 10) {
            read_all(&load, &place).await
        } else {
            let (key, version) = &known[chance.random_range(0..known.len())];
            let old = chance.random_bool(0.5).then(|| chance.random_range(1..=*version));
            read_one(&load, &place, (key.as_str(), *version), old).await
        };
        if is_read {
            reads += 1;
        } else {
            tokio::time::sleep(PAUSE).await;
        }
    }
    reads
}

/// An answer must be a good one; none at all comes from a process that is being killed.
async fn get(load: &Load, path: &str) -> Option<Answer> {
    let answer = load.client().try_send(Method::GET, path, None).await.ok()?;
    assert_eq!(answer.status(), 200, "{path}: {}", answer.text());
    Some(answer)
}

/// `known` was acknowledged before the read began.
async fn read_one(load: &Load, place: &Place, (key, known): (&str, i64), old: Option<i64>) -> bool {
    let query = old.map(|version| format!("?version={version}")).unwrap_or_default();
    let path = place.in_production(&format!("secrets/{key}{query}"));
    let Some(answer) = get(load, &path).await else {
        return false;
    };
    let version = answer.json()["version"].as_i64().expect("a version");
    match old {
        Some(old) => assert_eq!(version, old, "{path}"),
        None => assert!(version >= known, "{path}: {version} of {known}"),
    }
    assert_is_written(&answer.json(), key);
    true
}

async fn read_all(load: &Load, place: &Place) -> bool {
    let Some(answer) = get(load, &place.in_production("secrets")).await else {
        return false;
    };
    for entry in answer.json()["data"].as_array().expect("secrets") {
        let key = entry["key"].as_str().expect("a key");
        if key == KEPT.0 {
            assert_eq!(entry["value"], KEPT.1);
        } else {
            assert_is_written(entry, key);
        }
    }
    true
}

/// One writer has the key, and its values are numbered like the versions.
fn assert_is_written(entry: &Value, key: &str) {
    let writer = key.trim_start_matches("KEY_").parse().expect("a writer");
    let version = entry["version"]
        .as_u64()
        .and_then(|version| usize::try_from(version).ok());
    let version = version.expect("a version");
    assert_eq!(entry["value"], value(writer, version - 1), "{key}, version {version}");
}

/// Every key of the project, with its state.
async fn keys(client: &Client, place: &Place) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        let page = client
            .get(&format!("{}/keys?limit=100&offset={}", place.project, all.len()))
            .await;
        let page = page.expect(200).json();
        all.extend(page["data"].as_array().expect("keys").iter().cloned());
        if page["pagination"]["has_more"] != true {
            return all;
        }
    }
}

/// Asserts that every rotation comes to its end: one key is active, the old ones are gone, and everything opens.
async fn assert_rotated(client: &Client, place: &Place, db: &Db) {
    // Leases of workers that were killed end now and not after a minute.
    sql(db, "UPDATE job_leases SET lease_until = 0").await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let keys = keys(client, place).await;
        let count = |state: &str| keys.iter().filter(|key| key["state"] == state).count();
        if count("active") == 1 && count("destroyed") == keys.len() - 1 {
            break;
        }
        assert!(Instant::now() < deadline, "old keys are not destroyed: {keys:?}");
        // A key that seals nothing is kept for as long as others may remember it. Nobody waits for that here.
        sql(db, "UPDATE data_keys SET emptied_at = 0 WHERE emptied_at > 0").await;
        sql(db, "UPDATE jobs SET next_at = 0 WHERE state = 0").await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let generations = keys(client, place).await.len();
    assert!(generations > 2, "{generations} generations");
    let given_up = number(db, "SELECT COUNT(*) FROM jobs WHERE state IN (3, 4)").await;
    assert_eq!(given_up, 0, "no job is given up");
    let verified = verify(client, place).await;
    assert_eq!(verified["ok"], true, "{verified}");
    assert_eq!(verified["fault_count"], 0, "{verified}");
}

async fn verify(client: &Client, place: &Place) -> Value {
    let verified = client.post(&format!("{}/verify", place.project), json!({})).await;
    verified.expect(200).json()
}

/// Puts a value back as it was stored under the first key: nobody can read it, and it is found.
async fn assert_old_keys_open_nothing(running: &mut Running, load: &Load, place: &Place, before: &version::Model) {
    // A process that opened the key before may remember it for a minute.
    running.kill(load).await;
    let (client, db) = (load.client(), running.installation.db().await);
    let path = place.in_production(&format!("secrets/{}", KEPT.0));
    let now = sealed::version_in(&db, KEPT.0, 1).await;
    assert_ne!(now.sealed_value, before.sealed_value, "it was sealed anew");
    let (old, new) = (before.sealed_value.as_deref(), now.sealed_value.as_deref());
    sealed::put_value_in(&db, &now, old.expect("a sealed value")).await;
    let refused = client.get(&path).await.problem(500, "internal");
    assert!(!refused.text().contains(KEPT.1), "{}", refused.text());
    let found = verify(&client, place).await;
    assert_eq!(
        (&found["ok"], &found["faults"][0]["key"]),
        (&json!(false), &json!(KEPT.0)),
        "{found}"
    );
    sealed::put_value_in(&db, &now, new.expect("a sealed value")).await;
    assert_eq!(client.get(&path).await.expect(200).at("/value"), KEPT.1);
}

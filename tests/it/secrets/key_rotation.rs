//! Replacing a project's key: nothing is lost, nothing stands still, and the old key opens nothing in the end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::crypto::envelope::MAX_SEALS;
use domain::crypto::key_store::CACHE_TTL;
use domain::crypto::key_store::generations::SEALS_STEP;
use domain::secrets::rotation;
use futures_util::future::join_all;
use harness::app::{Options, eventually};
use harness::{Answer, EnvPath, Person, Project, TestApp, on_both, on_each_backend, sealed};
use serde_json::{Value, json};

async fn rotate(owner: &Person, project: &Project) -> Answer {
    let path = format!("{}/rotate-key", project.path);
    owner.post(&path, json!({})).await.expect(202)
}

/// The keys of a project, newest first.
async fn keys(owner: &Person, project: &Project) -> Vec<Value> {
    let list = owner.get(&format!("{}/keys", project.path)).await.expect(200).json();
    list["data"].as_array().cloned().unwrap_or_default()
}

async fn states(owner: &Person, project: &Project) -> Vec<String> {
    let keys = keys(owner, project).await;
    keys.iter()
        .map(|key| key["state"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// Waits until every value is sealed under the newest key.
async fn resealed(t: &TestApp) {
    let left = "SELECT COUNT(*) FROM data_keys WHERE state = 'retiring' AND emptied_at IS NULL";
    eventually("everything is sealed anew", || async { t.number(left).await == 0 }).await;
}

/// Waits until the old keys are destroyed.
async fn destroyed(t: &TestApp) {
    resealed(t).await;
    t.advance(CACHE_TTL + Duration::from_secs(1));
    let left = "SELECT COUNT(*) FROM data_keys WHERE state = 'retiring'";
    eventually("the old keys are destroyed", || async { t.number(left).await == 0 }).await;
}

/// Takes up again what was given up, once the run that gave it up has ended.
async fn resume(t: &TestApp) {
    eventually("it is taken up again", || async {
        rotation::resume(t.db()).await.expect("resume") == 1
    })
    .await;
}

async fn value(owner: &Person, path: &str) -> String {
    owner.get(path).await.expect(200).at("/value")
}

async fn verify(owner: &Person, project: &Project) -> Answer {
    let path = format!("{}/verify", project.path);
    owner.post(&path, json!({})).await.expect(200)
}

async fn assert_sound(t: &TestApp, owner: &Person, project: &Project) {
    let found = verify(owner, project).await;
    assert_eq!(found.at("/ok"), "true", "{}", found.text());
    let log = owner.get("/v1/orgs/acme/audit-logs/verify").await.expect(200);
    assert_eq!(log.at("/valid"), "true", "{}", log.text());
    let broken = "SELECT COUNT(*) FROM data_keys WHERE (length(wrapped) = 0) <> (state = 'destroyed')";
    assert_eq!(t.number(broken).await, 0);
}

/// Two versions of A, a deleted B, and a C in an environment that is deleted.
async fn fill(owner: &Person, project: &Project) -> EnvPath {
    let (env, gone) = (project.env("production"), project.env("staging"));
    for (value, comment) in [("one", "first"), ("two", "second")] {
        let body = json!({ "value": value, "comment": comment });
        owner.put(&env.secret("A"), body).await.ok();
    }
    owner.put(&env.secret("B"), json!({ "value": "b" })).await.ok();
    owner.delete(&env.secret("B")).await.ok();
    owner.put(&gone.secret("C"), json!({ "value": "c" })).await.ok();
    owner.delete(&gone.0).await.expect(204).ok();
    env
}

on_each_backend! {
    async fn everything_reads_as_before_and_the_old_key_is_destroyed(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        let (owner, web) = (&acme.owner, acme.project("web").await);
        let env = fill(owner, &web).await;
        let begun = rotate(owner, &web).await;
        assert_eq!((begun.at("/generation"), begun.at("/state")), ("2".into(), "active".into()));
        assert_eq!((begun.at("/progress/total"), begun.at("/progress/remaining")), ("4".into(), "4".into()));
        owner.put(&env.secret("A"), json!({ "value": "three" })).await.ok();
        let written = sealed::version(&t, "A", 3).await.sealed_value.unwrap_or_default();
        assert_eq!(sealed::key_of(&written), begun.at("/id"), "new values are sealed under the new key at once");
        resealed(&t).await;
        assert_eq!(states(owner, &web).await, ["active", "retiring"]);
        for row in sealed::all(&t).await {
            for blob in [row.sealed_value, row.sealed_comment].into_iter().flatten() {
                assert_eq!(sealed::key_of(&blob), begun.at("/id"));
            }
        }
        destroyed(&t).await;
        let keys = keys(owner, &web).await;
        assert_eq!((&keys[1]["state"], &keys[1]["remaining"], &keys[1]["failed"]), (&json!("destroyed"), &json!(0), &json!(0)));
        assert!(keys[1]["destroyed_at"].is_string() && keys[0].get("destroyed_at").is_none());
        assert_eq!(value(owner, &env.secret("A")).await, "three");
        let first = owner.get(&format!("{}?version=1", env.secret("A"))).await.expect(200);
        assert_eq!((first.at("/value"), first.at("/comment")), ("one".into(), "first".into()));
        let past = owner.get(&format!("{}?revision=2", env.secrets())).await.expect(200);
        assert_eq!((past.at("/data/0/value"), past.at("/data/0/comment")), ("two".into(), "second".into()));
        owner.post(&format!("{}/restore", env.secret("B")), json!({})).await.expect(200).ok();
        assert_eq!(value(owner, &env.secret("B")).await, "b");
        assert_sound(&t, owner, &web).await;
        for (action, actor) in [("rotated", "user"), ("reencrypted", "system"), ("destroyed", "system")] {
            let events = owner.get(&acme.path(&format!("/audit-logs?action=project.key_{action}"))).await.expect(200);
            assert_eq!((events.at("/pagination/total"), events.at("/data/0/actor/type")), ("1".into(), actor.to_owned()), "{action}");
        }
    }

    async fn an_old_row_put_back_is_found_and_once_the_key_is_gone_refused(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        let (owner, web) = (&acme.owner, acme.project("web").await);
        let env = fill(owner, &web).await;
        let before = sealed::version(&t, "A", 2).await;
        rotate(owner, &web).await;
        resealed(&t).await;
        let after = sealed::version(&t, "A", 2).await;
        sealed::put_value(&t, &before, before.sealed_value.as_deref().unwrap_or_default()).await;
        let found = verify(owner, &web).await;
        assert_eq!((found.at("/faults/0/kind"), found.at("/fault_count")), ("altered".into(), "1".into()));
        // It is under the old key again, which therefore stays.
        t.advance(CACHE_TTL + Duration::from_secs(1));
        let kept = "SELECT COUNT(*) FROM data_keys WHERE state = 'retiring' AND emptied_at IS NULL AND failed = 1";
        eventually("the key is kept", || async { t.number(kept).await == 1 }).await;
        sealed::put_value(&t, &after, after.sealed_value.as_deref().unwrap_or_default()).await;
        resume(&t).await;
        destroyed(&t).await;
        assert_sound(&t, owner, &web).await;
        sealed::put_value(&t, &before, before.sealed_value.as_deref().unwrap_or_default()).await;
        owner.get(&env.secret("A")).await.problem(500, "internal");
        let found = verify(owner, &web).await;
        assert_eq!((found.at("/faults/0/kind"), found.at("/faults/0/key")), ("unknown_key".into(), "A".into()));
        assert_eq!((found.at("/faults/0/version"), found.at("/faults/0/environment")), ("2".into(), "production".into()));
    }

    async fn a_value_that_does_not_open_keeps_its_key_and_holds_up_no_other(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        let (owner, web) = (&acme.owner, acme.project("web").await);
        let env = fill(owner, &web).await;
        let row = sealed::version(&t, "A", 1).await;
        let whole = row.sealed_value.clone().unwrap_or_default();
        let mut broken = whole.clone();
        if let Some(last) = broken.last_mut() {
            *last ^= 1;
        }
        sealed::put_value(&t, &row, &broken).await;
        rotate(owner, &web).await;
        eventually("the fault is noted", || async { keys(owner, &web).await[1]["failed"] == 1 }).await;
        t.advance(2 * CACHE_TTL);
        let old = &keys(owner, &web).await[1];
        assert_eq!((&old["state"], &old["remaining"]), (&json!("retiring"), &json!(1)));
        assert_eq!(value(owner, &env.secret("A")).await, "two");
        let found = verify(owner, &web).await;
        assert_eq!((found.at("/faults/0/kind"), found.at("/faults/0/version")), ("unopenable".into(), "1".into()));
        sealed::put_value(&t, &row, &whole).await;
        resume(&t).await;
        destroyed(&t).await;
        assert_eq!(value(owner, &format!("{}?version=1", env.secret("A"))).await, "one");
        assert_sound(&t, owner, &web).await;
        assert_eq!(rotation::resume(t.db()).await.expect("resume"), 0);
    }
}

on_both! {
    async fn writers_and_rotations_do_not_get_in_each_others_way(t: TestApp) {
        let acme = t.org("acme").await;
        let (owner, web) = (&acme.owner, acme.project("web").await);
        let envs = ["development", "staging", "production"].map(|env| web.env(env));
        let is_over = AtomicBool::new(false);
        let write = |writer: usize| {
            let (owner, env, is_over) = (owner.clone(), envs[writer % envs.len()].clone(), &is_over);
            async move {
                for n in 0.. {
                    let body = json!({ "value": format!("{writer}-{n}"), "comment": "c" });
                    owner.put(&env.secret(&format!("K{writer}")), body).await.ok();
                    let read = owner.get(&env.secret(&format!("K{writer}"))).await.expect(200);
                    assert_eq!(read.at("/value"), format!("{writer}-{n}"));
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                }
            }
        };
        // Writers who never pause do not keep a rotation waiting.
        let rotations = async {
            for _ in 0..6 {
                rotate(owner, &web).await;
            }
            is_over.store(true, Ordering::Relaxed);
        };
        tokio::join!(join_all((0..9).map(write)), rotations);
        resealed(&t).await;
        let keys = keys(owner, &web).await;
        assert_eq!((keys.len(), &keys[0]["generation"]), (7, &json!(7)));
        assert!(keys.iter().all(|key| key["remaining"] == 0 && key["failed"] == 0), "{keys:?}");
        let newest = keys[0]["id"].as_str().unwrap_or_default();
        for row in sealed::all(&t).await {
            assert_eq!(sealed::key_of(&row.sealed_value.unwrap_or_default()), newest);
        }
        assert_sound(&t, owner, &web).await;
    }

    async fn rotations_at_the_same_time_are_generations_one_after_another(t: TestApp) {
        let acme = t.org("acme").await;
        let (owner, web) = (&acme.owner, acme.project("web").await);
        let begun = join_all((0..5).map(|_| rotate(owner, &web))).await;
        let mut generations: Vec<_> = begun.iter().map(|one| one.at("/generation")).collect();
        generations.sort();
        assert_eq!(generations, ["2", "3", "4", "5", "6"]);
        let states = states(owner, &web).await;
        assert_eq!(states.iter().filter(|state| *state == "active").count(), 1);
        assert_eq!(states[0], "active");
    }

    async fn values_are_still_compared_with_those_of_before(t: TestApp) {
        let acme = t.org("acme").await;
        let (owner, web) = (&acme.owner, acme.project("web").await);
        let env = fill(owner, &web).await;
        rotate(owner, &web).await;
        resealed(&t).await;
        let same = owner.put(&env.secret("A"), json!({ "value": "two" })).await.expect(200);
        assert_eq!(same.at("/version"), "2", "the same is stored already");
        owner.put(&env.secret("A"), json!({ "value": "one" })).await.expect(200).ok();
        let diff = owner.get(&format!("{}/diff?from=1", env.0)).await.expect(200);
        assert_eq!((diff.at("/keys/0/key"), diff.at("/keys/0/difference")), ("A".into(), "same".into()));
    }

    async fn seals_are_written_down_once_they_are_many(t: TestApp) {
        let acme = t.org("acme").await;
        let (owner, web) = (&acme.owner, acme.project("web").await);
        let key = keys(owner, &web).await[0]["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
        for (seals, shown) in [(SEALS_STEP - 1, 0), (1, SEALS_STEP), (SEALS_STEP - 1, SEALS_STEP)] {
            let tx = t.db().begin_write().await.expect("open a transaction");
            t.app().keys.count_seals(&tx, key, seals).await.expect("count");
            tx.commit_bookkeeping().await.expect("commit");
            assert_eq!(keys(owner, &web).await[0]["seals"], shown);
        }
        // What is stored is counted too.
        let env = web.env("production");
        owner.put(&env.secret("A"), json!({ "value": "a" })).await.expect(201).ok();
        assert_eq!(keys(owner, &web).await[0]["seals"], 2 * SEALS_STEP);
    }

    async fn a_key_that_has_sealed_enough_is_replaced_by_itself(t: TestApp) {
        let acme = t.org("acme").await;
        let (owner, web) = (&acme.owner, acme.project("web").await);
        let env = web.env("production");
        let nearly = format!("UPDATE data_keys SET seals = {} WHERE purpose = 'data'", MAX_SEALS - 1);
        t.sql(&nearly).await;
        let rotated = || async { rotation::rotate_overdue(t.db(), &t.app().keys).await.expect("rotate") };
        owner.put(&env.secret("A"), json!({ "value": "a" })).await.expect(201).ok();
        assert_eq!(rotated().await, 0);
        t.sql(&format!("UPDATE data_keys SET seals = {MAX_SEALS} WHERE purpose = 'data'")).await;
        assert_eq!(rotated().await, 1);
        assert_eq!(rotated().await, 0);
        assert_eq!(states(owner, &web).await, ["active", "retiring"]);
        let events = owner.get(&acme.path("/audit-logs?action=project.key_rotated")).await.expect(200);
        assert_eq!((events.at("/data/0/actor/type"), events.at("/data/0/project_id")), ("system".into(), web.id.to_string()));
        resealed(&t).await;
        assert_eq!(value(owner, &env.secret("A")).await, "a");
    }
}

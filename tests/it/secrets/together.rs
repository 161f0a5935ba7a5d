//! Values that are stored in one environment while somebody else has it.

use domain::kernel::{Backend, Reads, WriteTx};
use futures_util::future::join_all;
use harness::app::eventually;
use harness::receiver::Receiver;
use harness::{Answer, Client, EnvPath, TestApp, on_both};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

/// Keeps everybody from changing an environment until it is given up.
async fn occupied(t: &TestApp) -> WriteTx {
    let tx = t.db().begin_write().await.expect("open a transaction");
    // On SQLite the transaction alone keeps others out.
    if tx.backend() == Backend::Postgres {
        let lock = tx.sql("UPDATE environments SET updated_at = updated_at", []);
        tx.conn().execute_raw(lock).await.expect("lock the environments");
    }
    tx
}

/// Stores values for several callers while nobody gets in, the first of them before the others come; their answers.
async fn stored_at_once(t: &TestApp, env: &EnvPath, puts: Vec<(&Client, &str, Value)>) -> Vec<Answer> {
    let tx = occupied(t).await;
    let count = puts.len();
    let puts = puts.into_iter().enumerate().map(|(n, (client, key, body))| {
        let path = env.secret(key);
        async move {
            eventually("those before are there", || async { t.app().writers.present() >= n }).await;
            client.put(&path, body).await
        }
    });
    let free = async {
        eventually("all are there", || async { t.app().writers.present() == count }).await;
        tx.rollback().await.expect("give the environment up");
    };
    tokio::join!(join_all(puts), free).0
}

fn value(value: &str) -> Value {
    json!({ "value": value })
}

on_both! {
    async fn values_that_wait_are_stored_together_and_each_is_a_change_of_its_own(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let owner = acme.owner.client().clone();
        for key in ["MORE", "OTHER", "MINE"] {
            owner.put(&env.secret(key), value("old")).await.expect(201).ok();
        }
        // With this token dana may store one key.
        let narrow = json!({ "name": "narrow", "org": "acme", "patterns": ["web/production/MINE"] });
        let dana = acme.developer("dana").await;
        let (narrow, dana) = (dana.token(narrow).await, dana.client().clone());
        let receiver = Receiver::start().await;
        let hook = json!({ "url": receiver.url, "events": ["secret.created", "secret.updated"] });
        acme.owner.post(&acme.path("/webhooks"), hook).await.ok();

        let answers = stored_at_once(&t, &env, vec![
            (&dana, "FIRST", value("first")),
            (&dana, "NEW", json!({ "value": "new", "comment": "why" })),
            (&dana, "OTHER", json!({ "value": "lost", "expected_version": 7 })),
            (&narrow, "MINE", value("dana's")),
            (&narrow, "THEIRS", value("refused")),
            (&dana, "9", value("no key")),
            (&dana, "NEW", value("newer")),
            (&dana, "HERS", value("dana's too")),
        ]).await;

        let told: Vec<(u16, String, String)> = answers
            .iter()
            .map(|answer| (answer.status(), answer.at("/version"), answer.at("/revision")))
            .collect();
        let stored = |status: u16, version: &str, revision: &str| (status, version.to_owned(), revision.to_owned());
        assert_eq!(told[0], stored(201, "1", "4"), "nothing was before it");
        assert_eq!(told[1], stored(201, "1", "5"));
        assert_eq!((told[2].0, answers[2].code()), (412, "version_mismatch".into()));
        assert_eq!(told[3], stored(200, "2", "6"));
        assert_eq!((told[4].0, answers[4].code()), (403, "insufficient_scope".into()));
        assert_eq!((told[5].0, answers[5].code()), (422, "invalid_field".into()));
        assert_eq!(told[6], stored(200, "2", "8"), "the same key comes after");
        assert_eq!(told[7], stored(201, "1", "7"));

        let times = "SELECT COUNT(DISTINCT created_at) FROM environment_revisions WHERE revision > 3";
        assert_eq!(t.number(times).await, 3, "the first, what waited, and the second value of one key");
        let revisions = owner.get(&format!("{}/revisions", env.0)).await.expect(200);
        let listed = revisions.json()["data"].as_array().expect("a list").clone();
        let numbers: Vec<i64> = listed.iter().filter_map(|one| one["revision"].as_i64()).collect();
        assert_eq!(numbers, [8, 7, 6, 5, 4, 3, 2, 1]);
        let with = |revisions: &str| format!(
            "SELECT COUNT(DISTINCT credential_id) FROM journal WHERE action LIKE 'secret.%' AND revision IN ({revisions})"
        );
        assert_eq!(t.number(&with("4, 5, 7, 8")).await, 1);
        assert_eq!(t.number(&with("5, 6")).await, 2, "each event tells the credential of its own request");
        assert_eq!(t.number("SELECT COUNT(*) FROM secret_versions").await, 8);
        assert_eq!(owner.get(&env.secret("NEW")).await.expect(200).at("/value"), "newer");
        assert_eq!(owner.get(&env.secret("OTHER")).await.expect(200).at("/value"), "old");

        let delivered = receiver.expect(5).await;
        let mut keys: Vec<String> = delivered.iter().map(|one| one.json()["data"]["keys"][0]["key"].to_string()).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["\"FIRST\"", "\"HERS\"", "\"MINE\"", "\"NEW\"", "\"NEW\""]);
        let verified = acme.owner.get(&acme.path("/audit-logs/verify")).await.expect(200);
        assert_eq!(verified.at("/valid"), "true");
    }

    async fn what_changes_nothing_takes_no_revision_from_those_it_waits_with(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let owner = acme.owner.client().clone();
        owner.put(&env.secret("SAME"), value("old")).await.expect(201).ok();
        let answers = stored_at_once(&t, &env, vec![
            (&owner, "FIRST", value("a")),
            (&owner, "SAME", value("old")),
            (&owner, "LAST", value("b")),
        ]).await;
        let told: Vec<_> = answers.iter().map(|answer| (answer.status(), answer.at("/revision"))).collect();
        assert_eq!(told, [(201, "2".into()), (200, "2".into()), (201, "3".into())]);
        assert_eq!(t.number("SELECT MAX(revision) FROM environments").await, 3);
    }

    async fn nobody_waits_in_the_line_of_somebody_else(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let (owner, stranger) = (acme.owner.client().clone(), t.person("eve").await);
        let tx = occupied(&t).await;
        let path = env.secret("A");
        let first = tokio::spawn(async move { owner.put(&path, value("v")).await });
        eventually("the first is there", || async { t.app().writers.present() == 1 }).await;
        let refused = async { stranger.put(&env.secret("A"), value("mine")).await };
        let refused = if tx.backend() == Backend::Postgres {
            let refused = refused.await;
            tx.rollback().await.expect("give the environment up");
            refused
        } else {
            // There one transaction keeps all others waiting.
            let (refused, freed) = tokio::join!(refused, tx.rollback());
            freed.expect("give the environment up");
            refused
        };
        refused.problem(404, "not_found");
        first.await.expect("an answer").expect(201).ok();
        assert_eq!(t.app().writers.present(), 0, "nobody is left behind");
    }

    async fn of_values_that_are_too_many_together_as_many_are_stored_as_there_is_room_for(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        t.sql("INSERT INTO limit_overrides (org_id, key, value, reason, set_at)
            SELECT id, 'secrets_per_project', 3, '', 0 FROM orgs WHERE slug = 'acme'").await;
        let owner = acme.owner.client().clone();
        let keys = ["A", "B", "C", "D", "E"];
        let answers = stored_at_once(&t, &env, keys.iter().map(|key| (&owner, *key, value("v"))).collect()).await;
        let statuses: Vec<u16> = answers.iter().map(Answer::status).collect();
        assert_eq!(statuses, [201, 201, 201, 403, 403]);
        assert_eq!(answers[3].code(), "plan_limit_exceeded");
        assert_eq!(t.number("SELECT COUNT(*) FROM secrets").await, 3);
        assert_eq!(t.number("SELECT MAX(revision) FROM environments").await, 3);
    }

    async fn values_that_are_held_to_a_template_are_judged_one_by_one(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("web").await;
        let env = project.env("production");
        let owner = acme.owner.client().clone();
        let port = json!({ "key": "PORT", "required": false, "pattern": "^[0-9]+$" });
        owner.post(&format!("{}/template", project.path), port).await.expect(201).ok();
        owner.patch(&project.path, json!({ "template_gate": "protected" })).await.expect(200).ok();
        owner.patch(&env.0, json!({ "protected": true })).await.expect(200).ok();
        let answers = stored_at_once(&t, &env, vec![
            (&owner, "A", value("a")),
            (&owner, "PORT", value("none")),
            (&owner, "B", value("b")),
        ]).await;
        let statuses: Vec<u16> = answers.iter().map(Answer::status).collect();
        assert_eq!(statuses, [201, 422, 201]);
        assert_eq!(answers[1].code(), "template_violation");
        assert_eq!(t.number("SELECT MAX(revision) FROM environments").await, 2);
    }
}

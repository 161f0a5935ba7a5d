//! Writes into protected environments, held to the template.

use std::time::{Duration, Instant};

use harness::{Answer, EnvPath, Project, TestApp, on_both};
use serde_json::{Value, json};

use super::{add, faults, template, turn_on};

/// A project whose production holds what the template will not allow any more.
async fn with_a_past(acme: &harness::Org<'_>) -> (Project, EnvPath) {
    let (owner, project) = (&acme.owner, acme.project("web").await);
    let env = project.env("production");
    let first = json!({ "secrets": { "DB_URL": "one", "PORT": "none", "NAME": "text", "GONE": "text" } });
    owner.post(&format!("{}/bulk", env.0), first).await.expect(200).ok();
    owner
        .put(&env.secret("PORT"), json!({ "value": "80" }))
        .await
        .expect(200)
        .ok();
    owner.delete(&env.secret("GONE")).await.expect(200).ok();
    let keys = [
        json!({ "key": "DB_URL" }),
        json!({ "key": "PORT", "required": false, "pattern": "^[0-9]+$" }),
        json!({ "key": "GONE", "required": false, "pattern": "^[0-9]+$" }),
        json!({ "key": "LEVEL", "required": false, "enum": ["debug", "info"] }),
        json!({ "key": "MINE", "environments": ["@dev"] }),
    ];
    add(owner, &project, keys).await;
    (project, env)
}

/// What a write leaves behind.
async fn written(t: &TestApp) -> [i64; 3] {
    [
        t.number("SELECT MAX(revision) FROM environments").await,
        t.number("SELECT COUNT(*) FROM secret_versions").await,
        t.number("SELECT COUNT(*) FROM environment_revisions").await,
    ]
}

/// Status and reason of each key.
fn results(answer: &Answer) -> Vec<String> {
    let all = answer.json()["results"].as_array().cloned().unwrap_or_default();
    let line = |entry: &Value| {
        let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        format!("{} {} {}", text("key"), text("status"), text("reason"))
            .trim_end()
            .to_owned()
    };
    all.iter().map(line).collect()
}

on_both! {
    async fn no_kind_of_write_gets_around_the_template(t: TestApp) {
        let acme = t.org("acme").await;
        let (project, env) = with_a_past(&acme).await;
        turn_on(&acme.owner, &project).await;
        let (owner, before) = (&acme.owner, written(&t).await);
        let under = |rest: &str| format!("{}/{rest}", env.0);
        for (refused, expected) in [
            (owner.put(&env.secret("PORT"), json!({ "value": "canary" })).await, "PORT pattern"),
            (owner.put(&env.secret("DB_URL"), json!({ "value": "" })).await, "DB_URL empty"),
            (owner.post(&env.secrets(), json!({ "key": "LEVEL", "value": "canary" })).await, "LEVEL enum"),
            (owner.patch(&env.secret("PORT"), json!({ "value": "canary" })).await, "PORT pattern"),
            (owner.patch(&env.secret("NAME"), json!({ "key": "LEVEL" })).await, "LEVEL enum"),
            (owner.patch(&env.secret("NAME"), json!({ "key": "LEVEL", "value": "canary" })).await, "LEVEL enum"),
            (owner.patch(&env.secret("DB_URL"), json!({ "key": "OTHER" })).await, "DB_URL missing"),
            (owner.patch(&env.secret("DB_URL"), json!({ "key": "OTHER", "value": "two" })).await, "DB_URL missing"),
            (owner.delete(&env.secret("DB_URL")).await, "DB_URL missing"),
            (owner.post(&format!("{}/restore", env.secret("GONE")), json!({})).await, "GONE pattern"),
            (owner.post(&format!("{}/rollback", env.secret("PORT")), json!({ "version": 1 })).await, "PORT pattern"),
            (owner.post(&under("bulk"), json!({ "secrets": { "NEW": "n", "PORT": "canary" } })).await, "PORT pattern"),
            (owner.post(&under("bulk"), json!({ "secrets": { "PORT": "81" }, "mode": "replace" })).await, "DB_URL missing"),
            (owner.post(&under("bulk-delete"), json!({ "keys": ["NAME", "DB_URL"] })).await, "DB_URL missing"),
            (owner.post(&under("import"), json!({ "PORT": "canary" })).await, "PORT pattern"),
            (owner.post(&under("rollback"), json!({ "revision": "2" })).await, "GONE pattern"),
        ] {
            assert!(!refused.text().contains("canary"), "{}", refused.text());
            assert_eq!(faults(refused), [expected]);
        }
        assert_eq!(written(&t).await, before, "nothing is half written");
        let both = json!({ "secrets": { "DB_URL": "", "PORT": "x" } });
        assert_eq!(faults(owner.post(&under("bulk"), both).await), ["DB_URL empty", "PORT pattern"], "every fault at once");
        owner.put(&env.secret("PORT"), json!({ "value": "81" })).await.expect(200).ok();
        owner.patch(&env.secret("NAME"), json!({ "key": "ANY" })).await.expect(200).ok();
        owner.post(&under("bulk"), json!({ "secrets": { "DB_URL": "two", "LEVEL": "info" } })).await.expect(200).ok();
        owner.delete(&env.secret("LEVEL")).await.expect(200).ok();
    }

    async fn without_a_gate_or_protection_everything_goes_and_nothing_is_asked(t: TestApp) {
        let acme = t.org("acme").await;
        let (project, env) = with_a_past(&acme).await;
        let bad = json!({ "secrets": { "PORT": "x", "DB_URL": "" } });
        let writes = async |value: &str| acme.owner.put(&env.secret("PORT"), json!({ "value": value })).await;
        // A question to the table would fail.
        t.sql("ALTER TABLE template_keys RENAME TO template_keys_away").await;
        writes("a").await.expect(200).ok();
        acme.owner.patch(&project.path, json!({ "template_gate": "protected" })).await.expect(200).ok();
        writes("b").await.expect(200).ok();
        acme.owner.patch(&project.path, json!({ "template_gate": "off" })).await.expect(200).ok();
        acme.owner.patch(&env.0, json!({ "protected": true })).await.expect(200).ok();
        writes("c").await.expect(200).ok();
        acme.owner.post(&format!("{}/bulk", env.0), bad).await.expect(200).ok();
        t.sql("ALTER TABLE template_keys_away RENAME TO template_keys").await;
        let shown = acme.owner.patch(&project.path, json!({ "template_gate": "protected" })).await.expect(200);
        assert_eq!(shown.at("/template_gate"), "protected");
        assert_eq!(faults(writes("d").await), ["PORT pattern"]);
        acme.owner.put(&project.env("development").secret("PORT"), json!({ "value": "x" })).await.expect(201).ok();
        let event = acme.owner.get(&acme.path("/audit-logs?limit=1&action=project.updated")).await;
        assert_eq!(event.at("/data/0/metadata/changed/0"), "template_gate");
    }

    async fn what_was_only_tried_tells_what_the_template_would_not_allow(t: TestApp) {
        let acme = t.org("acme").await;
        let (project, env) = with_a_past(&acme).await;
        turn_on(&acme.owner, &project).await;
        let before = written(&t).await;
        let tried = json!({ "secrets": { "FREE": "f", "LEVEL": "info", "PORT": "x" }, "mode": "replace", "dry_run": true });
        let answer = acme.owner.post(&format!("{}/bulk", env.0), tried).await.expect(200);
        assert_eq!(results(&answer), [
            "DB_URL blocked template: missing", "FREE created", "LEVEL created", "NAME deleted", "PORT blocked template: pattern",
        ]);
        let import = format!("{}/import?dry_run=true", env.0);
        let answer = acme.owner.post(&import, json!({ "DB_URL": "", "NAME": "n" })).await.expect(200);
        assert_eq!(results(&answer), ["DB_URL blocked template: empty", "NAME updated"]);
        let rollback = json!({ "revision": "1", "dry_run": true });
        let answer = acme.owner.post(&format!("{}/rollback", env.0), rollback).await.expect(200);
        assert_eq!(results(&answer), ["GONE blocked template: pattern", "PORT blocked template: pattern"]);
        assert_eq!(written(&t).await, before);
    }

    async fn a_required_key_goes_once_the_template_lets_go(t: TestApp) {
        let acme = t.org("acme").await;
        let (project, env) = with_a_past(&acme).await;
        turn_on(&acme.owner, &project).await;
        assert_eq!(faults(acme.owner.delete(&env.secret("DB_URL")).await), ["DB_URL missing"]);
        acme.owner.delete(&format!("{}/DB_URL", template(&project))).await.expect(204).ok();
        acme.owner.delete(&env.secret("DB_URL")).await.expect(200).ok();
        // What was there before the template wanted it otherwise stays, until it is written.
        add(&acme.owner, &project, [json!({ "key": "NAME", "pattern": "^[0-9]+$" })]).await;
        assert_eq!(acme.owner.get(&env.secret("NAME")).await.expect(200).at("/value"), "text");
        assert_eq!(faults(acme.owner.patch(&env.secret("NAME"), json!({ "comment": "c" })).await), ["NAME pattern"]);
    }

    async fn secrets_may_take_each_others_required_keys(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("web").await;
        let env = project.env("production");
        let (owner, rollback) = (&acme.owner, format!("{}/rollback", env.0));
        let all = json!({ "secrets": { "X": "x", "Y": "y", "OLD": "o" } });
        owner.post(&format!("{}/bulk", env.0), all).await.expect(200).ok();
        for (from, to) in [("X", "T"), ("Y", "X"), ("T", "Y"), ("OLD", "NEW")] {
            owner.patch(&env.secret(from), json!({ "key": to })).await.expect(200).ok();
        }
        add(owner, &project, [json!({ "key": "X", "enum": ["x", "y"] }), json!({ "key": "Y" }), json!({ "key": "NEW" })]).await;
        turn_on(owner, &project).await;
        let tried = owner.post(&rollback, json!({ "revision": "1", "dry_run": true })).await.expect(200);
        assert_eq!(results(&tried), ["NEW blocked template: missing", "OLD renamed", "X renamed", "Y renamed"]);
        assert_eq!(faults(owner.post(&rollback, json!({ "revision": "1" })).await), ["NEW missing"]);
        owner.put(&format!("{}/NEW", template(&project)), json!({ "required": false })).await.expect(200).ok();
        owner.post(&rollback, json!({ "revision": "1" })).await.expect(200).ok();
        assert_eq!((owner.get(&env.secret("X")).await.at("/value"), owner.get(&env.secret("Y")).await.at("/value")), ("x".into(), "y".into()));
    }

    async fn who_writes_without_reading_is_held_to_it_too(t: TestApp) {
        let acme = t.org("acme").await;
        let dana = acme.developer("dana").await;
        let (project, env) = with_a_past(&acme).await;
        turn_on(&acme.owner, &project).await;
        assert_eq!(faults(dana.put(&env.secret("PORT"), json!({ "value": "x" })).await), ["PORT pattern"]);
        dana.put(&env.secret("PORT"), json!({ "value": "81" })).await.expect(200).ok();
        let moved = json!({ "value": "x", "expected_version": 1 });
        dana.put(&env.secret("PORT"), moved).await.problem(412, "version_mismatch");
    }

    async fn a_pattern_that_backtracks_elsewhere_holds_no_write_up(t: TestApp) {
        let acme = t.org("acme").await;
        let (project, env) = with_a_past(&acme).await;
        add(&acme.owner, &project, [json!({ "key": "A", "required": false, "pattern": "(a+)+$" })]).await;
        turn_on(&acme.owner, &project).await;
        let began = Instant::now();
        let value = format!("{}!", "a".repeat(64 * 1024 - 1));
        assert_eq!(faults(acme.owner.put(&env.secret("A"), json!({ "value": value })).await), ["A pattern"]);
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
}

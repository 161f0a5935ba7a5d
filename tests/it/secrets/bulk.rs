//! Many secrets at once: all of them or none.

use harness::{EnvPath, on_both};
use serde_json::{Value, json};

/// Status and version of each key.
fn results(answer: &Value) -> Vec<(String, String, i64)> {
    let all = answer["results"].as_array().cloned().unwrap_or_default();
    all.iter()
        .map(|entry| {
            let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
            (
                text("key"),
                text("status"),
                entry["version"].as_i64().unwrap_or_default(),
            )
        })
        .collect()
}

fn line(key: &str, status: &str, version: i64) -> (String, String, i64) {
    (key.to_owned(), status.to_owned(), version)
}

fn path(env: &EnvPath, rest: &str) -> String {
    format!("{}/{rest}", env.0)
}

on_both! {
    async fn many_secrets_are_one_revision_and_one_event(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        acme.owner.put(&env.secret("B"), json!({ "value": "b", "comment": "kept" })).await.expect(201).ok();
        acme.owner.put(&env.secret("C"), json!({ "value": "c" })).await.expect(201).ok();
        let body = json!({ "secrets": { "A": "a", "B": "b2", "C": "c", "D": { "value": "d", "comment": "why" } } });
        let done = acme.owner.post(&path(&env, "bulk"), body).await.expect(200).json();
        assert_eq!(done["revision"], 3);
        let wanted = [line("A", "created", 1), line("B", "updated", 2), line("C", "unchanged", 1), line("D", "created", 1)];
        assert_eq!(results(&done), wanted);
        assert_eq!(acme.owner.get(&env.secret("B")).await.at("/comment"), "kept", "no comment given: it stays");
        assert_eq!(acme.owner.get(&env.secret("D")).await.at("/comment"), "why");
        let newest = acme.owner.get(&acme.path("/audit-logs?limit=1&action=secret.bulk_set")).await.json();
        assert_eq!(newest["data"][0]["metadata"]["keys"].as_array().map(Vec::len), Some(3), "the unchanged one is no part of it");
        assert_eq!(newest["data"][0]["revision"], 3);
    }

    async fn of_many_each_keeps_its_own_comment_and_a_deleted_one_does_not(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let commented = |value: &str| json!({ "value": value, "comment": format!("of {value}") });
        let first = json!({ "secrets": { "A": commented("a"), "B": "b", "C": commented("c"), "D": commented("d") } });
        acme.owner.post(&path(&env, "bulk"), first.clone()).await.expect(200).ok();
        let again = acme.owner.post(&path(&env, "bulk"), first).await.expect(200).json();
        assert_eq!((results(&again)[2].clone(), &again["revision"]), (line("C", "unchanged", 1), &json!(1)));
        acme.owner.delete(&env.secret("D")).await.expect(200).ok();
        let values = json!({ "secrets": { "A": "a2", "B": "b2", "C": "c", "D": "d" } });
        let done = acme.owner.post(&path(&env, "bulk"), values).await.expect(200).json();
        let expected = [line("A", "updated", 2), line("B", "updated", 2), line("C", "unchanged", 1), line("D", "created", 2)];
        assert_eq!(results(&done), expected);
        for (key, comment) in [("A", "of a"), ("B", ""), ("C", "of c"), ("D", "")] {
            assert_eq!(acme.owner.get(&env.secret(key)).await.at("/comment"), comment, "{key}");
        }
        let read = acme.owner.get(&env.secret("A")).await.expect(200);
        let again = acme.owner.put(&env.secret("A"), json!({ "value": "a2" })).await.expect(200);
        assert_eq!((again.at("/updated_at"), again.at("/version")), (read.at("/updated_at"), "2".into()));
        let found = acme.owner.post(&acme.path("/projects/web/verify"), json!({})).await.expect(200).json();
        assert_eq!(found["ok"], true, "{found}");
    }

    async fn replacing_deletes_what_is_not_named(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        for key in ["A", "B"] {
            acme.owner.put(&env.secret(key), json!({ "value": key })).await.expect(201).ok();
        }
        let body = json!({ "secrets": { "B": "B", "C": "C" }, "mode": "replace" });
        let done = acme.owner.post(&path(&env, "bulk"), body).await.expect(200).json();
        assert_eq!(results(&done), [line("A", "deleted", 1), line("B", "unchanged", 1), line("C", "created", 1)]);
        acme.owner.get(&env.secret("A")).await.problem(404, "not_found");
    }

    async fn a_dry_run_tells_and_changes_nothing(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let body = json!({ "secrets": { "A": "a" }, "mode": "replace", "dry_run": true });
        let tried = acme.owner.post(&path(&env, "bulk"), body).await.expect(200).json();
        assert_eq!((results(&tried), &tried["revision"]), (vec![line("A", "created", 1)], &json!(0)));
        for table in ["secrets", "secret_versions", "secret_keys", "environment_revisions"] {
            assert_eq!(t.number(&format!("SELECT COUNT(*) FROM {table}")).await, 0, "{table}");
        }
        assert_eq!(t.number("SELECT MAX(revision) FROM environments").await, 0);
    }

    async fn one_bad_key_among_many_changes_nothing_and_is_named(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let many = |n: usize| (0..n).map(|n| (format!("K{n:04}"), json!("v"))).collect::<serde_json::Map<_, _>>();
        let with = |key: &str, value: Value| {
            let mut secrets = many(999);
            secrets.insert(key.to_owned(), value);
            json!({ "secrets": secrets })
        };
        let bulk = path(&env, "bulk");
        let bad = |body: Value| acme.owner.post(&bulk, body);
        assert_eq!(bad(with("Z 1", json!("v"))).await.problem(422, "invalid_field").at("/errors/0/field"), "secrets[999]");
        assert_eq!(bad(with("ZZ", json!(1.10))).await.problem(422, "invalid_field").at("/errors/0/field"), "secrets.ZZ");
        let long = json!({ "value": "x".repeat(64 * 1024 + 1) });
        assert_eq!(bad(with("ZZ", long)).await.problem(422, "invalid_field").at("/errors/0/field"), "secrets.ZZ.value");
        assert_eq!(bad(json!({ "secrets": many(1001) })).await.problem(422, "invalid_field").at("/errors/0/field"), "secrets");
        assert_eq!(bad(json!({ "secrets": {} })).await.problem(422, "invalid_field").at("/errors/0/field"), "secrets");
        let twice = br#"{"secrets":{"A":"1","A":"2"}}"#.to_vec();
        acme.owner.send_bytes(reqwest::Method::POST, &bulk, "application/json", twice).await.problem(400, "malformed_request");
        assert_eq!(t.number("SELECT COUNT(*) FROM secrets").await, 0);
        assert_eq!(t.number("SELECT MAX(revision) FROM environments").await, 0);
        assert_eq!(results(&bad(json!({ "secrets": many(1000) })).await.expect(200).json()).len(), 1000);
    }

    async fn a_key_that_is_not_mine_to_write_stops_all_of_them(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        acme.owner.put(&env.secret("HIDDEN"), json!({ "value": "v" })).await.expect(201).ok();
        let ci = acme.owner.token(json!({ "name": "ci", "org": "acme", "patterns": ["web/production/CI_*"] })).await;
        let body = json!({ "secrets": { "CI_A": "a", "OTHER": "b" } });
        ci.post(&path(&env, "bulk"), body).await.problem(403, "forbidden");
        let replace = json!({ "secrets": { "CI_A": "a" }, "mode": "replace" });
        let refused = ci.post(&path(&env, "bulk"), replace).await.problem(403, "forbidden");
        assert!(!refused.text().contains("HIDDEN"), "{}", refused.text());
        assert_eq!(t.number("SELECT COUNT(*) FROM secrets").await, 1);
        ci.post(&path(&env, "bulk"), json!({ "secrets": { "CI_A": "a" } })).await.expect(200).ok();
    }

    async fn many_are_deleted_together_or_not_at_all(t: TestApp) {
        let acme = t.org("acme").await;
        let dana = acme.developer("dana").await;
        let env = acme.project("web").await.env("development");
        let body = json!({ "secrets": { "A": "a", "B": "b", "C": "c" } });
        dana.post(&path(&env, "bulk"), body).await.expect(200).ok();
        let delete = path(&env, "bulk-delete");
        dana.post(&delete, json!({ "keys": ["A"] })).await.problem(403, "forbidden");
        let unknown = acme.owner.post(&delete, json!({ "keys": ["A", "NONE"] })).await.problem(422, "invalid_field");
        assert_eq!(unknown.at("/errors/0/field"), "keys[1]");
        let twice = acme.owner.post(&delete, json!({ "keys": ["A", "A"] })).await.problem(422, "invalid_field");
        assert_eq!(twice.at("/errors/0/reason"), "duplicate");
        assert_eq!(t.number("SELECT COUNT(*) FROM secrets WHERE deleted_at IS NOT NULL").await, 0);
        let done = acme.owner.post(&delete, json!({ "keys": ["A", "B"] })).await.expect(200).json();
        assert_eq!(results(&done), [line("A", "deleted", 1), line("B", "deleted", 1)]);
        assert_eq!(acme.owner.get(&env.keys()).await.at("/data/0/key"), "C");
        let audited = acme.owner.get(&acme.path("/audit-logs?limit=1")).await;
        assert_eq!(audited.at("/data/0/action"), "secret.bulk_delete");
    }
}

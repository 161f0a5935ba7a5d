//! Opened secrets that are remembered between reads: never stale, never shown to somebody who may not see them.

use harness::app::Options;
use harness::{TestApp, on_both, on_each_backend};
use serde_json::{Value, json};

/// Keys and values of an environment as a caller pulls them.
async fn pulled(caller: &harness::client::Client, path: &str) -> Value {
    let body = caller.get(path).await.expect(200);
    body.json()["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| (entry["key"].as_str().expect("a key").to_owned(), entry["value"].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

on_both! {
    async fn every_kind_of_change_shows_at_the_next_read(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("development");
        let owner = &acme.owner;
        let path = env.secrets();
        owner.put(&env.secret("A"), json!({ "value": "1" })).await.expect(201).ok();
        assert_eq!(pulled(owner, &path).await, json!({ "A": "1" }));
        owner.put(&env.secret("A"), json!({ "value": "2" })).await.expect(200).ok();
        assert_eq!(pulled(owner, &path).await, json!({ "A": "2" }));
        owner.patch(&env.secret("A"), json!({ "key": "B" })).await.expect(200).ok();
        assert_eq!(pulled(owner, &path).await, json!({ "B": "2" }));
        assert_eq!(owner.get(&env.secret("B")).await.expect(200).at("/value"), "2");
        owner.get(&env.secret("A")).await.problem(404, "not_found");
        owner.delete(&env.secret("B")).await.expect(200).ok();
        assert_eq!(pulled(owner, &path).await, json!({}));
        owner.get(&env.secret("B")).await.problem(404, "not_found");
    }

    async fn a_secret_that_is_read_alone_is_opened_once_and_never_stale(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("development");
        let owner = &acme.owner;
        for (key, value) in [("A", "1"), ("B", "b")] {
            let new = json!({ "value": value, "comment": "for the test" });
            owner.put(&env.secret(key), new).await.expect(201).ok();
        }
        let read = async |key: &str| owner.get(&env.secret(key)).await.expect(200).at("/value");
        assert_eq!((read("A").await, read("B").await), ("1".to_owned(), "b".to_owned()));
        let version = format!("{}?version=1", env.secret("A"));
        assert_eq!(owner.get(&version).await.expect(200).at("/value"), "1");
        owner.put(&env.secret("A"), json!({ "value": "2" })).await.expect(200).ok();
        assert_eq!((read("A").await, read("B").await), ("2".to_owned(), "b".to_owned()));
        owner.patch(&env.secret("A"), json!({ "key": "C" })).await.expect(200).ok();
        owner.get(&env.secret("A")).await.problem(404, "not_found");
        assert_eq!((read("C").await, read("B").await), ("2".to_owned(), "b".to_owned()));
        // Nothing has changed since, so nothing is opened; and an old version is not what is remembered.
        t.sql("UPDATE secret_versions SET sealed_value = sealed_comment").await;
        assert_eq!((read("C").await, read("B").await), ("2".to_owned(), "b".to_owned()));
        owner.get(&format!("{}?version=1", env.secret("C"))).await.problem(500, "internal");
        let reads = "SELECT COUNT(*) FROM journal WHERE action = 'secret.read'";
        assert_eq!(t.number(reads).await, 9, "each read is in the journal, also of what was remembered");
        owner.delete(&env.secret("C")).await.expect(200).ok();
        owner.get(&env.secret("C")).await.problem(404, "not_found");
    }

    async fn a_warm_environment_shows_each_caller_what_is_theirs(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("web").await;
        let env = project.env("development");
        for key in ["DB_URL", "API_KEY"] {
            acme.owner.put(&env.secret(key), json!({ "value": key })).await.expect(201).ok();
        }
        let narrow = acme
            .owner
            .token(json!({ "name": "ci", "org": "acme", "scopes": ["secrets:read"], "patterns": ["web/development/DB_*"] }))
            .await;
        for _ in 0..2 {
            assert_eq!(pulled(&acme.owner, &env.secrets()).await, json!({ "API_KEY": "API_KEY", "DB_URL": "DB_URL" }));
            assert_eq!(pulled(&narrow, &env.secrets()).await, json!({ "DB_URL": "DB_URL" }));
            narrow.get(&env.secret("API_KEY")).await.problem(403, "insufficient_scope");
        }
        let page = acme.owner.get(&format!("{}?search=DB&limit=1", env.secrets())).await.expect(200);
        assert_eq!(page.json()["pagination"]["total"], 1);
    }

    async fn one_bad_row_keeps_only_its_own_readers_from_reading(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("development");
        for key in ["DB_URL", "API_KEY"] {
            acme.owner.put(&env.secret(key), json!({ "value": key })).await.expect(201).ok();
        }
        t.sql("UPDATE secret_versions SET sealed_value = sealed_comment WHERE secret_id = (SELECT id FROM secrets WHERE key = 'API_KEY')").await;
        acme.owner.get(&env.secrets()).await.problem(500, "internal");
        assert_eq!(pulled(&acme.owner, &format!("{}?search=DB", env.secrets())).await, json!({ "DB_URL": "DB_URL" }));
    }
}

on_each_backend! {
    async fn with_the_memory_switched_off_every_read_opens_what_is_stored(backend: Backend) {
        let t = TestApp::start(Options::new(backend).with("STRONGROOM_SECRET_CACHE", "0")).await;
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("development");
        acme.owner.put(&env.secret("A"), json!({ "value": "1", "comment": "for the test" })).await.expect(201).ok();
        assert_eq!(pulled(&acme.owner, &env.secrets()).await, json!({ "A": "1" }));
        assert_eq!(acme.owner.get(&env.secret("A")).await.expect(200).at("/value"), "1");
        t.sql("UPDATE secret_versions SET sealed_value = sealed_comment").await;
        acme.owner.get(&env.secrets()).await.problem(500, "internal");
        acme.owner.get(&env.secret("A")).await.problem(500, "internal");
    }
}

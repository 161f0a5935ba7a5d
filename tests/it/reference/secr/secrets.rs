//! Secrets one by one, in bulk and in pages, promotion, key rotation, templates, webhooks.

use harness::app::eventually;
use harness::receiver::Received;
use harness::{Client, Receiver, on_both};
use serde_json::{Map, Value, json};

use super::{DEV, ENVS, ORG, PROJ, PROMOTE, SECRETS, TEMPLATE, colleague, import, my_proj};
use crate::reference::{column, refused_field, texts};

/// What its webhooks fire on.
const EVENTS: [&str; 6] = [
    "secret.bulk_delete",
    "secret.bulk_set",
    "secret.created",
    "secret.deleted",
    "secret.promoted",
    "secret.updated",
];

/// One of each event.
async fn all_that_happens(by: &Client) {
    let path = format!("{SECRETS}/API_KEY");
    for value in ["sk_live_abc123", "sk_live_def456"] {
        by.put(&path, json!({ "value": value })).await.ok();
    }
    by.delete(&path).await.ok();
    import(by, &json!({ "DB_HOST": "db.internal", "DB_PORT": "5432" })).await;
    let promotion = json!({ "from": "development", "to": "staging" });
    by.post(PROMOTE, promotion).await.ok();
    let keys = json!({ "keys": ["DB_HOST"] });
    by.post(&format!("{DEV}/bulk-delete"), keys).await.ok();
}

fn kind(request: &Received) -> String {
    request.json()["type"].as_str().unwrap_or_default().to_owned()
}

on_both! {
    async fn an_encryption_key_is_replaced_and_nothing_is_lost(t: TestApp) {
        let owner = my_proj(&t).await;
        let (admin, developer) = (colleague(&t, &owner, "admin").await, colleague(&t, &owner, "developer").await);
        import(&owner, &json!({ "API_KEY": "sk_live_abc123", "DATABASE_URL": "postgres://db.internal/my-org" })).await;
        let (rotate, keys) = (format!("{PROJ}/rotate-key"), format!("{PROJ}/keys"));
        developer.post(&rotate, json!({})).await.problem(403, "forbidden");
        developer.get(&keys).await.problem(403, "forbidden");
        let begun = admin.post(&rotate, json!({})).await.expect(202);
        assert!(begun.at("/id").starts_with("key_") && !begun.at("/created_at").is_empty(), "{}", begun.text());
        let fields = ["/generation", "/state", "/progress/total", "/progress/remaining"];
        assert_eq!(texts(&begun, fields), ["2", "active", "2", "2"]);
        // Reads and writes go on meanwhile.
        owner.put(&format!("{SECRETS}/API_KEY"), json!({ "value": "sk_live_def456" })).await.expect(200).ok();
        eventually("everything is encrypted anew", || async {
            column(&admin.get(&keys).await.expect(200), "remaining") == ["0", "0"]
        })
        .await;
        let pulled = owner.get(SECRETS).await.expect(200);
        assert_eq!(column(&pulled, "value"), ["sk_live_def456", "postgres://db.internal/my-org"]);
        assert_eq!(owner.get(&format!("{SECRETS}/API_KEY?version=1")).await.expect(200).at("/value"), "sk_live_abc123");
        assert_eq!(owner.post(&rotate, json!({})).await.expect(202).at("/generation"), "3");
    }

    async fn secrets_are_set_pulled_imported_and_deleted(t: TestApp) {
        let owner = my_proj(&t).await;
        let (developer, viewer) = (colleague(&t, &owner, "developer").await, colleague(&t, &owner, "viewer").await);
        let (host, names, bulk) = (format!("{SECRETS}/DB_HOST"), format!("{DEV}/keys"), format!("{DEV}/bulk"));
        assert_eq!(developer.put(&host, json!({ "value": "localhost" })).await.expect(201).at("/version"), "1");
        let stripe = json!({ "value": "sk_live_abc123", "comment": "Stripe" });
        let body = json!({ "secrets": { "DB_HOST": "db.internal", "DB_PORT": "5432", "API_KEY": stripe } });
        viewer.post(&bulk, body.clone()).await.problem(403, "forbidden");
        let imported = developer.post(&bulk, body).await.expect(200).json();
        let results = imported["results"].as_array().cloned().unwrap_or_default();
        let line = |entry: &Value| format!("{} {} {}", entry["key"], entry["status"], entry["version"]);
        let lines: Vec<_> = results.iter().map(line).collect();
        assert_eq!(lines, [r#""API_KEY" "created" 1"#, r#""DB_HOST" "updated" 2"#, r#""DB_PORT" "created" 1"#]);
        assert_eq!(imported["revision"], 2, "all of them at once");
        let pulled = viewer.get(SECRETS).await.expect(200);
        assert_eq!(column(&pulled, "key"), ["API_KEY", "DB_HOST", "DB_PORT"]);
        assert_eq!(column(&pulled, "value"), ["sk_live_abc123", "db.internal", "5432"]);
        assert_eq!(column(&pulled, "comment"), ["Stripe", "", ""]);
        let listed = developer.get(&names).await.expect(200);
        assert_eq!(column(&listed, "key"), ["API_KEY", "DB_HOST", "DB_PORT"]);
        assert!(!listed.text().contains("db.internal"), "{}", listed.text());
        let versions = developer.get(&format!("{host}/versions")).await.expect(200);
        assert_eq!(column(&versions, "version"), ["2", "1"]);
        assert!(!versions.text().contains("localhost"), "{}", versions.text());
        assert_eq!(developer.get(&format!("{host}?version=1")).await.expect(200).at("/value"), "localhost");
        viewer.delete(&host).await.problem(403, "forbidden");
        developer.delete(&host).await.expect(200).ok();
        developer.get(&host).await.problem(404, "not_found");
        assert_eq!(column(&developer.get(&names).await.expect(200), "key"), ["API_KEY", "DB_PORT"]);
        developer.post(&format!("{host}/restore"), json!({})).await.expect(200).ok();
        assert_eq!(viewer.get(&host).await.expect(200).at("/value"), "db.internal", "it was soft-deleted");
        let both = json!({ "keys": ["API_KEY", "DB_HOST"] });
        for person in [&viewer, &developer] {
            person.post(&format!("{DEV}/bulk-delete"), both.clone()).await.problem(403, "forbidden");
        }
        owner.post(&format!("{DEV}/bulk-delete"), both).await.expect(200).ok();
        assert_eq!(column(&viewer.get(SECRETS).await.expect(200), "key"), ["DB_PORT"]);
    }

    async fn a_page_is_cut_out_when_it_is_asked_for_and_found_by_prefix(t: TestApp) {
        let owner = my_proj(&t).await;
        let name = |n: usize| if n < 25 { format!("DB_{n:02}") } else { format!("API_{n:02}") };
        let all: Map<String, Value> = (0..42).map(|n| (name(n), json!("v"))).collect();
        import(&owner, &Value::Object(all)).await;
        for path in [SECRETS, &format!("{DEV}/keys")] {
            let page = owner.get(&format!("{path}?limit=10&offset=0")).await.expect(200);
            assert_eq!(column(&page, "key").len(), 10);
            assert_eq!(texts(&page, ["/pagination/limit", "/pagination/offset", "/pagination/total"]), ["10", "0", "42"]);
            let last = owner.get(&format!("{path}?limit=10&offset=40")).await.expect(200);
            assert_eq!(column(&last, "key"), ["DB_23", "DB_24"]);
            let whole = owner.get(path).await.expect(200);
            assert_eq!(column(&whole, "key").len(), 42);
            assert!(whole.json().get("pagination").is_none(), "all of them are no page");
            let found = owner.get(&format!("{path}?search=DB_&limit=20")).await.expect(200);
            assert!(column(&found, "key").iter().all(|key| key.starts_with("DB_")));
            assert_eq!(texts(&found, ["/pagination/limit", "/pagination/total"]), ["20", "25"]);
            for other in ["db_", "_", "B_"] {
                let none = owner.get(&format!("{path}?search={other}")).await.expect(200);
                assert!(column(&none, "key").is_empty(), "{other}");
            }
            owner.get(&format!("{path}?limit=500")).await.expect(200).ok();
            for limit in [0, 501] {
                refused_field(owner.get(&format!("{path}?limit={limit}")).await, "limit");
            }
        }
    }

    async fn secrets_are_promoted_from_one_environment_to_the_next(t: TestApp) {
        let owner = my_proj(&t).await;
        let (developer, viewer) = (colleague(&t, &owner, "developer").await, colleague(&t, &owner, "viewer").await);
        import(&developer, &json!({ "API_KEY": "sk_test_abc123", "DB_HOST": "localhost" })).await;
        let route = |from: &str, to: &str| json!({ "from": from, "to": to });
        viewer.post(PROMOTE, route("development", "staging")).await.problem(403, "forbidden");
        let plan = json!({ "from": "development", "to": "staging", "dry_run": true });
        let planned = developer.post(PROMOTE, plan).await.expect(200);
        assert_eq!(texts(&planned, ["/applied", "/changes/0/key", "/changes/0/action"]), ["false", "API_KEY", "added"]);
        let body = json!({ "from": "development", "to": "staging", "digest": planned.at("/digest") });
        let done = developer.post(PROMOTE, body.clone()).await.expect(200);
        assert_eq!(texts(&done, ["/applied", "/target_revision", "/changes/1/action"]), ["true", "1", "added"]);
        developer.post(PROMOTE, body).await.problem(412, "version_mismatch");
        let staging = developer.get(&format!("{ENVS}/staging/secrets")).await.expect(200);
        assert_eq!(column(&staging, "value"), ["sk_test_abc123", "localhost"]);
        let again = developer.post(PROMOTE, route("development", "staging")).await.expect(200);
        assert_eq!(texts(&again, ["/applied", "/changes/0/action"]), ["false", "same"]);
        let one = json!({ "from": "staging", "to": "production", "keys": ["API_KEY"] });
        assert_eq!(developer.post(PROMOTE, one).await.expect(200).at("/applied"), "true");
        assert_eq!(column(&owner.get(&format!("{ENVS}/production/secrets")).await.expect(200), "key"), ["API_KEY"]);
        // What one may not read one does not carry away.
        developer.post(PROMOTE, route("production", "development")).await.problem(403, "forbidden");
        owner.post(PROMOTE, route("production", "development")).await.expect(200).ok();
    }

    async fn a_template_finds_what_is_missing(t: TestApp) {
        let owner = my_proj(&t).await;
        let (admin, developer) = (colleague(&t, &owner, "admin").await, colleague(&t, &owner, "developer").await);
        let key = json!({ "key": "DATABASE_URL", "description": "Where orders are", "required": true });
        developer.post(TEMPLATE, key.clone()).await.problem(403, "forbidden");
        let made = admin.post(TEMPLATE, key.clone()).await.expect(201);
        assert_eq!(texts(&made, ["/key", "/description", "/required"]), ["DATABASE_URL", "Where orders are", "true"]);
        owner.post(TEMPLATE, key).await.problem(409, "key_taken");
        owner.post(TEMPLATE, json!({ "key": "SENTRY_DSN", "required": false })).await.expect(201).ok();
        assert_eq!(column(&developer.get(TEMPLATE).await.expect(200), "key"), ["DATABASE_URL", "SENTRY_DSN"]);
        let validate = format!("{TEMPLATE}/validate?environment=development");
        let found = ["/valid", "/environments/0/environment", "/environments/0/missing", "/environments/0/extra"];
        let report = developer.get(&validate).await.expect(200);
        assert_eq!(texts(&report, found), ["false", "development", r#"["DATABASE_URL"]"#, "[]"]);
        import(&developer, &json!({ "DATABASE_URL": "postgres://localhost/my-org", "DEBUG": "1" })).await;
        let report = developer.get(&validate).await.expect(200);
        assert_eq!(texts(&report, found), ["true", "development", "[]", r#"["DEBUG"]"#]);
        let path = format!("{TEMPLATE}/DATABASE_URL");
        developer.delete(&path).await.problem(403, "forbidden");
        admin.delete(&path).await.expect(204).ok();
        admin.delete(&path).await.problem(404, "not_found");
        assert_eq!(column(&developer.get(TEMPLATE).await.expect(200), "key"), ["SENTRY_DSN"]);
        developer.get(&format!("{SECRETS}/DATABASE_URL")).await.expect(200).ok();
    }

    async fn a_webhook_fires_on_what_happens_to_secrets(t: TestApp) {
        let owner = my_proj(&t).await;
        let (admin, developer) = (colleague(&t, &owner, "admin").await, colleague(&t, &owner, "developer").await);
        let (receiver, hooks) = (Receiver::start().await, format!("{ORG}/webhooks"));
        let body = json!({ "url": receiver.url, "events": EVENTS });
        developer.post(&hooks, body.clone()).await.problem(403, "forbidden");
        let made = admin.post(&hooks, body).await.expect(201);
        let (path, signing) = (format!("{hooks}/{}", made.at("/id")), made.at("/secret"));
        all_that_happens(&owner).await;
        let arrived = receiver.expect(EVENTS.len()).await;
        let mut kinds: Vec<_> = arrived.iter().map(kind).collect();
        kinds.sort();
        assert_eq!(kinds, EVENTS);
        for request in &arrived {
            assert!(request.is_signed_with(&signing));
            let text = String::from_utf8_lossy(&request.body);
            assert!(!text.contains("sk_live") && !text.contains("db.internal"), "{text}");
        }
        eventually("the log has them all", || async {
            column(&admin.get(&format!("{path}/deliveries")).await.expect(200), "state") == ["succeeded"; 6]
        })
        .await;
        let shown = admin.get(&path).await.expect(200);
        assert_eq!(texts(&shown, ["/url", "/enabled", "/secret"]), [receiver.url.as_str(), "true", ""], "shown once");
        let log = shown.json()["recent_deliveries"].as_array().cloned().unwrap_or_default();
        let mut told: Vec<_> = log.iter().filter_map(|delivery| delivery["event_type"].as_str()).collect();
        told.sort_unstable();
        assert_eq!(told, EVENTS, "it comes with its delivery log");
        let entry = admin.get(&format!("{path}/deliveries/{}", log[0]["id"].as_str().unwrap_or_default())).await.expect(200);
        assert_eq!(entry.json(), log[0]);
        let tested = admin.post(&format!("{path}/test"), json!({})).await.expect(200);
        assert_eq!(texts(&tested, ["/state", "/event_type", "/attempts/0/status"]), ["succeeded", "webhook.tested", "204"]);
        let patched = admin.patch(&path, json!({ "description": "CI", "events": ["secret.deleted"] })).await.expect(200);
        assert_eq!(texts(&patched, ["/description", "/events/0", "/events/1"]), ["CI", "secret.deleted", ""]);
        assert_eq!(column(&admin.get(&hooks).await.expect(200), "description"), ["CI"]);
        for hidden in [&hooks, &path, &format!("{path}/deliveries")] {
            developer.get(hidden).await.problem(403, "forbidden");
        }
        developer.delete(&path).await.problem(403, "forbidden");
        admin.delete(&path).await.expect(204).ok();
        admin.get(&path).await.problem(404, "not_found");
    }
}

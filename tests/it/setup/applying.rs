//! Settings for the next start of a new instance.

use std::os::unix::fs::PermissionsExt;

use harness::app::{self, Options};
use harness::people::PASSWORD;
use harness::{Answer, Backend, TestApp, on_both, on_each_backend};
use serde_json::{Value, json};

const APPLY: &str = "/v1/setup/apply-config";
const RESTART: &str = "/v1/setup/restart";
const ADMIN: &str = "/v1/setup/create-admin";
const STATUS: &str = "/v1/setup/status";

/// A body with the token of the start.
fn with_token(t: &TestApp, more: Value) -> Value {
    let mut body = json!({ "setup_token": t.setup_token() });
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    body
}

async fn apply(t: &TestApp, more: Value) -> Answer {
    t.anonymous().post(APPLY, with_token(t, more)).await
}

async fn create_admin(t: &TestApp) -> Answer {
    let admin = json!({ "email": "root@example.com", "password": PASSWORD, "transport": "bearer" });
    t.anonymous().post(ADMIN, with_token(t, admin)).await
}

/// Asserts that this field is refused, and that nothing was written.
async fn refused(t: &TestApp, body: Value, field: &str) {
    let answer = apply(t, body).await.problem(422, "invalid_field");
    assert_eq!(answer.at("/errors/0/field"), field, "{}", answer.text());
    assert!(!answer.text().contains("canary"), "{}", answer.text());
    assert!(!t.dir.path().join("setup.toml").exists());
    assert_eq!(
        t.anonymous().get(STATUS).await.expect(200).at("/restart_required"),
        "false"
    );
}

on_both! {
    async fn the_status_tells_how_a_new_instance_is_set(t: TestApp) {
        let status = t.anonymous().get(STATUS).await.expect(200);
        let is_sqlite = t.backend == Backend::Sqlite;
        let fields = ["/setup_required", "/restart_required", "/current/database", "/current/has_root_key", "/current/has_mail"];
        let database = if is_sqlite { "sqlite" } else { "postgres" };
        let has_key = (!is_sqlite).to_string();
        assert_eq!(fields.map(|field| status.at(field)), ["true", "false", database, has_key.as_str(), "false"]);
        assert!(status.at("/current/base_url").starts_with("http://127.0.0.1:"), "{}", status.text());
        assert!(!status.text().contains("postgres:"), "{}", status.text());
    }

    async fn settings_are_kept_for_the_next_start_and_hold_up_the_administrator(t: TestApp) {
        let applied = apply(&t, json!({ "base_url": "https://secrets.example.com" })).await.expect(200);
        assert_eq!((applied.at("/restart_required"), applied.at("/has_made_root_key")), ("true".into(), "false".into()));
        let file = t.dir.path().join("setup.toml");
        assert_eq!(applied.at("/written_to"), file.display().to_string());
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text.trim(), "base_url = \"https://secrets.example.com\"");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(t.anonymous().get(STATUS).await.expect(200).at("/restart_required"), "true");
        create_admin(&t).await.problem(409, "conflict");
        assert_eq!(t.number("SELECT COUNT(*) FROM users").await, 0);
        // A second thought counts.
        apply(&t, json!({ "base_url": "https://other.example.com" })).await.expect(200).ok();
        assert!(std::fs::read_to_string(&file).unwrap().contains("https://other.example.com"));
    }

    async fn nothing_to_apply_changes_nothing(t: TestApp) {
        let applied = apply(&t, json!({})).await.expect(200);
        assert_eq!(applied.at("/restart_required"), "false");
        assert!(!t.dir.path().join("setup.toml").exists());
        t.anonymous().post(RESTART, with_token(&t, json!({}))).await.problem(409, "conflict");
        create_admin(&t).await.expect(201).ok();
    }

    async fn what_would_not_start_is_refused_by_name(t: TestApp) {
        refused(&t, json!({ "base_url": "https://secrets.example.com/canary" }), "base_url").await;
        refused(&t, json!({ "base_url": "canary" }), "base_url").await;
        if t.backend == Backend::Sqlite {
            refused(&t, json!({ "database_url": "mysql://canary@db/x" }), "database_url").await;
            refused(&t, json!({ "database_url": "postgres://canary:canary@127.0.0.1:1/x" }), "database_url").await;
            refused(&t, json!({ "root_key": "canary" }), "root_key").await;
            // Not the one that this database was written with.
            let other = "cm9vdC1rZXktcm9vdC1rZXktcm9vdC1rZXktcm9vdC0=";
            refused(&t, json!({ "root_key": other }), "root_key").await;
        } else {
            // The environment sets them.
            refused(&t, json!({ "database_url": "sqlite:///tmp/canary.db" }), "database_url").await;
            refused(&t, json!({ "root_key": "canary" }), "root_key").await;
        }
    }

    async fn only_the_token_opens_it_and_nothing_once_there_is_an_administrator(t: TestApp) {
        let base = json!({ "base_url": "https://secrets.example.com" });
        for token in ["", "srm_set_x", "srm_set_000000000000000000000000000000000000"] {
            let mut body = base.clone();
            body["setup_token"] = json!(token);
            t.anonymous().post(APPLY, body).await.problem(403, "forbidden");
            t.anonymous().post(RESTART, json!({ "setup_token": token })).await.problem(403, "forbidden");
        }
        create_admin(&t).await.expect(201).ok();
        apply(&t, base).await.problem(403, "forbidden");
        t.anonymous().post(RESTART, with_token(&t, json!({}))).await.problem(403, "forbidden");
        create_admin(&t).await.problem(403, "forbidden");
        assert_eq!(t.anonymous().get(STATUS).await.expect(200).json(), json!({ "setup_required": false }));
        assert!(!t.dir.path().join("setup.toml").exists());
    }

    async fn of_many_who_race_with_several_tokens_one_becomes_administrator(t: TestApp) {
        // Two processes that start at once may both have a token.
        let mut tokens = vec![t.setup_token().unwrap_or_default().to_owned()];
        t.sql("UPDATE challenges SET consumed_at = 1 WHERE purpose = 'setup'").await;
        let tx = t.db().begin_write().await.unwrap();
        let more = domain::setup::issue_token(&tx, t.app().keys.token_mac()).await.unwrap();
        tx.commit_bookkeeping().await.unwrap();
        tokens.push(more.expose().to_owned());
        t.sql("UPDATE challenges SET consumed_at = NULL WHERE purpose = 'setup'").await;
        let client = t.anonymous();
        let racers = (0..8).map(|n| {
            let body = json!({
                "setup_token": tokens[n % 2], "email": format!("racer-{n}@example.com"), "password": PASSWORD,
            });
            let client = &client;
            async move { client.post(ADMIN, body).await.status() }
        });
        let mut statuses = futures_util::future::join_all(racers).await;
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 403, 403, 403, 403, 403, 403, 403]);
        assert_eq!(t.number("SELECT COUNT(*) FROM users").await, 1);
    }
}

on_each_backend! {
    async fn what_the_environment_sets_is_changed_there(backend: Backend) {
        let options = Options::new(backend).with("STRONGROOM_BASE_URL", "http://127.0.0.1");
        let t = TestApp::start(options).await;
        let answer = apply(&t, json!({ "base_url": "https://secrets.example.com" })).await.problem(422, "invalid_field");
        assert_eq!(answer.at("/errors/0/field"), "base_url");
        assert!(answer.at("/errors/0/message").contains("environment"), "{}", answer.text());
    }
}

#[test]
fn a_new_database_gets_a_root_key_that_nobody_is_shown() {
    app::run(async {
        let t = TestApp::spawn(Backend::Sqlite).await;
        let url = app::postgres_database().await;
        let applied = apply(&t, json!({ "database_url": url })).await.expect(200);
        assert_eq!(applied.at("/has_made_root_key"), "true");
        let text = std::fs::read_to_string(t.dir.path().join("setup.toml")).unwrap();
        let lines: Vec<_> = text.lines().filter_map(|line| line.split_once(" = ")).collect();
        let names: Vec<_> = lines.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["database_url", "root_key"]);
        for (_, value) in lines {
            assert!(!applied.text().contains(value.trim_matches('"')), "{}", applied.text());
        }
    });
}

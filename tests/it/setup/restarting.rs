//! The start that takes up what the first run applied: real processes.

use harness::people::PASSWORD;
use harness::processes::{Api, Installation};
use harness::{Answer, Client, app};
use serde_json::{Value, json};

async fn post(api: &Api, path: &str, mut body: Value) -> Answer {
    body["setup_token"] = json!(api.setup_token);
    Client::new(&api.url).post(&format!("/v1/setup/{path}"), body).await
}

async fn status(api: &Api) -> Answer {
    Client::new(&api.url).get("/v1/setup/status").await.expect(200)
}

fn admin() -> Value {
    json!({ "email": "root@example.com", "password": PASSWORD, "transport": "bearer" })
}

/// Restarts as a supervisor does.
async fn restarted(installation: &Installation, api: Api) -> Api {
    post(&api, "restart", json!({})).await.expect(202).ok();
    let ended = api.process.wait().await;
    assert_eq!(ended.code(), Some(0), "{}", api.process.log());
    installation.api().await
}

#[test]
fn a_restart_takes_up_the_settings_under_another_token() {
    app::run(async {
        let installation = Installation::embedded();
        let first = installation.api().await;
        let old = first.setup_token.clone();
        post(&first, "apply-config", json!({ "base_url": "http://localhost" }))
            .await
            .expect(200)
            .ok();
        let api = restarted(&installation, first).await;
        let shown = status(&api).await;
        assert!(
            shown.at("/current/base_url").starts_with("http://localhost:"),
            "{}",
            shown.text()
        );
        assert_eq!(shown.at("/restart_required"), "false");
        let mut stale = admin();
        stale["setup_token"] = json!(old);
        let stale = Client::new(&api.url).post("/v1/setup/create-admin", stale).await;
        stale.problem(403, "forbidden");
        post(&api, "create-admin", admin()).await.expect(201).ok();
        for path in ["apply-config", "restart", "create-admin"] {
            let body = if path == "create-admin" { admin() } else { json!({}) };
            post(&api, path, body).await.problem(403, "forbidden");
        }
        let described = installation.run("strongroom-api", &["config"]);
        assert_eq!(described.wait().await.code(), Some(0), "{}", described.log());
        let text = described.output();
        let line = text.lines().find(|line| line.starts_with("STRONGROOM_BASE_URL = "));
        assert!(
            line.is_some_and(|line| line.contains("http://localhost") && line.ends_with("setup.toml")),
            "{text}"
        );
    });
}

#[test]
fn a_new_instance_moves_to_postgres_before_anybody_uses_it() {
    app::run(async {
        let installation = Installation::embedded();
        let first = installation.api().await;
        let url = app::postgres_database().await;
        let applied = post(&first, "apply-config", json!({ "database_url": url }))
            .await
            .expect(200);
        assert_eq!(applied.at("/has_made_root_key"), "true");
        let api = restarted(&installation, first).await;
        assert_eq!(status(&api).await.at("/current/database"), "postgres");
        let made = post(&api, "create-admin", admin()).await.expect(201);
        let root = Client::new(&api.url).bearer(&made.at("/access_token"));
        let config = root.get("/v1/admin/config").await.expect(200);
        assert_eq!(config.at("/database"), "postgres");
        assert!(!config.text().contains(&url), "{}", config.text());
        let described = installation.run("strongroom-api", &["config"]);
        assert_eq!(described.wait().await.code(), Some(0), "{}", described.log());
        let text = described.output();
        for secret in ["DATABASE_URL", "ROOT_KEY"] {
            let line = text
                .lines()
                .find(|line| line.starts_with(&format!("STRONGROOM_{secret} = ")));
            assert!(
                line.is_some_and(|line| line.contains("(hidden)") && line.ends_with("setup.toml")),
                "{text}"
            );
        }
        assert!(!text.contains(&url), "{text}");
    });
}

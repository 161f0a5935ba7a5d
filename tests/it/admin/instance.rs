//! The instance as a whole.

use harness::app::Options;
use harness::{Answer, TestApp, on_both, on_each_backend};
use serde_json::{Value, json};

use super::root;

/// One setting of the answer.
fn setting(config: &Answer, name: &str) -> Value {
    let config = config.json();
    let settings = config["settings"].as_array().cloned().unwrap_or_default();
    let found = settings.into_iter().find(|setting| setting["name"] == name);
    found.unwrap_or_else(|| panic!("{name} is not shown"))
}

on_both! {
    async fn everything_is_counted(t: TestApp) {
        let root = root(&t).await;
        let before = root.get("/v1/admin/stats").await.expect(200).json();
        assert_eq!((&before["users"], &before["superusers"], &before["orgs"]), (&json!(1), &json!(1), &json!(1)));
        assert_eq!((&before["projects"], &before["secrets"], &before["tokens"]), (&json!(0), &json!(0), &json!(0)));
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        acme.owner.put(&web.env("production").secret("A"), json!({ "value": "v" })).await.expect(201).ok();
        acme.owner.token(json!({ "name": "ci" })).await;
        let gone = acme.owner.post("/v1/auth/tokens", json!({ "name": "gone" })).await.expect(201).at("/id");
        acme.owner.delete(&format!("/v1/auth/tokens/{gone}")).await.expect(204).ok();
        acme.owner.post(&acme.path("/service-accounts"), json!({ "name": "robot" })).await.expect(201).ok();
        acme.owner.post(&acme.path("/invites"), json!({ "role": "viewer" })).await.expect(201).ok();
        let used = acme.owner.post(&acme.path("/invites"), json!({ "role": "viewer" })).await.expect(201).at("/token");
        let dana = t.proved_person("dana").await;
        dana.post(&format!("/v1/invites/{used}/accept"), json!({})).await.expect(201).ok();
        root.patch(&format!("/v1/admin/users/{}", dana.id), json!({ "is_active": false })).await.expect(200).ok();
        let now = root.get("/v1/admin/stats").await.expect(200).json();
        for (count, expected) in [
            ("users", 3), ("active_users", 2), ("superusers", 1), ("orgs", 4), ("projects", 1), ("environments", 3),
            ("secrets", 1), ("service_accounts", 1), ("webhooks", 0), ("tokens", 3), ("active_tokens", 2),
            ("pending_invites", 1), ("accepted_invites", 1), ("dead_jobs", 0),
        ] {
            assert_eq!(now[count], json!(expected), "{count}");
        }
        acme.owner.delete(&web.path).await.expect(204).ok();
        let after = root.get("/v1/admin/stats").await.expect(200).json();
        assert_eq!((&after["projects"], &after["environments"], &after["secrets"]), (&json!(0), &json!(0), &json!(0)));
    }

    async fn who_is_no_superuser_is_told_nothing(t: TestApp) {
        let acme = t.org("acme").await;
        for path in ["/v1/admin/stats", "/v1/admin/config", "/v1/admin/jobs", "/v1/admin/projects/prj_x"] {
            acme.owner.get(path).await.problem(403, "forbidden");
            t.anonymous().get(path).await.problem(401, "unauthenticated");
        }
    }
}

on_each_backend! {
    async fn the_configuration_is_shown_with_sources_and_without_secrets(backend: Backend) {
        let options = Options::new(backend)
            .with("STRONGROOM_SMTP_URL", "smtp://acme:hunter2canary@127.0.0.1:1")
            .with("STRONGROOM_BASE_URL", "https://secrets.example.com");
        let t = TestApp::start(options).await;
        let root = root(&t).await;
        let config = root.get("/v1/admin/config").await.expect(200);
        assert!(!config.text().contains("hunter2canary"), "{}", config.text());
        let smtp = setting(&config, "STRONGROOM_SMTP_URL");
        assert_eq!((&smtp["value"], &smtp["source"], &smtp["is_hidden"]), (&json!("(hidden)"), &json!("environment"), &json!(true)));
        let base = setting(&config, "STRONGROOM_BASE_URL");
        // The harness lets the port be chosen.
        assert!(base["value"].as_str().is_some_and(|url| url.starts_with("https://secrets.example.com")), "{base}");
        assert_eq!(base["is_hidden"], json!(false));
        assert_eq!(setting(&config, "STRONGROOM_REGISTRATION")["source"], "default");
        let is_sqlite = backend == harness::Backend::Sqlite;
        assert_eq!(config.at("/database"), if is_sqlite { "sqlite" } else { "postgres" });
        assert_eq!((config.at("/has_mail"), config.at("/has_redis")), ("true".into(), (!is_sqlite).to_string()));
    }
}

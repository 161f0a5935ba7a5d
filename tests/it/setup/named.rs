//! The first administrator that the settings name.

use harness::app::Options;
use harness::people::PASSWORD;
use harness::processes::{Installation, number};
use harness::{Answer, Client, TestApp, app, on_each_backend};
use serde_json::json;

const EMAIL: &str = "root@example.com";

async fn login(client: &Client) -> Answer {
    let body = json!({ "email": EMAIL, "password": PASSWORD, "transport": "bearer" });
    client.post("/v1/auth/login", body).await
}

on_each_backend! {
    async fn the_start_makes_the_administrator_that_the_settings_name(backend: Backend) {
        let options = Options::new(backend)
            .with("STRONGROOM_ADMIN_EMAIL", EMAIL)
            .with("STRONGROOM_ADMIN_PASSWORD", PASSWORD);
        let t = TestApp::start(options).await;
        assert_eq!(t.setup_token(), None, "nothing is left to set up");
        let status = t.anonymous().get("/v1/setup/status").await.expect(200);
        assert_eq!(status.json(), json!({ "setup_required": false }));
        let session = login(&t.anonymous()).await.expect(200);
        assert_eq!((session.at("/user/is_superuser"), session.at("/user/email_verified")), ("true".into(), "true".into()));
        let root = t.anonymous().bearer(&session.at("/access_token"));
        let log = root.get("/v1/auth/security-log").await.expect(200).json();
        let events = log["data"].as_array().cloned().unwrap_or_default();
        let made = events.iter().find(|event| event["action"] == "user.registered").expect("it is on record");
        assert_eq!((&made["actor"]["type"], &made["metadata"]["is_superuser"]), (&json!("system"), &json!(true)));
        let config = root.get("/v1/admin/config").await.expect(200);
        assert!(!config.text().contains(PASSWORD), "{}", config.text());
    }
}

/// An installation whose settings name the administrator, the password in a file.
fn named(installation: Installation, password: &str) -> Installation {
    let file = installation.dir().join("admin-password");
    std::fs::write(&file, format!("{password}\n")).unwrap();
    let file = file.display().to_string();
    installation
        .with("STRONGROOM_ADMIN_EMAIL", EMAIL)
        .with("STRONGROOM_ADMIN_PASSWORD_FILE", &file)
}

#[test]
fn later_starts_leave_the_administrator_alone() {
    app::run(async {
        let installation = named(Installation::embedded(), PASSWORD);
        let api = installation.api().await;
        assert_eq!(api.setup_token, None);
        login(&Client::new(&api.url)).await.expect(200).ok();
        api.process.terminate().await;
        let file = installation.dir().join("admin-password");
        std::fs::write(file, "another horse, another battery\n").unwrap();
        let api = installation.api().await;
        login(&Client::new(&api.url)).await.expect(200).ok();
        let db = installation.db().await;
        assert_eq!(number(&db, "SELECT COUNT(*) FROM users").await, 1);
    });
}

#[test]
fn of_processes_that_start_at_once_one_makes_the_administrator() {
    app::run(async {
        let database = app::postgres_database().await;
        let installation = named(Installation::scaled(&database, &app::redis_url()), PASSWORD);
        let (one, two) = tokio::join!(installation.api(), installation.api());
        for api in [&one, &two] {
            assert_eq!(api.setup_token, None);
            login(&Client::new(&api.url)).await.expect(200).ok();
        }
        let db = installation.db().await;
        let all = "SELECT COUNT(*) FROM users WHERE is_superuser";
        assert_eq!(number(&db, all).await, 1);
        assert_eq!(number(&db, "SELECT COUNT(*) FROM users").await, 1);
    });
}

#[test]
fn what_cannot_be_an_administrator_stops_the_start_and_is_not_repeated() {
    app::run(async {
        let weak = named(Installation::embedded(), "password1");
        let Err(process) = weak.try_api().await else {
            panic!("it starts")
        };
        let log = process.log();
        assert!(
            log.contains("STRONGROOM_ADMIN_EMAIL") && log.contains("password"),
            "{log}"
        );
        assert!(!log.contains("password1"), "{log}");
        let alone = Installation::embedded().with("STRONGROOM_ADMIN_EMAIL", EMAIL);
        let Err(process) = alone.try_api().await else {
            panic!("it starts")
        };
        assert!(process.log().contains("set both or neither"), "{}", process.log());
        let nobody = Installation::embedded()
            .with("STRONGROOM_ADMIN_EMAIL", "root")
            .with("STRONGROOM_ADMIN_PASSWORD", PASSWORD);
        let Err(process) = nobody.try_api().await else {
            panic!("it starts")
        };
        assert!(
            process.log().contains("STRONGROOM_ADMIN_EMAIL: must be an address"),
            "{}",
            process.log()
        );
    });
}

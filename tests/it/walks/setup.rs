//! The first administrator, with the token that the start prints.

use harness::people::PASSWORD;
use harness::processes::{Api, Installation};
use harness::{Answer, Client, app};
use serde_json::json;

async fn create_admin(api: &Api, token: &str, name: &str) -> Answer {
    let body = json!({
        "setup_token": token, "email": format!("{name}@example.com"), "password": PASSWORD, "transport": "bearer",
    });
    Client::new(&api.url).post("/v1/setup/create-admin", body).await
}

async fn is_required(api: &Api) -> String {
    Client::new(&api.url)
        .get("/v1/setup/status")
        .await
        .expect(200)
        .at("/setup_required")
}

#[test]
fn the_printed_token_makes_one_administrator_and_then_no_more() {
    app::run(async {
        let installation = Installation::embedded();
        let api = installation.api().await;
        let token = api.setup_token.clone().expect("the start prints a token");
        assert_eq!(is_required(&api).await, "true");
        create_admin(&api, "srm_set_wrong", "mallory")
            .await
            .problem(403, "forbidden");
        let made = create_admin(&api, &token, "ada").await.expect(201);
        assert_eq!(made.at("/user/is_superuser"), "true");
        create_admin(&api, &token, "eve").await.problem(403, "forbidden");
        assert_eq!(is_required(&api).await, "false");

        api.process.terminate().await;
        let api = installation.api().await;
        assert_eq!(api.setup_token, None, "there is an administrator");
        create_admin(&api, &token, "eve").await.problem(403, "forbidden");
    });
}

#[test]
fn a_restart_makes_the_older_token_useless() {
    app::run(async {
        let installation = Installation::embedded();
        let first = installation.api().await;
        let old = first.setup_token.clone().expect("a token");
        first.process.kill();
        let api = installation.api().await;
        create_admin(&api, &old, "eve").await.problem(403, "forbidden");
        let new = api.setup_token.clone().expect("a token");
        let _ = create_admin(&api, &new, "ada").await.expect(201);
    });
}

async fn one_of_many_racers_wins(installation: Installation) {
    let api = installation.api().await;
    let token = api.setup_token.clone().expect("a token");
    let racers = (0..8).map(|n| {
        let (api, token) = (&api, token.as_str());
        async move { create_admin(api, token, &format!("racer-{n}")).await.status() }
    });
    let mut answers = futures_util::future::join_all(racers).await;
    answers.sort_unstable();
    assert_eq!(answers, [201, 403, 403, 403, 403, 403, 403, 403]);
    let db = installation.db().await;
    let count = |table: &str| format!("SELECT COUNT(*) FROM {table}");
    let superusers = harness::processes::number(&db, &count("users WHERE is_superuser")).await;
    let accounts = harness::processes::number(&db, &count("users")).await;
    assert_eq!((superusers, accounts), (1, 1));
}

#[test]
fn of_racers_exactly_one_becomes_administrator_on_sqlite() {
    app::run(one_of_many_racers_wins(Installation::embedded()));
}

#[test]
fn of_racers_exactly_one_becomes_administrator_on_postgres() {
    app::run(async {
        let database = app::postgres_database().await;
        one_of_many_racers_wins(Installation::scaled(&database, &app::redis_url())).await;
    });
}

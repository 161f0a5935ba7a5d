//! The first administrator.

use harness::people::PASSWORD;
use harness::{TestApp, on_both};
use serde_json::{Value, json};

fn admin(token: &str, email: &str) -> Value {
    json!({ "setup_token": token, "email": email, "password": PASSWORD, "transport": "bearer" })
}

async fn is_required(t: &TestApp) -> String {
    t.anonymous()
        .get("/v1/setup/status")
        .await
        .expect(200)
        .at("/setup_required")
}

on_both! {
    async fn the_token_of_the_log_makes_one_administrator(t: TestApp) {
        let token = t.setup_token().unwrap_or_default().to_owned();
        assert_eq!(is_required(&t).await, "true");
        let made = t.anonymous().post("/v1/setup/create-admin", admin(&token, "root@example.com")).await.expect(201);
        assert_eq!(made.at("/user/is_superuser"), "true");
        let me = t.anonymous().bearer(&made.at("/access_token")).get("/v1/auth/me").await.expect(200);
        assert_eq!(me.at("/is_superuser"), "true");
        assert_eq!(is_required(&t).await, "false");
        let again = admin(&token, "second@example.com");
        t.anonymous().post("/v1/setup/create-admin", again).await.problem(403, "forbidden");
        assert_eq!(t.number("SELECT COUNT(*) FROM users").await, 1);
    }

    async fn another_token_makes_no_administrator(t: TestApp) {
        let dana = t.person("dana").await;
        for token in ["", "srm_set_000000000000000000000000000000000000", &dana.refresh_token] {
            let refused = t.anonymous().post("/v1/setup/create-admin", admin(token, "root@example.com")).await;
            refused.problem(403, "forbidden");
        }
        assert_eq!(is_required(&t).await, "true");
        assert_eq!(t.number("SELECT COUNT(*) FROM users WHERE is_superuser").await, 0);
    }

    async fn of_two_who_race_one_becomes_administrator(t: TestApp) {
        let token = t.setup_token().unwrap_or_default().to_owned();
        let client = t.anonymous();
        let (one, two) = tokio::join!(
            client.post("/v1/setup/create-admin", admin(&token, "one@example.com")),
            client.post("/v1/setup/create-admin", admin(&token, "two@example.com")),
        );
        let mut statuses = [one.status(), two.status()];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 403]);
        assert_eq!(t.number("SELECT COUNT(*) FROM users").await, 1);
    }
}

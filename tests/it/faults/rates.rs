//! Limits hold without Redis: each process counts for itself.

use harness::app;
use harness::processes::{self, Installation};
use harness::servers::Redis;
use harness::{Answer, Client};
use serde_json::json;

async fn login(client: &Client) -> Answer {
    let body = json!({ "email": "nobody@example.com", "password": "wrong horse battery" });
    client.post("/v1/auth/login", body).await
}

#[test]
fn a_wiped_and_a_stopped_redis_forgive_nobody() {
    processes::run(async {
        let redis = Redis::start();
        let installation = Installation::scaled(&app::postgres_database().await, &redis.url())
            // Three a minute.
            .with("STRONGROOM_RATE_LIMIT_SCALE", "0.01");
        let api = installation.api().await;
        let anyone = Client::new(&api.url);
        for _ in 0..3 {
            assert_ne!(login(&anyone).await.header("x-ratelimit-limit"), None);
        }
        login(&anyone).await.problem(429, "rate_limited");
        redis.flush_all();
        login(&anyone).await.problem(429, "rate_limited");
        redis.stop();
        login(&anyone).await.problem(429, "rate_limited");
        anyone.get("/v1/setup/status").await.expect(200).ok();
    });
}

//! What callers see while the database is gone, and after.

use harness::app::{Options, eventually, run};
use harness::servers::Postgres;
use harness::{Backend, TestApp};
use serde_json::json;

#[test]
fn a_database_that_is_gone_is_a_503_and_its_return_needs_no_restart() {
    let postgres = Postgres::start_fast();
    run(async {
        let options = Options::new(Backend::Postgres).with("STRONGROOM_DATABASE_URL", postgres.url("postgres"));
        let t = TestApp::start(options).await;
        let acme = t.org("acme").await;
        let secret = acme.project("web").await.env("production").secret("DB_URL");
        let owner = acme.owner.client();
        owner.put(&secret, json!({ "value": "one" })).await.ok();

        postgres.stop();
        let anyone = t.anonymous();
        let (read, write, login, ready) = tokio::join!(
            owner.get(&secret),
            owner.put(&secret, json!({ "value": "two" })),
            anyone.post("/v1/auth/login", json!({ "email": "a@example.com", "password": "x" })),
            anyone.get("/ready"),
        );
        for answer in [read, write, login, ready] {
            let answer = answer.problem(503, "unavailable");
            assert!(
                answer
                    .header("retry-after")
                    .is_some_and(|seconds| seconds.parse::<u64>().is_ok_and(|s| s > 0))
            );
            assert_eq!(answer.header("www-authenticate"), None);
        }
        anyone.get("/health").await.ok();

        postgres.start_again();
        eventually("the service is ready again", || async {
            anyone.get("/ready").await.status() == 200
        })
        .await;
        assert_eq!(owner.get(&secret).await.expect(200).at("/value"), "one");
        owner.put(&secret, json!({ "value": "three" })).await.ok();
        let report = owner.get("/v1/orgs/acme/audit-logs/verify").await.ok();
        assert_eq!(report.at("/valid"), "true", "{}", report.text());
        t.stop().await;
    });
}

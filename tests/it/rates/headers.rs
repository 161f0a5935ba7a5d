//! What every answer tells of it.

use harness::on_each_backend;
use reqwest::Method;
use serde_json::json;

use super::{limited, told};

on_each_backend! {
    async fn every_answer_tells_how_far_one_may_go(backend: Backend) {
        let t = limited(backend, "1").await;
        let acme = t.org("acme").await;
        let (owner, anyone) = (acme.owner.client(), t.anonymous());
        let broken = owner.send_bytes(Method::POST, "/v1/orgs", "application/json", b"{".to_vec()).await;
        let answers = [
            (200, owner.get("/v1/orgs/acme").await),
            (201, owner.post("/v1/orgs", json!({ "name": "More" })).await),
            (400, broken),
            (401, anyone.get("/v1/orgs").await),
            (404, owner.get("/v1/orgs/nowhere").await),
            (404, anyone.get("/nowhere").await),
            (405, owner.put("/v1/orgs", json!({})).await),
            (413, owner.send_bytes(Method::POST, "/v1/orgs", "text/plain", vec![b'x'; (1 << 20) + 1]).await),
            (422, owner.post("/v1/orgs", json!({ "name": "" })).await),
            (200, anyone.get("/openapi.json").await),
            (200, anyone.get("/docs").await),
            (200, anyone.get("/health").await),
        ];
        for (n, (status, answer)) in answers.iter().enumerate() {
            assert_eq!(answer.status(), *status, "{n}: {}", answer.text());
            let (limit, remaining) = told(answer);
            assert!(remaining < limit, "{n}");
            assert!(answer.header("x-ratelimit-reset").is_some_and(|reset| reset.parse::<u64>().is_ok()), "{n}");
            assert_eq!(answer.header("retry-after"), None, "{n}");
        }
    }

    async fn the_limits_are_those_of_the_contract(backend: Backend) {
        let t = limited(backend, "1").await;
        let (dana, anyone) = (t.person("dana").await, t.anonymous());
        t.sql("UPDATE orgs SET plan = 'free'").await;
        let explain = "/v1/orgs/dana/access/who-can?permission=org%3Aread";
        for (limit, answer) in [
            (1000, anyone.get("/v1/orgs").await),
            (600, anyone.post("/v1/orgs", json!({})).await),
            (300, anyone.post("/v1/auth/login", json!({})).await),
            (300, anyone.post("/v1/auth/token/refresh", json!({})).await),
            (60, anyone.post("/v1/auth/password/forgot", json!({})).await),
            (100, anyone.get("/v1/admin/metrics/summary").await),
            (1000, anyone.get(explain).await),
            // Of the plan.
            (120, dana.get("/v1/orgs").await),
            (120, dana.post("/v1/orgs", json!({})).await),
        ] {
            assert_eq!(told(&answer).0, limit, "{}", answer.text());
        }
    }

    async fn nothing_is_told_when_nothing_is_counted(backend: Backend) {
        let t = limited(backend, "0").await;
        for _ in 0..20 {
            assert_eq!(t.anonymous().get("/v1/orgs").await.header("x-ratelimit-limit"), None);
        }
    }

    async fn health_is_never_refused(backend: Backend) {
        let t = limited(backend, "0.001").await;
        for _ in 0..20 {
            t.anonymous().get("/health").await.expect(200).ok();
            t.anonymous().get("/ready").await.expect(200).ok();
        }
    }
}

//! Whom a request counts against.

use std::time::Duration;

use domain::crypto::token::{Token, TokenKind};
use harness::client::Credential;
use harness::on_each_backend;
use reqwest::Method;
use serde_json::json;

use super::{limited, told};

on_each_backend! {
    async fn each_credential_has_its_own_count_and_each_class_too(backend: Backend) {
        let t = limited(backend, "0.002").await;
        // Reads: 2 from an address, 20 of a credential. Changes: 1 and 12.
        let dana = t.person("dana").await;
        let other = dana.token(json!({ "name": "other" })).await;
        t.advance(Duration::from_mins(2));
        for remaining in (0..20).rev() {
            let answer = dana.get("/v1/auth/me").await.expect(200);
            assert_eq!(told(&answer), (20, remaining));
        }
        let refused = dana.get("/v1/auth/me").await.problem(429, "rate_limited");
        assert_eq!((told(&refused), refused.header("retry-after")), ((20, 0), Some("3")));
        other.get("/v1/auth/me").await.expect(200).ok();
        dana.patch("/v1/auth/me", json!({ "first_name": "Dana" })).await.expect(200).ok();
        t.advance(Duration::from_secs(3));
        dana.get("/v1/auth/me").await.expect(200).ok();
        dana.get("/v1/auth/me").await.problem(429, "rate_limited");
    }

    async fn it_is_decided_before_the_body_is_read(backend: Backend) {
        let t = limited(backend, "0.002").await;
        let dana = t.person("dana").await;
        dana.get("/v1/auth/me").await.expect(200).ok();
        let broken = || dana.send_bytes(Method::POST, "/v1/orgs", "application/json", b"{".to_vec());
        for _ in 0..12 {
            broken().await.problem(400, "malformed_request");
        }
        broken().await.problem(429, "rate_limited");
    }

    async fn a_larger_plan_has_more(backend: Backend) {
        let t = limited(backend, "0.1").await;
        let dana = t.person("dana").await;
        for (plan, limit) in [("free", 100), ("team", 200), ("business", 500), ("self_hosted", 1000), ("gold", 100)] {
            t.sql(&format!("UPDATE orgs SET plan = '{plan}'")).await;
            t.advance(Duration::from_mins(6));
            // The plan is looked at once it is time, for the requests that follow.
            dana.get("/v1/auth/me").await.expect(200).ok();
            assert_eq!(told(&dana.get("/v1/auth/me").await).0, limit, "{plan}");
        }
    }

    async fn until_it_is_proven_a_credential_counts_against_its_address(backend: Backend) {
        let t = limited(backend, "0.01").await;
        let dana = t.person("dana").await;
        let fresh = dana.token(json!({ "name": "fresh" })).await;
        dana.get("/v1/auth/me").await.expect(200).ok();
        t.advance(Duration::from_mins(2));
        for n in 0..10 {
            let unknown = Token::generate(t.db().rng(), TokenKind::Personal).expect("a token");
            let answer = t.anonymous().bearer(unknown.expose()).get("/v1/auth/me").await;
            assert_eq!(told(&answer.problem(401, "unauthenticated")), (10, 9 - n));
        }
        for garbage in ["srm_pat_garbage", "x", ""] {
            t.anonymous().bearer(garbage).get("/v1/auth/me").await.problem(429, "rate_limited");
        }
        t.anonymous().get("/v1/webhook-events").await.problem(429, "rate_limited");
        // It was there before.
        dana.get("/v1/auth/me").await.expect(200).ok();
        fresh.get("/v1/auth/me").await.problem(429, "rate_limited");
        t.advance(Duration::from_secs(6));
        fresh.get("/v1/auth/me").await.expect(200).ok();
        fresh.get("/v1/auth/me").await.expect(200).ok();
    }

    async fn a_credential_that_is_revoked_counts_against_its_address_again(backend: Backend) {
        let t = limited(backend, "0.01").await;
        let dana = t.person("dana").await;
        let made = dana.post("/v1/auth/tokens", json!({ "name": "short" })).await.expect(201);
        let token = t.anonymous().bearer(&made.at("/token"));
        token.get("/v1/auth/me").await.expect(200).ok();
        dana.delete(&format!("/v1/auth/tokens/{}", made.at("/id"))).await.expect(204).ok();
        t.advance(Duration::from_mins(2));
        let answer = token.get("/v1/auth/me").await.problem(401, "unauthenticated");
        assert_eq!(told(&answer).0, 100, "it was good when it was last seen");
        let answer = token.get("/v1/auth/me").await.problem(401, "unauthenticated");
        assert_eq!(told(&answer), (10, 9));
    }

    async fn no_spelling_of_a_credential_gives_it_another_count(backend: Backend) {
        let t = limited(backend, "0.01").await;
        let dana = t.person("dana").await;
        let Credential::Bearer(token) = &dana.client().credential else { unreachable!("by bearer") };
        t.advance(Duration::from_mins(2));
        let spelled = |name: &str, value: String| t.anonymous().with(name, &value);
        let clients = [
            spelled("Authorization", format!("Bearer {token}")),
            spelled("Authorization", format!("bEARER   {token}")),
            spelled("Cookie", format!("a=b; strongroom={token}")),
        ];
        for (n, client) in clients.iter().chain(&clients).enumerate() {
            let (limit, remaining) = told(&client.get("/v1/auth/me").await.expect(200));
            assert_eq!((limit, usize::try_from(remaining).expect("a number")), (100, 99 - n));
        }
    }
}

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

    async fn the_plan_says_how_many(backend: Backend) {
        let t = limited(backend, "0.1").await;
        let dana = t.person("dana").await;
        for (plan, limit) in [("free", 12), ("team", 60), ("business", 300), ("self_hosted", 1000)] {
            t.sql(&format!("UPDATE orgs SET plan = '{plan}'")).await;
            t.advance(Duration::from_mins(2));
            // The plan is looked at once it is time, for the requests that follow.
            dana.get("/v1/auth/me").await.expect(200).ok();
            assert_eq!(told(&dana.get("/v1/auth/me").await).0, limit, "{plan}");
        }
    }

    async fn what_was_set_for_the_plan_and_for_the_organisation_decides(backend: Backend) {
        let t = limited(backend, "1").await;
        let acme = t.org("acme").await;
        let bound = acme.owner.token(json!({ "name": "ci", "org": "acme" })).await;
        t.sql("UPDATE orgs SET plan = 'team'").await;
        let path = acme.path("/projects");
        let heard = async || {
            t.advance(Duration::from_mins(2));
            bound.get(&path).await.expect(200).ok();
            t.advance(Duration::from_mins(2));
            told(&bound.get(&path).await.expect(200)).0
        };
        assert_eq!(heard().await, 600);
        t.sql("INSERT INTO plan_limits (plan, key, value, updated_at) VALUES ('team', 'rate_limit_rpm', 50, 0)").await;
        assert_eq!(heard().await, 50);
        t.sql("INSERT INTO limit_overrides (org_id, key, value, reason, set_at)
            SELECT id, 'rate_limit_rpm', 3, '', 0 FROM orgs WHERE slug = 'acme'").await;
        assert_eq!(heard().await, 3);
        for remaining in [1, 0] {
            assert_eq!(told(&bound.get(&path).await.expect(200)), (3, remaining));
        }
        let refused = bound.get(&path).await.problem(429, "rate_limited");
        assert_eq!((told(&refused), refused.header("retry-after")), ((3, 0), Some("20")));
        // Changes are counted by themselves, and so is the session of somebody who belongs to another organisation too.
        bound.post(&path, json!({ "name": "Web" })).await.expect(201).ok();
        acme.owner.get(&path).await.expect(200).ok();
        assert_eq!(told(&acme.owner.get(&path).await.expect(200)).0, 50);
        // What was set for a while counts for a while.
        let until = t.clock.now().micros();
        t.sql(&format!("UPDATE limit_overrides SET expires_at = {until}")).await;
        assert_eq!(heard().await, 50);
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

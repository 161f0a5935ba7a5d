//! Trading a token of a CI or a cluster for one of a service account.

use harness::node::Node;
use harness::{Answer, Client, Org, TestApp, on_both};
use serde_json::{Value, json};

use super::{liar, tell};
use crate::oauth::{error, post};

const EXCHANGE: &str = "/v1/auth/token/exchange";

/// A service account that may read, with a rule for the jobs of one repository.
async fn robot(acme: &Org<'_>, node: &Node) -> String {
    let robot = json!({ "name": "ci", "role": "viewer", "with_key": false });
    let robot = acme
        .owner
        .post(&acme.path("/service-accounts"), robot)
        .await
        .expect(201)
        .at("/id");
    let rule = json!({
        "name": "main of web", "issuer": node.url, "audience": "https://strongroom.example.com",
        "claims": { "sub": "repo:acme/web:ref:refs/heads/*", "repository_owner_id": "42", "/kubernetes.io/namespace": "ci" },
    });
    let rules = acme.path(&format!("/service-accounts/{robot}/federated-identities"));
    acme.owner.post(&rules, rule).await.expect(201).ok();
    robot
}

/// A token of a job, with some things changed.
async fn token(t: &TestApp, node: &Node, change: Value) -> String {
    let now = t.clock.now().secs();
    let mut all = json!({
        "claims": {
            "iss": node.url, "aud": "https://strongroom.example.com", "sub": "repo:acme/web:ref:refs/heads/main",
            "repository_owner_id": 42, "kubernetes.io": { "namespace": "ci" }, "jti": format!("{:?}", std::time::Instant::now()),
            "iat": now, "exp": now + 300,
        },
    });
    for (part, values) in change.as_object().unwrap() {
        match values {
            Value::Object(values) => {
                for (name, value) in values {
                    all[part][name] = value.clone();
                }
            }
            plain => all[part] = plain.clone(),
        }
    }
    tell(node, "/mint", all).await.expect(200).text()
}

async fn trade(t: &TestApp, robot: &str, token: &str) -> Answer {
    let body = json!({ "service_account": robot, "token": token });
    t.anonymous().post(EXCHANGE, body).await
}

async fn traded(t: &TestApp, robot: &str, token: &str) -> Client {
    let made = trade(t, robot, token).await.expect(200);
    t.anonymous().api_key(&made.at("/token"))
}

on_both! {
    async fn a_job_gets_a_token_of_fifteen_minutes(t: TestApp) {
        let (acme, node) = (t.org("acme").await, liar());
        let robot = robot(&acme, &node).await;
        let made = trade(&t, &robot, &token(&t, &node, json!({})).await).await.expect(200);
        assert_eq!((made.at("/expires_in"), made.at("/service_account")), ("900".into(), robot.clone()));
        assert!(made.at("/token").starts_with("srm_sak_"));
        let job = t.anonymous().api_key(&made.at("/token"));
        assert_eq!(job.get("/v1/orgs/acme").await.expect(200).at("/role"), "viewer");
        let log = acme.owner.get("/v1/orgs/acme/audit-logs?action=service_account.token_issued").await.expect(200);
        assert_eq!(log.at("/data/0/metadata/subject"), "repo:acme/web:ref:refs/heads/main");
        let keys = acme.owner.get(&acme.path(&format!("/service-accounts/{robot}/keys"))).await.expect(200);
        assert_eq!(keys.at("/pagination/total"), "0", "it is no key");
        t.sql("UPDATE credentials SET expires_at = 1 WHERE kind = 'service_token'").await;
        job.get("/v1/orgs/acme").await.problem(401, "unauthenticated");
    }

    async fn what_it_was_traded_for_is_not_traded_again(t: TestApp) {
        let (acme, node) = (t.org("acme").await, liar());
        acme.owner.patch(&acme.path(""), json!({ "realm_enabled": true })).await.expect(200).ok();
        let robot = robot(&acme, &node).await;
        let job = trade(&t, &robot, &token(&t, &node, json!({})).await).await.expect(200).at("/token");
        let pairs = [("grant_type", "client_credentials"), ("client_id", robot.as_str()), ("client_secret", job.as_str())];
        error(&post(&t.anonymous(), "/oauth/token", &pairs).await, 400, "unauthorized_client");
        let grant = json!({ "grant_type": "client_credentials", "client_id": robot, "client_secret": job });
        t.anonymous().post(&acme.path("/tokens"), grant).await.problem(401, "invalid_credentials");
        let made = "SELECT COUNT(*) FROM credentials WHERE kind IN ('oauth_access', 'realm_access')";
        assert_eq!(t.number(made).await, 0);
        t.anonymous().api_key(&job).get("/v1/orgs/acme").await.expect(200).ok();
    }

    async fn a_token_is_traded_once(t: TestApp) {
        let (acme, node) = (t.org("acme").await, liar());
        let robot = robot(&acme, &node).await;
        for change in [json!({}), json!({ "claims": { "jti": null } })] {
            let token = token(&t, &node, change).await;
            let answers = futures_util::future::join_all((0..8).map(|_| trade(&t, &robot, &token))).await;
            let won = answers.iter().filter(|answer| answer.status() == 200).count();
            assert_eq!(won, 1);
            trade(&t, &robot, &token).await.problem(401, "invalid_credentials");
        }
        // The same id in another signature is the same token.
        let first = token(&t, &node, json!({ "claims": { "jti": "one" } })).await;
        let second = token(&t, &node, json!({ "claims": { "jti": "one" } })).await;
        assert_ne!(first, second);
        traded(&t, &robot, &first).await;
        trade(&t, &robot, &second).await.problem(401, "invalid_credentials");
    }

    async fn whatever_does_not_fit_is_refused_alike(t: TestApp) {
        let (acme, node, other) = (t.org("acme").await, liar(), liar());
        let robot = robot(&acme, &node).await;
        let now = t.clock.now().secs();
        let mut answers = Vec::new();
        for change in [
            json!({ "claims": { "aud": "https://another.example.com" } }),
            json!({ "claims": { "aud": null } }),
            json!({ "claims": { "sub": "repo:acme/website:ref:refs/heads/main" } }),
            json!({ "claims": { "sub": "repo:evil/web:ref:refs/heads/main" } }),
            json!({ "claims": { "sub": "repo:acme/web:pull_request" } }),
            json!({ "claims": { "sub": ["repo:acme/web:ref:refs/heads/main"] } }),
            json!({ "claims": { "repository_owner_id": 43 } }),
            json!({ "claims": { "repository_owner_id": null } }),
            json!({ "claims": { "kubernetes.io": { "namespace": "default" } } }),
            json!({ "claims": { "kubernetes.io": "ci" } }),
            json!({ "claims": { "exp": now - 1 } }),
            json!({ "claims": { "exp": null } }),
            json!({ "claims": { "iat": null } }),
            json!({ "claims": { "iat": now - 3700, "exp": now + 300 } }),
            json!({ "claims": { "nbf": now + 600 } }),
            json!({ "claims": { "iss": other.url } }),
            json!({ "key": "other" }),
            json!({ "key": "none" }),
            json!({ "key": "hs256" }),
            json!({ "header": { "kid": "k2" } }),
            json!({ "header": { "typ": "at+jwt" } }),
        ] {
            let refused = trade(&t, &robot, &token(&t, &node, change.clone()).await).await;
            assert_eq!(refused.status(), 401, "{change}: {}", refused.text());
            answers.push(refused.at("/detail"));
        }
        // Another issuer's key under this issuer's name.
        let forged = token(&t, &other, json!({ "claims": { "iss": node.url } })).await;
        answers.push(trade(&t, &robot, &forged).await.problem(401, "invalid_credentials").at("/detail"));
        let good = token(&t, &node, json!({})).await;
        for robot in ["sa_00000000000000000000000001", "nobody", ""] {
            answers.push(trade(&t, robot, &good).await.problem(401, "invalid_credentials").at("/detail"));
        }
        answers.push(trade(&t, &robot, "no token").await.problem(401, "invalid_credentials").at("/detail"));
        answers.dedup();
        assert_eq!(answers.len(), 1, "{answers:?}");
        traded(&t, &robot, &good).await.get("/v1/orgs/acme").await.expect(200).ok();
    }

    async fn tokens_end_with_their_rule_and_their_account(t: TestApp) {
        let (acme, node) = (t.org("acme").await, liar());
        let robot = robot(&acme, &node).await;
        let account = acme.path(&format!("/service-accounts/{robot}"));
        let job = traded(&t, &robot, &token(&t, &node, json!({})).await).await;
        acme.owner.patch(&account, json!({ "enabled": false })).await.expect(200).ok();
        job.get("/v1/orgs/acme").await.problem(401, "unauthenticated");
        trade(&t, &robot, &token(&t, &node, json!({})).await).await.problem(401, "invalid_credentials");
        acme.owner.patch(&account, json!({ "enabled": true })).await.expect(200).ok();
        job.get("/v1/orgs/acme").await.expect(200).ok();
        let rules = format!("{account}/federated-identities");
        let rule = acme.owner.get(&rules).await.expect(200);
        assert!(!rule.at("/data/0/last_used_at").is_empty());
        acme.owner.delete(&format!("{rules}/{}", rule.at("/data/0/id"))).await.expect(204).ok();
        job.get("/v1/orgs/acme").await.problem(401, "unauthenticated");
        trade(&t, &robot, &token(&t, &node, json!({})).await).await.problem(401, "invalid_credentials");
    }

    async fn a_rule_is_as_narrow_as_its_issuer_needs(t: TestApp) {
        let acme = t.org("acme").await;
        let robot = acme.owner.post(&acme.path("/service-accounts"), json!({ "name": "ci" })).await.expect(201).at("/id");
        let rules = acme.path(&format!("/service-accounts/{robot}/federated-identities"));
        let github = "https://token.actions.githubusercontent.com";
        for (issuer, claims, field) in [
            (github, json!({ "ref": "refs/heads/main" }), "claims"),
            (github, json!({ "sub": "repo:*" }), "claims"),
            ("https://gitlab.com", json!({ "project_path": "*/web" }), "claims"),
            ("https://issuer.example.com", json!({}), "claims"),
            ("https://issuer.example.com", json!({ "sub": "*" }), "claims"),
            ("http://169.254.169.254/", json!({ "sub": "a" }), "issuer"),
            ("ftp://issuer.example.com", json!({ "sub": "a" }), "issuer"),
        ] {
            let rule = json!({ "issuer": issuer, "audience": "x", "claims": claims });
            let refused = acme.owner.post(&rules, rule.clone()).await.problem(422, "invalid_field");
            assert_eq!(refused.at("/errors/0/field"), field, "{rule}");
        }
        // A cluster whose issuer nobody outside can reach names its keys.
        let inside = json!({
            "issuer": "https://kubernetes.default.svc", "jwks_uri": "https://keys.example.com/jwks", "audience": "x",
            "claims": { "sub": "system:serviceaccount:ci:deployer" },
        });
        acme.owner.post(&rules, inside).await.expect(201).ok();
    }
}

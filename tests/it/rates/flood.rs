//! Guessing at full speed, with every trick that forwarding headers allow.

use std::time::Duration;

use harness::app::Options;
use harness::{Client, TestApp, on_each_backend};
use serde_json::json;

use super::{limited, told};

/// Headers in which proxies name the client.
const FORWARDING: [&str; 9] = [
    "X-Forwarded-For",
    "X-Real-IP",
    "Forwarded",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "CF-Connecting-IP",
    "True-Client-IP",
    "Fastly-Client-IP",
    "X-Original-Forwarded-For",
];
/// The limit of sign-ins times the scale.
const LIMIT: usize = 60;

/// A client that says it comes from the `n`-th address.
fn disguised(client: &Client, n: usize) -> Client {
    let ip = format!("198.51.{}.{}", n / 250, n % 250 + 1);
    FORWARDING.iter().fold(client.clone(), |client, name| {
        let value = if *name == "Forwarded" {
            format!("for={ip}")
        } else {
            ip.clone()
        };
        client.with(name, &value)
    })
}

/// Signs in until it is refused; tells how often it was looked at. Each time another account: no account slows it.
async fn onset(attempts: impl Iterator<Item = Client>) -> usize {
    let mut looked_at = 0;
    for (n, client) in attempts.enumerate() {
        let body = json!({ "email": format!("guess-{n}@example.com"), "password": "wrong horse battery" });
        let answer = client.post("/v1/auth/login", body).await;
        if answer.status() == 429 {
            assert_eq!(told(&answer).1, 0);
            break;
        }
        answer.problem(401, "invalid_credentials");
        looked_at += 1;
    }
    looked_at
}

on_each_backend! {
    async fn forwarding_headers_of_strangers_do_not_put_the_refusal_off(backend: Backend) {
        let t = limited(backend, "0.2").await;
        let anyone = t.anonymous();
        assert_eq!(onset((0..200).map(|_| anyone.clone())).await, LIMIT);
        t.advance(Duration::from_mins(2));
        assert_eq!(onset((0..200).map(|n| disguised(&anyone, n))).await, LIMIT);
        t.advance(Duration::from_mins(2));
        let dana = t.person("dana").await;
        // Nor does a good token.
        assert_eq!(onset((0..200).map(|_| dana.client().clone())).await, LIMIT - 1);
    }

    async fn whoever_is_signed_in_goes_on_during_a_flood_from_the_same_address(backend: Backend) {
        let t = limited(backend, "0.2").await;
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        acme.owner.put(&env.secret("DB_URL"), json!({ "value": "one" })).await.ok();
        let anyone = t.anonymous();
        onset((0..200).map(|n| disguised(&anyone, n))).await;
        acme.owner.get(&env.secrets()).await.expect(200).ok();
        acme.owner.put(&env.secret("DB_URL"), json!({ "value": "two" })).await.ok();
    }

    async fn behind_a_trusted_proxy_each_client_has_its_own_count(backend: Backend) {
        let options = Options::new(backend)
            .stopped_clock()
            .with("STRONGROOM_RATE_LIMIT_SCALE", "0.01")
            .with("STRONGROOM_TRUSTED_PROXIES", "127.0.0.0/8");
        let t = TestApp::start(options).await;
        let anyone = t.anonymous();
        let from = |ip: &str| anyone.with("X-Forwarded-For", ip);
        assert_eq!(onset((0..10).map(|_| from("198.51.100.7"))).await, 3);
        assert_eq!(onset((0..10).map(|_| from("198.51.100.8"))).await, 3);
        // What stands left of the last stranger was written by that stranger.
        assert_eq!(onset((0..10).map(|n| from(&format!("192.0.2.{n}, 198.51.100.8")))).await, 0);
    }
}

//! Keys of service accounts: several at once, each with an end of its own.

use std::time::Duration;

use harness::app::{Options, eventually};
use harness::{TestApp, on_both, on_each_backend};
use serde_json::{Value, json};

use super::ACCOUNTS;

const LIVE: &str = "SELECT COUNT(*) FROM credentials WHERE kind = 'service_key' AND revoked_at IS NULL";

on_both! {
    async fn a_key_is_replaced_without_an_interruption(t: TestApp) {
        let acme = t.org("acme").await;
        let made = acme.owner.post(ACCOUNTS, json!({ "name": "robot", "role": "viewer" })).await.expect(201);
        let keys = format!("{ACCOUNTS}/{}/keys", made.at("/id"));
        let next = acme.owner.post(&keys, json!({ "name": "2030", "expires_days": 7 })).await.expect(201);
        let (old, new) = (t.anonymous().api_key(&made.at("/key")), t.anonymous().api_key(&next.at("/key")));
        for client in [&old, &new] {
            client.get("/v1/orgs/acme").await.expect(200).ok();
        }
        acme.owner.delete(&format!("{keys}/{}", made.at("/key_id"))).await.expect(204).ok();
        old.get("/v1/orgs/acme").await.problem(401, "unauthenticated");
        new.get("/v1/orgs/acme").await.expect(200).ok();
        acme.owner.delete(&format!("{keys}/{}", made.at("/key_id"))).await.problem(404, "not_found");
        let list = acme.owner.get(&keys).await.expect(200);
        assert_eq!((list.at("/pagination/total"), list.at("/data/0/id")), ("1".into(), next.at("/id")));
    }

    async fn a_key_is_listed_by_its_ends_and_its_use_is_noted(t: TestApp) {
        let acme = t.org("acme").await;
        let made = acme.owner.post(ACCOUNTS, json!({ "name": "robot", "role": "viewer" })).await.expect(201);
        let account = format!("{ACCOUNTS}/{}", made.at("/id"));
        let keys = format!("{account}/keys");
        let next = acme.owner.post(&keys, json!({ "name": " 2030 " })).await.expect(201);
        let key = next.at("/key");
        assert_eq!((next.at("/name"), next.at("/prefix")), ("2030".into(), "srm_sak_".into()));
        assert_eq!(Some(next.at("/last_four").as_str()), key.get(key.len() - 4..));
        let list = acme.owner.get(&keys).await.expect(200);
        assert_eq!((list.at("/data/0/id"), list.at("/data/1/id")), (next.at("/id"), made.at("/key_id")));
        assert!(!list.text().contains(&key) && list.json().pointer("/data/0/last_used_at").is_none());
        t.anonymous().api_key(&key).get("/v1/orgs/acme").await.expect(200).ok();
        eventually("the use is noted", || async {
            let used = acme.owner.get(&keys).await.json().pointer("/data/0/last_used_at").is_some_and(Value::is_string);
            used && acme.owner.get(&account).await.json()["last_used_at"].is_string()
        })
        .await;
        assert!(acme.owner.get(&keys).await.json().pointer("/data/1/last_used_at").is_none());
    }

    async fn at_most_ten_keys_work_at_once_however_many_are_asked_for_together(t: TestApp) {
        let acme = t.org("acme").await;
        let made = acme.owner.post(ACCOUNTS, json!({ "name": "robot" })).await.expect(201);
        let keys = format!("{ACCOUNTS}/{}/keys", made.at("/id"));
        let ask = || acme.owner.post(&keys, json!({}));
        let answers = futures_util::future::join_all((0..20).map(|_| ask())).await;
        let statuses: Vec<_> = answers.iter().map(harness::Answer::status).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 9, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 11, "{statuses:?}");
        assert_eq!(t.number(LIVE).await, 10);
        acme.owner.delete(&format!("{keys}/{}", made.at("/key_id"))).await.expect(204).ok();
        ask().await.expect(201).ok();
    }

    async fn a_key_of_another_account_is_none_of_this_one(t: TestApp) {
        let acme = t.org("acme").await;
        let one = acme.owner.post(ACCOUNTS, json!({ "name": "one" })).await.expect(201);
        let two = acme.owner.post(ACCOUNTS, json!({ "name": "two" })).await.expect(201);
        let token = acme.owner.post("/v1/auth/tokens", json!({ "name": "ci" })).await.expect(201);
        for id in [two.at("/key_id"), token.at("/id"), "tok_x".to_owned()] {
            let path = format!("{ACCOUNTS}/{}/keys/{id}", one.at("/id"));
            acme.owner.delete(&path).await.problem(404, "not_found");
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM credentials WHERE revoked_at IS NOT NULL").await, 0);
    }

    async fn what_is_wrong_is_named_and_no_key_is_made(t: TestApp) {
        let acme = t.org("acme").await;
        let made = acme.owner.post(ACCOUNTS, json!({ "name": "robot" })).await.expect(201);
        let keys = format!("{ACCOUNTS}/{}/keys", made.at("/id"));
        for (body, field) in [
            (json!({ "name": "x".repeat(201) }), "name"),
            (json!({ "name": "a\nb" }), "name"),
            (json!({ "expires_days": 0 }), "expires_days"),
            (json!({ "expires_days": -7 }), "expires_days"),
            (json!({ "expires_days": 3651 }), "expires_days"),
        ] {
            let refused = acme.owner.post(&keys, body.clone()).await.problem(422, "invalid_field");
            assert_eq!(refused.at("/errors/0/field"), field, "{body}");
        }
        assert_eq!(t.number(LIVE).await, 1);
    }
}

on_each_backend! {
    async fn a_key_ends_at_its_very_instant_and_then_makes_room(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        let body = json!({ "name": "robot", "role": "viewer", "expires_days": 1 });
        let made = acme.owner.post(ACCOUNTS, body).await.expect(201);
        let keys = format!("{ACCOUNTS}/{}/keys", made.at("/id"));
        let token = acme.owner.token(json!({ "name": "later" })).await;
        for _ in 0..9 {
            acme.owner.post(&keys, json!({})).await.expect(201).ok();
        }
        let robot = t.anonymous().api_key(&made.at("/key"));
        t.advance(Duration::from_hours(24) - Duration::from_micros(1));
        robot.get("/v1/orgs/acme").await.expect(200).ok();
        token.post(&keys, json!({})).await.problem(409, "conflict");
        t.advance(Duration::from_micros(1));
        robot.get("/v1/orgs/acme").await.problem(401, "unauthenticated");
        token.post(&keys, json!({})).await.expect(201).ok();
    }
}

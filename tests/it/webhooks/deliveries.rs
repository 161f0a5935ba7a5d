//! What arrives at an endpoint.

use harness::app::Options;
use harness::{Receiver, TestApp, on_both, on_each_backend};
use serde_json::{Value, json};

use super::{deliveries, expect_state, hook, path};

fn types(receiver: &Receiver) -> Vec<String> {
    let kind = |body: Value| body["type"].as_str().unwrap_or_default().to_owned();
    let mut seen: Vec<_> = receiver.received().iter().map(|request| kind(request.json())).collect();
    seen.sort();
    seen
}

on_both! {
    async fn an_event_arrives_signed_and_without_the_value(t: TestApp) {
        let receiver = Receiver::start().await;
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let made = hook(&acme, &receiver.url, json!({})).await;
        let env = web.env("production");
        acme.owner.put(&env.secret("DB_URL"), json!({ "value": "canary-value", "comment": "canary-comment" })).await.ok();
        let requests = receiver.expect(1).await;
        let [request] = &requests[..] else { return assert_eq!(requests.len(), 1) };
        let event = acme.owner.get(&acme.path("/audit-logs?action=secret.created")).await.json()["data"][0].clone();
        let environment = acme.owner.get(&env.0).await.at("/id");
        let secret = acme.owner.get(&env.secret("DB_URL")).await.at("/id");
        let expected = json!({
            "id": event["id"], "type": "secret.created", "timestamp": event["at"], "seq": event["seq"],
            "org_id": acme.id.to_string(),
            "data": {
                "project": web.id.to_string(), "environment": environment, "revision": 1,
                "keys": [{ "key": "DB_URL", "version": 1 }],
                "resource": { "type": "secret", "id": secret },
                "actor": { "type": "user", "id": acme.owner.id.to_string() },
            },
        });
        assert_eq!(request.json(), expected);
        assert!(!String::from_utf8_lossy(&request.body).contains("canary"));
        assert_eq!(request.header("webhook-id"), event["id"].as_str().unwrap_or_default());
        assert_eq!(request.header("content-type"), "application/json");
        assert!(request.is_signed_with(&made.at("/secret")));
        let other = hook(&acme, "https://example.com/", json!({})).await;
        assert!(!request.is_signed_with(&other.at("/secret")));
    }

    async fn every_delivered_event_has_its_number_in_the_journal(t: TestApp) {
        let receiver = Receiver::start().await;
        let acme = t.org("acme").await;
        hook(&acme, &receiver.url, json!({})).await;
        let web = acme.project("web").await;
        let env = web.env("staging");
        acme.owner.put(&env.secret("A"), json!({ "value": "1" })).await.ok();
        acme.owner.put(&env.secret("A"), json!({ "value": "2" })).await.ok();
        acme.owner.get(&env.secret("A")).await.ok();
        acme.owner.delete(&env.secret("A")).await.ok();
        acme.owner.patch(&acme.path(""), json!({ "name": "Acme" })).await.ok();
        for request in receiver.expect(5).await {
            let body = request.json();
            let event = acme.owner.get(&acme.path(&format!("/audit-logs/{}", request.header("webhook-id")))).await.expect(200);
            assert_eq!((event.json()["seq"].clone(), event.json()["action"].clone()), (body["seq"].clone(), body["type"].clone()));
        }
        assert_eq!(types(&receiver), ["org.updated", "project.created", "secret.created", "secret.deleted", "secret.updated"]);
    }

    async fn an_endpoint_gets_the_events_that_it_asked_for(t: TestApp) {
        let (all, some) = (Receiver::start().await, Receiver::start().await);
        let acme = t.org("acme").await;
        hook(&acme, &all.url, json!({})).await;
        hook(&acme, &some.url, json!({ "events": ["secret.deleted", "secret.deleted"] })).await;
        let env = acme.project("web").await.env("staging");
        acme.owner.put(&env.secret("A"), json!({ "value": "1" })).await.ok();
        acme.owner.delete(&env.secret("A")).await.ok();
        all.expect(3).await;
        some.expect(1).await;
        assert_eq!(types(&some), ["secret.deleted"]);
    }

    async fn an_endpoint_gets_the_projects_environments_and_keys_that_it_filters_for(t: TestApp) {
        let acme = t.org("acme").await;
        let (web, api) = (acme.project("web").await, acme.project("api").await);
        let staging = acme.owner.get(&web.env("staging").0).await.at("/id");
        let filters = [
            json!({ "projects": [web.id.to_string()] }),
            json!({ "environments": [staging] }),
            json!({ "keys": ["DB_*", "TOKEN"] }),
            json!({ "projects": [api.id.to_string()], "keys": ["*"] }),
        ];
        let mut hooks = Vec::new();
        for filter in &filters {
            let body = json!({ "filters": filter, "events": ["secret.created"] });
            hooks.push(hook(&acme, "https://example.com/", body).await);
        }
        for (project, env, key) in [
            (&web, "staging", "DB_URL"), (&web, "production", "TOKEN"), (&web, "production", "TOKEN_2"), (&api, "staging", "A"),
        ] {
            acme.owner.put(&project.env(env).secret(key), json!({ "value": "v" })).await.ok();
        }
        let mut counts = Vec::new();
        for made in &hooks {
            counts.push(deliveries(&acme, made).await.len());
        }
        assert_eq!(counts, [3, 1, 2, 1]);
        acme.owner.patch(&path(&acme, &hooks[1], ""), json!({ "filters": {} })).await.expect(200).ok();
        acme.owner.put(&api.env("staging").secret("B"), json!({ "value": "v" })).await.ok();
        assert_eq!(deliveries(&acme, &hooks[1]).await.len(), 2);
    }

    async fn who_filters_for_a_key_is_told_of_all_that_happens_to_it(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let env = web.env("staging");
        let some = hook(&acme, "https://example.com/", json!({ "filters": { "keys": ["DB_URL"] } })).await;
        for value in ["one", "two"] {
            acme.owner.put(&env.secret("DB_URL"), json!({ "value": value })).await.ok();
        }
        acme.owner.delete(&format!("{}/versions/1", env.secret("DB_URL"))).await.ok();
        acme.owner.patch(&env.secret("DB_URL"), json!({ "key": "DATABASE_URL" })).await.expect(200).ok();
        // That is another key now.
        acme.owner.put(&env.secret("DATABASE_URL"), json!({ "value": "three" })).await.ok();
        acme.owner.post(&format!("{}/template", web.path), json!({ "key": "DB_URL" })).await.expect(201).ok();
        let told: Vec<_> = deliveries(&acme, &some).await.iter().rev().map(|one| one["event_type"].clone()).collect();
        let expected = ["secret.created", "secret.updated", "secret.version_destroyed", "secret.updated", "template.key_created"];
        assert_eq!(told, expected);
    }

    async fn the_log_of_a_delivery_tells_what_came_of_it(t: TestApp) {
        let receiver = Receiver::start().await;
        let acme = t.org("acme").await;
        let made = hook(&acme, &receiver.url, json!({})).await;
        acme.project("web").await;
        let delivery = expect_state(&acme, &made, "succeeded", 1).await;
        assert!(delivery["id"].as_str().is_some_and(|id| id.starts_with("dlv_")));
        assert_eq!((&delivery["event_type"], &delivery["cause"]), (&json!("project.created"), &json!("event")));
        assert!(delivery.get("next_attempt_at").is_none());
        let attempt = &delivery["attempts"][0];
        assert_eq!((&attempt["status"], &attempt["outcome"]), (&json!(204), &json!("ok")));
        assert_eq!(attempt["remote_ip"], "127.0.0.1");
        for timing in ["connect_ms", "first_byte_ms", "total_ms"] {
            assert!(attempt[timing].as_f64().is_some_and(|ms| ms > 0.0), "{timing}: {attempt}");
        }
        assert!(attempt["total_ms"].as_f64() >= attempt["first_byte_ms"].as_f64());
        let one = acme.owner.get(&path(&acme, &made, &format!("/deliveries/{}", delivery["id"].as_str().unwrap_or_default()))).await;
        assert_eq!(one.expect(200).json(), delivery);
        let other = hook(&acme, "https://example.com/", json!({})).await;
        let elsewhere = path(&acme, &other, &format!("/deliveries/{}", delivery["id"].as_str().unwrap_or_default()));
        acme.owner.get(&elsewhere).await.problem(404, "not_found");
    }

    async fn deliveries_are_paged_by_offset_and_by_cursor(t: TestApp) {
        let receiver = Receiver::start().await;
        let acme = t.org("acme").await;
        let made = hook(&acme, &receiver.url, json!({ "events": ["project.created"] })).await;
        for slug in ["a", "b", "c", "d", "e"] {
            acme.project(slug).await;
        }
        receiver.expect(5).await;
        let all: Vec<_> = deliveries(&acme, &made).await.iter().map(|delivery| delivery["id"].clone()).collect();
        let (mut seen, mut after) = (Vec::new(), String::new());
        for page in 0..3 {
            let answer = acme.owner.get(&path(&acme, &made, &format!("/deliveries?limit=2{after}"))).await.expect(200);
            assert_eq!((answer.at("/pagination/total"), answer.at("/pagination/has_more")), ("5".into(), (page < 2).to_string()));
            let by_offset = acme.owner.get(&path(&acme, &made, &format!("/deliveries?limit=2&offset={}", page * 2))).await;
            let ids = |answer: &harness::Answer| -> Vec<Value> {
                answer.json()["data"].as_array().into_iter().flatten().map(|delivery| delivery["id"].clone()).collect()
            };
            assert_eq!(ids(&by_offset), ids(&answer));
            seen.extend(ids(&answer));
            after = format!("&after={}", answer.at("/pagination/next_cursor"));
        }
        assert_eq!((seen, after), (all, "&after=".to_owned()));
        acme.owner.get(&path(&acme, &made, "/deliveries?after=nonsense")).await.problem(422, "invalid_field");
    }
}

on_each_backend! {
    async fn the_log_of_a_delivery_to_a_name_tells_what_finding_it_took(backend: Backend) {
        let receiver = Receiver::start().await;
        // Plain http wants all addresses of a name to be open.
        let t = TestApp::start(Options::new(backend).with("STRONGROOM_EGRESS_ALLOW", "127.0.0.0/8,::1/128")).await;
        let acme = t.org("acme").await;
        let made = hook(&acme, &receiver.url.replace("127.0.0.1", "localhost"), json!({})).await;
        let tested = acme.owner.post(&path(&acme, &made, "/test"), json!({})).await.expect(200);
        let attempt = tested.json()["attempts"][0].clone();
        assert_eq!((&attempt["outcome"], &attempt["remote_ip"]), (&json!("ok"), &json!("127.0.0.1")));
        for timing in ["dns_ms", "connect_ms", "first_byte_ms", "total_ms"] {
            assert!(attempt[timing].as_f64().is_some_and(|ms| ms > 0.0), "{timing}: {attempt}");
        }
    }
}

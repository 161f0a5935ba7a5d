//! Sending an event once more.

use harness::{Receiver, on_both};
use serde_json::json;

use super::{deliveries, expect_state, hook, path};

on_both! {
    async fn a_resent_event_is_the_same_event_in_a_new_delivery(t: TestApp) {
        let receiver = Receiver::start().await;
        let acme = t.org("acme").await;
        let made = hook(&acme, &receiver.url, json!({ "events": ["project.created"] })).await;
        acme.project("web").await;
        let first = expect_state(&acme, &made, "succeeded", 1).await;
        let resend = path(&acme, &made, &format!("/deliveries/{}/resend", first["id"].as_str().unwrap_or_default()));
        let queued = acme.owner.send(reqwest::Method::POST, &resend, None).await.expect(202);
        assert_eq!((queued.at("/cause"), queued.at("/event_id")), ("resend".into(), first["event_id"].as_str().unwrap_or_default().into()));
        assert!(queued.json()["id"] != first["id"]);
        let requests = receiver.expect(2).await;
        assert_eq!(requests[0].header("webhook-id"), requests[1].header("webhook-id"));
        assert_eq!(requests[0].body, requests[1].body);
        // As often as somebody wants.
        acme.owner.send(reqwest::Method::POST, &resend, None).await.expect(202).ok();
        receiver.expect(3).await;
        assert_eq!(deliveries(&acme, &made).await.len(), 3);
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'webhook.resent'").await, 2);
    }

    async fn nothing_is_resent_to_a_webhook_that_is_off(t: TestApp) {
        let receiver = Receiver::start().await;
        let acme = t.org("acme").await;
        let made = hook(&acme, &receiver.url, json!({ "events": ["project.created"] })).await;
        acme.project("web").await;
        let first = expect_state(&acme, &made, "succeeded", 1).await;
        acme.owner.patch(&path(&acme, &made, ""), json!({ "enabled": false })).await.expect(200).ok();
        let resend = path(&acme, &made, &format!("/deliveries/{}/resend", first["id"].as_str().unwrap_or_default()));
        acme.owner.send(reqwest::Method::POST, &resend, None).await.problem(409, "conflict");
        let other = hook(&acme, "https://example.com/", json!({})).await;
        let elsewhere = path(&acme, &other, &format!("/deliveries/{}/resend", first["id"].as_str().unwrap_or_default()));
        acme.owner.send(reqwest::Method::POST, &elsewhere, None).await.problem(404, "not_found");
        assert_eq!(deliveries(&acme, &made).await.len(), 1);
    }
}

//! The test operation: a real delivery, answered at once.

use std::time::Duration;

use harness::{Receiver, on_both};
use serde_json::json;

use super::{hook, path, says};

on_both! {
    async fn a_test_is_a_signed_delivery_whose_result_is_answered(t: TestApp) {
        let receiver = Receiver::start().await;
        let acme = t.org("acme").await;
        let made = hook(&acme, &receiver.url, json!({ "events": ["secret.deleted"] })).await;
        let tested = acme.owner.post(&path(&acme, &made, "/test"), json!({})).await.expect(200);
        assert_eq!((tested.at("/state"), tested.at("/cause")), ("succeeded".into(), "test".into()));
        assert_eq!((tested.at("/event_type"), tested.at("/attempts/0/status")), ("webhook.tested".into(), "204".into()));
        let requests = receiver.expect(1).await;
        let [request] = &requests[..] else { return assert_eq!(requests.len(), 1) };
        assert!(request.is_signed_with(&made.at("/secret")));
        assert_eq!(request.json()["type"], "webhook.tested");
        assert_eq!(request.header("webhook-id"), tested.at("/event_id"));
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'webhook.tested'").await, 1);
    }

    async fn a_test_that_fails_says_how_and_is_not_tried_again(t: TestApp) {
        let receiver = Receiver::start().await;
        receiver.answer(500, Duration::ZERO);
        let acme = t.org("acme").await;
        let made = hook(&acme, &receiver.url, json!({})).await;
        let tested = acme.owner.post(&path(&acme, &made, "/test"), json!({})).await.expect(200);
        assert_eq!((tested.at("/state"), tested.at("/attempts/0/status")), ("failed".into(), "500".into()));
        assert_eq!((tested.at("/attempts/0/outcome"), tested.at("/attempts/0/response_body")), ("http".into(), "seen".into()));
        assert!(tested.json().get("next_attempt_at").is_none());
        assert_eq!(receiver.received().len(), 1);
    }

    async fn a_test_of_nobody_says_that_nobody_was_there(t: TestApp) {
        let acme = t.org("acme").await;
        let gone = Receiver::start().await.url.clone();
        let made = hook(&acme, &gone, json!({})).await;
        let tested = acme.owner.post(&path(&acme, &made, "/test"), json!({})).await.expect(200);
        assert_eq!((tested.at("/state"), tested.at("/attempts/0/outcome")), ("failed".into(), "connect".into()));
        assert!(tested.json().pointer("/attempts/0/status").is_none());
        assert!(!tested.at("/attempts/0/error").is_empty());
    }

    async fn the_first_16_kib_of_an_answer_are_kept(t: TestApp) {
        let acme = t.org("acme").await;
        for (sent, kept) in [(16 * 1024, 16 * 1024), (200 * 1024, 16 * 1024), (10, 10)] {
            let body = "y".repeat(sent);
            let url = says(format!("HTTP/1.1 200 OK\r\nContent-Length: {sent}\r\nConnection: close\r\n\r\n{body}")).await;
            let made = hook(&acme, &url, json!({})).await;
            let tested = acme.owner.post(&path(&acme, &made, "/test"), json!({})).await.expect(200);
            assert_eq!((tested.at("/state"), tested.at("/attempts/0/status")), ("succeeded".into(), "200".into()));
            assert_eq!(tested.at("/attempts/0/response_body").len(), kept);
        }
    }
}

//! Order, rate and breaker of a webhook, as its owner and its receiver see them.

use std::time::Duration;

use harness::app::{Options, eventually};
use harness::{Receiver, TestApp, on_both, on_each_backend};
use serde_json::json;

use super::{hook, path};

async fn stopped(backend: harness::Backend) -> TestApp {
    TestApp::start(Options::new(backend).stopped_clock()).await
}

on_both! {
    async fn order_and_rate_are_shown_and_changed(t: TestApp) {
        let acme = t.org("acme").await;
        let plain = hook(&acme, "https://example.com/", json!({})).await;
        assert_eq!(plain.at("/ordered"), "false");
        assert!(plain.json().get("rate").is_none());
        let rate = json!({ "deliveries": 100, "per": "minute" });
        let made = hook(&acme, "https://example.com/", json!({ "ordered": true, "rate": rate })).await;
        assert_eq!((made.at("/ordered"), &made.json()["rate"]), ("true".into(), &rate));
        let quicker = json!({ "deliveries": 5, "per": "second" });
        let change = json!({ "ordered": false, "rate": quicker });
        let changed = acme.owner.patch(&path(&acme, &made, ""), change).await.expect(200);
        assert_eq!((changed.at("/ordered"), &changed.json()["rate"]), ("false".into(), &quicker));
        let renamed = acme.owner.patch(&path(&acme, &made, ""), json!({ "description": "d" })).await.expect(200);
        assert_eq!(renamed.json()["rate"], quicker, "what is absent stays");
        let none = json!({ "rate": { "deliveries": 0, "per": "second" } });
        acme.owner.patch(&path(&acme, &made, ""), none).await.expect(200).ok();
        let shown = acme.owner.get(&path(&acme, &made, "")).await.expect(200);
        assert!(shown.json().get("rate").is_none());
    }

    async fn a_rate_is_a_thousand_at_most(t: TestApp) {
        let acme = t.org("acme").await;
        for deliveries in [-1, 1001] {
            let rate = json!({ "deliveries": deliveries, "per": "second" });
            let body = json!({ "url": "https://example.com/", "events": ["*"], "rate": rate });
            let refused = acme.owner.post(&acme.path("/webhooks"), body).await.problem(422, "invalid_field");
            assert_eq!((refused.at("/errors/0/field"), refused.at("/errors/0/reason")), ("rate.deliveries".into(), "range".into()));
        }
    }
}

on_each_backend! {
    async fn an_ordered_webhook_waits_for_the_event_that_failed(backend: Backend) {
        let (receiver, other) = (Receiver::start().await, Receiver::start().await);
        receiver.answer(500, Duration::ZERO);
        let t = stopped(backend).await;
        let acme = t.org("acme").await;
        let made = hook(&acme, &receiver.url, json!({ "events": ["project.created"], "ordered": true })).await;
        hook(&acme, &other.url, json!({ "events": ["project.created"] })).await;
        for slug in ["one", "two", "three", "four"] {
            acme.project(slug).await;
        }
        other.expect(4).await;
        receiver.expect(1).await;
        // Somebody who wants to know now is answered now.
        let tested = acme.owner.post(&path(&acme, &made, "/test"), json!({})).await.expect(200);
        assert_eq!(tested.at("/attempts/0/status"), "500");
        let types: Vec<_> = receiver.received().iter().map(|request| request.json()["type"].clone()).collect();
        assert_eq!(types, ["project.created", "webhook.tested"], "the first event, and the test");
        receiver.answer(204, Duration::ZERO);
        t.advance(Duration::from_secs(7));
        let requests = receiver.expect(6).await;
        let events = requests.iter().filter(|request| request.json()["type"] == "project.created");
        let seqs: Vec<i64> = events.filter_map(|request| request.json()["seq"].as_i64()).collect();
        assert_eq!(seqs.len(), 5);
        assert_eq!(seqs[0], seqs[1], "the first is tried again before the second");
        assert!(seqs[1..].is_sorted_by(|earlier, later| earlier < later), "{seqs:?}");
    }

    async fn a_rate_holds_deliveries_back_and_uses_up_no_attempt(backend: Backend) {
        let receiver = Receiver::start().await;
        let t = stopped(backend).await;
        let acme = t.org("acme").await;
        let rate = json!({ "deliveries": 1, "per": "second" });
        hook(&acme, &receiver.url, json!({ "events": ["project.created"], "rate": rate })).await;
        for slug in ["one", "two", "three"] {
            acme.project(slug).await;
        }
        for count in 1..=3 {
            receiver.expect(count).await;
            tokio::time::sleep(Duration::from_millis(1200)).await;
            assert_eq!(receiver.received().len(), count, "the clock stands still");
            t.advance(Duration::from_secs(1));
        }
        eventually("all have arrived", || async {
            t.number("SELECT COUNT(*) FROM jobs WHERE webhook_id IS NOT NULL AND state = 2 AND attempt = 1").await == 3
        })
        .await;
    }

    async fn after_ten_failures_a_webhook_is_paused_and_one_delivery_tries(backend: Backend) {
        let receiver = Receiver::start().await;
        receiver.answer(500, Duration::ZERO);
        let t = stopped(backend).await;
        let acme = t.org("acme").await;
        let made = hook(&acme, &receiver.url, json!({ "events": ["project.created"] })).await;
        for n in 0..12 {
            acme.project(&format!("p{n}")).await;
        }
        let paused = async || acme.owner.get(&path(&acme, &made, "")).await.expect(200).json()["health"].clone();
        eventually("it is paused", || async { paused().await.get("paused_until").is_some() }).await;
        let health = paused().await;
        assert_eq!((&health["state"], &health["paused_until"]), (&json!("failing"), &json!("2030-01-02T03:04:35.000Z")));
        let before = receiver.received().len();
        assert!((10..=12).contains(&before), "{before}");
        // The retries are due; the pause is not over. What somebody asks for goes out all the same.
        t.advance(Duration::from_secs(7));
        let newest = acme.owner.get(&path(&acme, &made, "/deliveries")).await.expect(200).at("/data/0/id");
        acme.owner.post(&path(&acme, &made, &format!("/deliveries/{newest}/resend")), json!({})).await.expect(202).ok();
        receiver.expect(before + 1).await;
        tokio::time::sleep(Duration::from_millis(1300)).await;
        assert_eq!(receiver.received().len(), before + 1);
        receiver.answer(204, Duration::ZERO);
        t.advance(Duration::from_secs(24));
        let delivered = "SELECT COUNT(*) FROM jobs WHERE webhook_id IS NOT NULL AND cause = 'event' AND state = 2";
        eventually("the trial succeeds and the others follow", || async { t.number(delivered).await == 12 }).await;
        let health = paused().await;
        assert_eq!((&health["state"], health.get("paused_until")), (&json!("healthy"), None));
    }
}

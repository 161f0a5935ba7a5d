//! How a webhook does, and what becomes of one that does badly. The clock stands still and is moved by hand.

use std::time::Duration;

use harness::app::{Options, eventually};
use harness::mailbox::{expect_letter, letters};
use harness::{Receiver, TestApp, on_each_backend};
use serde_json::{Value, json};

use super::catalogue::Catalogue;
use super::{deliveries, expect_state, hook, path};

/// Subject of the mail that tells of it.
const SWITCHED_OFF: &str = "A webhook was switched off";
const DAY: Duration = Duration::from_hours(24);

async fn stopped(backend: harness::Backend) -> TestApp {
    TestApp::start(Options::new(backend).stopped_clock()).await
}

on_each_backend! {
    async fn failures_and_successes_show_in_the_health(backend: Backend) {
        let receiver = Receiver::start().await;
        let t = stopped(backend).await;
        let acme = t.org("acme").await;
        let made = hook(&acme, &receiver.url, json!({ "events": ["project.created"] })).await;
        assert_eq!(made.json()["health"], json!({ "state": "healthy", "consecutive_failures": 0 }));
        receiver.answer(500, Duration::ZERO);
        acme.owner.post(&path(&acme, &made, "/test"), json!({})).await.expect(200).ok();
        let shown = acme.owner.get(&path(&acme, &made, "")).await.expect(200);
        assert_eq!(shown.at("/health/state"), "healthy", "a test that fails is somebody trying");
        acme.project("web").await;
        expect_state(&acme, &made, "pending", 1).await;
        let shown = acme.owner.get(&path(&acme, &made, "")).await.expect(200);
        let at = "2030-01-02T03:04:05.000Z";
        let failing = json!({ "state": "failing", "consecutive_failures": 1, "failing_since": at, "last_failure_at": at });
        assert_eq!(shown.json()["health"], failing);
        let causes: Vec<_> = ["/recent_deliveries/0/cause", "/recent_deliveries/1/cause"].map(|cause| shown.at(cause)).into();
        assert_eq!(causes, ["event", "test"]);
        let list = acme.owner.get(&acme.path("/webhooks")).await.expect(200);
        assert_eq!(list.json()["data"][0]["health"], failing);
        receiver.answer(204, Duration::ZERO);
        t.advance(Duration::from_secs(6));
        expect_state(&acme, &made, "succeeded", 2).await;
        let shown = acme.owner.get(&path(&acme, &made, "")).await.expect(200);
        let later = "2030-01-02T03:04:11.000Z";
        let healthy = json!({ "state": "healthy", "consecutive_failures": 0, "last_failure_at": at, "last_success_at": later });
        assert_eq!(shown.json()["health"], healthy);
    }

    async fn five_days_of_failures_switch_it_off_and_its_owners_are_told(backend: Backend) {
        let (receiver, other) = (Receiver::start().await, Receiver::start().await);
        receiver.answer(500, Duration::ZERO);
        let t = stopped(backend).await;
        let mut acme = t.org("acme").await;
        let made = hook(&acme, &receiver.url, json!({ "events": ["project.created"] })).await;
        hook(&acme, &other.url, json!({ "events": ["webhook.*"] })).await;
        acme.project("web").await;
        expect_state(&acme, &made, "pending", 1).await;
        t.advance(5 * DAY);
        let told = other.expect(1).await;
        let id = made.at("/id");
        assert_eq!(Catalogue::of(&t).await.assert_fits(&told[0].json()), "webhook.disabled");
        assert_eq!((&told[0].json()["data"]["webhook"], &told[0].json()["data"]["reason"]), (&json!(id), &json!("failing")));
        assert_eq!(told[0].json()["data"]["actor"]["type"], "system");
        acme.owner = acme.owner.signs_in_again().await;
        let shown = acme.owner.get(&path(&acme, &made, "")).await.expect(200);
        assert_eq!((shown.at("/enabled"), shown.at("/health/state")), ("false".into(), "disabled".into()));
        assert_eq!(shown.at("/health/disabled_reason"), "failing");
        let mail = expect_letter(&t, &acme.owner.email, SWITCHED_OFF, 1).await;
        assert!(mail.contains(&id) && mail.contains("127.0.0.1") && !mail.contains("/hook"), "{mail}");
        // What waits is kept, and goes out once it is switched on.
        let waiting = expect_state(&acme, &made, "pending", 2).await;
        receiver.answer(204, Duration::ZERO);
        let on = acme.owner.patch(&path(&acme, &made, ""), json!({ "enabled": true })).await.expect(200);
        assert_eq!((on.at("/health/state"), on.at("/health/consecutive_failures")), ("healthy".into(), "0".into()));
        assert!(on.json()["health"].get("disabled_reason").is_none() && on.json()["health"].get("failing_since").is_none());
        t.advance(Duration::from_mins(10));
        acme.owner = acme.owner.signs_in_again().await;
        let done = expect_state(&acme, &made, "succeeded", 3).await;
        assert_eq!(done["id"], waiting["id"]);
        assert_eq!(letters(&t, &acme.owner.email, SWITCHED_OFF).len(), 1);
    }

    async fn a_success_within_the_five_days_keeps_it_on(backend: Backend) {
        let receiver = Receiver::start().await;
        receiver.answer(500, Duration::ZERO);
        let t = stopped(backend).await;
        let mut acme = t.org("acme").await;
        let made = hook(&acme, &receiver.url, json!({ "events": ["project.created"] })).await;
        acme.project("one").await;
        expect_state(&acme, &made, "pending", 1).await;
        receiver.answer(204, Duration::ZERO);
        t.advance(4 * DAY);
        acme.owner = acme.owner.signs_in_again().await;
        expect_state(&acme, &made, "succeeded", 2).await;
        receiver.answer(500, Duration::ZERO);
        acme.project("two").await;
        expect_state(&acme, &made, "pending", 1).await;
        t.advance(4 * DAY);
        acme.owner = acme.owner.signs_in_again().await;
        expect_state(&acme, &made, "pending", 2).await;
        assert_eq!(acme.owner.get(&path(&acme, &made, "")).await.at("/enabled"), "true");
        assert!(letters(&t, &acme.owner.email, SWITCHED_OFF).is_empty());
    }

    async fn a_receiver_that_is_gone_cancels_what_waits_and_others_are_told(backend: Backend) {
        let (receiver, other) = (Receiver::start().await, Receiver::start().await);
        receiver.answer(500, Duration::ZERO);
        let t = stopped(backend).await;
        let acme = t.org("acme").await;
        let made = hook(&acme, &receiver.url, json!({ "events": ["project.created", "webhook.disabled"] })).await;
        hook(&acme, &other.url, json!({ "events": ["webhook.disabled"] })).await;
        acme.project("one").await;
        expect_state(&acme, &made, "pending", 1).await;
        receiver.answer(410, Duration::ZERO);
        t.advance(Duration::from_secs(1));
        acme.project("two").await;
        let told = other.expect(1).await;
        assert_eq!(Catalogue::of(&t).await.assert_fits(&told[0].json()), "webhook.disabled");
        assert_eq!((&told[0].json()["data"]["webhook"], &told[0].json()["data"]["reason"]), (&json!(made.at("/id")), &json!("gone")));
        eventually("what waits is cancelled", || async {
            let states: Vec<Value> = deliveries(&acme, &made).await.iter().map(|delivery| delivery["state"].clone()).collect();
            states == [json!("failed"), json!("cancelled")]
        })
        .await;
        let shown = acme.owner.get(&path(&acme, &made, "")).await.expect(200);
        assert_eq!((shown.at("/health/state"), shown.at("/health/disabled_reason")), ("disabled".into(), "gone".into()));
        expect_letter(&t, &acme.owner.email, SWITCHED_OFF, 1).await;
    }
}

//! What happens after a delivery that failed. The clock stands still and is moved by hand.

use std::time::Duration;

use domain::jobs::RETRY_DELAYS;
use harness::app::{Options, eventually};
use harness::{Backend, Receiver, TestApp, on_each_backend};
use serde_json::json;

use super::{deliveries, expect_state, hook, path, says};

async fn stopped(backend: Backend) -> TestApp {
    TestApp::start(Options::new(backend).stopped_clock()).await
}

on_each_backend! {
    async fn a_failed_delivery_is_tried_again_until_it_is_taken(backend: Backend) {
        let receiver = Receiver::start().await;
        receiver.answer(500, Duration::ZERO);
        let t = stopped(backend).await;
        let acme = t.org("acme").await;
        let made = hook(&acme, &receiver.url, json!({ "events": ["project.created"] })).await;
        acme.project("web").await;
        let failed = expect_state(&acme, &made, "pending", 1).await;
        let next = failed["next_attempt_at"].as_str().unwrap_or_default();
        assert!(("2030-01-02T03:04:09.000Z"..="2030-01-02T03:04:11.000Z").contains(&next), "5 s, more or less: {next}");
        receiver.answer(204, Duration::ZERO);
        t.advance(Duration::from_secs(6));
        let done = expect_state(&acme, &made, "succeeded", 2).await;
        let statuses = [&done["attempts"][0]["status"], &done["attempts"][1]["status"]];
        assert_eq!(statuses, [&json!(500), &json!(204)]);
        let requests = receiver.received();
        let ids: Vec<_> = requests.iter().map(|request| request.header("webhook-id")).collect();
        assert_eq!(ids, [done["event_id"].as_str().unwrap_or_default(); 2], "the same id");
        assert_eq!(requests.first().map(|r| r.body.clone()), requests.last().map(|r| r.body.clone()), "the same bytes");
    }

    async fn a_receiver_that_asks_for_patience_gets_it_for_a_day_at_most(backend: Backend) {
        let t = stopped(backend).await;
        let acme = t.org("acme").await;
        let mut hooks = Vec::new();
        // Less than the schedule's five seconds, more, a date, more than a day, and what is no time at all.
        for (asked, range) in [
            ("1", "2030-01-02T03:04:09.000Z"..="2030-01-02T03:04:11.000Z"),
            ("3600", "2030-01-02T04:04:05.000Z"..="2030-01-02T04:04:05.999Z"),
            ("Wed, 02 Jan 2030 05:04:05 GMT", "2030-01-02T05:04:05.000Z"..="2030-01-02T05:04:05.999Z"),
            ("999999", "2030-01-03T03:04:05.000Z"..="2030-01-03T03:04:05.999Z"),
            ("soon", "2030-01-02T03:04:09.000Z"..="2030-01-02T03:04:11.000Z"),
        ] {
            let status = if hooks.len() % 2 == 0 { "503 Busy" } else { "429 Slow" };
            let head = format!("HTTP/1.1 {status}\r\nRetry-After: {asked}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            hooks.push((hook(&acme, &says(head).await, json!({ "events": ["project.created"] })).await, asked, range));
        }
        acme.project("web").await;
        for (made, asked, range) in &hooks {
            let failed = expect_state(&acme, made, "pending", 1).await;
            let next = failed["next_attempt_at"].as_str().unwrap_or_default();
            assert!(range.contains(&next), "{asked}: {next}");
            assert_eq!(failed["attempts"][0]["response_headers"]["retry-after"], *asked);
        }
    }

    async fn a_delivery_that_always_fails_ends_after_ten_attempts(backend: Backend) {
        let receiver = Receiver::start().await;
        receiver.answer(503, Duration::ZERO);
        let t = stopped(backend).await;
        let acme = t.org("acme").await;
        let made = hook(&acme, &receiver.url, json!({ "events": ["project.created"] })).await;
        acme.project("web").await;
        // Each wait is spread by a fifth. All together they are less than the five days after which a webhook that only
        // fails is switched off.
        for (attempts, delay) in (1..10).zip(RETRY_DELAYS.iter().skip(1)) {
            eventually("an attempt is made and written down", || async {
                t.number("SELECT COUNT(*) FROM job_attempts WHERE status = 503").await == attempts
                    && t.number("SELECT COUNT(*) FROM jobs WHERE webhook_id IS NOT NULL AND state = 0").await == 1
            })
            .await;
            t.advance(Duration::from_secs(delay * 6 / 5 + 1));
        }
        eventually("it is given up", || async {
            t.number("SELECT COUNT(*) FROM jobs WHERE webhook_id IS NOT NULL AND state = 3").await == 1
        })
        .await;
        t.advance(Duration::from_hours(30 * 24));
        let owner = acme.owner.signs_in_again().await;
        let list = owner.get(&path(&acme, &made, "/deliveries")).await.expect(200);
        assert_eq!((list.at("/data/0/state"), receiver.received().len()), ("failed".into(), 10));
        assert_eq!(list.json()["data"][0]["attempts"].as_array().map(Vec::len), Some(10));
        assert!(list.json()["data"][0].get("next_attempt_at").is_none());
    }

    async fn a_receiver_that_is_gone_switches_the_webhook_off(backend: Backend) {
        let receiver = Receiver::start().await;
        receiver.answer(410, Duration::ZERO);
        let t = stopped(backend).await;
        let acme = t.org("acme").await;
        let made = hook(&acme, &receiver.url, json!({ "events": ["project.created"] })).await;
        acme.project("web").await;
        expect_state(&acme, &made, "failed", 1).await;
        assert_eq!(acme.owner.get(&path(&acme, &made, "")).await.at("/enabled"), "false");
        let event = acme.owner.get(&acme.path("/audit-logs?action=webhook.disabled")).await.expect(200);
        assert_eq!((event.at("/data/0/actor/type"), event.at("/data/0/metadata/reason")), ("system".into(), "gone".into()));
        acme.project("api").await;
        assert_eq!((deliveries(&acme, &made).await.len(), receiver.received().len()), (1, 1));
    }

    async fn one_dead_endpoint_does_not_hold_up_another(backend: Backend) {
        let (dead, alive) = (Receiver::start().await, Receiver::start().await);
        dead.answer(204, Duration::from_secs(30));
        let t = TestApp::spawn(backend).await;
        let acme = t.org("acme").await;
        hook(&acme, &dead.url, json!({})).await;
        hook(&acme, &alive.url, json!({})).await;
        for n in 0..30 {
            acme.project(&format!("p{n}")).await;
        }
        alive.expect(30).await;
    }
}

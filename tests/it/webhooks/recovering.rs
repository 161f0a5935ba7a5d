//! Delivering past events once more.

use std::collections::BTreeSet;
use std::time::Duration;

use harness::app::eventually;
use harness::{Answer, Org, Receiver, on_both};
use serde_json::{Value, json};

use super::{expect_state, hook, path};

const LONG_AGO: &str = "2020-01-02T03:04:05Z";

/// Asks for a recovery and waits for its end; returns how it ended.
async fn recover(acme: &Org<'_>, hook: &Answer, body: Value) -> Value {
    let begun = acme.owner.post(&path(acme, hook, "/recover"), body).await.expect(202);
    eventually("the recovery ends", || async {
        let shown = acme.owner.get(&path(acme, hook, "")).await.expect(200);
        shown.at("/recovery/id") == begun.at("/id") && shown.at("/recovery/state") != "running"
    })
    .await;
    acme.owner.get(&path(acme, hook, "")).await.json()["recovery"].clone()
}

on_both! {
    async fn what_was_missed_while_it_was_off_is_delivered_once(t: TestApp) {
        let receiver = Receiver::start().await;
        let acme = t.org("acme").await;
        acme.project("before").await;
        let made = hook(&acme, &receiver.url, json!({ "events": ["project.created"] })).await;
        let since = made.at("/created_at");
        acme.project("one").await;
        receiver.expect(1).await;
        acme.owner.patch(&path(&acme, &made, ""), json!({ "enabled": false })).await.expect(200).ok();
        for slug in ["two", "three"] {
            acme.project(slug).await;
        }
        acme.owner.patch(&acme.path(""), json!({ "name": "Acme" })).await.ok();
        let refused = acme.owner.post(&path(&acme, &made, "/recover"), json!({ "since": since, "mode": "missing" })).await;
        refused.problem(409, "conflict");
        acme.owner.patch(&path(&acme, &made, ""), json!({ "enabled": true })).await.expect(200).ok();
        acme.project("four").await;
        let ended = recover(&acme, &made, json!({ "since": since, "mode": "missing" })).await;
        assert_eq!((&ended["state"], &ended["emitted"]), (&json!("done"), &json!(2)), "{ended}");
        assert_eq!(ended["at_seq"], ended["end_seq"]);
        let requests = receiver.expect(4).await;
        let ids: BTreeSet<_> = requests.iter().map(|request| request.header("webhook-id").to_owned()).collect();
        assert_eq!(ids.len(), 4);
        let again = recover(&acme, &made, json!({ "since": since, "mode": "missing" })).await;
        assert_eq!(again["emitted"], 0);
        assert_eq!(receiver.received().len(), 4);
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'webhook.recovery_started'").await, 2);
    }

    async fn what_failed_is_delivered_again_until_it_arrives(t: TestApp) {
        let receiver = Receiver::start().await;
        receiver.answer(500, Duration::ZERO);
        let acme = t.org("acme").await;
        let made = hook(&acme, &receiver.url, json!({ "events": ["project.created"] })).await;
        acme.project("one").await;
        let failed = expect_state(&acme, &made, "pending", 1).await;
        let wanted = json!({ "since": LONG_AGO, "mode": "failed" });
        assert_eq!(recover(&acme, &made, wanted.clone()).await["emitted"], 0, "it is still being tried");
        t.sql("UPDATE jobs SET state = 3 WHERE webhook_id IS NOT NULL").await;
        receiver.answer(204, Duration::ZERO);
        acme.project("two").await;
        expect_state(&acme, &made, "succeeded", 1).await;
        assert_eq!(recover(&acme, &made, wanted.clone()).await["emitted"], 1);
        let newest = expect_state(&acme, &made, "succeeded", 1).await;
        assert_eq!((&newest["event_id"], &newest["cause"]), (&failed["event_id"], &json!("recovery")));
        assert_eq!(recover(&acme, &made, wanted).await["emitted"], 0, "it has arrived");
    }

    async fn everything_of_a_time_can_be_delivered_again(t: TestApp) {
        let receiver = Receiver::start().await;
        let acme = t.org("acme").await;
        let made = hook(&acme, &receiver.url, json!({ "events": ["project.*"] })).await;
        for slug in ["one", "two"] {
            acme.project(slug).await;
        }
        receiver.expect(2).await;
        let all = json!({ "since": LONG_AGO, "mode": "all" });
        for round in 2..=3 {
            assert_eq!(recover(&acme, &made, all.clone()).await["emitted"], 2);
            receiver.expect(2 * round).await;
        }
        let before = json!({ "since": LONG_AGO, "until": made.at("/created_at"), "mode": "all" });
        assert_eq!(recover(&acme, &made, before).await["emitted"], 0);
    }

    async fn a_time_that_is_none_is_refused(t: TestApp) {
        let acme = t.org("acme").await;
        let made = hook(&acme, "https://example.com/", json!({})).await;
        for (body, field) in [
            (json!({ "since": "2999-01-02T03:04:05Z", "mode": "all" }), "since"),
            (json!({ "since": LONG_AGO, "until": LONG_AGO, "mode": "all" }), "until"),
        ] {
            let refused = acme.owner.post(&path(&acme, &made, "/recover"), body).await.problem(422, "invalid_field");
            assert_eq!((refused.at("/errors/0/field"), refused.at("/errors/0/reason")), (field.into(), "range".into()));
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM webhook_recoveries").await, 0);
    }

    async fn one_recovery_runs_at_a_time(t: TestApp) {
        let acme = t.org("acme").await;
        let made = hook(&acme, "https://example.com/", json!({})).await;
        let body = json!({ "since": LONG_AGO, "mode": "failed" });
        recover(&acme, &made, body.clone()).await;
        // A worker is still at it.
        eventually("the job is done", || async {
            t.number("SELECT COUNT(*) FROM jobs WHERE kind = 'recovery' AND state = 2").await == 1
        })
        .await;
        t.sql("UPDATE webhook_recoveries SET state = 'running', done_at = NULL").await;
        t.hold_jobs("recovery", i64::MAX).await;
        acme.owner.post(&path(&acme, &made, "/recover"), body.clone()).await.problem(409, "conflict");
        // Its workers died over it, one after the other.
        t.sql("UPDATE jobs SET state = 3 WHERE kind = 'recovery'").await;
        assert_eq!(recover(&acme, &made, body).await["state"], "done");
        assert_eq!(t.number("SELECT COUNT(*) FROM webhook_recoveries WHERE state = 'cancelled'").await, 1);
    }
}

//! Webhooks that are moved, switched off or deleted while deliveries wait: nothing is remembered from before.

use std::collections::BTreeSet;
use std::time::Duration;

use harness::app::eventually;
use harness::{Answer, EnvPath, Org, Receiver, TestApp, on_both};
use serde_json::json;

/// Events that wait when something is changed.
const EVENTS: usize = 80;
/// Deliveries under way to one webhook at most; a change does not reach them any more.
const UNDER_WAY: usize = 32;
/// Long enough for a sweeper to look.
const A_WHILE: Duration = Duration::from_millis(1500);

/// A webhook with a slow receiver and more events than it can take at once.
async fn busy(acme: &Org<'_>, receiver: &Receiver) -> (String, EnvPath) {
    receiver.answer(204, Duration::from_secs(5));
    let env = acme.project("web").await.env("production");
    let body = json!({ "url": receiver.url, "events": ["secret.*"] });
    let made: Answer = acme.owner.post(&acme.path("/webhooks"), body).await.expect(201);
    for n in 0..EVENTS {
        acme.owner
            .put(&env.secret("KEY"), json!({ "value": format!("value {n}") }))
            .await
            .ok();
    }
    (acme.path(&format!("/webhooks/{}", made.at("/id"))), env)
}

fn ids(receiver: &Receiver) -> Vec<String> {
    let got = receiver.received();
    got.iter().map(|one| one.header("webhook-id").to_owned()).collect()
}

/// Waits until nothing is under way any more; answers how much had arrived then, and asserts that it stays so.
async fn settled(t: &TestApp, receiver: &Receiver) -> usize {
    eventually("what is under way ends", || async {
        let running = "SELECT COUNT(*) FROM job_leases l JOIN jobs j ON j.id = l.job_id WHERE j.kind = 'webhook'";
        t.number(running).await == 0
    })
    .await;
    let arrived = receiver.received().len();
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(receiver.received().len(), arrived, "nothing more is sent");
    arrived
}

on_both! {
    async fn what_waits_for_a_webhook_that_is_moved_goes_to_its_new_place_at_once(t: TestApp) {
        let (old, new) = (Receiver::start().await, Receiver::start().await);
        let acme = t.org("acme").await;
        let (hook, env) = busy(&acme, &old).await;
        let before = old.received().len();
        acme.owner.patch(&hook, json!({ "url": new.url })).await.expect(200).ok();
        eventually("everything arrives", || async { old.received().len() + new.received().len() == EVENTS }).await;
        let (at_old, at_new) = (ids(&old), ids(&new));
        assert!(at_old.len() <= before + UNDER_WAY, "{} of {EVENTS} at the old place, {before} before", at_old.len());
        assert!(!at_new.is_empty(), "some had to wait");
        assert_eq!(at_old.iter().chain(&at_new).collect::<BTreeSet<_>>().len(), EVENTS, "each at one of them");
        acme.owner.put(&env.secret("KEY"), json!({ "value": "moved" })).await.ok();
        new.expect(at_new.len() + 1).await;
        assert_eq!(old.received().len(), at_old.len());
    }

    async fn what_waits_for_a_webhook_that_is_switched_off_stays_until_it_is_on(t: TestApp) {
        let receiver = Receiver::start().await;
        let acme = t.org("acme").await;
        let (hook, _) = busy(&acme, &receiver).await;
        let before = receiver.received().len();
        acme.owner.patch(&hook, json!({ "enabled": false })).await.expect(200).ok();
        let arrived = settled(&t, &receiver).await;
        assert!(arrived <= before + UNDER_WAY && arrived < EVENTS, "{before} before, {arrived} in all");
        acme.owner.patch(&hook, json!({ "enabled": true })).await.expect(200).ok();
        receiver.answer(204, Duration::ZERO);
        let all = receiver.expect(EVENTS).await;
        assert_eq!(all.len(), EVENTS);
        assert_eq!(ids(&receiver).iter().collect::<BTreeSet<_>>().len(), EVENTS, "and nothing twice");
    }

    async fn what_waits_for_a_webhook_that_is_deleted_is_never_sent(t: TestApp) {
        let receiver = Receiver::start().await;
        let acme = t.org("acme").await;
        let (hook, env) = busy(&acme, &receiver).await;
        let before = receiver.received().len();
        acme.owner.delete(&hook).await.expect(204).ok();
        acme.owner.put(&env.secret("KEY"), json!({ "value": "deleted" })).await.ok();
        let arrived = settled(&t, &receiver).await;
        assert!(arrived <= before + UNDER_WAY && arrived < EVENTS, "{before} before, {arrived} in all");
        let open = t.number("SELECT COUNT(*) FROM jobs WHERE kind = 'webhook' AND state = 0").await;
        assert_eq!(open, 0, "nothing waits for it");
    }
}

//! Making, changing and deleting webhooks.

use harness::{Receiver, on_both};
use serde_json::json;

use super::{deliveries, expect_state, hook, path};

on_both! {
    async fn the_secret_is_shown_at_the_making_and_never_again(t: TestApp) {
        let acme = t.org("acme").await;
        let made = hook(&acme, "https://example.com/hook", json!({ "description": "d" })).await;
        let secret = made.at("/secret");
        assert!(secret.starts_with("whsec_") && secret.len() > 30 && made.at("/id").starts_with("whk_"));
        assert_eq!((made.at("/url"), made.at("/enabled")), ("https://example.com/hook".into(), "true".into()));
        let got = acme.owner.get(&path(&acme, &made, "")).await.expect(200);
        assert_eq!((got.json()["events"].clone(), got.at("/description")), (json!(["*"]), "d".into()));
        let list = acme.owner.get(&acme.path("/webhooks")).await.expect(200);
        assert_eq!(list.at("/pagination/total"), "1");
        let patched = acme.owner.patch(&path(&acme, &made, ""), json!({ "description": "e" })).await.expect(200);
        for answer in [got, list, patched, acme.owner.get(&acme.path("/audit-logs")).await] {
            assert!(!answer.text().contains(&secret) && !answer.text().contains("whsec_"));
        }
    }

    async fn only_events_that_there_are_can_be_asked_for(t: TestApp) {
        let acme = t.org("acme").await;
        for (events, field) in [
            (json!([]), "events"),
            (json!(["secret.exploded"]), "events[0]"),
            (json!(["secret.updated", "secret.read"]), "events[1]"),
            (json!(["SECRET.UPDATED"]), "events[0]"),
        ] {
            let body = json!({ "url": "https://example.com/", "events": events });
            let refused = acme.owner.post(&acme.path("/webhooks"), body).await.problem(422, "invalid_field");
            assert_eq!(refused.at("/errors/0/field"), field);
        }
    }

    async fn filters_name_what_is_in_the_organisation(t: TestApp) {
        let (acme, zoo) = (t.org("acme").await, t.org("zoo").await);
        let (web, foreign) = (acme.project("web").await, zoo.project("web").await);
        for (filters, field) in [
            (json!({ "projects": [web.id.to_string(), foreign.id.to_string()] }), "filters.projects[1]"),
            (json!({ "projects": ["web"] }), "filters.projects[0]"),
            (json!({ "environments": ["env_01h455vb4pex5vsknk084sn02q"] }), "filters.environments[0]"),
            (json!({ "keys": ["A", "9*"] }), "filters.keys[1]"),
            (json!({ "keys": ["*A"] }), "filters.keys[0]"),
            (json!({ "keys": vec!["A"; 101] }), "filters.keys"),
        ] {
            let body = json!({ "url": "https://example.com/", "events": ["*"], "filters": filters });
            let refused = acme.owner.post(&acme.path("/webhooks"), body).await.problem(422, "invalid_field");
            assert_eq!(refused.at("/errors/0/field"), field);
        }
    }

    async fn a_webhook_of_another_organisation_is_absent(t: TestApp) {
        let (acme, zoo) = (t.org("acme").await, t.org("zoo").await);
        let made = hook(&zoo, "https://example.com/", json!({})).await;
        for rest in ["", "/deliveries"] {
            acme.owner.get(&path(&acme, &made, rest)).await.problem(404, "not_found");
        }
        acme.owner.patch(&path(&acme, &made, ""), json!({ "enabled": false })).await.problem(404, "not_found");
        acme.owner.delete(&path(&acme, &made, "")).await.problem(404, "not_found");
        acme.owner.post(&path(&acme, &made, "/test"), json!({})).await.problem(404, "not_found");
        let dana = acme.developer("dana").await;
        dana.get(&acme.path("/webhooks")).await.problem(403, "forbidden");
    }

    async fn a_webhook_that_is_off_gets_no_new_events_and_keeps_what_waits(t: TestApp) {
        let receiver = Receiver::start().await;
        receiver.answer(500, std::time::Duration::ZERO);
        let acme = t.org("acme").await;
        let made = hook(&acme, &receiver.url, json!({ "events": ["project.created"] })).await;
        acme.project("one").await;
        expect_state(&acme, &made, "pending", 1).await;
        acme.owner.patch(&path(&acme, &made, ""), json!({ "enabled": false })).await.expect(200).ok();
        acme.project("two").await;
        t.sql("UPDATE jobs SET next_at = 0 WHERE state = 0").await;
        acme.owner.post(&path(&acme, &made, "/test"), json!({})).await.problem(409, "conflict");
        receiver.answer(204, std::time::Duration::ZERO);
        acme.owner.patch(&path(&acme, &made, ""), json!({ "enabled": true })).await.expect(200).ok();
        let done = expect_state(&acme, &made, "succeeded", 2).await;
        assert_eq!(done["event_type"], "project.created");
        assert_eq!(deliveries(&acme, &made).await.len(), 1, "the second project was made while it was off");
        assert_eq!(receiver.received().len(), 2);
    }

    async fn a_deleted_webhook_cancels_what_waits(t: TestApp) {
        let receiver = Receiver::start().await;
        receiver.answer(500, std::time::Duration::ZERO);
        let acme = t.org("acme").await;
        let made = hook(&acme, &receiver.url, json!({ "events": ["project.created"] })).await;
        acme.project("one").await;
        expect_state(&acme, &made, "pending", 1).await;
        acme.owner.delete(&path(&acme, &made, "")).await.expect(204).ok();
        assert_eq!(t.number("SELECT COUNT(*) FROM jobs WHERE webhook_id IS NOT NULL AND state = 4").await, 1);
        acme.project("two").await;
        assert_eq!(t.number("SELECT COUNT(*) FROM jobs WHERE webhook_id IS NOT NULL").await, 1);
        acme.owner.get(&path(&acme, &made, "")).await.problem(404, "not_found");
        acme.owner.get(&path(&acme, &made, "/deliveries")).await.problem(404, "not_found");
        assert_eq!(acme.owner.get(&acme.path("/webhooks")).await.at("/pagination/total"), "0");
    }
}

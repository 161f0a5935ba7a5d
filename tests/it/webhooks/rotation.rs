//! Replacing the signing secret while deliveries go on.

use harness::receiver::Received;
use harness::{Receiver, on_both};
use serde_json::json;

use super::{expect_state, hook, path};

/// How many secrets signed a request: each signs twice, with itself and with the key pair that came with it.
fn signatures(request: &Received) -> usize {
    let count = request.signatures("v1").len();
    assert_eq!(request.signatures("v1a").len(), count);
    count
}

on_both! {
    async fn both_secrets_verify_during_the_overlap_and_then_the_new_one_alone(t: TestApp) {
        let receiver = Receiver::start().await;
        let acme = t.org("acme").await;
        let made = hook(&acme, &receiver.url, json!({ "events": ["project.created"] })).await;
        let old = made.at("/secret");
        let rotated = acme.owner.post(&path(&acme, &made, "/rotate-secret"), json!({})).await.expect(200);
        let new = rotated.at("/secret");
        assert!(new.starts_with("whsec_") && new != old);
        acme.project("one").await;
        let requests = receiver.expect(1).await;
        assert_eq!(signatures(&requests[0]), 2);
        assert!(requests[0].is_signed_with(&old) && requests[0].is_signed_with(&new));
        // The overlap is over.
        t.sql("UPDATE webhook_secrets SET expires_at = created_at WHERE expires_at IS NOT NULL").await;
        acme.project("two").await;
        let requests = receiver.expect(2).await;
        assert_eq!(signatures(&requests[1]), 1);
        assert!(!requests[1].is_signed_with(&old) && requests[1].is_signed_with(&new));
        let log = acme.owner.get(&acme.path("/audit-logs?action=webhook.secret_rotated")).await.expect(200);
        assert_eq!(log.at("/data/0/metadata/previous_expires_at"), rotated.at("/previous_expires_at"));
        assert!(!log.text().contains("whsec_"));
    }

    async fn the_public_key_of_a_webhook_verifies_and_changes_with_its_secret(t: TestApp) {
        let receiver = Receiver::start().await;
        let acme = t.org("acme").await;
        let made = hook(&acme, &receiver.url, json!({ "events": ["project.created"] })).await;
        let old = made.at("/public_key");
        assert!(old.starts_with("whpk_") && old.len() == "whpk_".len() + 44, "{old}");
        for shown in [acme.owner.get(&path(&acme, &made, "")).await, acme.owner.patch(&path(&acme, &made, ""), json!({})).await] {
            assert_eq!(shown.expect(200).at("/public_key"), old);
        }
        acme.project("one").await;
        let requests = receiver.expect(1).await;
        assert!(requests[0].is_signed_by(&old));
        let other = hook(&acme, "https://example.com/", json!({})).await;
        assert!(!requests[0].is_signed_by(&other.at("/public_key")));
        let new = acme.owner.post(&path(&acme, &made, "/rotate-secret"), json!({})).await.expect(200).at("/public_key");
        assert!(new.starts_with("whpk_") && new != old);
        let listed = acme.owner.get(&acme.path("/webhooks")).await.expect(200);
        assert_eq!([listed.at("/data/0/public_key"), listed.at("/data/1/public_key")], [new.clone(), other.at("/public_key")]);
        acme.project("two").await;
        let requests = receiver.expect(2).await;
        assert!(requests[1].is_signed_by(&old) && requests[1].is_signed_by(&new));
        t.sql("UPDATE webhook_secrets SET expires_at = created_at WHERE expires_at IS NOT NULL").await;
        acme.project("three").await;
        let requests = receiver.expect(3).await;
        assert!(!requests[2].is_signed_by(&old) && requests[2].is_signed_by(&new));
    }

    async fn a_webhook_of_before_there_were_key_pairs_gets_one_at_its_next_rotation(t: TestApp) {
        let receiver = Receiver::start().await;
        let acme = t.org("acme").await;
        let made = hook(&acme, &receiver.url, json!({ "events": ["project.created"] })).await;
        t.sql("UPDATE webhook_secrets SET sealed_key = NULL, public_key = NULL").await;
        let shown = acme.owner.get(&path(&acme, &made, "")).await.expect(200);
        assert!(shown.json().get("public_key").is_none());
        acme.project("one").await;
        let requests = receiver.expect(1).await;
        assert_eq!((requests[0].signatures("v1").len(), requests[0].signatures("v1a").len()), (1, 0));
        assert!(requests[0].is_signed_with(&made.at("/secret")));
        let rotated = acme.owner.post(&path(&acme, &made, "/rotate-secret"), json!({})).await.expect(200);
        acme.project("two").await;
        let requests = receiver.expect(2).await;
        assert!(requests[1].is_signed_by(&rotated.at("/public_key")) && requests[1].is_signed_with(&made.at("/secret")));
    }

    async fn a_private_key_that_was_moved_to_another_webhook_does_not_sign(t: TestApp) {
        let receiver = Receiver::start().await;
        let acme = t.org("acme").await;
        let made = hook(&acme, &receiver.url, json!({ "events": ["project.created"] })).await;
        hook(&acme, "https://example.com/", json!({})).await;
        // Each row gets the key of the other.
        let other = "SELECT o.sealed_key FROM webhook_secrets o WHERE o.id <> webhook_secrets.id";
        t.sql(&format!("UPDATE webhook_secrets SET sealed_key = ({other})")).await;
        acme.project("one").await;
        let failed = expect_state(&acme, &made, "pending", 1).await;
        assert_eq!(failed["attempts"][0]["outcome"], "internal", "{failed}");
        assert!(receiver.received().is_empty());
    }

    async fn without_an_overlap_the_old_secrets_end_at_once(t: TestApp) {
        let receiver = Receiver::start().await;
        let acme = t.org("acme").await;
        let made = hook(&acme, &receiver.url, json!({ "events": ["project.created"] })).await;
        let rotate = path(&acme, &made, "/rotate-secret");
        let second = acme.owner.post(&rotate, json!({ "overlap_hours": 168 })).await.expect(200);
        let third = acme.owner.post(&rotate, json!({ "overlap_hours": 0 })).await.expect(200);
        acme.project("one").await;
        let requests = receiver.expect(1).await;
        assert_eq!(signatures(&requests[0]), 1);
        assert!(requests[0].is_signed_with(&third.at("/secret")));
        assert!(!requests[0].is_signed_with(&second.at("/secret")) && !requests[0].is_signed_with(&made.at("/secret")));
    }

    async fn an_overlap_is_a_week_at_most(t: TestApp) {
        let acme = t.org("acme").await;
        let made = hook(&acme, "https://example.com/", json!({})).await;
        for hours in [-1, 169] {
            let refused = acme.owner.post(&path(&acme, &made, "/rotate-secret"), json!({ "overlap_hours": hours })).await;
            let refused = refused.problem(422, "invalid_field");
            assert_eq!((refused.at("/errors/0/field"), refused.at("/errors/0/reason")), ("overlap_hours".into(), "range".into()));
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM webhook_secrets").await, 1);
    }

    async fn five_secrets_are_valid_at_once(t: TestApp) {
        let acme = t.org("acme").await;
        let made = hook(&acme, "https://example.com/", json!({})).await;
        let rotate = path(&acme, &made, "/rotate-secret");
        for _ in 0..4 {
            acme.owner.post(&rotate, json!({})).await.expect(200).ok();
        }
        acme.owner.post(&rotate, json!({})).await.problem(409, "conflict");
        assert_eq!(t.number("SELECT COUNT(*) FROM webhook_secrets").await, 5);
        acme.owner.post(&rotate, json!({ "overlap_hours": 0 })).await.expect(200).ok();
        // What ended is wiped out, but for the one that names of keys are hashed under.
        acme.owner.post(&rotate, json!({ "overlap_hours": 0 })).await.expect(200).ok();
        acme.owner.post(&rotate, json!({ "overlap_hours": 1 })).await.expect(200).ok();
        assert_eq!(t.number("SELECT COUNT(*) FROM webhook_secrets").await, 3);
        assert_eq!(t.number("SELECT COUNT(*) FROM webhook_secrets WHERE hashes_names").await, 1);
        assert_eq!(t.number("SELECT COUNT(*) FROM webhook_secrets WHERE hashes_names AND sealed_key IS NULL").await, 1);
    }

    async fn the_hash_of_a_key_outlives_the_secret(t: TestApp) {
        let receiver = Receiver::start().await;
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("staging");
        let options = json!({ "events": ["secret.*"], "hash_key_names": true, "filters": { "keys": ["DB_*"] } });
        let made = hook(&acme, &receiver.url, options).await;
        assert_eq!(made.at("/hash_key_names"), "true");
        acme.owner.put(&env.secret("DB_URL"), json!({ "value": "one" })).await.ok();
        receiver.expect(1).await;
        acme.owner.post(&path(&acme, &made, "/rotate-secret"), json!({ "overlap_hours": 0 })).await.expect(200).ok();
        acme.owner.put(&env.secret("DB_URL"), json!({ "value": "two" })).await.ok();
        let requests = receiver.expect(2).await;
        let name = |request: &Received| request.json()["data"]["keys"][0]["key"].as_str().unwrap_or_default().to_owned();
        assert_eq!(name(&requests[0]).len(), 64);
        assert_eq!(name(&requests[0]), name(&requests[1]));
        assert!(requests.iter().all(|request| !String::from_utf8_lossy(&request.body).contains("DB_URL")));
        acme.owner.patch(&path(&acme, &made, ""), json!({ "hash_key_names": false })).await.expect(200).ok();
        acme.owner.put(&env.secret("DB_URL"), json!({ "value": "three" })).await.ok();
        assert_eq!(name(&receiver.expect(3).await[2]), "DB_URL");
    }
}

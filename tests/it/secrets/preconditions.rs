//! Guarding against writing over somebody else's change.

use harness::{Client, on_both};
use serde_json::json;

/// The client with `If-Match`.
fn matching(client: &Client, version: &str) -> Client {
    client.with("If-Match", version)
}

on_both! {
    async fn a_write_of_the_right_version_goes_through(t: TestApp) {
        let acme = t.org("acme").await;
        let path = acme.project("web").await.env("production").secret("A");
        let owner = acme.owner.client();
        owner.put(&path, json!({ "value": "1" })).await.expect(201).ok();
        let two = matching(owner, "\"1\"").put(&path, json!({ "value": "2" })).await.expect(200);
        assert_eq!(two.at("/version"), "2");
        let three = owner.put(&path, json!({ "value": "3", "expected_version": 2 })).await.expect(200);
        assert_eq!(three.at("/version"), "3");
        matching(owner, "\"3\"").put(&path, json!({ "value": "4", "expected_version": 3 })).await.expect(200).ok();
        matching(owner, "\"4\"").delete(&path).await.expect(200).ok();
    }

    async fn a_write_of_another_version_is_told_the_current_one_and_changes_nothing(t: TestApp) {
        let acme = t.org("acme").await;
        let path = acme.project("web").await.env("production").secret("A");
        let owner = acme.owner.client();
        for value in ["1", "2"] {
            owner.put(&path, json!({ "value": value })).await.ok();
        }
        let rows = t.number("SELECT COUNT(*) FROM journal").await;
        for refused in [
            matching(owner, "\"1\"").put(&path, json!({ "value": "x" })).await,
            matching(owner, "\"3\"").put(&path, json!({ "value": "2" })).await,
            owner.put(&path, json!({ "value": "x", "expected_version": 1 })).await,
            owner.put(&path, json!({ "value": "x", "expected_version": 0 })).await,
            owner.with("If-None-Match", "*").put(&path, json!({ "value": "2" })).await,
            matching(owner, "\"1\"").delete(&path).await,
        ] {
            assert_eq!(refused.problem(412, "version_mismatch").json()["current_version"], 2);
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM journal").await, rows);
        assert_eq!(owner.get(&path).await.at("/value"), "2");
    }

    async fn a_secret_that_is_not_there_has_version_zero(t: TestApp) {
        let acme = t.org("acme").await;
        let path = acme.project("web").await.env("production").secret("A");
        let owner = acme.owner.client();
        let refused = matching(owner, "\"1\"").put(&path, json!({ "value": "x" })).await.problem(412, "version_mismatch");
        assert_eq!(refused.json()["current_version"], 0);
        let made = owner.with("If-None-Match", "*").put(&path, json!({ "value": "1" })).await.expect(201);
        assert_eq!(made.at("/version"), "1");
        owner.delete(&path).await.expect(200).ok();
        let refused = matching(owner, "\"1\"").put(&path, json!({ "value": "x" })).await.problem(412, "version_mismatch");
        assert_eq!(refused.json()["current_version"], 0, "a deleted one is none");
        owner.with("If-None-Match", "*").put(&path, json!({ "value": "2" })).await.expect(201).ok();
    }

    async fn preconditions_that_contradict_each_other_or_say_nothing_are_malformed(t: TestApp) {
        let acme = t.org("acme").await;
        let path = acme.project("web").await.env("production").secret("A");
        let owner = acme.owner.client();
        owner.put(&path, json!({ "value": "1" })).await.ok();
        let value = json!({ "value": "2" });
        for refused in [
            matching(owner, "\"1\"").put(&path, json!({ "value": "2", "expected_version": 2 })).await,
            matching(owner, "\"1\"").with("If-None-Match", "*").put(&path, value.clone()).await,
            owner.with("If-None-Match", "*").put(&path, json!({ "value": "2", "expected_version": 1 })).await,
            owner.with("If-None-Match", "\"1\"").put(&path, value.clone()).await,
            matching(owner, "1").put(&path, value.clone()).await,
            matching(owner, "*").put(&path, value.clone()).await,
            matching(owner, "W/\"1\"").put(&path, value.clone()).await,
            matching(owner, "\"one\"").delete(&path).await,
        ] {
            refused.problem(400, "malformed_request");
        }
        assert_eq!(owner.get(&path).await.at("/version"), "1");
    }
}

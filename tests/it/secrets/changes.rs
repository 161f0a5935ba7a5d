//! Changing one secret in part, bringing it back, going back to a version, destroying one.

use harness::on_both;
use serde_json::json;

on_both! {
    async fn a_patch_changes_what_it_names(t: TestApp) {
        let acme = t.org("acme").await;
        let path = acme.project("web").await.env("production").secret("A");
        acme.owner.put(&path, json!({ "value": "one", "comment": "first" })).await.expect(201).ok();
        let commented = acme.owner.patch(&path, json!({ "comment": "second" })).await.expect(200);
        assert_eq!((commented.at("/version"), commented.at("/comment")), ("2".into(), "second".into()));
        assert_eq!(acme.owner.get(&path).await.at("/value"), "one");
        let same = acme.owner.patch(&path, json!({ "value": "one" })).await.expect(200);
        assert_eq!((same.at("/version"), same.at("/revision")), ("2".into(), "2".into()), "nothing changed");
        let stale = acme.owner.patch(&path, json!({ "value": "x", "expected_version": 1 })).await;
        assert_eq!(stale.problem(412, "version_mismatch").at("/current_version"), "2");
        acme.owner.with("If-Match", "\"2\"").patch(&path, json!({ "value": "two" })).await.expect(200).ok();
        assert_eq!(acme.owner.get(&path).await.at("/comment"), "second");
        assert_eq!(t.number("SELECT MAX(revision) FROM environments").await, 3);
    }

    async fn a_rename_keeps_id_and_versions_and_frees_the_key(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let made = acme.owner.put(&env.secret("OLD"), json!({ "value": "v" })).await.expect(201);
        let renamed = acme.owner.patch(&env.secret("OLD"), json!({ "key": "NEW" })).await.expect(200);
        assert_eq!((renamed.at("/id"), renamed.at("/version"), renamed.at("/key")), (made.at("/id"), "1".into(), "NEW".into()));
        acme.owner.get(&env.secret("OLD")).await.problem(404, "not_found");
        assert_eq!(acme.owner.get(&env.secret("NEW")).await.at("/value"), "v", "it opens under its new key");
        let again = acme.owner.put(&env.secret("OLD"), json!({ "value": "other" })).await.expect(201);
        assert_ne!(again.at("/id"), made.at("/id"));
        acme.owner.patch(&env.secret("NEW"), json!({ "key": "OLD" })).await.problem(409, "key_taken");
        acme.owner.delete(&env.secret("OLD")).await.expect(200).ok();
        acme.owner.patch(&env.secret("NEW"), json!({ "key": "OLD" })).await.expect(200).ok();
        acme.owner.post(&format!("{}/restore", env.secret("OLD")), json!({})).await.problem(409, "key_taken");
        let verified = acme.owner.get(&acme.path("/audit-logs/verify")).await.expect(200);
        assert_eq!(verified.at("/valid"), "true", "{}", verified.text());
        let bad = acme.owner.patch(&env.secret("OLD"), json!({ "key": "no key" })).await.problem(422, "invalid_field");
        assert_eq!(bad.at("/errors/0/field"), "key");
    }

    async fn a_rename_needs_both_keys(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let ci = acme.owner.token(json!({ "name": "ci", "org": "acme", "patterns": ["web/production/CI_*"] })).await;
        ci.put(&env.secret("CI_A"), json!({ "value": "v" })).await.expect(201).ok();
        ci.patch(&env.secret("CI_A"), json!({ "key": "DB_URL" })).await.problem(403, "forbidden");
        ci.patch(&env.secret("CI_A"), json!({ "key": "CI_B" })).await.expect(200).ok();
    }

    async fn what_was_deleted_comes_back_with_its_versions(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let path = env.secret("A");
        acme.owner.put(&path, json!({ "value": "one" })).await.expect(201).ok();
        acme.owner.put(&path, json!({ "value": "two" })).await.expect(200).ok();
        acme.owner.post(&format!("{path}/restore"), json!({})).await.problem(409, "key_taken");
        acme.owner.delete(&path).await.expect(200).ok();
        let back = acme.owner.post(&format!("{path}/restore"), json!({})).await.expect(200);
        assert_eq!((back.at("/version"), back.at("/revision")), ("2".into(), "4".into()));
        assert_eq!(acme.owner.get(&path).await.at("/value"), "two");
        assert_eq!(acme.owner.get(&format!("{path}/versions/1")).await.at("/value"), "one");
        acme.owner.post(&format!("{}/restore", env.secret("NEVER")), json!({})).await.problem(404, "not_found");
    }

    async fn going_back_stores_the_old_value_again_and_needs_no_right_to_read(t: TestApp) {
        let acme = t.org("acme").await;
        let dana = acme.developer("dana").await;
        let path = acme.project("web").await.env("production").secret("A");
        for value in ["one", "two"] {
            acme.owner.put(&path, json!({ "value": value, "comment": value })).await.ok();
        }
        dana.get(&path).await.problem(403, "forbidden");
        let back = dana.post(&format!("{path}/rollback"), json!({ "version": 1 })).await.expect(200);
        assert_eq!(back.at("/version"), "3");
        let read = acme.owner.get(&path).await;
        assert_eq!((read.at("/value"), read.at("/comment")), ("one".into(), "one".into()));
        let unknown = dana.post(&format!("{path}/rollback"), json!({ "version": 9 })).await.problem(422, "invalid_field");
        assert_eq!(unknown.at("/errors/0/field"), "version");
        dana.post(&format!("{path}/rollback"), json!({ "version": 1, "expected_version": 1 })).await.problem(412, "version_mismatch");
        let sealed = "SELECT COUNT(*) FROM secret_versions a JOIN secret_versions b ON a.sealed_value = b.sealed_value AND a.version < b.version";
        assert_eq!(t.number(sealed).await, 0, "each version is sealed for itself");
    }

    async fn a_destroyed_version_is_gone_from_the_database(t: TestApp) {
        let acme = t.org("acme").await;
        let dana = acme.developer("dana").await;
        let env = acme.project("web").await.env("development");
        let path = env.secret("A");
        for value in ["one", "two"] {
            acme.owner.put(&path, json!({ "value": value })).await.ok();
        }
        dana.delete(&format!("{path}/versions/1")).await.problem(403, "forbidden");
        acme.owner.delete(&format!("{path}/versions/2")).await.problem(409, "conflict");
        acme.owner.delete(&format!("{path}/versions/1")).await.expect(204).ok();
        acme.owner.delete(&format!("{path}/versions/1")).await.problem(404, "not_found");
        acme.owner.get(&format!("{path}/versions/1")).await.problem(404, "not_found");
        assert_eq!(acme.owner.get(&format!("{path}/versions")).await.at("/data/1/destroyed"), "true");
        assert_eq!(t.number("SELECT COUNT(*) FROM secret_versions WHERE sealed_value IS NOT NULL").await, 1);
        let past = acme.owner.get(&format!("{}?revision=1", env.secrets())).await.expect(200);
        assert_eq!((past.at("/destroyed/0"), past.json()["data"].as_array().map(Vec::len)), ("A".into(), Some(0)));
        acme.owner.post(&format!("{path}/rollback"), json!({ "version": 1 })).await.problem(422, "invalid_field");
    }
}

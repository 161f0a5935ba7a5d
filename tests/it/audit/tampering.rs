//! Whoever alters the database behind the application's back is found out.

use harness::{Org, TestApp, on_both, sealed};
use serde_json::json;

/// Kinds and numbers of the faults.
async fn faults(acme: &Org<'_>) -> Vec<(String, i64)> {
    let found = acme
        .owner
        .get(&acme.path("/audit-logs/verify"))
        .await
        .expect(200)
        .json();
    let list = found["faults"].as_array().cloned().unwrap_or_default();
    assert_eq!(found["valid"], json!(list.is_empty()));
    assert_eq!(found["fault_count"], json!(list.len()));
    list.iter()
        .map(|fault| {
            (
                fault["kind"].as_str().unwrap_or_default().to_owned(),
                fault["seq"].as_i64().unwrap_or_default(),
            )
        })
        .collect()
}

fn fault(kind: &str, seq: i64) -> (String, i64) {
    (kind.to_owned(), seq)
}

/// Six events: 1 the organisation, 2 the project, 3 to 5 secrets A (twice) and B, 6 a read.
async fn history(acme: &Org<'_>) {
    let env = acme.project("web").await.env("production");
    for (key, value) in [("A", "1"), ("A", "2"), ("B", "1")] {
        acme.owner.put(&env.secret(key), json!({ "value": value })).await.ok();
    }
    acme.owner.get(&env.secret("A")).await.expect(200).ok();
}

const OURS: &str = "ledger_id = (SELECT id FROM orgs WHERE slug = 'acme')";

async fn tamper(t: &TestApp, set: &str, seq: i64) {
    t.sql(&format!("UPDATE journal SET {set} WHERE {OURS} AND seq = {seq}"))
        .await;
}

on_both! {
    async fn an_untouched_log_is_valid_and_names_its_head(t: TestApp) {
        let acme = t.org("acme").await;
        history(&acme).await;
        let found = acme.owner.get(&acme.path("/audit-logs/verify")).await.expect(200);
        assert_eq!((found.at("/valid"), found.at("/checked"), found.at("/secrets_checked")), ("true".into(), "6".into(), "2".into()));
        let newest = acme.owner.get(&acme.path("/audit-logs?limit=1")).await.expect(200);
        assert_eq!((found.at("/head_seq"), found.at("/head_hash")), (newest.at("/data/0/seq"), newest.at("/data/0/hash")));
    }

    async fn no_column_of_an_event_can_be_altered(t: TestApp) {
        let acme = t.org("acme").await;
        history(&acme).await;
        let person = "(SELECT id FROM users LIMIT 1)";
        let org = "(SELECT id FROM orgs WHERE slug <> 'acme' LIMIT 1)";
        for (column, value) in [
            ("id", org), ("at", "at + 1"), ("action", "'secret.deleted'"), ("actor_type", "'system'"),
            ("actor_id", org), ("actor_id", "NULL"), ("actor_label", "'eve@example.com'"), ("actor_label", "NULL"),
            ("credential_id", person), ("credential_id", "NULL"), ("target_type", "'org'"), ("target_id", person),
            ("target_id", "NULL"), ("project_id", person), ("project_id", "NULL"), ("environment_id", person),
            ("environment_id", "NULL"), ("revision", "revision + 1"), ("revision", "NULL"), ("ip", "'10.0.0.1'"),
            ("ip", "NULL"), ("user_agent", "'x'"), ("request_id", "'x'"), ("request_id", "NULL"),
        ] {
            t.sql(&format!("CREATE TABLE kept AS SELECT * FROM journal WHERE {OURS} AND seq = 3")).await;
            tamper(&t, &format!("{column} = {value}"), 3).await;
            assert_eq!(faults(&acme).await, [fault("altered", 3)], "{column} = {value}");
            t.sql(&format!("UPDATE journal SET {column} = (SELECT {column} FROM kept) WHERE {OURS} AND seq = 3")).await;
            t.sql("DROP TABLE kept").await;
            assert_eq!(faults(&acme).await, []);
        }
        // A space changes nothing of what the text says, and the text is what was hashed.
        tamper(&t, "data = data || ' '", 3).await;
        assert_eq!(faults(&acme).await, [fault("altered", 3)]);
    }

    async fn a_new_hash_does_not_hide_what_was_altered(t: TestApp) {
        let acme = t.org("acme").await;
        history(&acme).await;
        let other = "(SELECT j.hash FROM journal j WHERE j.seq = 2 AND j.ledger_id = journal.ledger_id)";
        tamper(&t, &format!("hash = {other}"), 3).await;
        assert_eq!(faults(&acme).await, [fault("altered", 3), fault("unlinked", 4)]);
        let acme = t.org("zoo").await;
        history(&acme).await;
        t.sql(&format!("UPDATE journal SET prev_hash = hash WHERE {} AND seq = 3", OURS.replace("acme", "zoo"))).await;
        assert_eq!(faults(&acme).await, [fault("unlinked", 3), fault("altered", 3)]);
    }

    async fn a_missing_event_is_missed(t: TestApp) {
        let acme = t.org("acme").await;
        history(&acme).await;
        t.sql(&format!("DELETE FROM journal WHERE {OURS} AND seq = 2")).await;
        assert_eq!(faults(&acme).await, [fault("missing", 3)]);
    }

    async fn events_moved_up_to_close_the_gap_are_found(t: TestApp) {
        let acme = t.org("acme").await;
        history(&acme).await;
        t.sql(&format!("DELETE FROM journal WHERE {OURS} AND seq = 2")).await;
        tamper(&t, "seq = 2", 3).await;
        let found = faults(&acme).await;
        assert!(found.contains(&fault("unlinked", 2)) && found.contains(&fault("altered", 2)), "{found:?}");
    }

    async fn two_events_that_were_swapped_are_found(t: TestApp) {
        let acme = t.org("acme").await;
        history(&acme).await;
        for (from, to) in [(3, 99), (4, 3), (99, 4)] {
            tamper(&t, &format!("seq = {to}"), from).await;
        }
        let found = faults(&acme).await;
        for expected in [fault("altered", 3), fault("unlinked", 3), fault("altered", 4), fault("unlinked", 4), fault("unlinked", 5)] {
            assert!(found.contains(&expected), "{expected:?} is not in {found:?}");
        }
    }

    async fn a_log_that_was_cut_short_is_found(t: TestApp) {
        let acme = t.org("acme").await;
        history(&acme).await;
        t.sql(&format!("DELETE FROM journal WHERE {OURS} AND seq = 6")).await;
        assert_eq!(faults(&acme).await, [fault("truncated", 6)]);
        t.sql(&format!("DELETE FROM journal WHERE {OURS}")).await;
        assert_eq!(faults(&acme).await.first(), Some(&fault("truncated", 6)));
    }

    async fn an_older_version_put_back_is_found(t: TestApp) {
        let acme = t.org("acme").await;
        history(&acme).await;
        t.sql("UPDATE secrets SET version = 1 WHERE key = 'A'").await;
        assert_eq!(faults(&acme).await, [fault("secret_rolled_back", 4)]);
    }

    async fn a_version_that_was_never_written_is_found(t: TestApp) {
        let acme = t.org("acme").await;
        history(&acme).await;
        t.sql("UPDATE secrets SET version = 3 WHERE key = 'A'").await;
        assert_eq!(faults(&acme).await, [fault("secret_altered", 4)]);
    }

    async fn a_sealed_value_that_was_altered_is_found(t: TestApp) {
        let acme = t.org("acme").await;
        history(&acme).await;
        let row = sealed::version(&t, "A", 2).await;
        let older = sealed::version(&t, "A", 1).await.sealed_value.unwrap_or_default();
        let found = acme.owner.get(&acme.path("/audit-logs?action=secret.updated")).await;
        sealed::put_value(&t, &row, &older).await;
        assert_eq!(faults(&acme).await, [fault("secret_altered", 4)]);
        let verified = acme.owner.get(&acme.path("/audit-logs/verify")).await;
        assert_eq!(verified.at("/faults/0/secret_id"), found.at("/data/0/resource_id"));
        t.sql("UPDATE secret_versions SET sealed_value = NULL WHERE version = 2").await;
        assert_eq!(faults(&acme).await, [fault("secret_altered", 4)]);
    }

    async fn a_secret_that_vanished_is_found(t: TestApp) {
        let acme = t.org("acme").await;
        history(&acme).await;
        t.sql("UPDATE secrets SET deleted_at = 1 WHERE key = 'A'").await;
        assert_eq!(faults(&acme).await, [fault("secret_missing", 4)]);
        t.sql("DELETE FROM secrets WHERE key = 'B'").await;
        let mut found = faults(&acme).await;
        found.sort();
        assert_eq!(found, [fault("secret_missing", 4), fault("secret_missing", 5)]);
    }

    async fn a_deleted_secret_that_was_brought_back_is_found(t: TestApp) {
        let acme = t.org("acme").await;
        history(&acme).await;
        let env = format!("{}/environments/production/secrets/B", acme.path("/projects/web"));
        acme.owner.delete(&env).await.expect(200).ok();
        assert_eq!(faults(&acme).await, []);
        t.sql("UPDATE secrets SET deleted_at = NULL").await;
        assert_eq!(faults(&acme).await, [fault("secret_rolled_back", 7)]);
    }

    async fn one_log_does_not_suffer_from_anothers_faults(t: TestApp) {
        let (acme, zoo) = (t.org("acme").await, t.org("zoo").await);
        history(&acme).await;
        tamper(&t, "action = 'secret.deleted'", 3).await;
        assert_eq!(faults(&zoo).await, []);
    }
}

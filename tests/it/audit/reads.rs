//! Reads of values are recorded before they are answered.

use harness::app::Options;
use harness::{TestApp, on_both, on_each_backend};
use serde_json::json;

const READS: &str = "SELECT COUNT(*) FROM journal WHERE action = 'secret.read'";

on_both! {
    async fn every_read_is_in_the_journal_when_it_is_answered(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        for key in ["A", "B"] {
            acme.owner.put(&env.secret(key), json!({ "value": "v" })).await.ok();
        }
        for n in 1..=5 {
            acme.owner.get(&env.secret("A")).await.expect(200).ok();
            assert_eq!(t.number(READS).await, n);
        }
        acme.owner.get(&env.secrets()).await.expect(200).ok();
        let list = acme.owner.get(&acme.path("/audit-logs?action=secret.read")).await.expect(200);
        assert_eq!(list.at("/pagination/total"), "6");
        assert_eq!((list.at("/data/0/resource_type"), list.at("/data/0/metadata/count")), ("environment".into(), "2".into()));
        assert_eq!((list.at("/data/1/resource_type"), list.at("/data/1/metadata/key")), ("secret".into(), "A".into()));
        assert_eq!(list.at("/data/0/actor/id"), acme.owner.id.to_string());
    }

    async fn many_reads_at_once_are_all_recorded_in_an_unbroken_chain(t: TestApp) {
        let acme = t.org("acme").await;
        let path = acme.project("web").await.env("production").secret("A");
        acme.owner.put(&path, json!({ "value": "v" })).await.ok();
        let reads = (0..64).map(|_| acme.owner.get(&path));
        for answer in futures_util::future::join_all(reads).await {
            answer.expect(200).ok();
        }
        assert_eq!(t.number(READS).await, 64);
        let verified = acme.owner.get(&acme.path("/audit-logs/verify")).await.expect(200);
        assert_eq!((verified.at("/valid"), verified.at("/head_seq")), ("true".into(), "67".into()));
    }

    async fn reads_and_changes_in_any_order_make_one_unbroken_chain(t: TestApp) {
        let acme = t.org("acme").await;
        let path = acme.project("web").await.env("production").secret("A");
        acme.owner.put(&path, json!({ "value": "v" })).await.ok();
        // As many reads as it takes until the end of the chain is known by heart, one more or less, and then a change.
        for (round, reads) in [1, 2, 3, 4, 1, 0, 5, 3, 3].into_iter().enumerate() {
            for _ in 0..reads {
                acme.owner.get(&path).await.expect(200).ok();
            }
            acme.owner.put(&path, json!({ "value": format!("{round}") })).await.expect(200).ok();
        }
        let verified = acme.owner.get(&acme.path("/audit-logs/verify")).await.expect(200);
        assert_eq!((verified.at("/valid"), verified.at("/head_seq")), ("true".into(), "34".into()));
    }

    async fn a_refused_read_is_no_read(t: TestApp) {
        let acme = t.org("acme").await;
        let dana = acme.developer("dana").await;
        let env = acme.project("web").await.env("production");
        acme.owner.put(&env.secret("A"), json!({ "value": "v" })).await.ok();
        dana.get(&env.secret("A")).await.problem(403, "forbidden");
        acme.owner.get(&env.secret("B")).await.problem(404, "not_found");
        assert_eq!(t.number(READS).await, 0);
    }

    async fn no_value_is_answered_while_reads_cannot_be_recorded(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        acme.owner.put(&env.secret("A"), json!({ "value": "canary" })).await.ok();
        t.sql("ALTER TABLE journal RENAME TO journal_away").await;
        for path in [env.secret("A"), env.secrets()] {
            let refused = acme.owner.get(&path).await.problem(503, "unavailable");
            assert!(!refused.text().contains("canary"));
            assert!(refused.header("retry-after").is_some());
        }
        let refused = acme.owner.put(&env.secret("A"), json!({ "value": "lost" })).await;
        assert!(refused.status() >= 500, "a change that cannot be recorded is not made either");
        t.sql("ALTER TABLE journal_away RENAME TO journal").await;
        assert_eq!(acme.owner.get(&env.secret("A")).await.expect(200).at("/value"), "canary");
        assert_eq!(t.number(READS).await, 1);
        assert_eq!(acme.owner.get(&acme.path("/audit-logs/verify")).await.at("/valid"), "true");
    }
}

on_each_backend! {
    async fn reads_go_unrecorded_only_where_that_is_asked_for(backend: Backend) {
        let t = TestApp::start(Options::new(backend).with("STRONGROOM_AUDIT_READS", "off")).await;
        let acme = t.org("acme").await;
        let path = acme.project("web").await.env("production").secret("A");
        acme.owner.put(&path, json!({ "value": "v" })).await.ok();
        acme.owner.get(&path).await.expect(200).ok();
        assert_eq!(t.number(READS).await, 0);
    }
}

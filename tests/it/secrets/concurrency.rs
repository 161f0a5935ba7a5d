//! Many writers at once.

use futures_util::future::join_all;
use harness::on_both;
use serde_json::json;

const WRITERS: usize = 32;
const KEYS: usize = 20;

on_both! {
    async fn many_writers_leave_no_gaps_and_an_unbroken_journal(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let write = |writer: usize| {
            let (owner, env) = (acme.owner.client().clone(), env.clone());
            async move {
                for round in 0..5 {
                    let key = format!("K{}", (writer * 7 + round * 3) % KEYS);
                    let body = json!({ "value": format!("{writer}-{round}") });
                    owner.put(&env.secret(&key), body).await.ok();
                }
            }
        };
        join_all((0..WRITERS).map(write)).await;
        let writes = i64::try_from(WRITERS * 5).unwrap_or_default();
        let gaps = "SELECT COUNT(*) FROM (SELECT s.id FROM secrets s JOIN secret_versions v ON v.secret_id = s.id
            GROUP BY s.id, s.version HAVING COUNT(*) <> s.version OR MAX(v.version) <> s.version OR MIN(v.version) <> 1) g";
        assert_eq!(t.number(gaps).await, 0, "versions of each key are 1 to n");
        assert_eq!(t.number("SELECT COUNT(*) FROM secret_versions").await, writes);
        let revisions = "SELECT COUNT(DISTINCT revision) FROM secret_versions";
        assert_eq!(t.number(revisions).await, writes);
        assert_eq!(t.number("SELECT MAX(revision) FROM secret_versions").await, writes);
        assert_eq!(t.number("SELECT MAX(revision) FROM environments").await, writes);
        let verified = acme.owner.get(&acme.path("/audit-logs/verify")).await.expect(200);
        assert_eq!((verified.at("/valid"), verified.at("/secrets_checked")), ("true".into(), KEYS.to_string()));
        let list = acme.owner.get(&env.secrets()).await.expect(200);
        assert_eq!(list.json()["data"].as_array().map(Vec::len), Some(KEYS));
    }

    async fn of_many_who_expect_one_version_one_writes(t: TestApp) {
        let acme = t.org("acme").await;
        let path = acme.project("web").await.env("production").secret("A");
        acme.owner.put(&path, json!({ "value": "first" })).await.ok();
        let attempts = (0..WRITERS).map(|n| acme.owner.put(&path, json!({ "value": n.to_string(), "expected_version": 1 })));
        let answers = join_all(attempts).await;
        let won = answers.iter().filter(|answer| answer.status() == 200).count();
        let lost = answers.iter().filter(|answer| answer.code() == "version_mismatch").count();
        assert_eq!((won, lost), (1, WRITERS - 1));
        assert_eq!(acme.owner.get(&path).await.at("/version"), "2");
    }

    async fn of_many_who_make_one_key_one_makes_it(t: TestApp) {
        let acme = t.org("acme").await;
        let secrets = acme.project("web").await.env("production").secrets();
        let attempts = (0..WRITERS).map(|n| acme.owner.post(&secrets, json!({ "key": "A", "value": n.to_string() })));
        let answers = join_all(attempts).await;
        let made = answers.iter().filter(|answer| answer.status() == 201).count();
        let taken = answers.iter().filter(|answer| answer.code() == "key_taken").count();
        assert_eq!((made, taken), (1, WRITERS - 1));
        assert_eq!(t.number("SELECT COUNT(*) FROM secret_versions").await, 1);
    }
}

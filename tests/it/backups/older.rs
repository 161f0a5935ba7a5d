//! A backup that a former version made, whose schema is not the one of today.

use std::path::Path;

use domain::backups;
use domain::crypto::key_store::KeyStore;
use harness::app::{Options, eventually};
use harness::people::PASSWORD;
use harness::processes::number;
use harness::{Client, TestApp, on_each_backend};
use serde_json::json;
use tempfile::TempDir;

use super::{empty, keyring, restored};

/// Made of SQLite, before versions knew their revisions (`m20270125_000001_versions_of_revisions`), while a webhook's job ran.
const BACKUP: &str = "fixtures/older_schema.srb";
/// `of-a-fixture-and-nothing-besides`
const ROOT_KEY: &str = "b2YtYS1maXh0dXJlLWFuZC1ub3RoaW5nLWJlc2lkZXM=";
/// `for-the-backup-of-a-fixture-only`
const BACKUP_KEY: &str = "Zm9yLXRoZS1iYWNrdXAtb2YtYS1maXh0dXJlLW9ubHk=";
const ENV: &str = "/v1/orgs/acme/projects/web/environments/production";

/// The keys and values of an environment at a moment, as one text.
async fn values(by: &Client, query: &str) -> String {
    let shown = by.get(&format!("{ENV}/secrets{query}")).await.expect(200).json();
    let data = shown["data"].as_array().expect("secrets");
    let each = data.iter().map(|secret| {
        format!(
            "{}={}",
            secret["key"].as_str().unwrap(),
            secret["value"].as_str().unwrap()
        )
    });
    each.collect::<Vec<_>>().join(" ")
}

on_each_backend! {
    async fn a_backup_of_an_older_schema_is_restored_and_goes_on(backend: Backend) {
        let folder = TempDir::new().unwrap();
        let (url, db) = empty(backend, &folder, "restored.db").await;
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(BACKUP);
        let header = restored(&file, BACKUP_KEY, &db).await.header;
        let gone = |table: &&backups::Table| !backups::TABLES.contains(&table.name.as_str());
        assert_eq!(header.tables.iter().filter(gone).count(), 1, "it has a table that there is no more");
        let leased = "SELECT COUNT(*) FROM job_leases l JOIN jobs j ON j.id = l.job_id WHERE j.kind = 'webhook'";
        assert_eq!(number(&db, leased).await, 1, "the job that ran is its worker's until its lease ends");
        let keys = KeyStore::open(&db, keyring(ROOT_KEY)).await.unwrap();
        let checked = backups::check(&db, &header, &keys).await.expect("it is in order");
        assert_eq!((checked.values, checked.ledgers), (1, 3));
        db.close().await;

        let options = Options::new(backend).with("STRONGROOM_DATABASE_URL", url).with("STRONGROOM_ROOT_KEY", ROOT_KEY);
        let t = TestApp::start(options).await;
        let login = json!({ "email": "dana@example.com", "password": PASSWORD, "transport": "bearer" });
        let dana = t.anonymous().post("/v1/auth/login", login).await.expect(200);
        let dana = t.anonymous().bearer(&dana.at("/access_token"));
        let now = "A=a B=b C=what is told of while the backup is made DB_URL=postgres://db.internal/third NEW_NAME=renamed later";
        assert_eq!(values(&dana, "").await, now);
        let first = "DB_URL=postgres://db.internal/first OLD_NAME=renamed later";
        let second = "DB_URL=postgres://db.internal/second GONE=deleted later OLD_NAME=renamed later";
        assert_eq!(values(&dana, "?revision=2").await, first);
        assert_eq!(values(&dana, "?revision=4").await, second);
        assert_eq!(values(&dana, "?revision=7").await, "NEW_NAME=renamed later");
        assert_eq!(values(&dana, "?revision=release-1").await, second, "pinned then");
        assert_eq!(dana.get(&format!("{ENV}/secrets/NEW_NAME")).await.expect(200).at("/comment"), "with a comment");
        let verified = dana.post("/v1/orgs/acme/projects/web/verify", json!({})).await.expect(200);
        assert_eq!(verified.at("/ok"), "true", "{}", verified.text());
        let unchanged = dana.put(&format!("{ENV}/secrets/A"), json!({ "value": "a" })).await.expect(200);
        assert_eq!(unchanged.at("/revision"), "10", "what is stored is known by its fingerprint");
        let changed = dana.put(&format!("{ENV}/secrets/A"), json!({ "value": "later" })).await.expect(200);
        assert_eq!((changed.at("/revision"), changed.at("/version")), ("11".into(), "2".into()));
        let lost = "SELECT COUNT(*) FROM job_attempts WHERE outcome = 'worker_lost'";
        eventually("the job that ran is taken from its worker", || async { t.number(lost).await == 1 }).await;
        t.stop().await;
    }
}

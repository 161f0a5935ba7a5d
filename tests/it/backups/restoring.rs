//! A backup is restored beside the live database, which goes on as it was.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use harness::app::{Options, database_url, eventually, fresh_root_key};
use harness::{Answer, Backend, Client, TestApp, on_each_backend};
use serde_json::json;

use super::{BACKUPS, empty, made, restored, root, write};

const VALUE: &str = "postgres://db.internal/acme";

/// An application whose keys and database the test knows.
struct Known {
    t: TestApp,
    root_key: String,
    /// Of PostgreSQL.
    url: Option<String>,
}

async fn known(backend: Backend) -> Known {
    let root_key = fresh_root_key();
    let mut options = Options::new(backend).with("STRONGROOM_ROOT_KEY", root_key.clone());
    let mut url = None;
    if backend == Backend::Postgres {
        let own = harness::app::postgres_database().await;
        options = options.with("STRONGROOM_DATABASE_URL", own.clone());
        url = Some(own);
    }
    Known {
        t: TestApp::start(options).await,
        root_key,
        url,
    }
}

/// The worker died over the restoration, whatever it had written down of it: it is begun again.
async fn dies_over_it(t: &TestApp) {
    let open = "SELECT COUNT(*) FROM jobs WHERE kind = 'backup' AND state = 0";
    eventually("what came of it is written", || async { t.number(open).await == 0 }).await;
    t.sql("UPDATE backups SET restore_state = 'running', restored_at = NULL")
        .await;
    t.hold_jobs("backup", 0).await;
}

/// Waits until a restoration that is begun again has ended.
async fn ended_again(by: &Client, id: &str) -> Answer {
    let path = format!("{BACKUPS}/{id}");
    eventually("it is restored or not", || async {
        !by.get(&path)
            .await
            .expect(200)
            .at("/restoration/restored_at")
            .is_empty()
    })
    .await;
    by.get(&path).await.expect(200)
}

/// Asks for a restoration and waits for its end.
async fn restoration(by: &Client, id: &str) -> Answer {
    let path = format!("{BACKUPS}/{id}");
    let asked = by.post(&format!("{path}/restore"), json!({})).await.expect(202);
    assert_eq!(asked.at("/restoration/state"), "pending");
    eventually("it is restored or not", || async {
        let state = by.get(&path).await.expect(200).at("/restoration/state");
        state == "completed" || state == "failed"
    })
    .await;
    by.get(&path).await.expect(200)
}

on_each_backend! {
    async fn a_backup_is_restored_beside_the_live_database(backend: Backend) {
        let Known { t, root_key, url } = known(backend).await;
        let root = root(&t).await;
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        acme.owner.put(&env.secret("DB_URL"), json!({ "value": VALUE })).await.ok();
        let token = acme.owner.token(json!({ "name": "ci" })).await;
        let id = made(&root).await;
        acme.owner.put(&env.secret("DB_URL"), json!({ "value": "later" })).await.ok();
        let shown = restoration(&root, &id).await;
        assert_eq!(shown.at("/restoration/state"), "completed", "{}", shown.text());
        let database = shown.at("/restoration/database");
        let restored = match &url {
            None => {
                let live = t.dir.path().join("strongroom.db");
                assert_eq!(database, format!("{}.restore.{id}", live.display()));
                assert_eq!(fs::metadata(&database).unwrap().permissions().mode() & 0o777, 0o600);
                format!("sqlite://{database}")
            }
            Some(live) => {
                assert!(database.ends_with(&format!(".restore.{id}")), "{database}");
                database_url(live, &database)
            }
        };
        // The live one goes on.
        assert_eq!(token.get(&env.secret("DB_URL")).await.expect(200).at("/value"), "later");
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'backup.restore_requested'").await, 1);
        // A second time it is not written over.
        let again = restoration(&root, &id).await;
        assert_eq!(again.at("/restoration/state"), "failed", "{}", again.text());
        assert!(again.at("/restoration/problem").contains("there already"), "{}", again.text());
        serves_what_was_backed_up(backend, &restored, &root_key, &token, &root, &env.secret("DB_URL")).await;
    }

    async fn a_restoration_is_found_to_be_done_after_its_worker_died_before_it_could_tell(backend: Backend) {
        let Known { t, .. } = known(backend).await;
        let root = root(&t).await;
        let id = made(&root).await;
        let before = restoration(&root, &id).await;
        assert_eq!(before.at("/restoration/state"), "completed", "{}", before.text());
        dies_over_it(&t).await;
        let shown = root.get(&format!("{BACKUPS}/{id}")).await.expect(200);
        if shown.at("/restoration/state") == "running" {
            assert_eq!(shown.at("/restoration/database"), "", "nothing is told before it is known");
        }
        let after = ended_again(&root, &id).await;
        assert_eq!(after.at("/restoration/state"), "completed", "{}", after.text());
        assert_eq!(after.at("/restoration/problem"), "", "{}", after.text());
        assert_eq!(after.at("/restoration/database"), before.at("/restoration/database"));
    }

    async fn a_restored_database_lists_the_backup_that_it_came_from(backend: Backend) {
        let Known { t, .. } = known(backend).await;
        let root = root(&t).await;
        let id = made(&root).await;
        let key = backup_key(&t, backend).await;
        let folder = tempfile::TempDir::new().unwrap();
        let (_, into) = empty(Backend::Sqlite, &folder, "restored.db").await;
        restored(&t.dir.path().join(format!("backups/{id}.srb")), &key, &into).await;
        let look = |sql: &'static str| harness::processes::number(&into, sql);
        assert_eq!(look("SELECT COUNT(*) FROM backups WHERE state = 'completed' AND size_bytes > 0").await, 1);
        assert_eq!(look("SELECT COUNT(*) FROM jobs WHERE kind = 'backup' AND state = 0").await, 0);
        assert_eq!(look("SELECT COUNT(*) FROM credentials WHERE kind IN ('session', 'refresh') AND revoked_at IS NULL").await, 0);
        assert_eq!(look("SELECT COUNT(*) FROM challenges WHERE consumed_at IS NULL").await, 0);
        into.close().await;
    }

    async fn tokens_end_with_the_sessions_if_that_is_wanted(backend: Backend) {
        let Known { t, .. } = known(backend).await;
        let acme = t.org("acme").await;
        acme.owner.token(json!({ "name": "ci" })).await;
        let (folder, key) = (tempfile::TempDir::new().unwrap(), fresh_root_key());
        let (file, _) = write(t.db(), &key, &folder, "one.srb").await;
        let live = "SELECT COUNT(*) FROM credentials WHERE revoked_at IS NULL";
        for (tokens, left) in [(domain::backups::Tokens::Keep, 1), (domain::backups::Tokens::End, 0)] {
            let (_, into) = empty(backend, &folder, &format!("{left}.db")).await;
            let keys = super::keyring(&key);
            domain::backups::restore_file(&file, keys, &into, tokens).await.expect("restored");
            assert_eq!(harness::processes::number(&into, live).await, left);
            into.close().await;
        }
    }
}

/// The name was written down, and the worker died before the database had it.
#[test]
fn a_restoration_is_made_again_after_its_worker_died_before_the_renaming() {
    harness::app::run(async {
        let Known { t, .. } = known(Backend::Sqlite).await;
        let root = root(&t).await;
        let id = made(&root).await;
        let before = restoration(&root, &id).await;
        let database = before.at("/restoration/database");
        fs::rename(&database, format!("{database}.part")).expect("it is half restored again");
        dies_over_it(&t).await;
        let after = ended_again(&root, &id).await;
        assert_eq!(after.at("/restoration/state"), "completed", "{}", after.text());
        assert!(fs::exists(&database).unwrap() && !fs::exists(format!("{database}.part")).unwrap());
    });
}

/// The backup key of an application of the harness.
async fn backup_key(t: &TestApp, backend: Backend) -> String {
    match backend {
        Backend::Sqlite => {
            let path = t.dir.path().join("backup.key");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            fs::read_to_string(path).unwrap().trim().to_owned()
        }
        Backend::Postgres => t
            .app()
            .first_run
            .config()
            .backup_key
            .as_ref()
            .expect("a key")
            .expose()
            .clone(),
    }
}

/// Starts the service on the restored database: values and tokens are of then, sessions are over, the journal is whole.
async fn serves_what_was_backed_up(
    backend: Backend,
    url: &str,
    root_key: &str,
    token: &Client,
    root: &Client,
    secret: &str,
) {
    let options = Options::new(backend)
        .with("STRONGROOM_DATABASE_URL", url)
        .with("STRONGROOM_ROOT_KEY", root_key);
    let t = TestApp::start(options).await;
    let at = |client: &Client| {
        let mut client = client.clone();
        client.base.clone_from(&t.url);
        client
    };
    assert_eq!(at(token).get(secret).await.expect(200).at("/value"), VALUE);
    at(root).get(BACKUPS).await.problem(401, "unauthenticated");
    let verified = at(token).get("/v1/orgs/acme/audit-logs/verify").await.expect(200);
    assert_eq!(verified.at("/valid"), "true", "{}", verified.text());
    at(token).put(secret, json!({ "value": "goes on" })).await.ok();
    t.stop().await;
}

//! A backup is of one instant, however much is written meanwhile, and only what was acknowledged or under way is in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use domain::backups::{self, Tokens};
use domain::kernel::id::BackupId;
use domain::kernel::{Clock, Db, Rng};
use harness::app::{Options, empty_postgres_database, fresh_root_key, number_from_environment};
use harness::{Backend, Client, TestApp};
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;

const WRITERS: usize = 6;
/// Backups that are made one after the other.
const BACKUPS: u64 = 3;

/// What a writer was told.
#[derive(Default)]
struct Told {
    /// Number of the last round that was begun.
    begun: AtomicU64,
    /// Of the last that was acknowledged.
    done: AtomicU64,
}

/// One writer: round after round it writes its number under one key, then under a second one, and then under two at once.
async fn write_on(client: Client, env: String, writer: usize, told: Arc<Vec<Told>>, is_over: Arc<AtomicBool>) {
    let told = &told[writer];
    for round in 1.. {
        if is_over.load(Ordering::SeqCst) {
            return;
        }
        told.begun.store(round, Ordering::SeqCst);
        let value = json!({ "value": round.to_string() });
        for key in ["FIRST", "SECOND"] {
            let path = format!("{env}/secrets/{key}_{writer}");
            client.put(&path, value.clone()).await.ok();
        }
        let both = json!({
            (format!("LEFT_{writer}")): round.to_string(),
            (format!("RIGHT_{writer}")): round.to_string(),
        });
        client
            .post(&format!("{env}/bulk"), json!({ "secrets": both }))
            .await
            .expect(200)
            .ok();
        told.done.store(round, Ordering::SeqCst);
    }
}

fn all(told: &[Told], which: fn(&Told) -> &AtomicU64) -> Vec<u64> {
    told.iter().map(|told| which(told).load(Ordering::SeqCst)).collect()
}

/// The numbers that a restored database holds of a writer, zero for none.
async fn numbers(client: &Client, env: &str, writer: usize) -> [u64; 4] {
    let mut found = [0; 4];
    for (slot, key) in found.iter_mut().zip(["FIRST", "SECOND", "LEFT", "RIGHT"]) {
        let answer = client.get(&format!("{env}/secrets/{key}_{writer}")).await;
        if answer.status() == 200 {
            *slot = answer.at("/value").parse().expect("a number");
        }
    }
    found
}

/// Starts the service on a restored database and holds each writer's numbers to one instant between two looks.
async fn assert_one_instant(into: Backend, url: &str, root_key: &str, token: &Client, env: &str, looks: [&[u64]; 2]) {
    let options = Options::new(into)
        .with("STRONGROOM_DATABASE_URL", url)
        .with("STRONGROOM_ROOT_KEY", root_key);
    let t = TestApp::start(options).await;
    let mut client = token.clone();
    client.base.clone_from(&t.url);
    let [done_before, begun_after] = looks;
    for writer in 0..WRITERS {
        let [first, second, left, right] = numbers(&client, env, writer).await;
        let found = format!("writer {writer}: {first} {second} {left} {right}");
        assert_eq!(left, right, "{found}: what was written at once is there at once");
        let steps = [first, second, left];
        assert!(
            steps.is_sorted_by(|one, two| one >= two),
            "{found}: in the order of the writes"
        );
        assert!(first - left <= 1, "{found}: of one instant");
        assert!(left >= done_before[writer], "{found}: all that was acknowledged before");
        assert!(first <= begun_after[writer], "{found}: nothing of later");
    }
    let verified = client.get("/v1/orgs/acme/audit-logs/verify").await.expect(200);
    assert_eq!(verified.at("/valid"), "true", "{}", verified.text());
    t.stop().await;
}

async fn open(url: &str) -> Db {
    let opened = backups::open_target(url, Clock::system(), Rng::system()).await;
    opened.expect("open a database")
}

/// Restores a file into an empty database of a kind; returns its URL.
async fn restore(file: &std::path::Path, key: &str, into: Backend, folder: &TempDir) -> String {
    let url = match into {
        Backend::Sqlite => Db::sqlite_url(&folder.path().join(format!("{}.db", uuid::Uuid::new_v4()))),
        Backend::Postgres => empty_postgres_database().await,
    };
    let db = open(&url).await;
    let keys = crate::backups::keyring(key);
    let restored = backups::restore_file(file, keys, &db, Tokens::Keep).await;
    restored.expect("it is restored");
    db.close().await;
    url
}

async fn backups_under_load(backend: Backend) {
    let root_key = fresh_root_key();
    let t = TestApp::start(Options::new(backend).with("STRONGROOM_ROOT_KEY", root_key.clone())).await;
    let acme = t.org("acme").await;
    let env = acme.project("web").await.env("production").0;
    let token = acme.owner.token(json!({ "name": "load" })).await;
    let told: Arc<Vec<Told>> = Arc::new((0..WRITERS).map(|_| Told::default()).collect());
    let is_over = Arc::new(AtomicBool::new(false));
    let writers: JoinSet<()> = (0..WRITERS)
        .map(|writer| write_on(token.clone(), env.clone(), writer, told.clone(), is_over.clone()))
        .collect();
    let (folder, key) = (TempDir::new().unwrap(), fresh_root_key());
    let mut made = Vec::new();
    let count = number_from_environment("STRONGROOM_TEST_BACKUPS").unwrap_or(BACKUPS);
    for number in 0..count {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let before = all(&told, |told| &told.done);
        let path = folder.path().join(format!("{number}.srb"));
        let id = BackupId(uuid::Uuid::new_v4());
        let written = backups::write_file(t.db(), crate::backups::keyring(&key), &path, id).await;
        written.expect("a backup under load");
        let after = all(&told, |told| &told.begun);
        made.push((path, before, after));
    }
    is_over.store(true, Ordering::SeqCst);
    writers.join_all().await;
    let done: u64 = all(&told, |told| &told.done).iter().sum();
    assert!(done >= WRITERS as u64, "the writers got on: {done}");
    for (path, before, after) in &made {
        // SQLite to PostgreSQL to SQLite, or the other way round.
        let [far, near] = match backend {
            Backend::Sqlite => [Backend::Postgres, Backend::Sqlite],
            Backend::Postgres => [Backend::Sqlite, Backend::Postgres],
        };
        let url = restore(path, &key, far, &folder).await;
        let again = folder.path().join("again.srb");
        let across = open(&url).await;
        let id = BackupId(uuid::Uuid::new_v4());
        let written = backups::write_file(&across, crate::backups::keyring(&key), &again, id).await;
        written.expect("a backup of what was restored");
        across.close().await;
        assert_one_instant(far, &url, &root_key, &token, &env, [before, after]).await;
        let url = restore(&again, &key, near, &folder).await;
        assert_one_instant(near, &url, &root_key, &token, &env, [before, after]).await;
    }
    t.stop().await;
}

#[test]
fn backups_of_sqlite_under_load_are_of_one_instant() {
    harness::processes::run(backups_under_load(Backend::Sqlite));
}

#[test]
fn backups_of_postgres_under_load_are_of_one_instant() {
    harness::processes::run(backups_under_load(Backend::Postgres));
}

//! The disk is full: changes are refused whole, reads go on, jobs wait and use up no try. Once there is room everything
//! goes on by itself, and what was acknowledged is there.

use std::time::Duration;

use harness::processes::{self, Api, Installation, Tenant, number, within};
use harness::servers::Postgres;
use harness::small_disk::{self, SmallDisk};
use harness::{Receiver, app};
use sea_orm::ConnectionTrait;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::load::{Load, assert_kept};
use super::postgres::outside;
use super::{OPEN_JOBS, assert_delivered, limit, seconds};

/// Room for all that is written here, and for the log of SQLite.
const MEBIBYTES: u32 = 64;
const WRITERS: usize = 4;
/// Writes before the disk is full, and each time after it was.
const BETWEEN: usize = 100;
/// How long it stays full once that is felt.
const FULL: Duration = Duration::from_secs(2);
/// Keys of a bulk change.
const KEYS: usize = 200;

/// How often the disk is full.
fn rounds() -> usize {
    let rounds = seconds().map_or(2, |long| long / 6);
    usize::try_from(rounds).expect("a few rounds").max(2)
}

/// A refusal for want of room: told as such, or as a database that has trouble.
fn is_refusal(status: u16) -> bool {
    matches!(status, 503 | 507)
}

/// Reads go on, quickly.
async fn assert_readable(tenant: &Tenant) {
    let key = format!("{}KEY_0", tenant.secrets);
    let keys = tenant.secrets.replace("/secrets/", "/keys");
    for path in [
        key.as_str(),
        keys.as_str(),
        tenant.secrets.trim_end_matches('/'),
        "/v1/auth/me",
        "/ready",
    ] {
        let asked = Instant::now();
        tenant.client.get(path).await.expect(200).ok();
        assert!(
            asked.elapsed() < Duration::from_secs(2),
            "{path}: {:?}",
            asked.elapsed()
        );
    }
}

/// Changes many keys at once; tells how many there must be of them afterwards: all or none.
async fn bulk(tenant: &Tenant, round: usize) -> usize {
    let value = Value::from("x".repeat(2000));
    let secrets: Map<String, Value> = (0..KEYS).map(|n| (bulk_key(round, n), value.clone())).collect();
    let path = tenant.secrets.replace("/secrets/", "/bulk");
    let answer = tenant.client.post(&path, json!({ "secrets": secrets })).await;
    if answer.status() == 200 {
        return KEYS;
    }
    assert!(is_refusal(answer.status()), "{}: {}", answer.status(), answer.text());
    0
}

fn bulk_key(round: usize, n: usize) -> String {
    format!("BULK_{round}_{n}")
}

async fn assert_bulk(tenant: &Tenant, round: usize, count: usize) {
    let keys = tenant.secrets.replace("/secrets/", "/keys");
    let found = tenant
        .client
        .get(&format!("{keys}?search=BULK_{round}_"))
        .await
        .expect(200);
    let found = found.json()["data"].as_array().map(Vec::len);
    assert_eq!(found, Some(count), "a bulk change is made whole or not at all");
}

/// The disk is full again and again while clients write.
async fn full_again_and_again(installation: &Installation, api: &Api, disk: &SmallDisk) {
    let receiver = Receiver::start().await;
    let tenant = Tenant::create(&api.url, "acme", Some(&receiver)).await;
    let db = installation.db().await;
    let load = Load::new(&tenant, &api.url);
    let writers = load.start(WRITERS, usize::MAX);
    for round in 1..=rounds() {
        let done = load.done();
        within(Duration::from_secs(30), "the writers go on", || async {
            load.done() >= done + BETWEEN
        })
        .await;
        let refused = load.refused().len();
        disk.fill();
        within(Duration::from_secs(30), "it is felt", || async {
            load.refused().len() > refused + WRITERS
        })
        .await;
        let made = bulk(&tenant, round).await;
        let felt = Instant::now();
        while felt.elapsed() < FULL {
            assert_readable(&tenant).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let (freed, done) = (Instant::now(), load.done());
        disk.free();
        within(Duration::from_secs(10), "writes go on by themselves", || async {
            load.done() > done + WRITERS
        })
        .await;
        println!("round {round}: goes on {:?} after there was room", freed.elapsed());
        assert_bulk(&tenant, round, made).await;
    }
    load.end();
    let acknowledged = writers.join_all().await;
    let refused = load.refused();
    assert!(refused.contains(&507), "it was told what is wrong: {refused:?}");
    assert!(refused.iter().all(|status| is_refusal(*status)), "{refused:?}");
    assert_eq!(load.unanswered(), 0, "every request was answered");
    within(Duration::from_mins(1), "every job ends", || async {
        number(&db, OPEN_JOBS).await == 0
    })
    .await;
    let worn = "SELECT COUNT(*) FROM jobs WHERE attempt > 1 OR crashes > 0 OR state NOT IN (2, 4)";
    assert_eq!(
        number(&db, worn).await,
        0,
        "no job used up a try, and none was given up"
    );
    assert_eq!(assert_delivered(&receiver, &tenant, &db).await, 0, "nothing came twice");
    assert_kept(&tenant, &db, acknowledged).await;
    tenant.verify().await;
    assert_eq!(api.process.ended(), None, "nobody was restarted");
}

#[test]
fn of_sqlite() {
    small_disk::with(MEBIBYTES, "faults::disk_full::of_sqlite", |disk| {
        processes::run_for(limit(), async move {
            // A read that must be recorded is refused while nothing can be.
            let installation =
                Installation::embedded_in(&disk.path().join("data")).with("STRONGROOM_AUDIT_READS", "off");
            let api = installation.api().await;
            full_again_and_again(&installation, &api, &disk).await;
            let broken = "SELECT COUNT(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'";
            assert_eq!(number(&installation.db().await, broken).await, 0);
            // It ends before its disk goes.
            assert_eq!(api.process.terminate().await, 0, "{}", api.process.log());
        });
    });
}

#[test]
fn of_postgres() {
    small_disk::with_as_root(MEBIBYTES, "faults::disk_full::of_postgres", |disk| {
        processes::run_for(limit(), async move {
            // The log of the server is elsewhere: without room for that no PostgreSQL goes on.
            let postgres = Postgres::start_fast();
            let outside = outside(&postgres).await;
            let folder = disk.folder_for_postgres();
            for statement in [
                format!("CREATE TABLESPACE small LOCATION '{}'", folder.display()),
                "CREATE DATABASE small TABLESPACE small".to_owned(),
            ] {
                outside.execute_unprepared(&statement).await.expect("make a database");
            }
            let installation = Installation::scaled(&postgres.url("small"), &app::redis_url());
            let installation = installation.with("STRONGROOM_AUDIT_READS", "off");
            // The first one migrates.
            let api = installation.api().await;
            let worker = installation.worker().await;
            full_again_and_again(&installation, &api, &disk).await;
            assert_eq!(worker.ended(), None, "nobody was restarted");
        });
    });
}

#[test]
fn of_a_worker_that_writes_mails_into_files() {
    small_disk::with(
        1,
        "faults::disk_full::of_a_worker_that_writes_mails_into_files",
        |disk| {
            processes::run(async move {
                let data = disk.path().join("data");
                let installation = Installation::scaled(&app::postgres_database().await, &app::redis_url())
                    .with("STRONGROOM_DATA_DIR", &data.to_string_lossy());
                let (api, _worker) = tokio::join!(installation.api(), installation.worker());
                disk.fill();
                Tenant::create(&api.url, "acme", None).await;
                let db = installation.db().await;
                let put_off = "SELECT COUNT(*) FROM jobs
                WHERE kind = 'mail' AND state = 0 AND attempt = 0 AND last_outcome = 'put_off'";
                within(Duration::from_secs(20), "the mail is put off", || async {
                    number(&db, put_off).await > 0
                })
                .await;
                disk.free();
                let done = "SELECT COUNT(*) FROM jobs WHERE kind = 'mail' AND (state <> 2 OR attempt <> 1)";
                within(Duration::from_secs(30), "it is written", || async {
                    number(&db, done).await == 0
                })
                .await;
                let mails: Vec<_> = std::fs::read_dir(data.join("mail"))
                    .expect("the folder of mails")
                    .map(|entry| entry.expect("a file").path())
                    .collect();
                assert!(!mails.is_empty());
                for mail in mails {
                    let text = std::fs::read_to_string(&mail).expect("a mail");
                    assert!(text.contains("To: owner-of-acme@example.com"), "{}", mail.display());
                }
            });
        },
    );
}

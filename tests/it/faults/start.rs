//! Starts that must be refused, starts at the same time, and ends that finish what was begun.

use std::fs;
use std::path::PathBuf;

use harness::processes::{Api, Installation, Process, Tenant, number, within};
use harness::servers::{Postgres, Redis};
use harness::{Client, app};
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const OTHER_KEY: &str = "b3RoZXIga2V5IG90aGVyIGtleSBvdGhlciBrZXkgMDE=";

async fn refused(installation: &Installation) -> Process {
    match installation.try_api().await {
        Ok(_) => panic!("it must not start"),
        Err(process) => process,
    }
}

fn code(process: &Process) -> Option<i32> {
    process.ended().and_then(|status| status.code())
}

/// An embedded server that was used and stopped, with its database file and its root key's.
async fn used_and_stopped(installation: &Installation) -> (PathBuf, PathBuf) {
    let api = installation.api().await;
    let tenant = Tenant::create(&api.url, "acme", None).await;
    let put = json!({ "value": "kept" });
    tenant.client.put(&format!("{}DB_URL", tenant.secrets), put).await.ok();
    assert_eq!(api.process.terminate().await, 0);
    let data = installation.dir().join("data");
    (data.join("strongroom.db"), data.join("root.key"))
}

#[test]
fn a_wrong_root_key_stops_the_start_before_anything_is_written() {
    app::run(async {
        let installation = Installation::embedded();
        let (database, key) = used_and_stopped(&installation).await;
        let (before, right) = (fs::read(&database).unwrap(), fs::read(&key).unwrap());
        fs::write(&key, OTHER_KEY).unwrap();
        let process = refused(&installation).await;
        assert_eq!(code(&process), Some(1));
        assert!(process.log().contains("is missing"), "{}", process.log());
        assert!(
            before == fs::read(&database).unwrap(),
            "the file has not changed by a byte"
        );
        let log = fs::read(database.with_extension("db-wal")).unwrap_or_default();
        assert!(log.is_empty(), "and nothing waits in the log");
        fs::write(&key, right).unwrap();
        let _ = installation.api().await;
    });
}

#[test]
fn a_wrong_root_key_stops_api_and_worker_on_postgres() {
    app::run(async {
        let (database, redis) = (app::postgres_database().await, app::redis_url());
        let named =
            |bytes: &str| Installation::scaled(&database, &redis).with("STRONGROOM_ROOT_KEY", &format!("main:{bytes}"));
        let installation = named("cm9vdC1rZXktcm9vdC1rZXktcm9vdC1rZXktcm9vdC0=");
        let api = installation.api().await;
        let rows = "SELECT (SELECT COUNT(*) FROM root_keys) + (SELECT COUNT(*) FROM data_keys)";
        let db = installation.db().await;
        let before = number(&db, rows).await;
        let same_name = "the root key `main` is not the one this database was written with";
        let another_name = "the root key `main` is missing from STRONGROOM_ROOT_KEY";
        for (wrong, complaint) in [
            (named(OTHER_KEY), same_name),
            (Installation::scaled(&database, &redis), another_name),
        ] {
            let process = refused(&wrong).await;
            assert!(process.log().contains(complaint), "{}", process.log());
            let worker = wrong.run("strongroom-worker", &[]);
            assert_ne!(worker.wait().await.code(), Some(0));
            assert!(worker.log().contains(complaint), "{}", worker.log());
        }
        assert_eq!(number(&db, rows).await, before);
        let ready = Client::new(&api.url).get("/ready").await;
        assert_eq!(ready.status(), 200, "the right one is not disturbed");
    });
}

#[test]
fn a_lost_root_key_is_told_and_not_replaced() {
    app::run(async {
        let installation = Installation::embedded();
        let (database, key) = used_and_stopped(&installation).await;
        let before = fs::read(&database).unwrap();
        fs::remove_file(&key).unwrap();
        let process = refused(&installation).await;
        assert_eq!(code(&process), Some(1));
        let log = process.log();
        assert!(log.contains("strongroom.db exists and its root key does not"), "{log}");
        assert!(log.contains("root.key") && log.contains("STRONGROOM_ROOT_KEY"), "{log}");
        assert!(!key.exists(), "no new key takes its place");
        assert!(before == fs::read(&database).unwrap());
    });
}

#[test]
fn an_unknown_variable_stops_the_start_with_a_proposal() {
    app::run(async {
        let installation = Installation::embedded().with("STRONGROOM_LISTN", "127.0.0.1:0");
        for program in ["strongroom-api", "strongroom-worker"] {
            let process = installation.run(program, &[]);
            let status = process.wait().await;
            assert!(status.code().is_some_and(|code| code != 0), "{status}");
            assert!(
                process.log().contains("did you mean STRONGROOM_LISTEN?"),
                "{}",
                process.log()
            );
        }
        assert!(!installation.dir().join("data").exists(), "nothing was made");
    });
}

#[test]
fn apis_that_start_at_once_on_an_empty_database_all_come_up() {
    app::run(async {
        let (postgres, redis) = (Postgres::start_fast(), Redis::start());
        let installation = Installation::scaled(&postgres.url("postgres"), &redis.url());
        let (one, two, three) = tokio::join!(installation.api(), installation.api(), installation.api());
        let tenant = Tenant::create(&one.url, "acme", None).await;
        let path = format!("{}DB_URL", tenant.secrets);
        tenant
            .at(&two.url)
            .client
            .put(&path, json!({ "value": "shared" }))
            .await
            .ok();
        // They agreed on the instance's keys: each opens what another sealed.
        for api in [&one, &two, &three] {
            let read = tenant.at(&api.url).client.get(&path).await.expect(200);
            assert_eq!(read.at("/value"), "shared");
        }
        let keys = "SELECT COUNT(*) FROM data_keys WHERE scope_id = '00000000-0000-0000-0000-000000000000'";
        assert_eq!(number(&installation.db().await, keys).await, 2);
    });
}

/// Sends a change up to the middle of its body and returns once the server reads it.
async fn half_sent(api: &Api, tenant: &Tenant, token: &str) -> (TcpStream, &'static [u8]) {
    let body: &[u8] = br#"{"value":"sent in two halves"}"#;
    let (first, second) = body.split_at(12);
    let address = api.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.expect("connect");
    let head = format!(
        "PUT {}HALVES HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        tenant.secrets,
        body.len()
    );
    stream.write_all(head.as_bytes()).await.expect("send the head");
    let mut buffer = [0; 256];
    let read = stream.read(&mut buffer).await.expect("an interim answer");
    assert!(
        buffer[..read].starts_with(b"HTTP/1.1 100"),
        "{}",
        String::from_utf8_lossy(&buffer[..read])
    );
    stream.write_all(first).await.expect("send half of the body");
    (stream, second)
}

#[test]
fn sigterm_lets_a_request_in_flight_finish_and_exits_with_0() {
    app::run(async {
        let installation = Installation::embedded();
        let api = installation.api().await;
        let tenant = Tenant::create(&api.url, "acme", None).await;
        let harness::client::Credential::Bearer(token) = tenant.client.credential.clone() else {
            panic!("a personal token");
        };
        let (mut stream, second) = half_sent(&api, &tenant, &token).await;
        api.process.signal("TERM");
        let address = api.url.trim_start_matches("http://").to_owned();
        within(Duration::from_secs(10), "nobody is let in any more", || async {
            TcpStream::connect(&address).await.is_err()
        })
        .await;
        assert_eq!(api.process.ended(), None, "it waits for the request");
        stream.write_all(second).await.expect("send the rest");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("an answer");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        assert_eq!(api.process.wait().await.code(), Some(0), "{}", api.process.log());

        let api = installation.api().await;
        let read = tenant
            .at(&api.url)
            .client
            .get(&format!("{}HALVES", tenant.secrets))
            .await
            .expect(200);
        assert_eq!(read.at("/value"), "sent in two halves");
    });
}

#[test]
fn a_killed_sqlite_server_starts_again_with_everything() {
    app::run(async {
        let installation = Installation::embedded();
        let api = installation.api().await;
        let tenant = Tenant::create(&api.url, "acme", None).await;
        for n in 0..20 {
            let put = json!({ "value": format!("value {n}") });
            let _ = tenant
                .client
                .put(&format!("{}KEY_{n}", tenant.secrets), put)
                .await
                .expect(201);
        }
        api.process.kill();
        let api = installation.api().await;
        let tenant = tenant.at(&api.url);
        let all = tenant
            .client
            .get(tenant.secrets.trim_end_matches('/'))
            .await
            .expect(200);
        assert_eq!(all.json()["data"].as_array().map(Vec::len), Some(20));
        tenant.verify().await;
        let broken = "SELECT COUNT(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'";
        assert_eq!(number(&installation.db().await, broken).await, 0);
    });
}

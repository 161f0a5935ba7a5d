//! The bell with a Redis server of its own, which is stopped, wiped and started again.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::*;

/// A Redis server on a socket in a folder of its own.
struct Server {
    dir: TempDir,
    process: Option<Child>,
}

impl Server {
    /// Not started yet.
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            process: None,
        }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("redis.sock")
    }

    fn url(&self) -> Secret<String> {
        Secret::new(format!("unix://{}", self.socket().display()))
    }

    fn start(&mut self) {
        let process = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--unixsocket"])
            .arg(self.socket())
            .arg("--dir")
            .arg(self.dir.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        self.process = Some(process);
    }

    fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    async fn connection(&self) -> MultiplexedConnection {
        let client = Client::open(self.url().expose().as_str()).unwrap();
        for _ in 0..200 {
            if let Ok(connection) = connect(&client, Duration::from_secs(1)).await {
                return connection;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("Redis does not start");
    }

    async fn consumers(&self) -> usize {
        let mut connection = self.connection().await;
        let reply: redis::streams::StreamInfoConsumersReply =
            redis::AsyncCommands::xinfo_consumers(&mut connection, STREAM, GROUP)
                .await
                .unwrap();
        reply.consumers.len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Rings until it is heard: a ring may be lost while Redis is away, that is what sweepers are for.
async fn rings_through(from: &RedisBell, to: &RedisBell, lane: &str) {
    let lanes = [lane.to_owned()];
    for _ in 0..100 {
        from.ring(&lanes).await;
        if let Ok(heard) = tokio::time::timeout(Duration::from_millis(100), to.next()).await {
            assert!(heard.iter().all(|heard| heard == lane), "{heard:?}");
            return;
        }
    }
    panic!("nobody hears it");
}

#[tokio::test]
async fn a_ring_is_heard_and_only_listeners_are_consumers() {
    let mut server = Server::new();
    server.start();
    server.connection().await;
    let api = RedisBell::open(&server.url(), "api").unwrap();
    let worker = RedisBell::open(&server.url(), "worker").unwrap();
    api.ring(&["wh:early".to_owned()]).await;
    rings_through(&api, &worker, "wh:early").await;
    assert_eq!(server.consumers().await, 1);
    worker.close().await;
    assert_eq!(server.consumers().await, 0);
}

#[tokio::test]
async fn it_works_once_redis_is_there_and_again_after_each_loss() {
    let mut server = Server::new();
    let api = RedisBell::open(&server.url(), "api").unwrap();
    let worker = RedisBell::open(&server.url(), "worker").unwrap();
    let started = std::time::Instant::now();
    api.ring(&["wh:lost".to_owned()]).await;
    assert!(started.elapsed() < Duration::from_millis(50));
    assert!(
        tokio::time::timeout(Duration::from_millis(100), worker.next())
            .await
            .is_err()
    );
    server.start();
    server.connection().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    rings_through(&api, &worker, "wh:a").await;
    let mut connection = server.connection().await;
    redis::cmd("FLUSHALL").exec_async(&mut connection).await.unwrap();
    rings_through(&api, &worker, "wh:a").await;
    server.stop();
    api.ring(&["wh:a".to_owned()]).await;
    server.start();
    rings_through(&api, &worker, "wh:a").await;
}

#[tokio::test]
async fn each_ring_reaches_one_of_the_workers_and_the_stream_stays_short() {
    let mut server = Server::new();
    server.start();
    let mut connection = server.connection().await;
    let api = RedisBell::open(&server.url(), "api").unwrap();
    let workers = [
        RedisBell::open(&server.url(), "one").unwrap(),
        RedisBell::open(&server.url(), "two").unwrap(),
    ];
    for worker in &workers {
        let _ = tokio::time::timeout(Duration::from_millis(200), worker.next()).await;
    }
    let lanes: Vec<String> = (0..9_000).map(|n| format!("wh:{n:05}")).collect();
    api.ring(&lanes).await;
    let mut heard: Vec<String> = Vec::new();
    while heard.len() < lanes.len() {
        let next = tokio::time::timeout(Duration::from_secs(10), async {
            tokio::select! {
                heard = workers[0].next() => heard,
                heard = workers[1].next() => heard,
            }
        });
        heard.extend(next.await.unwrap());
    }
    heard.sort();
    assert_eq!(heard, lanes);
    // The group has read them all, so only the limit trims these.
    for batch in 0..2 {
        let lanes: Vec<String> = (0..9_000).map(|n| format!("wh:{batch}:{n}")).collect();
        api.ring(&lanes).await;
        rings_until_idle(&mut connection).await;
    }
    let length: usize = redis::AsyncCommands::xlen(&mut connection, STREAM).await.unwrap();
    assert!((10_000..11_000).contains(&length), "{length}");
}

#[tokio::test]
async fn a_notice_reaches_everybody_who_listens_and_again_after_redis_was_away() {
    let mut server = Server::new();
    let api = RedisNotices::open(&server.url()).unwrap();
    let listeners = [
        RedisNotices::open(&server.url()).unwrap(),
        RedisNotices::open(&server.url()).unwrap(),
    ];
    for _ in 0..2 {
        server.start();
        let mut connection = server.connection().await;
        // A notice is for those who listen at that moment, so it is rung until both have.
        let mut has_heard = [false; 2];
        for _ in 0..200 {
            api.ring(&["env_a".to_owned()]).await;
            for (listener, has_heard) in listeners.iter().zip(&mut has_heard) {
                let heard = tokio::time::timeout(Duration::from_millis(50), listener.next()).await;
                *has_heard |= heard.is_ok_and(|names| names == ["env_a"]);
            }
            if has_heard == [true; 2] {
                break;
            }
        }
        assert_eq!(has_heard, [true; 2]);
        let stored: usize = redis::cmd("DBSIZE").query_async(&mut connection).await.unwrap();
        assert_eq!(stored, 0, "it is kept nowhere");
        server.stop();
    }
}

/// Waits until the stream grows no more.
async fn rings_until_idle(connection: &mut MultiplexedConnection) {
    let mut last = String::new();
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let info: redis::streams::StreamInfoStreamReply =
            redis::AsyncCommands::xinfo_stream(connection, STREAM).await.unwrap();
        if info.last_generated_id == last {
            return;
        }
        last = info.last_generated_id;
    }
}

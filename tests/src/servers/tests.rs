//! The servers start, die, come back with what they must keep, and leave nothing behind.

use super::*;

impl Postgres {
    /// The answer of `psql`, or its complaint.
    fn query(&self, sql: &str) -> Result<String, String> {
        let output = self
            .command("psql")
            .args([&self.url("postgres"), "-Atqc", sql])
            .output()
            .expect("run psql");
        let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    }
}

#[test]
fn postgres_keeps_its_data_through_kill_and_restart() {
    let server = Postgres::start();
    assert_eq!(server.query("SHOW fsync").as_deref(), Ok("on"));
    assert_eq!(server.query("SHOW max_connections").as_deref(), Ok("400"));
    assert_eq!(server.query("CREATE TABLE t AS SELECT 7 AS x").as_deref(), Ok(""));
    server.kill();
    assert!(server.query("SELECT 1").is_err());
    server.start_again();
    assert_eq!(server.query("SELECT x FROM t").as_deref(), Ok("7"));
    server.restart();
    assert_eq!(server.query("SELECT x FROM t").as_deref(), Ok("7"));
    let dir = server.dir.path().to_owned();
    drop(server);
    assert!(!dir.exists());
}

#[test]
fn servers_outlive_the_thread_that_started_them() {
    let starters: Vec<_> = (0..3)
        .map(|_| std::thread::spawn(|| (Postgres::start_fast(), Redis::start())))
        .collect();
    let servers: Vec<_> = starters
        .into_iter()
        .map(|starter| starter.join().expect("start"))
        .collect();
    // The kernel sends the signal bound to a thread's end at once; this is ample.
    std::thread::sleep(std::time::Duration::from_millis(200));
    for (postgres, redis) in &servers {
        assert_eq!(postgres.query("SHOW fsync").as_deref(), Ok("off"));
        assert_eq!(redis.query(&redis::cmd("PING")).as_deref(), Ok("PONG"));
    }
}

#[test]
fn redis_forgets_and_comes_back_on_its_port() {
    let server = Redis::start();
    let set = || server.query(redis::cmd("SET").arg("acme").arg("1"));
    let get = || server.query(redis::cmd("GET").arg("acme"));
    assert!(set().is_ok() && get().is_ok());
    server.flush_all();
    assert!(get().is_err());
    assert!(set().is_ok());
    server.stop();
    assert!(get().is_err());
    server.start_again();
    assert!(set().is_ok() && get().is_ok());
}

#[test]
fn newest_version_and_named_user_are_found() {
    assert!(version_of(Path::new("/usr/lib/postgresql/16")) > version_of(Path::new("/opt/postgresql@9")));
    let users = "root:x:0:0::/root:/bin/sh\npostgres:x:101:104::/var:/bin/sh\n";
    let owner = Owner::named("postgres", users).expect("postgres is listed");
    assert_eq!((owner.uid, owner.gid), (101, 104));
    assert!(Owner::named("nobody", users).is_none());
}

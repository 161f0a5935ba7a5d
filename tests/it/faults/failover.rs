//! PostgreSQL fails over: the primary becomes a replica, and another server takes its place under the same name.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use harness::Receiver;
use harness::app;
use harness::processes::{self, Installation, Tenant, within};
use harness::servers::{Postgres, Redis};
use sea_orm::ConnectionTrait;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

use super::load::{Load, assert_kept};
use super::postgres::outside;
use super::{assert_delivered, jobs_end};

/// Longer than anybody waits for a connection, so that somebody is told.
const LEADERLESS: Duration = Duration::from_secs(12);

/// A name that leads to one server now and to another later; connections that are open stay where they are.
struct Name {
    port: u16,
    leads_to: Arc<AtomicU16>,
}

impl Name {
    async fn of(server: &Postgres) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let leads_to = Arc::new(AtomicU16::new(server.port()));
        let now = leads_to.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let port = now.load(Ordering::Relaxed);
                tokio::spawn(async move {
                    if let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await {
                        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        Self { port, leads_to }
    }

    fn leads_to(&self, server: &Postgres) {
        self.leads_to.store(server.port(), Ordering::Relaxed);
    }

    fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }
}

async fn run(server: &Postgres, statement: &str) {
    let outside = outside(server).await;
    outside.execute_unprepared(statement).await.expect(statement);
}

#[test]
fn a_demoted_primary_is_let_go_of_and_the_new_one_found_without_a_restart() {
    processes::run(async {
        let (first, redis) = (Postgres::start_fast(), Redis::start());
        let second = Postgres::following(&first);
        // Whatever is acknowledged is on both.
        run(&first, "ALTER SYSTEM SET synchronous_standby_names = '*'").await;
        run(&first, "SELECT pg_reload_conf()").await;
        let name = Name::of(&first).await;
        let installation = Installation::scaled(&name.url(), &redis.url()).with("STRONGROOM_AUDIT_READS", "off");
        let (api, worker) = tokio::join!(installation.api(), installation.worker());
        let receiver = Receiver::start().await;
        let tenant = Tenant::create(&api.url, "acme", Some(&receiver)).await;
        let load = Load::new(&tenant, &api.url);
        let writers = load.start(4, usize::MAX);
        within(Duration::from_secs(30), "the writers go on", || async {
            load.done() >= 100
        })
        .await;

        // It comes back as a replica, and the name still leads to it.
        first.demote();
        let done = load.done();
        tokio::time::sleep(LEADERLESS).await;
        // Each writer may have been answered for what it had written before.
        assert!(load.done() <= done + 4, "a replica takes no writes");

        run(&second, "SELECT pg_promote()").await;
        name.leads_to(&second);
        within(Duration::from_secs(20), "the new primary is found", || async {
            load.done() >= done + 100
        })
        .await;
        load.end();
        let acknowledged = writers.join_all().await;
        let refused = load.refused();
        assert!(!refused.is_empty(), "it was felt");
        assert!(refused.iter().all(|status| *status == 503), "only 503: {refused:?}");
        assert_eq!(load.unanswered(), 0, "every request was answered");
        assert!(
            api.process.log().contains("the server is a replica"),
            "the log tells why"
        );
        let db = installation.db().await;
        jobs_end(&db, Duration::from_secs(30)).await;
        assert_delivered(&receiver, &tenant, &db).await;
        assert_kept(&tenant, &db, acknowledged).await;
        tenant.verify().await;
        assert_eq!(
            (api.process.ended(), worker.ended()),
            (None, None),
            "nobody was restarted"
        );
    });
}

#[test]
fn a_primary_that_takes_no_changes_answers_reads_and_asks_writers_to_come_back() {
    processes::run(async {
        let postgres = Postgres::start_fast();
        let installation = Installation::scaled(&postgres.url("postgres"), &app::redis_url());
        let installation = installation.with("STRONGROOM_AUDIT_READS", "off");
        let api = installation.api().await;
        let tenant = Tenant::create(&api.url, "acme", None).await;
        let key = format!("{}KEY", tenant.secrets);
        tenant.client.put(&key, json!({ "value": "before" })).await.ok();
        run(&postgres, "ALTER SYSTEM SET default_transaction_read_only = on").await;
        run(&postgres, "SELECT pg_reload_conf()").await;
        within(Duration::from_secs(10), "changes are refused", || async {
            let put = tenant.client.put(&key, json!({ "value": "meanwhile" })).await;
            put.status() >= 300
        })
        .await;
        // Every connection has heard of it by then.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let refused = tenant.client.put(&key, json!({ "value": "refused" })).await;
        let refused = refused.problem(503, "unavailable");
        assert_eq!(refused.header("retry-after"), Some("5"));
        let read = tenant.client.get(&key).await.expect(200).at("/value");
        assert!(["before", "meanwhile"].contains(&read.as_str()), "{read}");
        run(&postgres, "ALTER SYSTEM RESET default_transaction_read_only").await;
        run(&postgres, "SELECT pg_reload_conf()").await;
        within(Duration::from_secs(10), "changes are made again", || async {
            let put = tenant.client.put(&key, json!({ "value": "after" })).await;
            put.status() < 300
        })
        .await;
        tenant.verify().await;
        assert_eq!(api.process.ended(), None, "nobody was restarted");
    });
}

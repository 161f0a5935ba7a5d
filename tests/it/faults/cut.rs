//! Connections cut at the worst moment, and changes that are given up after they have asked for a delivery.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::jobs::{Cause, Job, NewJob, emit};
use harness::{Client, Receiver, on_both};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A proxy that passes one request on, waits for the whole answer, and hangs up without it.
async fn cutting_proxy(upstream: &str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let upstream = upstream.trim_start_matches("http://").to_owned();
    let swallowed = Arc::new(AtomicUsize::new(0));
    let count = swallowed.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            if let Ok(answer) = swallow(client, &upstream).await {
                assert!(
                    answer.starts_with(b"HTTP/1.1 201"),
                    "{}",
                    String::from_utf8_lossy(&answer)
                );
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    (url, swallowed)
}

async fn swallow(mut client: TcpStream, upstream: &str) -> std::io::Result<Vec<u8>> {
    let mut server = TcpStream::connect(upstream).await?;
    let (mut request, mut answer) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        tokio::select! {
            read = client.read(&mut request) => {
                let read = read?;
                server.write_all(&request[..read]).await?;
            }
            read = server.read(&mut answer) => {
                answer.truncate(read?);
                return Ok(answer);
            }
        }
    }
}

on_both! {
    async fn a_change_whose_answer_was_lost_is_made_once_however_often_it_is_sent(t: TestApp) {
        let acme = t.org("acme").await;
        let receiver = Receiver::start().await;
        let hook = json!({ "url": receiver.url, "events": ["secret.created", "secret.updated"] });
        acme.owner.post(&acme.path("/webhooks"), hook).await.ok();
        let env = acme.project("web").await.env("production");
        let (proxy, swallowed) = cutting_proxy(&t.url).await;
        let mut through = Client::new(&proxy).with("Idempotency-Key", "once");
        through.credential = acme.owner.client().credential.clone();

        let body = json!({ "value": "only once" }).to_string().into_bytes();
        let lost = through
            .try_send(reqwest::Method::PUT, &env.secret("DB_URL"), Some(("application/json", body)))
            .await;
        assert!(lost.is_err(), "no answer arrives");
        assert!(swallowed.load(Ordering::Relaxed) >= 1, "though there was one");

        for _ in 0..3 {
            let again = acme.owner.with("Idempotency-Key", "once");
            let put = again.put(&env.secret("DB_URL"), json!({ "value": "only once" })).await.expect(201);
            assert_eq!(put.header("idempotent-replayed"), Some("true"));
            assert_eq!((put.at("/version"), put.at("/revision")), ("1".to_owned(), "1".to_owned()));
        }
        receiver.expect(1).await;
        let events = "SELECT COUNT(*) FROM journal WHERE action IN ('secret.created', 'secret.updated')";
        assert_eq!(t.number(events).await, 1);
        assert_eq!(t.number("SELECT COUNT(*) FROM jobs WHERE kind = 'webhook'").await, 1);
        assert_eq!(receiver.received().len(), 1);
    }

    async fn of_simultaneous_repetitions_one_is_made_and_the_others_leave_nothing(t: TestApp) {
        let acme = t.org("acme").await;
        let receiver = Receiver::start().await;
        let hook = json!({ "url": receiver.url, "events": ["secret.created", "secret.updated"] });
        acme.owner.post(&acme.path("/webhooks"), hook).await.ok();
        let env = acme.project("web").await.env("production");
        let same = acme.owner.with("Idempotency-Key", "together");
        let path = env.secret("DB_URL");
        let puts = (0..8).map(|_| same.put(&path, json!({ "value": "one" })));
        for answer in futures_util::future::join_all(puts).await {
            let answer = answer.expect(201);
            assert_eq!(answer.at("/version"), "1");
        }
        receiver.expect(1).await;
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action LIKE 'secret.%'").await, 1);
        assert_eq!(t.number("SELECT COUNT(*) FROM jobs WHERE kind = 'webhook'").await, 1);
        let gaps = "SELECT SUM(l.seq) - (SELECT COUNT(*) FROM journal) FROM ledgers l";
        assert_eq!(t.number(&format!("SELECT CAST(({gaps}) AS BIGINT)")).await, 0, "no number is used up");
    }

    async fn a_change_that_is_given_up_after_it_asked_for_a_delivery_sends_nothing(t: TestApp) {
        let acme = t.org("acme").await;
        let receiver = Receiver::start().await;
        let hook = json!({ "url": receiver.url, "events": ["*"] });
        let hook = acme.owner.post(&acme.path("/webhooks"), hook).await.expect(201).at("/id").parse().expect("an id");
        let before = t.number("SELECT CAST(SUM(seq) AS BIGINT) FROM ledgers").await;
        let event = "SELECT COUNT(*) FROM jobs WHERE kind = 'webhook'";

        let tx = t.db().begin_write().await.expect("open a transaction");
        let entry = domain::journal::Entry::in_org(
            acme.id,
            domain::journal::Action::OrgUpdated,
            domain::journal::Target::Org(acme.id),
        );
        let recorded = domain::journal::record(&tx, &system(), entry).await.expect("record");
        let job = NewJob {
            job: Job::DeliverWebhookV1,
            lane: "given-up".to_owned(),
            org_id: Some(acme.id),
            webhook_id: Some(hook),
            event_id: Some(recorded.id),
            cause: Cause::Resend,
            idempotency_key: "given-up".to_owned(),
        };
        emit(&tx, vec![job]).await.expect("emit");
        tx.rollback().await.expect("roll back");

        assert_eq!(t.number(event).await, 0);
        assert_eq!(t.number("SELECT CAST(SUM(seq) AS BIGINT) FROM ledgers").await, before, "no number is used up");
        // What comes next is the first to arrive.
        acme.project("web").await;
        let received = receiver.expect(1).await;
        assert_eq!(received[0].json()["type"], "project.created");
        assert_eq!(t.number(event).await, 1);
    }
}

fn system() -> domain::access::Origin {
    domain::access::Origin {
        actor: domain::access::ActorKind::System,
        actor_id: None,
        actor_label: None,
        credential: None,
        ip: None,
        user_agent: None,
        request_id: None,
    }
}

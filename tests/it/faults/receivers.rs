//! Receivers that misbehave: each attempt ends within its wall, and the slot is free again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use harness::on_both;
#[cfg(target_os = "linux")]
use harness::processes::{self, Installation, Tenant, number, within};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The wall of one attempt, and what a busy machine may add.
const WALL: Duration = Duration::from_secs(20);
const GRACE: Duration = Duration::from_secs(5);

const GIBIBYTE: usize = 1024 * 1024 * 1024;

#[derive(Clone, Copy)]
enum Manner {
    /// Takes the request and says nothing.
    Hangs,
    /// Begins its answer and says nothing more.
    Stalls,
    /// Sends a gibibyte and says so before.
    Huge,
    /// Sends a byte of its body a second.
    Drips,
    /// Sends a body that does not end.
    Endless,
    /// Breaks off in the middle of the head.
    Breaks,
    /// Sends a head that does not end.
    Babbles,
}

/// Listens and answers in this manner; counts the bytes it could send.
async fn listen(manner: Manner) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, manner, count.clone()));
        }
    });
    (address, sent)
}

async fn answer(mut stream: TcpStream, manner: Manner, sent: Arc<AtomicUsize>) -> std::io::Result<()> {
    let mut request = vec![0; 64 * 1024];
    let _ = stream.read(&mut request).await?;
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";
    match manner {
        Manner::Hangs => std::future::pending().await,
        Manner::Breaks => stream.write_all(head).await,
        Manner::Babbles => {
            stream.write_all(head).await?;
            loop {
                let field = b"X-More: 0123456789abcdef0123456789abcdef\r\n";
                stream.write_all(field).await?;
                sent.fetch_add(field.len(), Ordering::Relaxed);
            }
        }
        Manner::Stalls => {
            stream.write_all(head).await?;
            stream.write_all(b"Content-Length: 10\r\n\r\nhalf").await?;
            std::future::pending().await
        }
        Manner::Huge => {
            stream.write_all(head).await?;
            let length = format!("Content-Length: {GIBIBYTE}\r\n\r\n");
            stream.write_all(length.as_bytes()).await?;
            let piece = vec![b'x'; 64 * 1024];
            for _ in 0..GIBIBYTE / piece.len() {
                stream.write_all(&piece).await?;
                sent.fetch_add(piece.len(), Ordering::Relaxed);
            }
            Ok(())
        }
        Manner::Drips | Manner::Endless => {
            stream.write_all(head).await?;
            stream.write_all(b"Transfer-Encoding: chunked\r\n\r\n").await?;
            loop {
                let chunk: &[u8] = match manner {
                    Manner::Endless => b"20\r\n0123456789abcdef0123456789abcdef\r\n",
                    _ => b"1\r\n.\r\n",
                };
                stream.write_all(chunk).await?;
                sent.fetch_add(chunk.len(), Ordering::Relaxed);
                if matches!(manner, Manner::Drips) {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }
}

on_both! {
    async fn an_attempt_at_a_bad_receiver_ends_within_twenty_seconds(t: TestApp) {
        let acme = t.org("acme").await;
        let manners = [
            (Manner::Hangs, "timeout"), (Manner::Stalls, "timeout"), (Manner::Drips, "timeout"), (Manner::Endless, "ok"),
            (Manner::Huge, "ok"), (Manner::Breaks, "connect"), (Manner::Babbles, "connect"),
        ];
        let mut hooks = Vec::new();
        for (manner, outcome) in manners {
            let (address, sent) = listen(manner).await;
            let body = json!({ "url": format!("http://{address}/"), "events": ["project.created"] });
            let made = acme.owner.post(&acme.path("/webhooks"), body).await.expect(201);
            hooks.push((made.at("/id"), outcome, sent));
        }
        acme.project("web").await;
        let begun = tokio::time::Instant::now();
        for (hook, outcome, sent) in hooks {
            let path = acme.path(&format!("/webhooks/{hook}/deliveries"));
            let attempt = loop {
                let list = acme.owner.get(&path).await.expect(200).json();
                if let Some(attempt) = list.pointer("/data/0/attempts/0") {
                    break attempt.clone();
                }
                assert!(begun.elapsed() < WALL + GRACE, "{outcome}: it goes on");
                tokio::time::sleep(Duration::from_millis(50)).await;
            };
            assert_eq!(attempt["outcome"], outcome, "{attempt}");
            let took = attempt["total_ms"].as_f64().expect("a time");
            assert!(took <= (WALL + Duration::from_secs(1)).as_secs_f64() * 1000.0, "{took}");
            let kept = attempt["response_body"].as_str().map_or(0, str::len);
            assert!(kept <= 16 * 1024, "{kept} bytes were kept");
            assert!(sent.load(Ordering::Relaxed) < 32 * 1024 * 1024, "it stopped reading");
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM job_leases").await, 0, "every slot is free");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn bodies_without_end_take_no_memory() {
    processes::run(async {
        let installation = Installation::embedded();
        let api = installation.api().await;
        let tenant = Tenant::create(&api.url, "acme", None).await;
        let (hooks, db) = (format!("{}/webhooks", tenant.org), installation.db().await);
        let mut sent = Vec::new();
        for n in 0..20 {
            let (address, count) = listen(if n % 2 == 0 { Manner::Huge } else { Manner::Endless }).await;
            let body = json!({ "url": format!("http://{address}/"), "events": ["secret.*"] });
            tenant.client.post(&hooks, body).await.expect(201).ok();
            sent.push(count);
        }
        let before = api.process.peak_memory();
        for n in 0..5 {
            let put = json!({ "value": format!("value {n}") });
            tenant.client.put(&format!("{}KEY", tenant.secrets), put).await.ok();
        }
        let taken = "SELECT COUNT(*) FROM jobs WHERE kind = 'webhook' AND state = 2";
        within(3 * WALL, "all are delivered", || async {
            number(&db, taken).await == 100
        })
        .await;
        let grown = api.process.peak_memory() - before;
        println!("a hundred bodies without end: {grown} KiB");
        assert!(grown < 48 * 1024, "{grown} KiB");
        for count in sent {
            // Five deliveries, each with what fits into buffers of the kernel.
            assert!(
                count.load(Ordering::Relaxed) < 5 * 32 * 1024 * 1024,
                "it stopped reading"
            );
        }
    });
}

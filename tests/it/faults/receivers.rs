//! Receivers that misbehave: each attempt ends within its wall, and the slot is free again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use harness::on_both;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The wall of one attempt, and what a busy machine may add.
const WALL: Duration = Duration::from_secs(20);
const GRACE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy)]
enum Manner {
    /// Takes the request and says nothing.
    Hangs,
    /// Sends a byte of its body a second.
    Drips,
    /// Sends a body that does not end.
    Endless,
    /// Breaks off in the middle of the head.
    Breaks,
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
            (Manner::Hangs, "timeout"), (Manner::Drips, "timeout"), (Manner::Endless, "ok"), (Manner::Breaks, "connect"),
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
        assert_eq!(t.number("SELECT COUNT(*) FROM jobs WHERE state = 1").await, 0, "every slot is free");
    }
}

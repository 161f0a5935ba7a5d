//! A receiver that takes every connection and never answers, or late, and knows how many waited.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The receiver.
pub struct Hanging {
    pub url: String,
    waiting: Arc<Waiting>,
}

#[derive(Default)]
struct Waiting {
    now: AtomicUsize,
    peak: AtomicUsize,
    answered: AtomicUsize,
}

impl Hanging {
    /// One that never answers.
    pub async fn start() -> Self {
        Self::listen(None).await
    }

    /// One that says it was well after this time.
    pub async fn answering_after(time: Duration) -> Self {
        Self::listen(Some(time)).await
    }

    async fn listen(patience: Option<Duration>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let hanging = Self {
            url: format!("http://{}/hook", listener.local_addr().expect("an address")),
            waiting: Arc::default(),
        };
        let waiting = hanging.waiting.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(hold(stream, patience, waiting.clone()));
            }
        });
        hanging
    }

    /// The most deliveries that ever waited for an answer at once.
    pub fn peak(&self) -> usize {
        self.waiting.peak.load(Ordering::Relaxed)
    }

    /// Forgets the peak.
    pub fn forget_peak(&self) {
        self.waiting.peak.store(0, Ordering::Relaxed);
    }

    /// Deliveries that were answered.
    pub fn answered(&self) -> usize {
        self.waiting.answered.load(Ordering::Relaxed)
    }
}

/// Counts each request for as long as it waits.
async fn hold(mut stream: TcpStream, patience: Option<Duration>, waiting: Arc<Waiting>) {
    while read_request(&mut stream).await.is_some() {
        let now = waiting.now.fetch_add(1, Ordering::Relaxed) + 1;
        waiting.peak.fetch_max(now, Ordering::Relaxed);
        let Some(time) = patience else {
            let mut nothing = [0; 1024];
            while stream.read(&mut nothing).await.is_ok_and(|read| read > 0) {}
            waiting.now.fetch_sub(1, Ordering::Relaxed);
            return;
        };
        tokio::time::sleep(time).await;
        // Before the answer: the next request may come as soon as that is there.
        waiting.now.fetch_sub(1, Ordering::Relaxed);
        if stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.is_err() {
            return;
        }
        waiting.answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// Reads a request to its end.
async fn read_request(stream: &mut TcpStream) -> Option<()> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = |line: &str| line.strip_prefix("content-length:")?.trim().parse().ok();
            let body: usize = head.lines().find_map(length).unwrap_or(0);
            if bytes.len() >= end + 4 + body {
                return Some(());
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

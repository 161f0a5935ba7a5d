//! A listener that counts its connections and answers well or badly.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the listener does with a connection once it has read a request.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    Text(&'static str),
    Hang,
    /// A status at once, then one byte every 100 ms.
    Drip,
    Endless,
    /// Closes in the middle of the body.
    Break,
    /// Closes before any answer.
    Close,
}

/// A listener on every local address, with the number of connections that it saw and the last request in lower case.
pub(super) struct Sink {
    pub(super) port: u16,
    hits: Arc<AtomicUsize>,
    pub(super) seen: Arc<Mutex<String>>,
}

impl Sink {
    pub(super) async fn start(answer: Answer) -> Self {
        let v4 = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
        let port = v4.local_addr().unwrap().port();
        let sink = Self {
            port,
            hits: Arc::default(),
            seen: Arc::default(),
        };
        sink.serve(v4, answer);
        // A machine without IPv6 has no such address to protect either.
        if let Ok(v6) = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await {
            sink.serve(v6, answer);
        }
        sink
    }

    fn serve(&self, listener: TcpListener, answer: Answer) {
        let (hits, seen) = (Arc::clone(&self.hits), Arc::clone(&self.seen));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                hits.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(talk(stream, answer, Arc::clone(&seen)));
            }
        });
    }

    pub(super) fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }
}

/// Reads one request to the end of its body, or the first message of a TLS handshake.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    // Room for all of it: closing with bytes unread would reset the connection.
    let mut request = Vec::with_capacity(16 * 1024);
    loop {
        let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .split("content-length: ")
                .nth(1)
                .and_then(|rest| rest.lines().next());
            if length.is_none_or(|length| length.parse() == Ok(body.len())) {
                return Some(text);
            }
        }
        if request.starts_with(&[22]) {
            return Some(String::new());
        }
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

async fn talk(mut stream: TcpStream, answer: Answer, seen: Arc<Mutex<String>>) {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100000\r\n\r\n";
    while let Some(request) = read_request(&mut stream).await {
        *seen.lock().unwrap() = request;
        match answer {
            Answer::Text(text) => {
                let _ = stream.write_all(text.as_bytes()).await;
                // Only this answer leaves the connection open for another request.
                continue;
            }
            Answer::Hang => tokio::time::sleep(Duration::from_mins(1)).await,
            Answer::Drip => {
                let _ = stream.write_all(head.as_bytes()).await;
                while stream.write_all(b"x").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
            Answer::Endless => {
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                    .await;
                while stream.write_all(b"400\r\n").await.is_ok() && stream.write_all(&[b'x'; 1024]).await.is_ok() {
                    let _ = stream.write_all(b"\r\n").await;
                }
            }
            Answer::Break => {
                let _ = stream.write_all(head.as_bytes()).await;
                let _ = stream.write_all(b"half").await;
            }
            Answer::Close => {}
        }
        return;
    }
}

//! A webhook receiver that notes what it gets.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// A request as received.
#[derive(Clone)]
pub(super) struct Received {
    pub(super) at: Instant,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Received {
    /// The event id, the same at every attempt.
    pub(super) fn id(&self) -> String {
        self.headers["webhook-id"].to_str().unwrap().to_owned()
    }
}

/// What the receiver does with its n-th request, counted from 0.
#[derive(Clone, Copy)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) wait: Duration,
    /// Answers only once the test let go of it.
    pub(super) is_held: bool,
}

impl Answer {
    pub(super) fn status(status: u16) -> Self {
        Self {
            status,
            wait: Duration::ZERO,
            is_held: false,
        }
    }
}

/// The receiver.
#[derive(Clone)]
pub(super) struct Sink {
    pub(super) url: String,
    seen: Arc<Mutex<Vec<Received>>>,
    gate: Arc<Semaphore>,
    /// Requests being answered, and the most that were at once.
    open: Arc<Mutex<(usize, usize)>>,
}

impl Sink {
    pub(super) async fn start(script: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let sink = Self {
            url: format!("http://{}/hook", listener.local_addr().unwrap()),
            seen: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
            open: Arc::default(),
        };
        let (served, script) = (sink.clone(), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(served.clone().talk(stream, Arc::clone(&script)));
            }
        });
        sink
    }

    pub(super) fn seen(&self) -> Vec<Received> {
        self.seen.lock().unwrap().clone()
    }

    pub(super) fn hits(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// The most requests that were under way at once.
    pub(super) fn peak(&self) -> usize {
        self.open.lock().unwrap().1
    }

    /// Lets go of one held answer.
    pub(super) fn let_go(&self) {
        self.gate.add_permits(1);
    }

    async fn talk(self, mut stream: TcpStream, script: Arc<impl Fn(usize) -> Answer>) {
        while let Some(received) = read(&mut stream).await {
            let turn = {
                let mut seen = self.seen.lock().unwrap();
                seen.push(received);
                seen.len() - 1
            };
            {
                let mut open = self.open.lock().unwrap();
                open.0 += 1;
                open.1 = open.1.max(open.0);
            }
            let answer = script(turn);
            if answer.is_held {
                self.gate.acquire().await.unwrap().forget();
            }
            tokio::time::sleep(answer.wait).await;
            self.open.lock().unwrap().0 -= 1;
            let text = format!(
                "HTTP/1.1 {} X\r\nContent-Type: text/plain\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\nok",
                answer.status
            );
            if stream.write_all(text.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return None;
        }
    };
    let text = String::from_utf8(bytes[..head].to_vec()).unwrap();
    let mut headers = HeaderMap::new();
    for line in text.lines().skip(1) {
        let (name, value) = line.split_once(": ").unwrap();
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
    }
    let length: usize = headers["content-length"].to_str().unwrap().parse().unwrap();
    let mut body = bytes.split_off(head + 4);
    while body.len() < length {
        if stream.read_buf(&mut body).await.unwrap_or(0) == 0 {
            return None;
        }
    }
    let at = Instant::now();
    Some(Received { at, headers, body })
}

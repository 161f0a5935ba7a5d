//! A client that costs little: it shares the cores with what it measures. Requests are bytes, connections stay open, and of
//! an answer it looks at the status alone.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

/// Asks one server; as many connections as there are questions at once.
#[derive(Clone)]
pub struct Bare {
    host: String,
    idle: Arc<Mutex<Vec<BufStream<TcpStream>>>>,
}

impl Bare {
    pub fn new(base: &str) -> Self {
        Self {
            host: base.trim_start_matches("http://").to_owned(),
            idle: Arc::default(),
        }
    }

    /// A request without a body.
    pub fn get(&self, path: &str, token: &str) -> String {
        format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\r\n",
            self.host
        )
    }

    /// A request of JSON, said to come from an address.
    pub fn post_from(&self, ip: &str, path: &str, body: &str) -> String {
        format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nX-Forwarded-For: {ip}\r\nX-Real-IP: {ip}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.host,
            body.len()
        )
    }

    /// Sends a request and reads its answer; the status.
    pub async fn ask(&self, request: &str) -> u16 {
        let kept = self.idle.lock().expect("whole").pop();
        if let Some(mut connection) = kept
            && let Some(status) = exchange(&mut connection, request).await
        {
            self.idle.lock().expect("whole").push(connection);
            return status;
        }
        // The server has closed what was left idle for long.
        let stream = TcpStream::connect(&self.host).await.expect("connect");
        stream.set_nodelay(true).expect("a socket");
        let mut connection = BufStream::new(stream);
        let status = exchange(&mut connection, request).await.expect("an answer");
        self.idle.lock().expect("whole").push(connection);
        status
    }
}

async fn exchange(connection: &mut BufStream<TcpStream>, request: &str) -> Option<u16> {
    connection.write_all(request.as_bytes()).await.ok()?;
    connection.flush().await.ok()?;
    let (mut status, mut length, mut line) = (None, 0, String::new());
    loop {
        line.clear();
        connection.read_line(&mut line).await.ok()?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        match line.split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().ok()?,
            Some(_) => {}
            None => status = line.split(' ').nth(1)?.parse().ok(),
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await.ok()?;
    status
}

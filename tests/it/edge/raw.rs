//! A socket to the server, for what no HTTP client would send.

use std::time::Duration;

use harness::TestApp;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest wait for the server to answer or hang up: longer than its own patience with a slow body.
const PATIENCE: Duration = Duration::from_secs(45);

/// What came back before the server hung up.
#[derive(Debug)]
pub struct Reply {
    /// Zero when nothing came.
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    pub fn code(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        body["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// An open connection.
pub struct Raw(TcpStream);

impl Raw {
    pub async fn open(t: &TestApp) -> Self {
        let address = t.url.trim_start_matches("http://");
        Self(TcpStream::connect(address).await.expect("connect"))
    }

    /// Sends what the server will take; answers whether it took everything.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).await.is_ok()
    }

    /// Reads until the server hangs up.
    ///
    /// # Panics
    /// When it does not.
    pub async fn reply(&mut self) -> Reply {
        let mut bytes = Vec::new();
        let mut buffer = [0_u8; 4096];
        let read = async {
            // A reset after the answer ends it as well.
            while let Ok(count @ 1..) = self.0.read(&mut buffer).await {
                bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
            }
        };
        tokio::time::timeout(PATIENCE, read)
            .await
            .expect("the server answers or hangs up");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Reply {
            status: status.unwrap_or(0),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }
}

/// Sends one request as it stands and reads what comes back.
pub async fn send(t: &TestApp, request: impl AsRef<[u8]>) -> Reply {
    let mut raw = Raw::open(t).await;
    raw.send(request.as_ref()).await;
    raw.reply().await
}

/// A request line with the headers that every request here has.
pub fn head(line: &str, token: Option<&str>) -> String {
    let credential = token
        .map(|token| format!("Authorization: Bearer {token}\r\n"))
        .unwrap_or_default();
    format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{credential}")
}

/// A POST of JSON bytes.
pub fn post(path: &str, token: Option<&str>, body: &[u8]) -> Vec<u8> {
    let head = head(&format!("POST {path}"), token);
    let head = format!(
        "{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

//! Where canaries are looked for.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use domain::kernel::{Db, Reads};
use harness::Receiver;
use sea_orm::ConnectionTrait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Bytes that hold no secret.
pub struct Haystack {
    pub name: String,
    bytes: Vec<u8>,
}

impl Haystack {
    pub fn new(name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        let name = name.to_owned();
        Self {
            name,
            bytes: bytes.into(),
        }
    }

    /// Every file of a folder, but those of these names.
    pub fn files(folder: &Path, except: &[&str]) -> Vec<Self> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                found.extend(Self::files(&path, except));
            } else if !except.iter().any(|name| path.ends_with(name)) {
                let bytes = std::fs::read(&path).unwrap_or_default();
                found.push(Self::new(&path.display().to_string(), bytes));
            }
        }
        found
    }

    /// Every row of every table, as text.
    pub async fn tables(db: &Db) -> Vec<Self> {
        let names = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'";
        let names = db.conn().query_all_raw(db.sql(names, [])).await.expect("the tables");
        let mut found = Vec::new();
        for name in names {
            let name: String = name.try_get_by_index(0).expect("a name");
            let rows = format!("SELECT COALESCE(string_agg(t::text, E'\\n'), '') FROM \"{name}\" t");
            let row = db
                .conn()
                .query_one_raw(db.sql(&rows, []))
                .await
                .expect("the rows")
                .expect("a row");
            let text: String = row.try_get_by_index(0).expect("text");
            found.push(Self::new(&format!("table {name}"), text));
        }
        assert!(found.len() > 15, "{} tables", found.len());
        found
    }

    /// Heads and bodies of what a receiver got.
    pub fn of_webhooks(receiver: &Receiver) -> Self {
        let all: Vec<String> = receiver
            .received()
            .iter()
            .map(|one| format!("{:?}\n{}", one.headers, String::from_utf8_lossy(&one.body)))
            .collect();
        Self::new("webhooks", all.join("\n"))
    }

    /// The messages that a receiver got as a collector of traces.
    pub fn of_traces(collector: &Receiver) -> Self {
        let bodies: Vec<_> = collector.received().iter().map(|one| one.body.to_vec()).collect();
        Self::new("traces", bodies.concat())
    }

    /// Every key of Redis with what it holds.
    pub async fn of_redis(url: &str) -> Self {
        let client = redis::Client::open(url).expect("a Redis URL");
        let mut connection = client.get_multiplexed_async_connection().await.expect("Redis");
        let keys: Vec<String> = redis::cmd("KEYS")
            .arg("*")
            .query_async(&mut connection)
            .await
            .expect("KEYS");
        let mut bytes = keys.join("\n").into_bytes();
        for key in keys {
            let dump: Vec<u8> = redis::cmd("DUMP")
                .arg(&key)
                .query_async(&mut connection)
                .await
                .expect("DUMP");
            bytes.extend(dump);
        }
        Self::new("Redis", bytes)
    }

    pub fn is_mail(&self) -> bool {
        Path::new(&self.name).extension().is_some_and(|ending| ending == "eml")
    }

    /// Whether it is there: as it is, in hex, or in base64.
    pub fn contains(&self, secret: &str) -> bool {
        let hex = secret
            .bytes()
            .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        let base64 = BASE64_STANDARD.encode(secret);
        [secret, &hex, base64.trim_end_matches('=')]
            .iter()
            .any(|needle| self.holds(needle.as_bytes()))
    }

    /// Whether a number is there by itself, and not within a longer one, an id or a fraction.
    pub fn has_number(&self, digits: &str) -> bool {
        let is_part =
            |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte));
        self.places(digits.as_bytes()).any(|at| {
            let before = at.checked_sub(1).and_then(|at| self.bytes.get(at));
            !is_part(before) && !is_part(self.bytes.get(at + digits.len()))
        })
    }

    /// Whether these bytes are there.
    pub fn holds(&self, needle: &[u8]) -> bool {
        self.places(needle).next().is_some()
    }

    fn places<'a>(&'a self, needle: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        let first = needle[0];
        let starts = self.bytes.iter().enumerate().filter(move |(_, byte)| **byte == first);
        starts
            .map(|(at, _)| at)
            .filter(move |at| self.bytes[*at..].starts_with(needle))
    }
}

/// Everything that Redis is told.
pub struct Monitor {
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Monitor {
    pub async fn start(port: u16) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("Redis");
        stream.write_all(b"MONITOR\r\n").await.expect("ask");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let kept = heard.clone();
        tokio::spawn(async move {
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(read) = stream.read(&mut buffer).await
                && read > 0
            {
                kept.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend(&buffer[..read]);
            }
        });
        Self { heard }
    }

    pub fn heard(&self) -> Haystack {
        Haystack::new(
            "MONITOR",
            self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        )
    }
}

//! A load generator that costs little: bare HTTP/1.1 over kept-alive connections, each sending its next request when
//! it has the whole answer. Every hundredth body is looked at.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::{Outcome, cpu, median};

/// One body in so many is checked.
const CHECK_EVERY: u64 = 100;

type MakeRequest = dyn Fn(u64) -> Bytes + Send + Sync;
type Check = dyn Fn(&[u8]) -> bool + Send + Sync;

/// What is asked, of whom, and what the answer must be.
#[derive(Clone)]
pub struct Load {
    pub address: SocketAddr,
    pub connections: usize,
    /// The request number `n`; no number is used twice.
    pub request: Arc<MakeRequest>,
    pub status: u16,
    pub check: Arc<Check>,
    /// Whose CPU time counts.
    pub processes: &'static [&'static str],
    pub next: Arc<AtomicU64>,
}

/// One round of one thing.
#[derive(Clone, Debug, Default)]
pub struct Round {
    pub rate: f64,
    /// CPU-milliseconds of one operation.
    pub cpu_ms: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Operations done.
    pub done: u64,
    /// Operations a second up to the end of all that they caused.
    pub settled: f64,
    pub errors: Vec<String>,
}

impl Round {
    /// `done` operations in `elapsed` that cost `cpu`.
    #[expect(clippy::cast_precision_loss, reason = "counts of some seconds")]
    pub fn of(done: u64, elapsed: Duration, cpu: Duration) -> Self {
        let count = (done as f64).max(1.0);
        Self {
            rate: done as f64 / elapsed.as_secs_f64(),
            cpu_ms: cpu.as_secs_f64() * 1000.0 / count,
            done,
            ..Self::default()
        }
    }

    /// One operation stands for `n`.
    #[must_use]
    pub fn times(mut self, n: f64) -> Self {
        self.rate *= n;
        self.cpu_ms /= n;
        self
    }
}

/// A request with a bearer token.
pub fn request(method: &str, path: &str, token: &str, headers: &str, body: &str) -> Bytes {
    let length = if body.is_empty() {
        String::new()
    } else {
        format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len())
    };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{headers}{length}\r\n"
    );
    Bytes::from(head + body)
}

/// Drives for as long as told.
pub async fn run(load: &Load, duration: Duration) -> Outcome<Round> {
    let mut connections = Vec::new();
    for _ in 0..load.connections {
        connections.push(Connection::open(load.address).await?);
    }
    let before = cpu::spent(load.processes);
    let begun = Instant::now();
    let end = begun + duration;
    let mut tasks = JoinSet::new();
    for connection in connections {
        tasks.spawn(connection.drive(load.clone(), end));
    }
    let (mut took, mut errors) = (Vec::new(), Vec::new());
    while let Some(ended) = tasks.join_next().await {
        let (times, faults) = ended??;
        took.extend(times);
        errors.extend(faults);
    }
    let elapsed = begun.elapsed();
    let spent = cpu::spent(load.processes).saturating_sub(before);
    took.sort_unstable();
    let mut round = Round::of(took.len() as u64, elapsed, spent);
    (round.p50_ms, round.p99_ms) = (percentile(&took, 50), percentile(&took, 99));
    round.errors = errors;
    Ok(round)
}

/// A percentile of sorted durations, milliseconds.
pub fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(0.0, |took| took.as_secs_f64() * 1000.0)
}

/// The median of each figure.
pub fn middle(rounds: &[Round]) -> Round {
    let of = |figure: fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
    Round {
        rate: of(|round| round.rate),
        cpu_ms: of(|round| round.cpu_ms),
        p50_ms: of(|round| round.p50_ms),
        p99_ms: of(|round| round.p99_ms),
        settled: of(|round| round.settled),
        done: rounds.iter().map(|round| round.done).sum(),
        errors: rounds.iter().flat_map(|round| round.errors.clone()).collect(),
    }
}

/// An answer: status, and the length of head and body.
struct Head {
    status: u16,
    start: usize,
    body: usize,
}

struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Connection {
    async fn open(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let buffer = BytesMut::with_capacity(64 * 1024);
        Ok(Self { stream, buffer })
    }

    async fn drive(mut self, load: Load, end: Instant) -> Outcome<(Vec<Duration>, Vec<String>)> {
        let (mut took, mut errors) = (Vec::new(), Vec::new());
        loop {
            let begun = Instant::now();
            if begun >= end {
                return Ok((took, errors));
            }
            let n = load.next.fetch_add(1, Ordering::Relaxed);
            let request = (load.request)(n);
            self.stream.write_all(&request).await?;
            let head = self.answer().await?;
            took.push(begun.elapsed());
            let body = self.buffer.get(head.start..head.start + head.body).unwrap_or_default();
            if head.status != load.status {
                errors.push(format!("status {}: {}", head.status, String::from_utf8_lossy(body)));
            } else if n.is_multiple_of(CHECK_EVERY) && !(load.check)(body) {
                return Err(format!("a wrong body, the run is void: {}", String::from_utf8_lossy(body)).into());
            }
            self.buffer.advance(head.start + head.body);
        }
    }

    /// Reads one whole answer into the buffer.
    async fn answer(&mut self) -> Outcome<Head> {
        loop {
            if let Some(head) = parse(&self.buffer)?
                && self.buffer.len() >= head.start + head.body
            {
                return Ok(head);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the server closed the connection".into());
            }
        }
    }
}

fn parse(buffer: &[u8]) -> Outcome<Option<Head>> {
    let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(buffer.get(..end).unwrap_or_default())?;
    let status = text.get(9..12).unwrap_or_default().parse()?;
    let length = text.split("\r\n").skip(1).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim())
    });
    let body = match (length, status) {
        (Some(length), _) => length.parse()?,
        (None, 204 | 304) => 0,
        (None, _) => return Err("an answer without Content-Length".into()),
    };
    let start = end + 4;
    // A 304 may name the length of what it does not send.
    let body = if status == 304 { 0 } else { body };
    Ok(Some(Head { status, start, body }))
}

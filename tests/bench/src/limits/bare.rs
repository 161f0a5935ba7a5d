//! Programs that do nothing but their part, run as hidden subcommands so that their cost can be told apart: a poem
//! handler with fixed bytes behind the product's own accept loop, and a loop that posts with a plain client.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use api::server::{ServerLimits, serve};
use bytes::Bytes;
use poem::http::{StatusCode, header};
use poem::{Endpoint, Request, Response};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::drive::Round;
use crate::stack::Process;
use crate::{Outcome, cpu};

/// The subcommands.
pub const SERVE: &str = "serve-bytes";
pub const POST: &str = "post-bytes";

/// Answers the same bytes whatever is asked, and an empty 200 for `/health`.
struct Static {
    status: StatusCode,
    tag: String,
    body: Bytes,
}

impl Endpoint for Static {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        if request.uri().path() == "/health" {
            return Ok(Response::builder().status(StatusCode::OK).finish());
        }
        let response = Response::builder()
            .status(self.status)
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .header(header::ETAG, &self.tag);
        Ok(response.body(self.body.clone()))
    }
}

/// `serve-bytes <address> <status> <file>`
pub async fn serve_bytes(arguments: &[OsString]) -> Outcome<()> {
    let [address, status, file] = arguments else {
        return Err("serve-bytes <address> <status> <file>".into());
    };
    let text = |argument: &OsString| argument.to_string_lossy().into_owned();
    let endpoint = Static {
        status: StatusCode::from_u16(text(status).parse()?)?,
        tag: "\"1-000000000000000000000000\"".to_owned(),
        body: Bytes::from(std::fs::read(file)?),
    };
    let listener = TcpListener::bind(text(address)).await?;
    let never = CancellationToken::new();
    Ok(serve(listener, Arc::new(endpoint), ServerLimits::default(), never).await?)
}

/// Starts a server of fixed bytes.
pub fn spawn_server(status: u16, file: &Path) -> Outcome<Process> {
    let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let (listen, status) = (address.to_string(), status.to_string());
    let arguments = [
        OsStr::new(SERVE),
        OsStr::new(&listen),
        OsStr::new(&status),
        file.as_os_str(),
    ];
    Process::spawn(&std::env::current_exe()?, &arguments, &[], address)
}

/// `post-bytes <url> <file> <count> <concurrency>`: prints the seconds that it took.
pub async fn post_bytes(arguments: &[OsString]) -> Outcome<()> {
    let [url, file, count, concurrency] = arguments else {
        return Err("post-bytes <url> <file> <count> <concurrency>".into());
    };
    let text = |argument: &OsString| argument.to_string_lossy().into_owned();
    let (url, body, count) = (
        text(url),
        Bytes::from(std::fs::read(file)?),
        text(count).parse::<u64>()?,
    );
    let concurrency: usize = text(concurrency).parse()?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(concurrency)
        .build()?;
    let begun = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..concurrency {
        tasks.spawn(post(client.clone(), url.clone(), body.clone(), next.clone(), count));
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    println!("{}", begun.elapsed().as_secs_f64());
    Ok(())
}

async fn post(client: reqwest::Client, url: String, body: Bytes, next: Arc<AtomicU64>, count: u64) -> Outcome<()> {
    while next.fetch_add(1, Ordering::Relaxed) < count {
        let sent = client
            .post(&url)
            .header("content-type", "application/json")
            .header("webhook-id", "evt_00000000000000000000000000")
            .header("webhook-timestamp", "1700000000")
            .header("webhook-signature", "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
            .body(body.clone());
        let answer = sent.send().await?;
        if !answer.status().is_success() {
            return Err(format!("the sink answered {}", answer.status()).into());
        }
        answer.bytes().await?;
    }
    Ok(())
}

/// Posts a body so many times with a plain client in a process of its own.
pub async fn post_all(url: &str, body: &[u8], count: u64, concurrency: usize) -> Outcome<Round> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), body)?;
    let mut command = tokio::process::Command::new(std::env::current_exe()?);
    command.arg(POST).arg(url).arg(file.path());
    command.args([count.to_string(), concurrency.to_string()]);
    let before = cpu::children();
    let output = command.output().await?;
    let spent = cpu::children().saturating_sub(before);
    if !output.status.success() {
        return Err(format!("post-bytes: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let seconds: f64 = String::from_utf8_lossy(&output.stdout).trim().parse()?;
    Ok(Round::of(count, Duration::from_secs_f64(seconds), spent))
}

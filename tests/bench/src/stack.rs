//! The product as it is deployed: its own programs on its own servers, and something in it to measure.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::crypto::RootKeyring;
use domain::kernel::{Backend, Clock, Db, Rng};
use harness::Client;
use harness::servers::{Postgres, Redis, bound_to_us, send_signal, spawn_for_life};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Outcome;

/// Secrets in the environment that is pulled, and bytes of each value.
pub const SECRETS: usize = 100;
const VALUE_BYTES: usize = 64;
/// Keys of a bulk change: as many as one takes.
pub const BULK: usize = 1000;
/// How long a program may take to start or to end.
const PATIENCE: Duration = Duration::from_mins(1);

/// PostgreSQL, with fsync on, and Redis.
pub struct Servers {
    pub postgres: Postgres,
    pub redis: Redis,
}

/// One installation.
pub struct Site {
    pub backend: Backend,
    pub servers: Arc<Servers>,
    pub dir: TempDir,
    /// Name of its PostgreSQL database.
    pub database: String,
    root_key: String,
}

/// A running program; it is killed when dropped.
pub struct Process {
    child: Option<Child>,
    pub pid: u32,
    pub address: SocketAddr,
}

/// A free port on loopback.
fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// A program beside this one.
pub fn sibling(name: &str) -> Outcome<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(format!("{name} is not built: cargo build --workspace --bins").into())
}

impl Process {
    /// Starts a program with this environment and nothing else.
    pub fn spawn(program: &Path, arguments: &[&OsStr], env: &[(&str, String)], address: SocketAddr) -> Outcome<Self> {
        let mut command = bound_to_us(program, "KILL");
        command
            .args(arguments)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command.envs(env.iter().map(|(name, value)| (*name, value)));
        let child = spawn_for_life(command)?;
        let pid = child.id();
        let child = Some(child);
        Ok(Self { child, pid, address })
    }

    /// Waits for the first 200 of `/health`.
    pub async fn healthy(&mut self) -> Outcome<()> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.as_mut().map(Child::try_wait).transpose()?.flatten() {
                return Err(format!("a program ended at its start: {status}").into());
            }
            if is_healthy(self.address).await.unwrap_or(false) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Err("a program did not become healthy".into())
    }

    /// Ends it as an operator does and waits for its end.
    pub async fn stop(mut self) -> Outcome<()> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        send_signal(&self.pid.to_string(), "TERM");
        let status = tokio::task::spawn_blocking(move || child.wait()).await??;
        if status.success() {
            return Ok(());
        }
        Err(format!("a program did not end well: {status}").into())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

async fn is_healthy(address: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer.starts_with(b"HTTP/1.1 200"))
}

impl Site {
    /// An empty installation.
    pub async fn new(backend: Backend, servers: &Arc<Servers>) -> Outcome<Self> {
        let database = format!("bench_{}", uuid::Uuid::new_v4().simple());
        if backend == Backend::Postgres {
            admin(servers, &format!("CREATE DATABASE {database}")).await?;
        }
        Ok(Self {
            backend,
            servers: servers.clone(),
            dir: TempDir::new()?,
            database,
            root_key: RootKeyring::generate(&Rng::system())?.expose().clone(),
        })
    }

    /// What people see: `PostgreSQL + Redis`.
    pub fn name(&self) -> &'static str {
        match self.backend {
            Backend::Postgres => "PostgreSQL + Redis",
            Backend::Sqlite => "SQLite, embedded",
        }
    }

    pub fn database_url(&self) -> String {
        match self.backend {
            Backend::Postgres => self.servers.postgres.url(&self.database),
            Backend::Sqlite => Db::sqlite_url(&self.file()),
        }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("strongroom.db")
    }

    fn environment(&self, query: &str, address: SocketAddr) -> Vec<(&'static str, String)> {
        let mut env = vec![
            ("STRONGROOM_LISTEN", address.to_string()),
            ("STRONGROOM_DATA_DIR", self.dir.path().display().to_string()),
            ("STRONGROOM_EGRESS_ALLOW", "127.0.0.0/8".to_owned()),
            ("STRONGROOM_ROOT_KEY", self.root_key.clone()),
            ("STRONGROOM_LOG", "warn".to_owned()),
            // Everything comes from one address.
            ("STRONGROOM_RATE_LIMIT_SCALE", "0".to_owned()),
            ("STRONGROOM_DRAIN_DELAY", "0".to_owned()),
        ];
        if self.backend == Backend::Postgres {
            env.push(("STRONGROOM_DATABASE_URL", self.database_url() + query));
            env.push(("STRONGROOM_REDIS_URL", self.servers.redis.url()));
        }
        env
    }

    /// Starts the API, on PostgreSQL without a worker in it.
    pub async fn api(&self) -> Outcome<Process> {
        self.api_with("").await
    }

    /// The same, with something added to the database's URL.
    pub async fn api_with(&self, query: &str) -> Outcome<Process> {
        let mut process = self.spawn_api(query)?;
        process.healthy().await?;
        Ok(process)
    }

    pub fn spawn_api(&self, query: &str) -> Outcome<Process> {
        let address = free_address()?;
        let env = self.environment(query, address);
        Process::spawn(&sibling("strongroom-api")?, &[], &env, address)
    }

    /// Starts a worker; it has no address to ask.
    pub fn worker(&self) -> Outcome<Process> {
        let address = free_address()?;
        let env = self.environment("", address);
        Process::spawn(&sibling("strongroom-worker")?, &[], &env, address)
    }

    /// The API and, on PostgreSQL, one worker.
    pub async fn all(&self) -> Outcome<(Process, Option<Process>)> {
        let api = self.api().await?;
        let worker = match self.backend {
            Backend::Postgres => Some(self.worker()?),
            Backend::Sqlite => None,
        };
        Ok((api, worker))
    }

    /// The database, behind the product's back.
    pub async fn db(&self) -> Outcome<Db> {
        Ok(Db::connect(&self.database_url(), Clock::system(), Rng::system()).await?)
    }

    /// A copy of the database for the limits to wear out; nothing may be connected to the original.
    pub async fn copy(&self) -> Outcome<String> {
        match self.backend {
            Backend::Postgres => {
                let copy = format!("{}_limits", self.database);
                admin(
                    &self.servers,
                    &format!("CREATE DATABASE {copy} TEMPLATE {}", self.database),
                )
                .await?;
                Ok(self.servers.postgres.url(&copy))
            }
            Backend::Sqlite => {
                let copy = self.dir.path().join("limits.db");
                std::fs::copy(self.file(), &copy)?;
                Ok(Db::sqlite_url(&copy))
            }
        }
    }
}

async fn admin(servers: &Servers, statement: &str) -> Outcome<()> {
    let mut options = sea_orm::ConnectOptions::new(servers.postgres.url("postgres"));
    options.max_connections(1).sqlx_logging(false);
    let connection = sea_orm::Database::connect(options).await?;
    // Connections of a program that has just ended may still be there for a moment.
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = connection.execute_unprepared(statement).await {
        if Instant::now() > deadline {
            return Err(error.into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    connection.close().await?;
    Ok(())
}

/// What is in a site: an organisation with 100 secrets in one environment, and a personal token.
#[derive(Clone, Debug)]
pub struct Fixture {
    pub token: String,
    /// `/v1/orgs/acme/projects/web/environments/production/secrets`.
    pub secrets: String,
    /// Id of the webhook, switched off.
    pub webhook: String,
    /// The webhook's signing secret.
    pub webhook_secret: String,
}

/// The key number `i`.
pub fn key(i: usize) -> String {
    format!("KEY_{i:03}")
}

/// The value that a key has at first.
pub fn value(i: usize) -> String {
    let text = format!("value-of-{i:03}-");
    text.chars().cycle().take(VALUE_BYTES).collect()
}

/// A thousand keys with values of the change number `n`.
pub fn bulk_json(n: u64) -> Value {
    serde_json::from_str(&bulk_body(n)).unwrap_or_default()
}

/// The same as text, made in little time: whoever sends it does nothing else meanwhile.
pub fn bulk_body(n: u64) -> String {
    let end = format!("-{n:054}\"");
    let entries: Vec<String> = (0..BULK)
        .map(|i| format!("\"KEY_{i:04}\":\"bulk-{i:04}") + &end)
        .collect();
    format!("{{\"secrets\":{{{}}}}}", entries.join(","))
}

/// A client of a running API.
pub fn client(api: &Process) -> Client {
    Client::new(&format!("http://{}", api.address))
}

impl Fixture {
    /// Fills a site over its API.
    pub async fn make(api: &Process, sink: &str) -> Outcome<Self> {
        let anonymous = client(api);
        let body =
            json!({ "email": "bench@example.com", "password": "correct horse battery staple", "transport": "bearer" });
        let person = anonymous.post("/v1/auth/register", body).await.expect(201);
        let owner = anonymous.bearer(&person.at("/access_token"));
        for (path, slug) in [("/v1/orgs", "acme"), ("/v1/orgs/acme/projects", "web")] {
            owner.post(path, json!({ "name": slug, "slug": slug })).await.ok();
        }
        let made = owner
            .post("/v1/auth/tokens", json!({ "name": "bench" }))
            .await
            .expect(201);
        let token = made.at("/token");
        let secrets = "/v1/orgs/acme/projects/web/environments/production/secrets".to_owned();
        let caller = anonymous.bearer(&token);
        for i in 0..SECRETS {
            let path = format!("{secrets}/{}", key(i));
            caller.put(&path, json!({ "value": value(i) })).await.ok();
        }
        let hook = json!({ "url": format!("{sink}/latency"), "events": ["secret.*"], "enabled": false });
        let hook = owner.post("/v1/orgs/acme/webhooks", hook).await.expect(201);
        let fixture = Self {
            token,
            secrets,
            webhook: hook.at("/id"),
            webhook_secret: hook.at("/secret"),
        };
        caller.post(&fixture.bulk_path(), bulk_json(0)).await.ok();
        Ok(fixture)
    }

    /// Where a thousand keys of another environment are changed.
    pub fn bulk_path(&self) -> String {
        self.secrets.replace("/production/secrets", "/staging/bulk")
    }

    /// Deletes the webhook: an organisation has room for a hundred.
    pub async fn forget_webhook(&self, api: &Process) {
        let path = format!("/v1/orgs/acme/webhooks/{}", self.webhook);
        client(api).bearer(&self.token).delete(&path).await.ok();
    }

    /// Switches the webhook on or off.
    pub async fn webhook(&self, api: &Process, enabled: bool) {
        let path = format!("/v1/orgs/acme/webhooks/{}", self.webhook);
        let owner = client(api).bearer(&self.token);
        owner.patch(&path, json!({ "enabled": enabled })).await.ok();
    }
}

/// A text in JSON, by pointer; empty when there is none.
pub fn text_at<'a>(json: &'a Value, pointer: &str) -> &'a str {
    json.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Whether a pulled environment holds what was put into it.
pub fn is_whole_environment(body: &[u8]) -> bool {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let Some(data) = json.pointer("/data").and_then(Value::as_array) else {
        return false;
    };
    data.len() == SECRETS
        && data
            .iter()
            .enumerate()
            .all(|(i, secret)| text_at(secret, "/key") == key(i) && text_at(secret, "/value") == value(i))
}

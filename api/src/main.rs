//! `strongroom-api`: the service and its commands.

use std::io::Write;
use std::process::ExitCode;

use api::restore;
use api::serve::{self, Ambient, Started};
use clap::{Parser, Subcommand};
use domain::crypto::key_store::KeyStore;
use domain::crypto::key_store::roots::{self, RootUse};
use domain::kernel::config::Config;
use domain::signing;
use mimalloc::MiMalloc;

/// Requests and jobs are many small allocations, which the system's allocator makes dear.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Secrets for teams: encrypted, versioned, audited.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API. The default.
    Serve,
    /// Print the OpenAPI 3.1 document.
    Openapi,
    /// Bring the database schema up to date.
    Migrate,
    /// Print the effective configuration, secrets hidden.
    Config,
    /// Hold the counters of limits against what is there, put them right, and print those that were wrong.
    Recount,
    /// Print the root keys, what each is still needed for, and which can be removed.
    RootKeys,
    /// Print the keys that sign tokens; change or forget one.
    SigningKeys {
        /// Let new keys sign from now on. The old ones stay published until their tokens have died.
        #[arg(long)]
        rotate: bool,
        /// Forget the key of this id, because somebody else has it: what it signed is refused at once.
        #[arg(long, value_name = "KID")]
        forget: Option<String>,
    },
    /// Print every backup in the folder or the bucket, the oldest first.
    Backups,
    /// Restore a backup into an empty database, SQLite or PostgreSQL, wherever it came from.
    Restore(Restore),
    /// Ask a running service on this machine whether it is ready; the exit code tells.
    Health,
}

#[derive(clap::Args)]
struct Restore {
    /// The backup: a file, `s3://bucket/key` in the store that is set, or its id, `bak_…`.
    #[arg(long)]
    from: std::path::PathBuf,
    /// `sqlite://path` or `postgres://…`. The configured database if absent, which keeps a password out of the list of
    /// processes.
    #[arg(long)]
    to: Option<String>,
    /// Revoke every personal token and every key of a service account too: after a theft, when tokens that were
    /// revoked since the backup must not work again.
    #[arg(long)]
    end_tokens: bool,
}

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    // rustls is told once, before any client is built, which of its providers to use.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let outcome = runtime.block_on(run(Cli::parse().command.unwrap_or(Command::Serve)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&*error),
    }
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "strongroom-api: {error}");
    ExitCode::FAILURE
}

async fn run(command: Command) -> Outcome {
    match command {
        Command::Serve => serve().await,
        Command::Openapi => {
            let document = serve::document().await?;
            Ok(write!(std::io::stdout(), "{}", openapi::to_pretty(&document))?)
        }
        Command::Migrate => {
            let (db, _) = serve::open_database(&Config::from_process()?, &Ambient::default()).await?;
            db.migrate().await?;
            db.close().await;
            Ok(())
        }
        Command::Config => {
            let mut out = std::io::stdout();
            for line in Config::from_process()?.describe() {
                writeln!(out, "{} = {}  # {}", line.setting.variable(), line.value, line.source)?;
            }
            Ok(())
        }
        Command::Recount => recount().await,
        Command::RootKeys => root_keys().await,
        Command::SigningKeys { rotate, forget } => signing_keys(rotate, forget).await,
        Command::Backups => {
            let shown = restore::stored(&Config::from_process()?).await?;
            Ok(write!(std::io::stdout(), "{shown}")?)
        }
        Command::Restore(Restore { from, to, end_tokens }) => {
            let config = Config::from_process()?;
            let told = restore::restore(&config, &from, to.as_deref(), end_tokens).await?;
            Ok(write!(std::io::stdout(), "{told}")?)
        }
        Command::Health => health(&Config::from_process()?).await,
    }
}

async fn recount() -> Outcome {
    let (db, _) = serve::open_database(&Config::from_process()?, &Ambient::default()).await?;
    let mut out = std::io::stdout();
    for drift in domain::limits::recount::run(&db).await? {
        let (key, org, scope) = (drift.key.as_str(), drift.scope.org, drift.scope.id());
        writeln!(
            out,
            "{key} of {org} in {scope}: {} counted, {} there",
            drift.counted, drift.actual
        )?;
    }
    db.close().await;
    Ok(())
}

async fn root_keys() -> Outcome {
    let (db, roots) = serve::open_database(&Config::from_process()?, &Ambient::default()).await?;
    let mut out = std::io::stdout();
    for RootUse {
        id,
        keys,
        is_primary,
        is_set,
    } in roots::in_use(&db, &roots).await?
    {
        let state = match (is_primary, is_set, keys) {
            (true, _, _) => "primary",
            (false, true, 0) => "not needed: it can be removed",
            (false, true, _) => "in use: the worker is wrapping its keys with the primary one",
            (false, false, _) => "missing",
        };
        writeln!(out, "{id}  {keys} keys  {state}")?;
    }
    db.close().await;
    Ok(())
}

async fn signing_keys(rotate: bool, forget: Option<String>) -> Outcome {
    let (db, roots) = serve::open_database(&Config::from_process()?, &Ambient::default()).await?;
    let keys = KeyStore::open(&db, roots).await?;
    if let Some(kid) = forget
        && !signing::forget(&db, &keys, &kid).await?
    {
        return Err("there is no signing key of this id".into());
    }
    if rotate {
        signing::rotate(&db, &keys).await?;
    } else {
        signing::tend(&db, &keys).await?;
    }
    let mut out = std::io::stdout();
    for key in signing::list(&db).await? {
        let (kid, alg, state) = (&key.kid, key.alg.as_str(), key.state.as_str());
        let since = key.retired_at.or(key.activated_at).unwrap_or(key.created_at);
        writeln!(out, "{kid}  {alg}  {state} since {since}")?;
    }
    db.close().await;
    Ok(())
}

async fn serve() -> Outcome {
    let config = Config::from_process()?;
    worker::telemetry::init(&config)?;
    let shutdown = worker::signals::shutdown_on_signal()?;
    let started = serve::start(config.clone(), Ambient::default(), shutdown.clone()).await?;
    banner(&config, &started)?;
    shutdown.begun.cancelled().await;
    started.ended().await;
    Ok(())
}

/// Tells a newcomer where everything is.
fn banner(config: &Config, started: &Started) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    let data = config.data_dir.display();
    writeln!(out, "\nStrongroom {} is ready.\n", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "  API        {}", started.base_url)?;
    if let Some(address) = started.metrics_address {
        writeln!(out, "  Metrics    http://{address}/metrics")?;
    }
    writeln!(out, "  Documents  {0}docs  {0}openapi.json", started.base_url)?;
    if config.database.is_sqlite() {
        writeln!(out, "  Data       {data} (SQLite, root key, back both up)")?;
    } else {
        writeln!(out, "  Data       PostgreSQL")?;
    }
    if config.smtp.is_none() {
        writeln!(out, "  Mail       {data}/mail (.eml files)")?;
    }
    if let Some(token) = &started.setup_token {
        writeln!(out, "  Setup      {}", token.expose())?;
        writeln!(
            out,
            "             one-time token for POST /v1/setup/create-admin, until there is an administrator"
        )?;
    }
    writeln!(out)?;
    out.flush()
}

/// A GET by hand: the command runs inside a container that may have no other client.
async fn health(config: &Config) -> Outcome {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut address = config.listen;
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    stream
        .write_all(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await?;
    let mut answer = Vec::new();
    stream.take(64 * 1024).read_to_end(&mut answer).await?;
    if answer.starts_with(b"HTTP/1.1 200") {
        Ok(())
    } else {
        Err("not ready".into())
    }
}

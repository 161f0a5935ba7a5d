//! `strongroom-worker`: runs the jobs of an installation on PostgreSQL. Any number may run side by side.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use domain::backups::Plan;
use domain::crypto::RootKeyring;
use domain::crypto::key_store::KeyStore;
use domain::egress::{Egress, EgressPolicy, Timeouts};
use domain::jobs::LocalBell;
use domain::kernel::config::{Config, WorkerMode};
use domain::kernel::{Clock, Db, Error, Result, Rng};
use domain::metrics::Registry;
use mimalloc::MiMalloc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use worker::{Deps, Mailer, RedisBell, Slots, Traces, Worker, metrics_page, process_name, signals, telemetry};

/// Requests and jobs are many small allocations, which the system's allocator makes dear.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// How long the database may take to come up and the API to bring its schema up to date.
const PATIENCE: Duration = Duration::from_mins(1);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// Exit code for a configuration that cannot work. Source: BSD sysexits, `EX_CONFIG`.
const BAD_CONFIGURATION: u8 = 78;

/// Runs Strongroom's jobs: webhook deliveries, mail, key rotations. Configured by STRONGROOM_… variables, as the API is.
#[derive(Parser)]
#[command(name = "strongroom-worker", version)]
struct Arguments {}

fn main() -> ExitCode {
    let Arguments {} = Arguments::parse();
    // Two providers could be compiled in one day, and then rustls would not choose.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("TLS was set up twice");
        return ExitCode::FAILURE;
    }
    let config = match Config::from_process() {
        Ok(config) => config,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    if let Err(error) = telemetry::init(&config) {
        eprintln!("{error}");
        return ExitCode::from(BAD_CONFIGURATION);
    }
    let roots = match check(&config) {
        Ok(roots) => roots,
        Err(text) => {
            tracing::error!("{text}");
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    let ended = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::internal(format!("no runtime: {error}")))
        .and_then(|runtime| runtime.block_on(run(&config, roots)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the worker cannot run");
            ExitCode::FAILURE
        }
    }
}

/// Refuses what a separate worker cannot work with.
fn check(config: &Config) -> Result<RootKeyring, String> {
    if config.database.is_sqlite() {
        return Err(
            "SQLite serves one process: the API runs the jobs itself. For separate workers set STRONGROOM_DATABASE_URL \
             to postgres://…, for the API too"
                .to_owned(),
        );
    }
    if config.worker == WorkerMode::Embedded {
        return Err(
            "the API runs the jobs itself (embedded). For separate workers set STRONGROOM_WORKER to external, \
                    for the API too"
                .to_owned(),
        );
    }
    let text = config
        .root_key
        .as_ref()
        .ok_or("set STRONGROOM_ROOT_KEY or STRONGROOM_ROOT_KEY_FILE to the root key of the API")?;
    RootKeyring::parse(text).map_err(|error| format!("STRONGROOM_ROOT_KEY: {error}"))
}

async fn run(config: &Config, roots: RootKeyring) -> Result<()> {
    let backups = Arc::new(Plan::from_config(config, &roots)?);
    let shutdown = signals::shutdown_on_signal().map_err(|error| Error::internal(format!("signals: {error}")))?;
    let shutdown = shutdown.begun;
    let opened = tokio::select! {
        () = shutdown.cancelled() => return Ok(()),
        opened = open(config, roots) => opened,
    };
    let (db, keys) = opened?;
    let name = process_name(&db)?;
    let registry = Registry::default();
    if let Some(address) = config.metrics_listen {
        let served = metrics_page::serve(address, registry.clone(), shutdown.clone()).await;
        let address = served.map_err(|error| Error::internal(format!("STRONGROOM_METRICS_LISTEN: {error}")))?;
        tracing::info!(%address, "metrics are shown");
    }
    let traces = Traces::from_config(config, "strongroom-worker", &name)?;
    let deps = Deps {
        db: db.clone(),
        keys: Arc::new(keys),
        // Nobody can ring in another process: the sweeper alone finds the jobs.
        bell: Arc::new(LocalBell::default()),
        egress: Egress::new(
            EgressPolicy {
                allow: config.egress_allow.clone(),
            },
            Timeouts::default(),
        )?,
        mailer: Mailer::from_config(config)?,
        billing: billing::open(config, db.clock(), db.rng())?,
        backups,
        base_url: config.base_url.clone(),
        name: name.clone(),
        limits: Slots::default(),
        registry: registry.clone(),
        traces: traces.clone(),
    };
    if let Some(url) = &config.redis {
        let bell = Arc::new(RedisBell::counted(url, &name, &registry)?);
        let rung = Deps {
            bell: bell.clone(),
            ..deps
        };
        work(rung, shutdown).await?;
        if let Some(bell) = Arc::into_inner(bell) {
            bell.close().await;
        }
    } else {
        work(deps, shutdown).await?;
    }
    traces.end().await;
    db.close().await;
    Ok(())
}

async fn work(deps: Deps, shutdown: CancellationToken) -> Result<()> {
    Worker::new(deps).run(shutdown.clone()).await;
    if shutdown.is_cancelled() {
        Ok(())
    } else {
        Err(Error::internal("the worker stopped by itself"))
    }
}

/// Opens database and keys. It waits for the database to be there and for the API to migrate it.
async fn open(config: &Config, roots: RootKeyring) -> Result<(Db, KeyStore)> {
    let deadline = Instant::now() + PATIENCE;
    let db = loop {
        match Db::connect(config.database.url().expose(), Clock::system(), Rng::system()).await {
            Ok(db) => break db.with_billing(config.billing()),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "the database cannot be reached yet");
                tokio::time::sleep(LOOK).await;
            }
        }
    };
    KeyStore::check_roots(&db, &roots).await?;
    let mut has_told = false;
    while !db.is_migrated().await.unwrap_or(false) {
        if Instant::now() > deadline {
            return Err(Error::internal(
                "the database schema is not up to date: start the API, or run `strongroom-api migrate`",
            ));
        }
        if !has_told {
            tracing::info!("waiting for the API to bring the database schema up to date");
            has_told = true;
        }
        tokio::time::sleep(LOOK).await;
    }
    let keys = KeyStore::open(&db, roots).await?;
    Ok((db, keys))
}

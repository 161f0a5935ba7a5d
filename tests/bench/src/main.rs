//! Measures the product beside its limits, in the same minutes and on the same cores: `bench [--quick] [secrets|webhooks]`.
//!
//! It starts everything itself: PostgreSQL with fsync on, Redis, the programs `strongroom-api` and
//! `strongroom-worker` that lie beside it, a sink for webhooks, and the limits. It prints a table, writes
//! `target/bench.json` and, after a full run, `docs/PROOF.md`. One wrong body voids the run; one error fails it. Asked for
//! `secrets` or `webhooks` it measures those alone, and only prints.

mod backlog;
mod capture;
mod cpu;
mod drive;
mod limits;
mod measure;
mod operations;
mod sink;
mod stack;
mod start;
mod table;
mod webhooks;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use domain::kernel::Backend;
use harness::servers::{Postgres, Redis};

use crate::limits::bare;
use crate::operations::{Bench, Sql};
use crate::sink::Sink;
use crate::stack::{Fixture, Servers, Site};
use crate::table::Report;

/// Any failure: the run is worth nothing then.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Connections of the load generator, and clients of the limits.
pub const CONCURRENCY: usize = 16;
/// Endpoints of the wide drain.
const ENDPOINTS: usize = 32;

/// How much is measured.
pub struct Plan {
    pub rounds: u32,
    pub round: Duration,
    pub warm_up: Duration,
    /// Drains of a backlog, and deliveries in it.
    pub drains: u32,
    pub deliveries: u64,
    /// How long writes are timed.
    pub latency: Duration,
    /// Rounds in which neighbours of a dead endpoint are timed, and how long each.
    pub neighbours: u32,
    pub neighbourhood: Duration,
    /// Deliveries that wait while claims are timed.
    pub backlog: u64,
    /// Deliveries that wait for an endpoint that is dead.
    pub dead: u64,
}

impl Plan {
    const FULL: Self = Self {
        rounds: 5,
        round: Duration::from_secs(4),
        warm_up: Duration::from_secs(2),
        drains: 3,
        deliveries: 20_000,
        latency: Duration::from_secs(5),
        neighbours: 7,
        neighbourhood: Duration::from_secs(10),
        backlog: 1_000_000,
        dead: 100_000,
    };
    const QUICK: Self = Self {
        rounds: 2,
        round: Duration::from_secs(1),
        warm_up: Duration::from_secs(1),
        drains: 1,
        deliveries: 1_000,
        latency: Duration::from_secs(1),
        neighbours: 1,
        neighbourhood: Duration::from_secs(1),
        backlog: 20_000,
        dead: 2_000,
    };
}

/// The middle of some figures; zero of none.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    let upper = figures.get(middle).copied().unwrap_or_default();
    match figures.len() {
        n if n % 2 == 0 && n > 0 => figures
            .get(middle - 1)
            .map_or(upper, |lower| f64::midpoint(*lower, upper)),
        _ => upper,
    }
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(&arguments)),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Everything,
    /// Reads and changes of secrets.
    Secrets,
    /// What becomes of events.
    Webhooks,
}

async fn run(arguments: &[OsString]) -> Outcome<()> {
    let first = arguments.first().and_then(|argument| argument.to_str());
    let rest = arguments.get(1..).unwrap_or_default();
    match first {
        Some(bare::SERVE) => bare::serve_bytes(rest).await,
        Some(bare::POST) => bare::post_bytes(rest).await,
        _ => {
            let (quick, part) = chosen(arguments)?;
            let plan = if quick { Plan::QUICK } else { Plan::FULL };
            bench(&plan, quick, part).await
        }
    }
}

fn chosen(arguments: &[OsString]) -> Outcome<(bool, Part)> {
    let (mut quick, mut part) = (false, Part::Everything);
    for argument in arguments {
        match argument.to_str() {
            Some("--quick") => quick = true,
            Some("secrets") => part = Part::Secrets,
            Some("webhooks") => part = Part::Webhooks,
            _ => return Err(format!("{}: usage: bench [--quick] [secrets|webhooks]", argument.display()).into()),
        }
    }
    Ok((quick, part))
}

async fn bench(plan: &Plan, quick: bool, part: Part) -> Outcome<()> {
    stack::sibling("strongroom-api").and(stack::sibling("strongroom-worker"))?;
    let mut report = Report {
        quick,
        part,
        began: table::now(),
        load_before: cpu::load_average(),
        rows: Vec::new(),
        latencies: Vec::new(),
        claims: Vec::new(),
        starts: Vec::new(),
    };
    let servers = tokio::task::spawn_blocking(|| Servers {
        postgres: Postgres::start(),
        redis: Redis::start(),
    });
    let servers = Arc::new(servers.await?);
    let sink = Sink::start().await?;
    match part {
        Part::Everything | Part::Secrets => both(plan, &servers, &sink, &mut report).await?,
        Part::Webhooks => {
            let mut sites = Vec::new();
            for backend in [Backend::Postgres, Backend::Sqlite] {
                let site = Site::new(backend, &servers).await?;
                let fixture = filled(&site, &sink).await?;
                deliveries(plan, &site, &fixture, &sink, &mut report).await?;
                sites.push((site, fixture));
            }
            backlogs(plan, &sites, &sink, &mut report).await?;
        }
    }
    report.rows.sort_by_key(|row| table::order(row.measure));
    println!("{}", report.markdown(plan));
    report.write(plan)?;
    match report.errors().as_slice() {
        [] => Ok(()),
        [first, ..] => Err(format!("{} errors, the first: {first}", report.errors().len()).into()),
    }
}

/// Puts something into a site and ends its API again.
async fn filled(site: &Site, sink: &Sink) -> Outcome<Fixture> {
    let api = site.api().await?;
    let fixture = Fixture::make(&api, &sink.url).await?;
    api.stop().await?;
    Ok(fixture)
}

/// Each site after the other, with the same statements.
async fn both(plan: &Plan, servers: &Arc<Servers>, sink: &Sink, report: &mut Report) -> Outcome<()> {
    let postgres = Site::new(Backend::Postgres, servers).await?;
    let (fixture, sql) = operations::learn(&postgres, sink).await?;
    let sqlite = Site::new(Backend::Sqlite, servers).await?;
    let small = filled(&sqlite, sink).await?;
    let translated = sql.translated(&postgres, &sqlite).await?;
    let whole = report.part == Part::Everything;
    if whole {
        report.starts.push(start::bare(plan).await?);
    }
    measure(plan, &postgres, (&fixture, &sql), sink, report).await?;
    measure(plan, &sqlite, (&small, &translated), sink, report).await?;
    if whole {
        backlogs(plan, &[(postgres, fixture), (sqlite, small)], sink, report).await?;
    }
    Ok(())
}

/// Very large backlogs, after everything else: what they leave to be written to the disk would slow the rest down.
async fn backlogs(plan: &Plan, sites: &[(Site, Fixture)], sink: &Sink, report: &mut Report) -> Outcome<()> {
    for (site, fixture) in sites {
        report.claims.push(backlog::claims(plan, site, fixture, sink).await?);
    }
    Ok(())
}

/// Everything that is asked for, on one site.
async fn measure(
    plan: &Plan,
    site: &Site,
    (fixture, sql): (&Fixture, &Sql),
    sink: &Sink,
    report: &mut Report,
) -> Outcome<()> {
    let copy = site.copy().await?;
    let whole = report.part == Part::Everything;
    if whole {
        report.starts.push(start::product(plan, site).await?);
    }
    sink.expect("/latency", &fixture.webhook_secret);
    let (api, worker) = site.all().await?;
    let db = site.db().await?;
    let bench = Bench::new(plan, site, (fixture, sql), copy, &api);
    report.rows.extend(bench.all(&db).await?);
    drop(bench);
    db.close().await;
    api.stop().await?;
    if let Some(worker) = worker {
        worker.stop().await?;
    }
    if whole {
        deliveries(plan, site, fixture, sink, report).await?;
    }
    Ok(())
}

/// What becomes of events on one site.
async fn deliveries(plan: &Plan, site: &Site, fixture: &Fixture, sink: &Sink, report: &mut Report) -> Outcome<()> {
    sink.expect("/latency", &fixture.webhook_secret);
    let (api, worker) = site.all().await?;
    let db = site.db().await?;
    fixture.webhook(&api, true).await;
    for rate in [50, 200] {
        report
            .latencies
            .push(webhooks::latency(plan.latency, site, fixture, &api, sink, rate).await?);
        measure::idle(&db).await?;
    }
    fixture.forget_webhook(&api).await;
    db.close().await;
    api.stop().await?;
    if let Some(worker) = worker {
        worker.stop().await?;
    }
    report
        .latencies
        .extend(backlog::neighbours(plan, site, fixture, sink).await?);
    for endpoints in [1, ENDPOINTS] {
        report
            .rows
            .push(webhooks::drain(plan, site, fixture, sink, endpoints).await?);
    }
    sink.check()
}

//! Rounds of limits and product in turn, and what comes of them.

use std::time::{Duration, Instant};

use domain::kernel::{Db, Reads};
use sea_orm::ConnectionTrait;

use crate::drive::{Load, Round, middle, run};
use crate::limits::{insert, opens, pgbench, sqlite};
use crate::{Outcome, Plan, cpu, median};

/// Something that can be run for a while.
pub enum Source {
    Http(Load),
    /// HTTP, and then what the workers have still to do.
    Delivering(Load, Db),
    Postgres(pgbench::Limit),
    /// Each transaction stands for so many operations.
    PostgresBatch(pgbench::Limit, f64),
    Sqlite(sqlite::Limit),
    SqliteBatch(sqlite::Limit, f64),
    Insert(insert::Limit),
    /// Openings of a hundred values, of which one stands for so many operations.
    Opens(f64),
}

impl Source {
    async fn run(&mut self, duration: Duration) -> Outcome<Round> {
        match self {
            Self::Http(load) => run(load, duration).await,
            Self::Delivering(load, db) => delivering(load, db, duration).await,
            Self::Postgres(limit) => limit.run(duration).await,
            Self::PostgresBatch(limit, n) => Ok(limit.run(duration).await?.times(*n)),
            Self::Sqlite(limit) => limit.run(duration).await,
            Self::SqliteBatch(limit, n) => Ok(limit.run(duration).await?.times(*n)),
            Self::Insert(limit) => limit.run(duration).await,
            Self::Opens(n) => Ok(opens::run(duration).await?.times(*n)),
        }
    }
}

/// The costs count to the last delivery; `settled` is the rate to there.
#[expect(clippy::cast_precision_loss, reason = "counts of some seconds")]
async fn delivering(load: &Load, db: &Db, duration: Duration) -> Outcome<Round> {
    let (before, begun) = (cpu::spent(load.processes), Instant::now());
    let mut round = run(load, duration).await?;
    idle(db).await?;
    let spent = cpu::spent(load.processes).saturating_sub(before);
    let done = round.done.max(1) as f64;
    round.settled = done / begun.elapsed().as_secs_f64();
    round.cpu_ms = spent.as_secs_f64() * 1000.0 / done;
    Ok(round)
}

/// Waits until no job waits or runs.
pub async fn idle(db: &Db) -> Outcome<()> {
    let deadline = Instant::now() + Duration::from_mins(5);
    while number(db, "SELECT count(*) FROM jobs WHERE state = 0").await? > 0 {
        if Instant::now() > deadline {
            return Err("jobs are not done within five minutes".into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// One number from a database.
pub async fn number(db: &Db, query: &str) -> Outcome<i64> {
    let row = db.conn().query_one_raw(db.sql(query, [])).await?.ok_or("no row")?;
    Ok(row.try_get_by_index(0)?)
}

/// A figure of the product beside its limit.
#[derive(Clone, Debug)]
pub struct Row {
    pub measure: &'static str,
    pub backend: &'static str,
    pub product: Round,
    /// The parts of the limit.
    pub parts: Vec<(&'static str, Round)>,
    /// The parts one after the other: `1 / Σ 1/Lᵢ`, and the sum of their costs.
    pub limit: Round,
    /// The median of the rounds' ratios.
    pub ratio: f64,
    /// SQL statements of one operation.
    pub statements: Option<usize>,
    pub goal: &'static str,
}

/// Runs limits and product in turn, back and forth, and compares them round by round.
pub async fn compare(
    plan: &Plan,
    (measure, backend, goal): (&'static str, &'static str, &'static str),
    product: Source,
    limits: Vec<(&'static str, Source)>,
) -> Outcome<Row> {
    eprintln!("{measure}: {backend}");
    let mut sources: Vec<(&'static str, Source, Vec<Round>)> = limits
        .into_iter()
        .map(|(name, source)| (name, source, Vec::new()))
        .collect();
    sources.push(("product", product, Vec::new()));
    for (_, source, _) in &mut sources {
        source.run(plan.warm_up).await?;
    }
    for round in 0..plan.rounds {
        let mut order: Vec<_> = sources.iter_mut().collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for (name, source, rounds) in order {
            let measured = source.run(plan.round).await?;
            eprintln!("  {name}: {:.0}/s, {:.3} CPU-ms", measured.rate, measured.cpu_ms);
            rounds.push(measured);
        }
    }
    let (_, _, rounds) = sources.pop().ok_or("no product")?;
    let ratios = rounds.iter().enumerate().map(|(i, product)| {
        let parts = sources.iter().filter_map(|(_, _, rounds)| rounds.get(i));
        product.rate * parts.map(|part| 1.0 / part.rate).sum::<f64>()
    });
    let ratio = median(ratios.collect());
    let parts: Vec<(&'static str, Round)> = sources
        .iter()
        .map(|(name, _, rounds)| (*name, middle(rounds)))
        .collect();
    let limit = Round {
        rate: 1.0 / parts.iter().map(|(_, part)| 1.0 / part.rate).sum::<f64>(),
        cpu_ms: parts.iter().map(|(_, part)| part.cpu_ms).sum(),
        errors: parts.iter().flat_map(|(_, part)| part.errors.clone()).collect(),
        ..Round::default()
    };
    Ok(Row {
        measure,
        backend,
        product: middle(&rounds),
        parts,
        limit,
        ratio,
        statements: None,
        goal,
    })
}

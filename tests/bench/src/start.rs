//! How soon a fresh process answers, and what it holds while nothing happens.

use std::time::{Duration, Instant};

use crate::limits::bare;
use crate::stack::{Process, Site};
use crate::{Outcome, Plan, cpu, median};

/// Time for allocations of the start to settle.
const SETTLE: Duration = Duration::from_millis(500);

/// Medians.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    pub name: &'static str,
    /// From the start of the process to the first 200 of `/health`.
    pub millis: f64,
    pub idle_mib: f64,
}

/// Starts over a database that is there already.
pub async fn product(plan: &Plan, site: &Site) -> Outcome<Start> {
    repeat(plan, site.name(), || site.spawn_api("")).await
}

/// A poem handler behind the same accept loop.
pub async fn bare(plan: &Plan) -> Outcome<Start> {
    let file = tempfile::NamedTempFile::new()?;
    repeat(plan, "bare poem program", || bare::spawn_server(200, file.path())).await
}

async fn repeat(plan: &Plan, name: &'static str, spawn: impl Fn() -> Outcome<Process>) -> Outcome<Start> {
    eprintln!("cold start: {name}");
    let (mut millis, mut idle) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let begun = Instant::now();
        let mut process = spawn()?;
        process.healthy().await?;
        millis.push(begun.elapsed().as_secs_f64() * 1000.0);
        tokio::time::sleep(SETTLE).await;
        idle.push(cpu::resident_mib(process.pid).ok_or("no memory figure")?);
        // Killed when dropped: the bare program knows no signal.
        drop(process);
    }
    Ok(Start {
        name,
        millis: median(millis),
        idle_mib: median(idle),
    })
}

//! The report: a Markdown text for people, JSON for programs.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use domain::kernel::{Clock, Timestamp};
use serde_json::{Value, json};

use crate::backlog::Claims;
use crate::drive::Round;
use crate::measure::Row;
use crate::start::Start;
use crate::webhooks::Latency;
use crate::{CONCURRENCY, Outcome, Part, Plan, cpu};

const BEGIN: &str = "<!-- bench: begin; written by the program bench, do not edit -->";
const END: &str = "<!-- bench: end -->";

/// What others do on two cores of the same class. Source: measured by this project in 2026-11 with Infisical of
/// October 2024 (the newest that could be run) and Svix 1.100; not part of this run.
const PEERS: &[(&str, &str)] = &[
    ("pull 100 secrets", "Infisical (October 2024): 146/s, 10.5 CPU-ms"),
    (
        "write one secret",
        "Infisical (October 2024): 90 to 99/s, 16 to 17 CPU-ms",
    ),
    (
        "write one secret, one webhook",
        "Svix 1.100, end to end: 1,446/s, 1.2 CPU-ms",
    ),
    ("drain webhooks, 1 endpoint", "Svix 1.100: 3,975/s, 0.45 CPU-ms"),
    ("drain webhooks, 32 endpoints", "Svix 1.100: 3,975/s, 0.45 CPU-ms"),
];

/// Everything that was measured.
pub struct Report {
    pub quick: bool,
    pub part: Part,
    pub began: Timestamp,
    pub load_before: String,
    pub rows: Vec<Row>,
    pub latencies: Vec<Latency>,
    pub claims: Vec<Claims>,
    pub starts: Vec<Start>,
}

fn peer(measure: &str) -> &'static str {
    PEERS
        .iter()
        .find(|(of, _)| *of == measure)
        .map_or("", |(_, text)| *text)
}

/// Where a measure stands in the table; the databases stand side by side.
pub fn order(measure: &str) -> usize {
    let order = [
        "pull 100 secrets",
        "the same, unchanged (304)",
        "read one secret",
        "the same, limit in batches",
        "write one secret",
        "write one secret, one webhook",
        "drain webhooks, 1 endpoint",
        "drain webhooks, 32 endpoints",
    ];
    order.iter().position(|name| *name == measure).unwrap_or(order.len())
}

/// Digits that mean something: `12,345`, `812`, `4.1`.
fn rate(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn git(arguments: &[&str]) -> String {
    let output = Command::new("git").arg("-C").arg(root()).args(arguments).output();
    output.map_or_else(
        |_| "?".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// The folder of the repository.
fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package).to_owned()
}

/// The folder of this program: that of its profile.
fn profile_folder() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    program.parent().unwrap_or(&program).to_owned()
}

fn profile() -> String {
    profile_folder()
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn commit() -> String {
    let changed = !git(&["status", "--porcelain", "--untracked-files=no"]).is_empty();
    let commit = git(&["rev-parse", "--short=12", "HEAD"]);
    if changed { commit + ", with changes" } else { commit }
}

impl Report {
    /// Every error of every round.
    pub fn errors(&self) -> Vec<&str> {
        let rounds = self.rows.iter().flat_map(|row| [&row.product, &row.limit]);
        rounds
            .flat_map(|round| round.errors.iter().map(String::as_str))
            .collect()
    }

    pub fn markdown(&self, plan: &Plan) -> String {
        let mut text = format!(
            "Machine: {}. {}, commit {}, profile `{}`. Load average before: {}.\n",
            cpu::machine(),
            self.began,
            commit(),
            profile(),
            self.load_before
        );
        let _ = writeln!(
            text,
            "{} rounds of {} s each, limits and product in turn, {CONCURRENCY} connections; client, server and databases \
             share the cores; medians. Errors: {}.{}\n",
            plan.rounds,
            plan.round.as_secs(),
            self.errors().len(),
            if self.quick {
                " A quick run: the figures mean little."
            } else {
                ""
            }
        );
        self.rates(&mut text);
        self.parts(&mut text);
        self.latency(&mut text);
        self.claims(&mut text);
        self.start(&mut text);
        text
    }

    fn rates(&self, text: &mut String) {
        text.push_str(
            "| Measure | On | Product /s | CPU-ms | p50 / p99 ms | SQL | Limit /s | CPU-ms | Ratio | Goal | Others |\n",
        );
        text.push_str("|---|---|---:|---:|---:|---:|---:|---:|---:|---|---|\n");
        for row in &self.rows {
            let Row {
                measure,
                backend,
                product,
                limit,
                ratio,
                statements,
                goal,
                parts: _,
            } = row;
            let statements = statements.map_or(String::new(), |count| count.to_string());
            let settled = if product.settled > 0.0 {
                format!(" ({} delivered)", rate(product.settled))
            } else {
                String::new()
            };
            let times = if product.p99_ms > 0.0 {
                format!("{:.1} / {:.1}", product.p50_ms, product.p99_ms)
            } else {
                String::new()
            };
            let _ = writeln!(
                text,
                "| {measure} | {backend} | {}{settled} | {:.3} | {times} | {statements} | {} | {:.3} | {ratio:.2} | {goal} | {} |",
                rate(product.rate),
                product.cpu_ms,
                rate(limit.rate),
                limit.cpu_ms,
                peer(measure),
            );
        }
        text.push('\n');
    }

    /// What the limits are made of.
    fn parts(&self, text: &mut String) {
        text.push_str("| Limit of | On | Part | /s | CPU-ms |\n|---|---|---|---:|---:|\n");
        for row in &self.rows {
            for (
                name,
                Round {
                    rate: per_second,
                    cpu_ms,
                    ..
                },
            ) in &row.parts
            {
                let (measure, backend) = (row.measure, row.backend);
                let _ = writeln!(
                    text,
                    "| {measure} | {backend} | {name} | {} | {cpu_ms:.4} |",
                    rate(*per_second)
                );
            }
        }
        text.push('\n');
    }

    fn latency(&self, text: &mut String) {
        text.push_str(
            "| Write → receipt | On | from the answer: p50 / p99 ms | from when the write was due: p50 / p99 ms | Goal |\n",
        );
        text.push_str("|---|---|---:|---:|---|\n");
        for latency in &self.latencies {
            let ((half, most), (due_half, due_most)) = (latency.from_commit, latency.from_due);
            let _ = writeln!(
                text,
                "| {} events at {}/s{} | {} | {half:.1} / {most:.1} | {due_half:.1} / {due_most:.1} | {} |",
                latency.count, latency.rate, latency.beside, latency.backend, latency.goal
            );
        }
        text.push('\n');
    }

    fn claims(&self, text: &mut String) {
        text.push_str("| Claims in a backlog | On | a claim: p50 / p99 ms | a sweep: p50 / p99 ms | Goal |\n");
        text.push_str("|---|---|---:|---:|---|\n");
        for claims in &self.claims {
            let Claims {
                backend,
                jobs,
                lanes,
                claim,
                sweep,
            } = claims;
            let _ = writeln!(
                text,
                "| {jobs} jobs in {lanes} lanes | {backend} | {:.1} / {:.1} | {:.1} / {:.1} | a claim's p99 ≤ 20 |",
                claim.0, claim.1, sweep.0, sweep.1
            );
        }
        text.push('\n');
    }

    fn start(&self, text: &mut String) {
        text.push_str("| Start | to the first 200 of `/health`, ms | idle memory, MiB |\n|---|---:|---:|\n");
        for start in &self.starts {
            let _ = writeln!(text, "| {} | {:.0} | {:.1} |", start.name, start.millis, start.idle_mib);
        }
    }

    fn json(&self, plan: &Plan) -> Value {
        let round = |round: &Round| {
            json!({
                "per_second": round.rate, "cpu_ms": round.cpu_ms, "p50_ms": round.p50_ms, "p99_ms": round.p99_ms,
                "settled_per_second": round.settled, "done": round.done, "errors": round.errors.len(),
            })
        };
        let rows = self.rows.iter().map(|row| {
            let parts = row.parts.iter().map(|(name, part)| json!({ "name": name, "figures": round(part) }));
            json!({
                "measure": row.measure, "backend": row.backend, "product": round(&row.product), "limit": round(&row.limit),
                "ratio": row.ratio, "statements": row.statements, "parts": parts.collect::<Vec<_>>(),
            })
        });
        let latencies = self.latencies.iter().map(|one| {
            json!({
                "backend": one.backend, "per_second": one.rate, "beside": one.beside, "count": one.count,
                "from_commit_ms": { "p50": one.from_commit.0, "p99": one.from_commit.1 },
                "from_due_ms": { "p50": one.from_due.0, "p99": one.from_due.1 },
            })
        });
        let claims = self.claims.iter().map(|one| {
            json!({
                "backend": one.backend, "jobs": one.jobs, "lanes": one.lanes,
                "claim_ms": { "p50": one.claim.0, "p99": one.claim.1 },
                "sweep_ms": { "p50": one.sweep.0, "p99": one.sweep.1 },
            })
        });
        let starts = self
            .starts
            .iter()
            .map(|start| json!({ "name": start.name, "first_200_ms": start.millis, "idle_mib": start.idle_mib }));
        json!({
            "machine": cpu::machine(), "at": self.began.to_string(), "commit": commit(), "profile": profile(),
            "load_before": self.load_before, "quick": self.quick, "rounds": plan.rounds, "round_s": plan.round.as_secs(),
            "rows": rows.collect::<Vec<_>>(), "latencies": latencies.collect::<Vec<_>>(),
            "claims": claims.collect::<Vec<_>>(),
            "starts": starts.collect::<Vec<_>>(),
        })
    }

    /// Writes `bench.json` beside the profiles' folders and, after a full run, the figures into the document. A part of a
    /// run is not written.
    pub fn write(&self, plan: &Plan) -> Outcome<()> {
        if self.part != Part::Everything {
            return Ok(());
        }
        let target = profile_folder();
        let json = serde_json::to_string_pretty(&self.json(plan))?;
        std::fs::write(target.with_file_name("bench.json"), json)?;
        if self.quick {
            return Ok(());
        }
        let file = root().join("docs").join("PROOF.md");
        let old = std::fs::read_to_string(&file)?;
        let (before, rest) = old
            .split_once(BEGIN)
            .ok_or("docs/PROOF.md has no mark where figures begin")?;
        let (_, after) = rest
            .split_once(END)
            .ok_or("docs/PROOF.md has no mark where figures end")?;
        Ok(std::fs::write(
            file,
            format!("{before}{BEGIN}\n\n{}\n{END}{after}", self.markdown(plan)),
        )?)
    }
}

/// Now.
pub fn now() -> Timestamp {
    Clock::system().now()
}

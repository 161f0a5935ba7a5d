//! PostgreSQL itself: statements of the product, run by pgbench.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::process::Command;

use crate::capture::{Captured, Operation, Param};
use crate::drive::Round;
use crate::{Outcome, cpu};

/// Statements with more parameters carry them as literals, and ask the session for their serial: pgbench takes 256.
const MAX_VARIABLES: usize = 200;
/// Where a session keeps the serial of a transaction, for statements that need it very often.
const SERIAL_OF_SESSION: &str = "bench.serial";
/// Longer texts stand in the script: an argument has an end, bytes.
const MAX_ARGUMENT: usize = 1024;
/// Serials of one run begin so far from those of the next, whatever it runs: limits share a database.
const RUN_APART: u64 = 100_000_000_000;
/// Serials of one transaction at most.
const SERIALS: usize = 8192;

static RUNS: AtomicU64 = AtomicU64::new(0);

/// A script and the values of its variables.
struct Script {
    text: String,
    variables: Vec<(String, String)>,
    /// Serials given out so far.
    serials: usize,
}

impl Script {
    fn new() -> Self {
        // Serials grow by one for each transaction, and no two clients share them.
        let text = "\\set i :i + 1\n\\set n :client_id * 100000000 + :base + :i\n".to_owned();
        Self {
            text,
            variables: vec![("i".to_owned(), "0".to_owned())],
            serials: 0,
        }
    }

    fn line(&mut self, sql: &str) {
        let _ = writeln!(self.text, "{sql};");
    }

    fn statement(&mut self, statement: &Captured) {
        let shown = self.shown_in(statement);
        self.line(&shown);
    }

    fn shown_in(&mut self, statement: &Captured) -> String {
        let literal = is_literal(statement);
        let shown: Vec<String> = statement
            .params
            .iter()
            .map(|param| self.shown(param, literal))
            .collect();
        substituted(&statement.sql, &shown)
    }

    fn shown(&mut self, param: &Param, literal: bool) -> String {
        match param {
            Param::Null => "NULL".to_owned(),
            Param::Serial => self.serial(literal),
            Param::SerialUuid => format!("lpad(to_hex({}), 32, '0')::uuid", self.serial(literal)),
            Param::SerialText => format!("'k' || {}", self.serial(literal)),
            Param::Text(text) if literal || text.len() > MAX_ARGUMENT => quoted(text),
            Param::Text(text) => self.variable(text),
        }
    }

    fn serial(&mut self, literal: bool) -> String {
        self.serials += 1;
        let of_transaction = if literal {
            format!("current_setting('{SERIAL_OF_SESSION}')")
        } else {
            "(:n)".to_owned()
        };
        format!("({of_transaction}::bigint * {SERIALS} + {})", self.serials)
    }

    fn variable(&mut self, value: &str) -> String {
        let name = format!("p{}", self.variables.len());
        self.variables.push((name.clone(), value.to_owned()));
        format!(":{name}")
    }
}

fn is_literal(statement: &Captured) -> bool {
    statement.params.len() > MAX_VARIABLES
}

/// A text as PostgreSQL reads it. pgbench takes a colon for a variable's, quotes or not.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('\'', "''").replace(':', "\\x3a");
    format!("E'{text}'")
}

/// Puts what is shown in the place of `$1`, `$2`…
fn substituted(sql: &str, shown: &[String]) -> String {
    let mut parts = sql.split('$');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = part.split_at(digits);
        let value = number.parse::<usize>().ok().and_then(|n| shown.get(n.checked_sub(1)?));
        text.push_str(value.unwrap_or(&format!("${number}")));
        text.push_str(rest);
    }
    text
}

/// One transaction of pgbench: statements on their own, then those that change something together.
pub struct Limit {
    url: String,
    reads: Vec<Captured>,
    changes: Vec<Captured>,
    is_at_once: bool,
    clients: usize,
}

impl Limit {
    pub fn new(url: &str, operation: &Operation, clients: usize) -> Self {
        let Operation {
            reads,
            changes,
            is_at_once,
        } = operation.clone();
        Self {
            url: url.to_owned(),
            reads,
            changes,
            is_at_once,
            clients,
        }
    }

    fn script(&self) -> Script {
        let mut script = Script::new();
        if self.reads.iter().chain(&self.changes).any(is_literal) {
            script.line(&format!("SELECT set_config('{SERIAL_OF_SESSION}', (:n)::text, false)"));
        }
        self.reads.iter().for_each(|statement| script.statement(statement));
        if let (true, [change, insert]) = (self.is_at_once, self.changes.as_slice()) {
            let (change, insert) = (script.shown_in(change), script.shown_in(insert));
            script.line(&format!("WITH changed AS ({change}) {insert}"));
        } else if !self.changes.is_empty() {
            script.line("BEGIN");
            self.changes.iter().for_each(|statement| script.statement(statement));
            script.line("COMMIT");
        }
        script
    }

    /// Runs it for as long as told, whole seconds.
    pub async fn run(&self, duration: Duration) -> Outcome<Round> {
        let base = (RUNS.fetch_add(1, Ordering::Relaxed) + 1) * RUN_APART;
        let script = self.script();
        let file = tempfile::Builder::new().suffix(".sql").tempfile()?;
        std::fs::write(file.path(), &script.text)?;
        let mut command = Command::new(program()?);
        command.args(["-n", "-M", "prepared", "-c", &self.clients.to_string()]);
        command.args(["-j", &self.clients.min(cpu::cores()).to_string()]);
        command.args(["-T", &duration.as_secs().max(1).to_string()]);
        for (name, value) in &script.variables {
            command.arg(format!("-D{name}={value}"));
        }
        command.arg(format!("-Dbase={base}"));
        command.arg("-f").arg(file.path()).arg(&self.url);
        let (before, begun) = (cpu::spent(cpu::DATABASE), Instant::now());
        let output = command.output().await?;
        let (elapsed, spent) = (begun.elapsed(), cpu::spent(cpu::DATABASE).saturating_sub(before));
        let text = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() || complaint.contains("ERROR") {
            return Err(format!("pgbench: {complaint}").into());
        }
        let done: u64 = after(&text, "number of transactions actually processed: ")?.parse()?;
        let mut round = Round::of(done, elapsed, spent);
        round.rate = after(&text, "tps = ")?.parse()?;
        Ok(round)
    }
}

/// The word behind a label.
fn after<'a>(text: &'a str, label: &str) -> Outcome<&'a str> {
    let rest = text.split_once(label).map(|(_, rest)| rest);
    let word = rest.and_then(|rest| {
        rest.split(|letter: char| letter.is_whitespace() || letter == '/')
            .next()
    });
    word.ok_or_else(|| format!("pgbench said nothing of {label}: {text}").into())
}

/// Debian keeps it out of PATH, beside the server.
fn program() -> Outcome<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let versions = folders.map(|folder| folder.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = versions
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join("pgbench"));
    let mut found: Vec<PathBuf> = all.filter(|file| file.is_file()).collect();
    found.sort_by_key(|file| std::cmp::Reverse(file.starts_with("/usr/lib/postgresql")));
    found
        .into_iter()
        .next()
        .ok_or_else(|| "pgbench is not installed".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_where_parameters_stood() {
        let shown: Vec<String> = (1..=11).map(|n| format!(":p{n}")).collect();
        assert_eq!(
            substituted("a = $1 AND b = $11 OR c = $12", &shown),
            "a = :p1 AND b = :p11 OR c = $12"
        );
    }
}

//! The statements that the application sends, counted where they arrive: in the log of PostgreSQL. SQLite is sent the
//! same ones, but for what PostgreSQL counts along with a row that is inserted anyway.
#![expect(clippy::expect_used, reason = "harness: a failure ends the test")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use domain::kernel::{Db, Reads};
use sea_orm::ConnectionTrait;

/// Behind the URL of a database: every statement of its connections is logged. Only a superuser may ask for it.
pub const LOGGED: &str = "?options[log_statement]=all";
/// What every new connection is asked, whoever needs it: it is no operation's.
const OF_A_CONNECTION: &str = "SELECT pg_is_in_recovery()";
/// Time without a new line after which an operation's log is taken to be whole.
const QUIET: Duration = Duration::from_millis(200);

/// A statement with `$1`-style parameters, as it was logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The server's process, of which each connection has one.
    pub process: String,
    pub sql: String,
    /// `None` for NULL.
    pub params: Vec<Option<String>>,
}

/// What an operation sent.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// Outside of transactions, each a round trip.
    pub alone: Vec<Statement>,
    /// Between BEGIN and COMMIT or ROLLBACK; those two stand for one more round trip each.
    pub transactions: Vec<Vec<Statement>>,
}

/// The log of a PostgreSQL server that no other test uses.
pub struct Log {
    file: PathBuf,
    read: usize,
}

impl Log {
    /// The log lies beside the server's socket.
    ///
    /// # Panics
    /// When the server does not tell where that is.
    pub async fn of(db: &Db) -> Self {
        let shown = db
            .conn()
            .query_one_raw(db.sql("SHOW unix_socket_directories", []))
            .await;
        let row = shown.expect("ask for the socket's folder").expect("a socket's folder");
        let folder: String = row.try_get_by_index(0).expect("a path");
        let mut log = Self {
            file: PathBuf::from(folder).join("log"),
            read: 0,
        };
        log.skip().await;
        log
    }

    /// Passes over everything up to now.
    pub async fn skip(&mut self) {
        self.next().await;
    }

    /// What was logged since the last look.
    pub async fn sent(&mut self) -> Sent {
        sorted(statements(&self.next().await))
    }

    async fn next(&mut self) -> String {
        let (mut length, mut since) = (self.length(), Instant::now());
        while since.elapsed() < QUIET {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let now = self.length();
            if now != length {
                (length, since) = (now, Instant::now());
            }
        }
        let text = std::fs::read(&self.file).expect("read the server's log");
        let new = String::from_utf8_lossy(text.get(self.read..).unwrap_or_default()).into_owned();
        self.read = text.len();
        new
    }

    fn length(&self) -> u64 {
        std::fs::metadata(&self.file).expect("look at the server's log").len()
    }
}

/// Statements in the order of the log.
pub fn statements(log: &str) -> Vec<Statement> {
    let mut found: Vec<Statement> = Vec::new();
    let mut lines = log.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((process, level, first)) = head(line) else {
            continue;
        };
        let mut message = first.to_owned();
        while let Some(more) = lines.next_if(|line| head(line).is_none()) {
            message.push('\n');
            message.push_str(more.trim_start_matches('\t'));
        }
        match (level, found.last_mut()) {
            ("DETAIL", Some(statement)) => {
                if let Some(list) = message.strip_prefix("parameters: ") {
                    statement.params = parameters(list);
                }
            }
            ("LOG", _) => {
                if let Some(sql) = statement(&message) {
                    found.push(Statement {
                        process: process.to_owned(),
                        sql,
                        params: Vec::new(),
                    });
                }
            }
            _ => {}
        }
    }
    found
}

/// `2026-11-22 15:00:00.000 GMT [123] LOG:  …`
fn head(line: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = line.split_once("] ")?;
    let (time, process) = before.rsplit_once('[')?;
    let (level, message) = rest.split_once(":  ")?;
    let is_time = time.starts_with("20") && process.bytes().all(|byte| byte.is_ascii_digit());
    is_time.then_some((process, level, message))
}

/// `execute sqlx_s_1: SELECT …` or `statement: BEGIN`.
fn statement(message: &str) -> Option<String> {
    let (kind, sql) = message.split_once(": ")?;
    (kind == "statement" || kind.starts_with("execute ")).then(|| sql.to_owned())
}

/// `$1 = 'it''s', $2 = NULL`
fn parameters(list: &str) -> Vec<Option<String>> {
    let mut found = Vec::new();
    let mut rest = list;
    while let Some((_, value)) = rest.split_once(" = ") {
        let Some(quoted) = value.strip_prefix('\'') else {
            found.push(None);
            rest = value.split_once(", ").map_or("", |(_, rest)| rest);
            continue;
        };
        let mut text = String::new();
        let mut letters = quoted.char_indices().peekable();
        let mut end = quoted.len();
        while let Some((at, letter)) = letters.next() {
            if letter != '\'' {
                text.push(letter);
            } else if letters.next_if(|(_, next)| *next == '\'').is_some() {
                text.push('\'');
            } else {
                end = at + 1;
                break;
            }
        }
        found.push(Some(text));
        rest = quoted.get(end..).unwrap_or_default();
    }
    found
}

/// Tells the statements of each connection's transactions from those that stand alone.
pub fn sorted(statements: Vec<Statement>) -> Sent {
    let mut sent = Sent::default();
    let mut open: BTreeMap<String, usize> = BTreeMap::new();
    for statement in statements {
        if statement.sql == OF_A_CONNECTION {
            continue;
        }
        let word = statement.sql.split_whitespace().next().unwrap_or_default();
        match word.to_ascii_uppercase().as_str() {
            "BEGIN" | "START" => {
                open.insert(statement.process, sent.transactions.len());
                sent.transactions.push(Vec::new());
            }
            "COMMIT" | "ROLLBACK" => {
                open.remove(&statement.process);
            }
            _ => {
                let transaction = open.get(&statement.process);
                match transaction.and_then(|index| sent.transactions.get_mut(*index)) {
                    Some(transaction) => transaction.push(statement),
                    None => sent.alone.push(statement),
                }
            }
        }
    }
    sent
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "2026-11-22 15:00:00.000 GMT [7] LOG:  execute sqlx_s_1: SELECT a\n\tFROM t WHERE b = $1 AND c = $2\n\
        2026-11-22 15:00:00.000 GMT [7] DETAIL:  parameters: $1 = 'it''s, $9 = ', $2 = NULL\n\
        2026-11-22 15:00:00.001 GMT [8] LOG:  statement: BEGIN\n\
        2026-11-22 15:00:00.001 GMT [7] LOG:  statement: SELECT 1\n\
        2026-11-22 15:00:00.001 GMT [8] LOG:  execute <unnamed>: UPDATE t SET a = $1\n\
        2026-11-22 15:00:00.001 GMT [8] DETAIL:  parameters: $1 = 'x'\n\
        2026-11-22 15:00:00.002 GMT [8] LOG:  statement: COMMIT\n\
        2026-11-22 15:00:00.003 GMT [9] LOG:  execute sqlx_s_1: SELECT pg_is_in_recovery()\n\
        2026-11-22 15:00:00.003 GMT [8] LOG:  statement: SELECT 2\n";

    #[test]
    fn statements_are_read_from_the_log_and_told_from_transactions() {
        let Sent { alone, transactions } = sorted(statements(LOG));
        let texts: Vec<_> = alone.iter().map(|statement| statement.sql.as_str()).collect();
        assert_eq!(
            texts,
            ["SELECT a\nFROM t WHERE b = $1 AND c = $2", "SELECT 1", "SELECT 2"]
        );
        assert_eq!(alone[0].params, [Some("it's, $9 = ".to_owned()), None]);
        let changed = Statement {
            process: "8".to_owned(),
            sql: "UPDATE t SET a = $1".to_owned(),
            params: vec![Some("x".to_owned())],
        };
        assert_eq!(transactions, [[changed]]);
    }
}

//! The SQL of an operation, read from the log of PostgreSQL while the product runs it: a limit then runs the very
//! statements that the product does, whatever they are today.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use domain::kernel::{Db, Reads};
use sea_orm::ConnectionTrait;

use crate::Outcome;

/// Time without a new line after which an operation's log is taken to be whole.
const QUIET: Duration = Duration::from_millis(200);

/// A value of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Param {
    Null,
    Text(String),
    /// A number, an id or a text that is never used twice.
    Serial,
    SerialUuid,
    SerialText,
}

/// A statement with `$1`-style parameters.
#[derive(Clone, Debug)]
pub struct Captured {
    pub sql: String,
    pub params: Vec<Param>,
}

/// What an operation runs.
#[derive(Clone, Debug, Default)]
pub struct Operation {
    /// On connections of their own, each a round trip.
    pub reads: Vec<Captured>,
    /// Between BEGIN and COMMIT.
    pub changes: Vec<Captured>,
}

impl Operation {
    /// Statements that one operation sends, BEGIN and COMMIT among them.
    pub fn statements(&self) -> usize {
        let frame = if self.changes.is_empty() { 0 } else { 2 };
        self.reads.len() + self.changes.len() + frame
    }
}

/// Columns that no two rows share, so a limit cannot write what was logged.
const UNIQUE: &[(&str, &str, Param)] = &[
    ("journal", "id", Param::SerialUuid),
    ("journal", "seq", Param::Serial),
    ("secret_versions", "version", Param::Serial),
    ("environment_changes", "revision", Param::Serial),
    ("jobs", "id", Param::SerialUuid),
    ("jobs", "idempotency_key", Param::SerialText),
];

/// The log of a PostgreSQL server.
pub struct Log {
    file: PathBuf,
    read: usize,
}

impl Log {
    /// The log lies beside the server's socket.
    pub async fn of(db: &Db) -> Outcome<Self> {
        let row = db
            .conn()
            .query_one_raw(db.sql("SHOW unix_socket_directories", []))
            .await?;
        let folder: String = row.ok_or("no socket folder")?.try_get_by_index(0)?;
        let file = PathBuf::from(folder).join("log");
        let mut log = Self { file, read: 0 };
        log.skip().await?;
        Ok(log)
    }

    /// Passes over everything up to now.
    pub async fn skip(&mut self) -> Outcome<()> {
        self.next().await.map(drop)
    }

    /// The operation that was logged since the last look.
    pub async fn operation(&mut self) -> Outcome<Operation> {
        let text = self.next().await?;
        Ok(sort(entries(&text)))
    }

    async fn next(&mut self) -> Outcome<String> {
        let (mut length, mut since) = (self.length()?, Instant::now());
        while since.elapsed() < QUIET {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let now = self.length()?;
            if now != length {
                (length, since) = (now, Instant::now());
            }
        }
        let text = std::fs::read(&self.file)?;
        let new = String::from_utf8_lossy(text.get(self.read..).unwrap_or_default()).into_owned();
        self.read = text.len();
        Ok(new)
    }

    fn length(&self) -> Outcome<u64> {
        Ok(std::fs::metadata(&self.file)?.len())
    }
}

/// Statements in the order of the log, with the process that ran each.
fn entries(text: &str) -> Vec<(String, Captured)> {
    let mut found: Vec<(String, Captured)> = Vec::new();
    let mut lines = text.lines().peekable();
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
            ("DETAIL", Some((_, statement))) => {
                if let Some(list) = message.strip_prefix("parameters: ") {
                    statement.params = parameters(list);
                }
            }
            ("LOG", _) => {
                if let Some(sql) = statement(&message) {
                    let params = Vec::new();
                    found.push((process.to_owned(), Captured { sql, params }));
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
fn parameters(list: &str) -> Vec<Param> {
    let mut found = Vec::new();
    let mut rest = list;
    while let Some((_, value)) = rest.split_once(" = ") {
        let Some(quoted) = value.strip_prefix('\'') else {
            found.push(Param::Null);
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
        found.push(Param::Text(text));
        rest = quoted.get(end..).unwrap_or_default();
    }
    found
}

/// Splits statements into reads and changes; the transactions of all connections count as one.
fn sort(entries: Vec<(String, Captured)>) -> Operation {
    let mut operation = Operation::default();
    let mut open = BTreeSet::new();
    for (process, statement) in entries {
        let word = statement
            .sql
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_ascii_uppercase();
        match word.as_str() {
            "BEGIN" | "START" => {
                open.insert(process);
            }
            "COMMIT" | "ROLLBACK" => {
                open.remove(&process);
            }
            _ if open.contains(&process) => operation.changes.push(with_serials(statement)),
            _ => operation.reads.push(statement),
        }
    }
    operation
}

/// Puts serials where a logged value cannot be written again.
fn with_serials(mut statement: Captured) -> Captured {
    let Some((table, columns)) = inserted(&statement.sql) else {
        return statement;
    };
    for (column, param) in columns.iter().zip(&mut statement.params) {
        let unique = UNIQUE.iter().find(|(of, name, _)| *of == table && name == column);
        if let Some((_, _, serial)) = unique {
            *param = serial.clone();
        }
    }
    statement
}

/// `INSERT INTO "journal" ("ledger_id", "seq") VALUES …`: table and columns.
fn inserted(sql: &str) -> Option<(String, Vec<String>)> {
    let rest = sql.strip_prefix("INSERT INTO ")?;
    let (table, rest) = rest.split_once(" (")?;
    let (columns, _) = rest.split_once(')')?;
    let bare = |name: &str| name.trim().trim_matches('"').to_owned();
    Some((bare(table), columns.split(',').map(bare).collect()))
}

/// The same transaction with `rows` rows in its insert into the journal, as the batches of reads have.
pub fn widened(changes: &[Captured], rows: usize) -> Vec<Captured> {
    let widen = |statement: &Captured| match (inserted(&statement.sql), statement.sql.split_once(" VALUES ")) {
        (Some((table, columns)), Some((head, _))) if table == "journal" => {
            let tuple = |row: usize| {
                let numbers = (0..columns.len()).map(|i| format!("${}", row * columns.len() + i + 1));
                format!("({})", numbers.collect::<Vec<_>>().join(", "))
            };
            let tuples: Vec<String> = (0..rows).map(tuple).collect();
            let params = statement.params.iter().cycle().take(rows * columns.len()).cloned();
            Captured {
                sql: format!("{head} VALUES {}", tuples.join(", ")),
                params: params.collect(),
            }
        }
        _ => statement.clone(),
    };
    changes.iter().map(widen).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "2026-11-22 15:00:00.000 GMT [7] LOG:  execute sqlx_s_1: SELECT a\n\tFROM t WHERE b = $1 AND c = $2\n\
        2026-11-22 15:00:00.000 GMT [7] DETAIL:  parameters: $1 = 'it''s, $9 = ', $2 = NULL\n\
        2026-11-22 15:00:00.001 GMT [8] LOG:  statement: BEGIN\n\
        2026-11-22 15:00:00.001 GMT [8] LOG:  execute <unnamed>: INSERT INTO \"journal\" (\"id\", \"at\") VALUES ($1, $2)\n\
        2026-11-22 15:00:00.001 GMT [8] DETAIL:  parameters: $1 = 'x', $2 = '5'\n\
        2026-11-22 15:00:00.002 GMT [8] LOG:  statement: COMMIT\n";

    #[test]
    fn an_operation_is_read_from_the_log() {
        let operation = sort(entries(LOG));
        let read = operation.reads.first().unwrap();
        assert_eq!(read.sql, "SELECT a\nFROM t WHERE b = $1 AND c = $2");
        assert_eq!(read.params, [Param::Text("it's, $9 = ".to_owned()), Param::Null]);
        let change = operation.changes.first().unwrap();
        assert_eq!(change.params, [Param::SerialUuid, Param::Text("5".to_owned())]);
        assert_eq!(operation.statements(), 4);
    }

    #[test]
    fn a_batch_is_one_insert_of_many_rows() {
        let wide = widened(&sort(entries(LOG)).changes, 2);
        let insert = wide.first().unwrap();
        assert_eq!(
            insert.sql,
            "INSERT INTO \"journal\" (\"id\", \"at\") VALUES ($1, $2), ($3, $4)"
        );
        assert_eq!(insert.params.len(), 4);
    }
}

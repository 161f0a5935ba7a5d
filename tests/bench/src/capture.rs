//! The SQL of an operation, read from the log of PostgreSQL while the product runs it: a limit then runs the very
//! statements that the product does, whatever they are today.

use harness::statements::{Sent, Statement};

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
    ("environment_revisions", "revision", Param::Serial),
    ("environment_changes", "revision", Param::Serial),
    ("jobs", "id", Param::SerialUuid),
    ("jobs", "idempotency_key", Param::SerialText),
];

impl From<Statement> for Captured {
    fn from(statement: Statement) -> Self {
        let Statement {
            process: _,
            sql,
            params,
        } = statement;
        let param = |param: Option<String>| param.map_or(Param::Null, Param::Text);
        Self {
            sql,
            params: params.into_iter().map(param).collect(),
        }
    }
}

impl From<Sent> for Operation {
    /// The transactions of all connections count as one.
    fn from(sent: Sent) -> Self {
        let Sent { alone, transactions } = sent;
        let changes = transactions.into_iter().flatten().map(Captured::from);
        Self {
            reads: alone.into_iter().map(Captured::from).collect(),
            changes: changes.map(with_serials).collect(),
        }
    }
}

/// Ends a statement that moves the end of a ledger on if it stands where it is believed to; in a limit it never does.
const WHERE_IT_STANDS: &str = " AND seq = $4 AND hash = $5";

/// Puts serials where a logged value cannot be written again.
fn with_serials(mut statement: Captured) -> Captured {
    if let Some(moved) = statement.sql.strip_suffix(WHERE_IT_STANDS) {
        statement.sql.truncate(moved.len());
        statement.params.truncate(3);
    }
    let Some((table, columns)) = inserted(&statement.sql) else {
        return statement;
    };
    // As many rows as it has.
    for (column, param) in columns.iter().cycle().zip(&mut statement.params) {
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

    fn operation() -> Operation {
        let statement = |sql: &str, params: &[Option<&str>]| Statement {
            process: "7".to_owned(),
            sql: sql.to_owned(),
            params: params.iter().map(|param| param.map(str::to_owned)).collect(),
        };
        let sent = Sent {
            alone: vec![statement(
                "SELECT a FROM t WHERE b = $1 AND c = $2",
                &[Some("it's"), None],
            )],
            transactions: vec![vec![statement(
                "INSERT INTO \"journal\" (\"id\", \"at\") VALUES ($1, $2)",
                &[Some("x"), Some("5")],
            )]],
        };
        sent.into()
    }

    #[test]
    fn an_operation_has_its_values_and_serials_where_none_can_be_written_twice() {
        let operation = operation();
        let read = operation.reads.first().unwrap();
        assert_eq!(read.params, [Param::Text("it's".to_owned()), Param::Null]);
        let change = operation.changes.first().unwrap();
        assert_eq!(change.params, [Param::SerialUuid, Param::Text("5".to_owned())]);
        assert_eq!(operation.statements(), 4);
    }

    #[test]
    fn a_batch_is_one_insert_of_many_rows() {
        let wide = widened(&operation().changes, 2);
        let insert = wide.first().unwrap();
        assert_eq!(
            insert.sql,
            "INSERT INTO \"journal\" (\"id\", \"at\") VALUES ($1, $2), ($3, $4)"
        );
        assert_eq!(insert.params.len(), 4);
    }
}

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
    /// What changes something together.
    pub changes: Vec<Captured>,
    /// Whether the changes are sent at once, as reads are journaled; else between BEGIN and COMMIT.
    pub is_at_once: bool,
}

impl Operation {
    /// Statements that one operation sends, BEGIN and COMMIT among them.
    pub fn statements(&self) -> usize {
        let changes = match self.changes.len() {
            0 => 0,
            _ if self.is_at_once => 1,
            several => several + 2,
        };
        self.reads.len() + changes
    }
}

/// Columns that no two rows share, so a limit cannot write what was logged.
const UNIQUE: &[(&str, &str, Param)] = &[
    ("journal", "id", Param::SerialUuid),
    ("journal", "seq", Param::Serial),
    ("secret_versions", "version", Param::Serial),
    ("environment_revisions", "revision", Param::Serial),
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
        let (at_once, reads): (Vec<_>, Vec<_>) = alone
            .into_iter()
            .map(Captured::from)
            .partition(|statement| statement.sql.starts_with(AT_ONCE));
        let is_at_once = transactions.is_empty() && !at_once.is_empty();
        let changes = transactions.into_iter().flatten().map(Captured::from);
        let changes = changes.chain(at_once.into_iter().flat_map(apart));
        Self {
            reads,
            changes: changes.map(with_serials).collect(),
            is_at_once,
        }
    }
}

/// A change, and rows that go in if it found its row, are one statement of PostgreSQL.
const AT_ONCE: &str = "WITH changed AS (";
/// Where a ledger is believed to end; in a limit it never does.
const WHERE_IT_STANDS: &str = " AND seq = $4 AND hash = $5";

/// The change and the insert of a statement that does both.
fn apart(both: Captured) -> Vec<Captured> {
    let parts = both
        .sql
        .strip_prefix(AT_ONCE)
        .and_then(|sql| sql.split_once(" RETURNING 1) "));
    let Some((change, insert)) = parts else {
        return vec![both];
    };
    let change = change.strip_suffix(WHERE_IT_STANDS).unwrap_or(change);
    let into = insert.split_once(" SELECT ").map_or(insert, |(into, _)| into);
    // The first values are the change's.
    let values = both.params.get(5..).unwrap_or_default();
    let row = tuple(0, values.len());
    vec![
        Captured {
            sql: change.to_owned(),
            params: both.params.get(..3).unwrap_or_default().to_vec(),
        },
        Captured {
            sql: format!("{into} VALUES {row}"),
            params: values.to_vec(),
        },
    ]
}

/// `($1, $2)`, and what comes after it in a list of such.
fn tuple(row: usize, columns: usize) -> String {
    let numbers = (0..columns).map(|i| format!("${}", row * columns + i + 1));
    format!("({})", numbers.collect::<Vec<_>>().join(", "))
}

/// Puts serials where a logged value cannot be written again.
fn with_serials(mut statement: Captured) -> Captured {
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
pub fn inserted(sql: &str) -> Option<(String, Vec<String>)> {
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
            let tuples: Vec<String> = (0..rows).map(|row| tuple(row, columns.len())).collect();
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
    fn what_is_sent_at_once_is_told_apart() {
        let sql = "WITH changed AS (UPDATE ledgers SET seq = $1, hash = $2 WHERE id = $3 AND seq = $4 AND hash = $5 RETURNING 1) \
            INSERT INTO journal (id, at) SELECT $6, $7 WHERE EXISTS (SELECT FROM changed)";
        let statement = Statement {
            process: "7".to_owned(),
            sql: sql.to_owned(),
            params: ["2", "h", "l", "1", "g", "x", "5"]
                .map(|param| Some(param.to_owned()))
                .to_vec(),
        };
        let operation = Operation::from(Sent {
            alone: vec![statement],
            transactions: Vec::new(),
        });
        assert!(operation.reads.is_empty() && operation.is_at_once);
        assert_eq!(operation.statements(), 1);
        let [change, insert] = operation.changes.as_slice() else {
            panic!("a change and an insert");
        };
        assert_eq!(change.sql, "UPDATE ledgers SET seq = $1, hash = $2 WHERE id = $3");
        assert_eq!(change.params.len(), 3);
        assert_eq!(insert.sql, "INSERT INTO journal (id, at) VALUES ($1, $2)");
        assert_eq!(insert.params, [Param::SerialUuid, Param::Text("5".to_owned())]);
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

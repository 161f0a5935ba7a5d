//! Many rows in one statement, told column by column. PostgreSQL takes each column as one array, so that the statement is the
//! same however many rows there are, and is planned once; thousands of values would cost it more to read than to store. SQLite
//! takes the values themselves.

use sea_orm::sea_query::ArrayType;
use sea_orm::{ConnectionTrait, Value};

use super::lists::value_marks;
use super::{Backend, Error, Reads, Result, WriteTx};

/// Values that one statement binds at most; SQLite takes 32,766.
const VALUES: usize = 32_000;

/// Rows of one table.
pub struct Rows {
    table: &'static str,
    columns: Vec<(&'static str, Column)>,
    len: usize,
}

enum Column {
    /// The same value in each row.
    Same(Value),
    Each(std::vec::IntoIter<Value>),
}

impl Rows {
    pub const fn of(table: &'static str, len: usize) -> Self {
        Self {
            table,
            columns: Vec::new(),
            len,
        }
    }

    /// A column that holds the same in all rows.
    #[must_use]
    pub fn same(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.columns.push((name, Column::Same(value.into())));
        self
    }

    /// A column, with its value in each row: an id, a number, a text, bytes or whether, or none of these.
    #[must_use]
    pub fn each<V: Into<Value>>(mut self, name: &'static str, values: impl IntoIterator<Item = V>) -> Self {
        let values: Vec<Value> = values.into_iter().map(Into::into).collect();
        debug_assert_eq!(values.len(), self.len, "{name} in every row");
        self.columns.push((name, Column::Each(values.into_iter())));
        self
    }

    /// A column whose values are mostly the same in all rows, and cost as little as one then.
    #[must_use]
    pub fn alike<V: Into<Value>>(self, name: &'static str, values: impl IntoIterator<Item = V>) -> Self {
        let values: Vec<Value> = values.into_iter().map(Into::into).collect();
        match values.split_first() {
            Some((first, others)) if others.iter().all(|value| value == first) => self.same(name, first.clone()),
            _ => self.each(name, values),
        }
    }

    /// Inserts them in their order, with as few statements as the database takes; `conflict` says what becomes of rows that
    /// are there already, or nothing.
    ///
    /// # Errors
    /// [`Error::Db`].
    pub async fn insert(mut self, tx: &WriteTx, conflict: &str) -> Result<()> {
        let most = VALUES / self.columns.len().max(1);
        while self.len > 0 {
            let count = self.len.min(most);
            self.len -= count;
            let (sql, values) = match tx.backend() {
                Backend::Postgres if count > 1 => self.arrays(count, conflict)?,
                backend => self.values(backend, count, conflict),
            };
            tx.conn().execute_raw(tx.sql(&sql, values)).await?;
        }
        Ok(())
    }

    /// Writes them over the rows that have the same `id`, all of which are there. Nothing says in which order, so no column may
    /// be one that is unique.
    ///
    /// # Errors
    /// [`Error::Db`]; [`Error::Internal`] when one of them is not there.
    pub async fn update(mut self, tx: &WriteTx, id: &'static str) -> Result<()> {
        let most = VALUES / self.columns.len().max(1);
        while self.len > 0 {
            let count = self.len.min(most);
            self.len -= count;
            let (sql, values) = match tx.backend() {
                Backend::Sqlite if count > 1 => self.update_values(count, id),
                Backend::Postgres | Backend::Sqlite => self.update_arrays(count, id)?,
            };
            let updated = tx.conn().execute_raw(tx.sql(&sql, values)).await?.rows_affected();
            if usize::try_from(updated) != Ok(count) {
                return Err(Error::internal("rows to be written over are not there"));
            }
        }
        Ok(())
    }

    /// One statement of PostgreSQL that inserts them all if a condition holds; `with` stands before it, and binds the first
    /// values.
    pub(super) fn insert_if(mut self, with: &str, values: Vec<Value>, condition: &str) -> Result<(String, Vec<Value>)> {
        let (into, mut list) = (self.insert_into(), Arrays::after(values));
        let reads = self.reads(self.len, &mut list)?.join(", ");
        let from = list.from();
        Ok((
            format!("{with} {into} SELECT {reads}{from} WHERE {condition}"),
            list.values,
        ))
    }

    /// The same for SQLite, whose marks have no numbers; `values` are bound before.
    pub(super) fn select_if(mut self, mut values: Vec<Value>, condition: &str) -> (String, Vec<Value>) {
        let (into, width, count) = (self.insert_into(), self.columns.len(), self.len);
        values.extend(self.row_by_row(count));
        let marks = value_marks(Backend::Sqlite, count, width);
        (
            format!("{into} SELECT * FROM (VALUES {marks}) WHERE {condition}"),
            values,
        )
    }

    fn insert_into(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        format!("INSERT INTO {} ({})", self.table, names.join(", "))
    }

    fn arrays(&mut self, count: usize, conflict: &str) -> Result<(String, Vec<Value>)> {
        let (into, mut list) = (self.insert_into(), Arrays::default());
        let reads = self.reads(count, &mut list)?.join(", ");
        let from = list.from();
        if from.is_empty() {
            return Err(Error::internal("rows that nothing tells apart"));
        }
        Ok((format!("{into} SELECT {reads}{from} {conflict}"), list.values))
    }

    /// What is selected for the columns of the next rows: a value if there is one row, else what a list of arrays holds.
    fn reads(&mut self, count: usize, list: &mut Arrays) -> Result<Vec<String>> {
        let mut reads = Vec::with_capacity(self.columns.len());
        for (name, column) in &mut self.columns {
            reads.push(match column {
                Column::Same(value) => list.bind(value.clone()),
                Column::Each(values) if count == 1 => list.bind(values.next().unwrap_or(Value::Bool(None))),
                Column::Each(values) => list.add(name, values.by_ref().take(count).collect())?,
            });
        }
        Ok(reads)
    }

    fn values(&mut self, backend: Backend, count: usize, conflict: &str) -> (String, Vec<Value>) {
        let (into, width) = (self.insert_into(), self.columns.len());
        let marks = value_marks(backend, count, width);
        (format!("{into} VALUES {marks} {conflict}"), self.row_by_row(count))
    }

    fn update_arrays(&mut self, count: usize, id: &str) -> Result<(String, Vec<Value>)> {
        let mut list = Arrays::default();
        let reads = self.reads(count, &mut list)?;
        let sql = self.update_from(id, &reads, &list.from());
        Ok((sql, list.values))
    }

    fn update_values(&mut self, count: usize, id: &str) -> (String, Vec<Value>) {
        let width = self.columns.len();
        let reads: Vec<String> = (1..=width).map(|n| format!("r.column{n}")).collect();
        let marks = value_marks(Backend::Sqlite, count, width);
        let sql = self.update_from(id, &reads, &format!(" FROM (VALUES {marks}) AS r"));
        (sql, self.row_by_row(count))
    }

    /// An update whose columns are read as told, in their order.
    fn update_from(&self, id: &str, reads: &[String], from: &str) -> String {
        let table = self.table;
        let (mut set, mut is_it) = (Vec::with_capacity(reads.len()), String::new());
        for ((name, _), read) in self.columns.iter().zip(reads) {
            if *name == id {
                is_it = format!("{table}.{name} = {read}");
            } else {
                set.push(format!("{name} = {read}"));
            }
        }
        format!("UPDATE {table} SET {}{from} WHERE {is_it}", set.join(", "))
    }

    /// The values of the next rows.
    fn row_by_row(&mut self, count: usize) -> Vec<Value> {
        let mut values = Vec::with_capacity(count * self.columns.len());
        for _ in 0..count {
            for (_, column) in &mut self.columns {
                match column {
                    Column::Same(value) => values.push(value.clone()),
                    Column::Each(each) => values.extend(each.next()),
                }
            }
        }
        values
    }
}

/// Columns of a statement as arrays.
#[derive(Default)]
struct Arrays {
    sources: Vec<String>,
    names: Vec<String>,
    values: Vec<Value>,
}

impl Arrays {
    /// Arrays of a statement that binds other values first.
    fn after(values: Vec<Value>) -> Self {
        Self {
            values,
            ..Self::default()
        }
    }

    /// Where they are read from.
    fn from(&self) -> String {
        let (arrays, names) = (self.sources.join(", "), self.names.join(", "));
        if arrays.is_empty() {
            return String::new();
        }
        format!(" FROM UNNEST({arrays}) AS r ({names})")
    }

    /// Binds a value; its mark.
    fn bind(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }

    fn array(&mut self, name: String, (array, sql): (ArrayType, &str), values: Vec<Value>) {
        let mark = self.bind(Value::Array(array, Some(Box::new(values))));
        self.sources.push(format!("{mark}::{sql}"));
        self.names.push(name);
    }

    /// Adds a column; how it is read. The arrays hold no NULL: which are none is told by an array of its own.
    fn add(&mut self, name: &str, mut values: Vec<Value>) -> Result<String> {
        let kind = kind(values.first())?;
        if !values.iter().any(is_none) {
            self.array(name.to_owned(), kind, values);
            return Ok(format!("r.{name}"));
        }
        let nones: Vec<Value> = values.iter().map(|value| is_none(value).into()).collect();
        for value in &mut values {
            fill(value);
        }
        self.array(name.to_owned(), kind, values);
        self.array(format!("no_{name}"), (ArrayType::Bool, "boolean[]"), nones);
        Ok(format!("CASE WHEN r.no_{name} THEN NULL ELSE r.{name} END"))
    }
}

fn kind(value: Option<&Value>) -> Result<(ArrayType, &'static str)> {
    match value {
        Some(Value::Uuid(_)) => Ok((ArrayType::Uuid, "uuid[]")),
        Some(Value::Int(_)) => Ok((ArrayType::Int, "integer[]")),
        Some(Value::BigInt(_)) => Ok((ArrayType::BigInt, "bigint[]")),
        Some(Value::String(_)) => Ok((ArrayType::String, "text[]")),
        Some(Value::Bytes(_)) => Ok((ArrayType::Bytes, "bytea[]")),
        Some(Value::Bool(_)) => Ok((ArrayType::Bool, "boolean[]")),
        _ => Err(Error::internal("a column of values that are not told as arrays")),
    }
}

const fn is_none(value: &Value) -> bool {
    matches!(
        value,
        Value::Uuid(None)
            | Value::Int(None)
            | Value::BigInt(None)
            | Value::String(None)
            | Value::Bytes(None)
            | Value::Bool(None)
    )
}

/// Puts something where nothing is.
fn fill(value: &mut Value) {
    match value {
        Value::Uuid(none @ None) => *none = Some(uuid::Uuid::nil()),
        Value::Int(none @ None) => *none = Some(0),
        Value::BigInt(none @ None) => *none = Some(0),
        Value::String(none @ None) => *none = Some(String::new()),
        Value::Bytes(none @ None) => *none = Some(Vec::new()),
        Value::Bool(none @ None) => *none = Some(false),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Rows {
        Rows::of("things", 3)
            .each("n", [1_i64, 2, 3])
            .same("kind", "all")
            .each("note", [Some(vec![1_u8]), None, Some(Vec::new())])
    }

    #[test]
    fn a_column_is_one_array_whatever_the_count() {
        let (sql, values) = rows().arrays(3, "ON CONFLICT DO NOTHING").unwrap();
        assert_eq!(
            sql,
            "INSERT INTO things (n, kind, note) SELECT r.n, $2, CASE WHEN r.no_note THEN NULL ELSE r.note END \
             FROM UNNEST($1::bigint[], $3::bytea[], $4::boolean[]) AS r (n, note, no_note) ON CONFLICT DO NOTHING"
        );
        let nones = vec![false.into(), true.into(), false.into()];
        assert_eq!(values[3], Value::Array(ArrayType::Bool, Some(Box::new(nones))));
        assert_eq!(values.len(), 4);
    }

    #[test]
    fn values_that_are_alike_are_told_once() {
        let kinds = |values: [&str; 3]| Rows::of("things", 3).each("n", [1_i64, 2, 3]).alike("kind", values);
        let (sql, values) = kinds(["a", "a", "a"]).arrays(3, "").unwrap();
        assert_eq!(
            sql,
            "INSERT INTO things (n, kind) SELECT r.n, $2 FROM UNNEST($1::bigint[]) AS r (n) "
        );
        assert_eq!(values[1], "a".into());
        let (sql, _) = kinds(["a", "a", "b"]).arrays(3, "").unwrap();
        assert!(sql.contains("SELECT r.n, r.kind FROM"), "{sql}");
        assert_eq!(kinds(["a", "b", "a"]).row_by_row(3)[3], "b".into());
    }

    #[test]
    fn values_are_told_row_by_row() {
        let (sql, values) = rows().values(Backend::Sqlite, 2, "");
        assert_eq!(sql, "INSERT INTO things (n, kind, note) VALUES (?, ?, ?), (?, ?, ?) ");
        assert_eq!(values[..2], [1_i64.into(), "all".into()]);
        assert_eq!(values[3..], [2_i64.into(), "all".into(), Value::Bytes(None)]);
        let (sql, _) = rows().values(Backend::Postgres, 2, "");
        assert!(sql.ends_with("VALUES ($1, $2, $3), ($4, $5, $6) "), "{sql}");
    }

    #[test]
    fn rows_may_depend_on_what_was_done_before() {
        let before = || vec![Value::from(9_i64)];
        let (sql, values) = rows().insert_if("WITH a AS (…)", before(), "b").unwrap();
        assert!(
            sql.starts_with("WITH a AS (…) INSERT INTO things (n, kind, note) SELECT r.n, $3, CASE"),
            "{sql}"
        );
        assert!(sql.ends_with("FROM UNNEST($2::bigint[], $4::bytea[], $5::boolean[]) AS r (n, note, no_note) WHERE b"));
        assert_eq!((&values[0], values.len()), (&9_i64.into(), 5));
        let one = || Rows::of("things", 1).each("n", [1_i64]).same("kind", "all");
        let (sql, _) = one().insert_if("WITH a AS (…)", before(), "b").unwrap();
        assert_eq!(sql, "WITH a AS (…) INSERT INTO things (n, kind) SELECT $2, $3 WHERE b");
        let (sql, values) = one().select_if(before(), "b");
        assert_eq!(
            sql,
            "INSERT INTO things (n, kind) SELECT * FROM (VALUES (?, ?)) WHERE b"
        );
        assert_eq!(values, [9_i64.into(), 1_i64.into(), "all".into()]);
    }

    #[test]
    fn rows_may_be_written_over_those_that_are_there() {
        let (sql, values) = rows().update_arrays(3, "n").unwrap();
        assert_eq!(
            sql,
            "UPDATE things SET kind = $2, note = CASE WHEN r.no_note THEN NULL ELSE r.note END \
             FROM UNNEST($1::bigint[], $3::bytea[], $4::boolean[]) AS r (n, note, no_note) WHERE things.n = r.n"
        );
        assert_eq!(values.len(), 4);
        let (sql, _) = rows().update_arrays(1, "n").unwrap();
        assert_eq!(sql, "UPDATE things SET kind = $2, note = $3 WHERE things.n = $1");
        let (sql, values) = rows().update_values(2, "n");
        assert_eq!(
            sql,
            "UPDATE things SET kind = r.column2, note = r.column3 FROM (VALUES (?, ?, ?), (?, ?, ?)) AS r \
             WHERE things.n = r.column1"
        );
        assert_eq!(values[3..], [2_i64.into(), "all".into(), Value::Bytes(None)]);
    }

    #[test]
    fn what_cannot_be_an_array_is_refused_and_not_stored_otherwise() {
        let mut rows = Rows::of("things", 2).each("share", [0.5_f64, 0.25]);
        assert!(rows.arrays(2, "").is_err());
        let mut rows = Rows::of("things", 2).same("kind", "all");
        assert!(rows.arrays(2, "").is_err(), "there would be one row");
    }
}

//! A change of one row, and rows that go in only if it found that one: a transaction that takes one round trip. PostgreSQL
//! does both in one statement. SQLite is sent its statements together.

use sea_orm::sqlx::sqlite::SqliteRow;
use sea_orm::sqlx::{self, AssertSqlSafe, Row as _};
use sea_orm::{ConnectionTrait, DbErr, RuntimeErr, Value};
use sea_query_sqlx::SqlxValues;

use super::{Backend, Db, Reads, Result, Rows};

impl Rows {
    /// Inserts them if a change of one row finds it; returns whether it did. The change names its values in their order: `$1`,
    /// `$2` and so on. Only the journal may write this way: whatever else changes something does it in a
    /// [`WriteTx`](super::WriteTx).
    ///
    /// # Errors
    /// [`Error::Db`](super::Error::Db); then nothing was changed, if the database could still tell.
    pub async fn insert_after(self, db: &Db, change: &str, values: Vec<Value>) -> Result<bool> {
        match db.backend() {
            Backend::Postgres => {
                let with = format!("WITH changed AS ({change} RETURNING 1)");
                let (sql, values) = self.insert_if(&with, values, "EXISTS (SELECT FROM changed)")?;
                let done = db.write.execute_raw(db.sql(&sql, values)).await?;
                Ok(done.rows_affected() > 0)
            }
            Backend::Sqlite => {
                let (insert, values) = self.select_if(values, "changes() = 1");
                let change = without_numbers(change);
                let sql = format!("BEGIN IMMEDIATE; {change}; {insert}; SELECT changes(); COMMIT");
                let added: i64 = run(db, sql, values).await?.try_get(0).map_err(failed)?;
                Ok(added > 0)
            }
        }
    }
}

/// Runs statements that make a transaction; returns the row that they give. A connection on which one of them failed may be
/// left within the transaction, so it is closed, which ends that. Not to be given up half way: it would be left so too.
async fn run(db: &Db, sql: String, values: Vec<Value>) -> Result<SqliteRow, DbErr> {
    let mut connection = db.write.get_sqlite_connection_pool().acquire().await.map_err(failed)?;
    let values = SqlxValues(sea_orm::Values(values));
    let ran = sqlx::query_with(AssertSqlSafe(sql), values)
        .fetch_all(&mut *connection)
        .await;
    match ran.map(|rows| rows.into_iter().next()) {
        Ok(Some(row)) => Ok(row),
        Ok(None) => Err(failed(sqlx::Error::RowNotFound)),
        Err(error) => {
            connection.close_on_drop();
            Err(failed(error))
        }
    }
}

fn failed(error: sqlx::Error) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(error.into()))
}

/// Of several statements each would begin to count anew.
fn without_numbers(sql: &str) -> String {
    let mut parts = sql.split('$');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |sql, part| {
        let rest = part.trim_start_matches(|letter: char| letter.is_ascii_digit());
        format!("{sql}?{rest}")
    })
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::kernel::{Clock, Rng};

    async fn database(dir: &TempDir) -> Db {
        let url = Db::sqlite_url(&dir.path().join("test.db"));
        let db = Db::connect(&url, Clock::system(), Rng::seeded(1)).await.unwrap();
        for sql in [
            "CREATE TABLE ends (id INTEGER, n INTEGER)",
            "CREATE TABLE things (n INTEGER UNIQUE, note BLOB)",
            "INSERT INTO ends VALUES (1, 0), (2, 0)",
        ] {
            db.write.execute_unprepared(sql).await.unwrap();
        }
        db
    }

    /// Adds two things if the end is where it is said to be.
    async fn add(db: &Db, from: i64) -> Result<bool> {
        let things = Rows::of("things", 2)
            .each("n", [from + 1, from + 2])
            .each("note", [Some(vec![7_u8]), None]);
        let change = "UPDATE ends SET n = $1 WHERE id = $2 AND n = $3";
        things
            .insert_after(db, change, vec![(from + 2).into(), 1.into(), from.into()])
            .await
    }

    async fn number(db: &Db, sql: &str) -> i64 {
        let row = db.conn().query_one_raw(db.sql(sql, [])).await.unwrap().unwrap();
        row.try_get_by_index(0).unwrap()
    }

    #[tokio::test]
    async fn rows_go_in_if_the_change_finds_its_row() {
        let dir = TempDir::new().unwrap();
        let db = database(&dir).await;
        assert!(add(&db, 0).await.unwrap());
        assert!(!add(&db, 1).await.unwrap(), "the end is not there");
        assert!(add(&db, 2).await.unwrap());
        assert_eq!(number(&db, "SELECT count(*) FROM things").await, 4);
        assert_eq!(number(&db, "SELECT count(*) FROM things WHERE note = X'07'").await, 2);
        assert_eq!(number(&db, "SELECT n FROM ends WHERE id = 1").await, 4);
        assert_eq!(number(&db, "SELECT n FROM ends WHERE id = 2").await, 0);
    }

    #[tokio::test]
    async fn what_fails_half_way_is_undone_and_nobody_after_it_notices() {
        let dir = TempDir::new().unwrap();
        let db = database(&dir).await;
        db.write
            .execute_unprepared("INSERT INTO things VALUES (2, NULL)")
            .await
            .unwrap();
        assert!(add(&db, 0).await.is_err(), "there is such a thing");
        assert_eq!(number(&db, "SELECT n FROM ends WHERE id = 1").await, 0);
        let tx = db.begin_write().await.unwrap();
        tx.conn().execute_unprepared("DELETE FROM things").await.unwrap();
        tx.commit_bookkeeping().await.unwrap();
        assert!(add(&db, 0).await.unwrap());
        assert_eq!(number(&db, "SELECT count(*) FROM things").await, 2);
    }

    #[test]
    fn marks_lose_their_numbers() {
        assert_eq!(without_numbers("a = $1 AND b = $12"), "a = ? AND b = ?");
        assert_eq!(without_numbers("a"), "a");
    }
}

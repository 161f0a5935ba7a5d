//! Which connections a pool may hand out.

use sea_orm::ConnectOptions;
use sea_orm::sqlx::{self, Connection, PgConnection};

/// SQLite ends a transaction by itself when the disk is full or fails. The driver then sends a `ROLLBACK` that finds
/// none, takes the connection for one with an open transaction ever after, and makes savepoints of the transactions to
/// come: they would be reported committed and be lost. Such a connection is closed, and a new one takes its place.
pub(super) fn only_idle(options: &mut ConnectOptions) {
    options.map_sqlx_sqlite_before_acquire(|connection, _| {
        let is_idle = !connection.is_in_transaction();
        if !is_idle {
            tracing::warn!("a connection to SQLite was left within a transaction that is over; it is replaced");
        }
        Box::pin(async move { Ok(is_idle) })
    });
}

/// A server that follows another one refuses every change, and what it lets read may be old: somebody who was shut out
/// would be let in. Connections to it are given up at once, until the name in the URL leads to the primary again.
pub(super) fn only_primary(options: &mut ConnectOptions) {
    options
        .map_sqlx_postgres_pool_opts(|pool| pool.after_connect(|connection, _| Box::pin(refuse_replica(connection))));
}

async fn refuse_replica(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let is_replica: bool = sqlx::query_scalar("SELECT pg_is_in_recovery()")
        .fetch_one(connection)
        .await?;
    if is_replica {
        let why = "the server is a replica; STRONGROOM_DATABASE_URL must lead to the primary";
        return Err(sqlx::Error::Configuration(why.into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sea_orm::ConnectionTrait;
    use tempfile::TempDir;

    use crate::kernel::problem::{Problem, ProblemCode};
    use crate::kernel::{Clock, Db, Error, Reads, Rng};

    async fn run(db: &Db, sql: &str) -> Result<(), Error> {
        let tx = db.begin_write().await?;
        tx.conn().execute_unprepared(sql).await?;
        tx.commit_bookkeeping().await?;
        Ok(())
    }

    async fn rows(db: &Db) -> i64 {
        let count = db.sql("SELECT COUNT(*) AS n FROM notes", []);
        let row = db.conn().query_one_raw(count).await.unwrap().unwrap();
        row.try_get("", "n").unwrap()
    }

    #[tokio::test]
    async fn what_is_acknowledged_after_the_disk_was_full_is_there() {
        let dir = TempDir::new().unwrap();
        let url = Db::sqlite_url(&dir.path().join("test.db"));
        let db = Db::connect(&url, Clock::system(), Rng::seeded(1)).await.unwrap();
        run(&db, "CREATE TABLE notes (text BLOB)").await.unwrap();
        // The connection finds the disk full from here on.
        run(&db, "PRAGMA max_page_count = 50").await.unwrap();
        let full = run(&db, "INSERT INTO notes VALUES (zeroblob(10000000))").await;
        let problem: Problem = full.unwrap_err().into_problem();
        assert_eq!(problem.code, ProblemCode::InsufficientStorage);
        // Given up, as many a request is.
        let tx = db.begin_write().await.unwrap();
        tx.conn()
            .execute_unprepared("INSERT INTO notes VALUES ('given up')")
            .await
            .unwrap();
        tx.rollback().await.unwrap();
        run(&db, "INSERT INTO notes VALUES ('kept')").await.unwrap();
        assert_eq!(rows(&db).await, 1, "others see it");
        db.close().await;
        let db = Db::connect(&url, Clock::system(), Rng::seeded(1)).await.unwrap();
        assert_eq!(rows(&db).await, 1, "and it outlives the process");
    }
}

//! The hours in the database. A row belongs to one process, which writes it whole: writing it twice does no harm.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::{ConnectionTrait, FromQueryResult, Value};
use uuid::Uuid;

use super::recorder::{Recorder, Series, Tally};
use super::times::Times;
use crate::kernel::lists::value_marks;
use crate::kernel::{Db, Error, Reads, Result, Timestamp, WriteTx};

/// How often a process writes its hours down.
pub const FLUSH_EVERY: Duration = Duration::from_mins(1);
/// How long they are kept: the longest summary and a day.
const KEPT: Duration = Duration::from_hours(8 * 24);
/// Rows of one statement.
const BATCH: usize = 200;
/// Values of one row.
const WIDTH: usize = 9;

impl Recorder {
    /// Writes down every minute until `shutdown`. What comes later is for a last flush.
    pub async fn run(self: Arc<Self>, db: Db, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                () = shutdown.as_mut() => return,
                () = tokio::time::sleep(FLUSH_EVERY) => {}
            }
            if let Err(error) = self.flush(&db).await {
                tracing::warn!(%error, "the requests of the last minute could not be written down");
            }
        }
    }

    /// Writes down what the database does not have yet; returns the number of rows.
    ///
    /// # Errors
    /// [`Error::Db`]; it is tried again with the next flush.
    pub async fn flush(&self, db: &Db) -> Result<usize> {
        let new = self.take_new();
        let written = write(db, self.instance, &new).await;
        match written {
            Ok(()) => self.forget(),
            Err(_) => self.put_back(&new),
        }
        written.map(|()| new.len())
    }
}

async fn write(db: &Db, instance: Uuid, rows: &[(Series, Tally)]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let tx = db.begin_write().await?;
    for batch in rows.chunks(BATCH) {
        let sql = format!(
            "INSERT INTO request_metrics
                (hour_at, instance, route, method, status_class, requests, sum_us, max_us, times)
             VALUES {}
             ON CONFLICT (hour_at, instance, route, method, status_class) DO UPDATE
             SET requests = excluded.requests, sum_us = excluded.sum_us, max_us = excluded.max_us, times = excluded.times",
            value_marks(tx.backend(), batch.len(), WIDTH)
        );
        let values = batch.iter().flat_map(|(series, tally)| values(instance, series, tally));
        tx.conn().execute_raw(tx.sql(&sql, values)).await?;
    }
    tx.commit_bookkeeping().await?;
    Ok(())
}

fn values(instance: Uuid, series: &Series, tally: &Tally) -> [Value; WIDTH] {
    let Series {
        hour,
        route,
        method,
        class,
    } = series;
    let Tally {
        requests,
        sum_us,
        max_us,
        times,
    } = tally;
    let number = |n: u64| Value::from(i64::try_from(n).unwrap_or(i64::MAX));
    [
        (*hour).into(),
        instance.into(),
        route.clone().into(),
        method.clone().into(),
        (*class).into(),
        number(*requests),
        number(*sum_us),
        number(*max_us),
        times.encode().into(),
    ]
}

#[derive(FromQueryResult)]
struct Row {
    hour_at: Timestamp,
    instance: Uuid,
    route: String,
    method: String,
    status_class: i64,
    requests: i64,
    sum_us: i64,
    max_us: i64,
    times: Vec<u8>,
}

/// What all processes have written since the beginning of an hour.
pub(super) async fn since(from: &impl Reads, hour: Timestamp) -> Result<Vec<(Uuid, Series, Tally)>> {
    let sql = "SELECT hour_at, instance, route, method, status_class, requests, sum_us, max_us, times
        FROM request_metrics WHERE hour_at >= $1";
    let rows = Row::find_by_statement(from.sql(sql, [hour.into()]))
        .all(from.conn())
        .await?;
    rows.into_iter().map(read).collect()
}

fn read(row: Row) -> Result<(Uuid, Series, Tally)> {
    let Row {
        hour_at,
        instance,
        route,
        method,
        status_class,
        requests,
        sum_us,
        max_us,
        times,
    } = row;
    let series = Series {
        hour: hour_at,
        route,
        method,
        class: status_class,
    };
    let number = |n: i64| u64::try_from(n).unwrap_or(0);
    let tally = Tally {
        requests: number(requests),
        sum_us: number(sum_us),
        max_us: number(max_us),
        times: Times::decode(&times).ok_or_else(|| Error::internal("request times are stored wrongly"))?,
    };
    Ok((instance, series, tally))
}

/// Deletes hours that no summary reaches; returns how many rows.
///
/// # Errors
/// [`Error::Db`].
pub async fn prune(tx: &WriteTx) -> Result<u64> {
    let sql = "DELETE FROM request_metrics WHERE hour_at < $1";
    let before: Timestamp = tx.now() - KEPT;
    let deleted = tx.conn().execute_raw(tx.sql(sql, [before.into()])).await?;
    Ok(deleted.rows_affected())
}

//! Counts requests to the API, by organisation and calendar month. A process counts in memory and adds it up in the
//! database every few seconds; what it forgets when it is killed is a few seconds of counting. From 100 % on the owners
//! are told; from 120 % on changes are refused until the month is over. Reads never are.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sea_orm::FromQueryResult;
use time::{Date, Month, OffsetDateTime, Time};

use super::key::{Limit, LimitKey};
use super::resolve::sql_of;
use crate::kernel::id::OrgId;
use crate::kernel::{Db, Problem, ProblemCode, Reads, Result, Timestamp};

/// How often what was counted is written down. A plan that changed is heard of as late.
const FLUSH_EVERY: Duration = Duration::from_secs(10);
/// Percent of the limit from which on changes are refused.
const HARD: u64 = 120;

fn at(instant: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(instant.secs()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// The calendar month of an instant, UTC: 203001 is January 2030.
pub fn month_of(instant: Timestamp) -> i32 {
    let at = at(instant);
    at.year() * 100 + i32::from(u8::from(at.month()))
}

/// When the month of an instant is over.
pub fn end_of_month(instant: Timestamp) -> Timestamp {
    let at = at(instant);
    let year = if at.month() == Month::December {
        at.year() + 1
    } else {
        at.year()
    };
    let first = Date::from_calendar_date(year, at.month().next(), 1);
    let end = first.map(|first| first.with_time(Time::MIDNIGHT).assume_utc().unix_timestamp());
    end.map_or(instant, |end| Timestamp(end.saturating_mul(1_000_000)))
}

/// How an organisation stood when it was last written down.
#[derive(Clone, Copy)]
struct Stand {
    month: i32,
    requests: u64,
    limit: Limit,
}

impl Stand {
    fn is_exhausted(self, month: i32) -> bool {
        match self.limit {
            Limit::Unlimited => false,
            Limit::Max(max) => self.month == month && self.requests.saturating_mul(100) > max.saturating_mul(HARD),
        }
    }
}

/// The counts of a process.
pub struct Meter {
    db: Db,
    counts: Mutex<HashMap<(OrgId, i32), u64>>,
    stands: Mutex<HashMap<OrgId, Stand>>,
}

#[derive(FromQueryResult)]
struct Written {
    requests: i64,
    most: i64,
}

impl Meter {
    pub fn new(db: Db) -> Arc<Self> {
        Arc::new(Self {
            db,
            counts: Mutex::default(),
            stands: Mutex::default(),
        })
    }

    /// Counts one request.
    pub fn count(&self, org: OrgId) {
        let month = month_of(self.db.now());
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((org, month)).or_default() += 1;
    }

    /// Holds a change to the limit. As far as this process has heard: others may have counted since.
    ///
    /// # Errors
    /// `rate_limited` until the month is over.
    pub fn require_room(&self, org: OrgId) -> Result<()> {
        let now = self.db.now();
        let stands = self.stands.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(stand) = stands.get(&org).filter(|stand| stand.is_exhausted(month_of(now))) else {
            return Ok(());
        };
        let detail = "The organisation has made far more requests this month than its plan allows. Reads go on; changes \
                      are accepted again next month, or on a larger plan.";
        let wait = end_of_month(now).since(now).as_secs().max(1);
        Err(Problem::new(ProblemCode::RateLimited, detail)
            .with("retry_after", wait)
            .with("limit", LimitKey::ApiRequestsMonth.as_str())
            .with("max", stand.limit.to_number())
            .with("used", stand.requests)
            .into())
    }

    /// Writes down what was counted, and hears what others have.
    ///
    /// # Errors
    /// [`crate::kernel::Error::Db`]; nothing is lost then, it is written down with the next.
    pub async fn flush(&self) -> Result<()> {
        let counts = std::mem::take(&mut *self.counts.lock().unwrap_or_else(PoisonError::into_inner));
        if counts.is_empty() {
            return Ok(());
        }
        // In one order, so that two processes do not wait for each other.
        let sorted: BTreeMap<(OrgId, i32), u64> = counts.into_iter().collect();
        match self.write(&sorted).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
                for (key, count) in sorted {
                    *counts.entry(key).or_default() += count;
                }
                Err(error)
            }
        }
    }

    async fn write(&self, counts: &BTreeMap<(OrgId, i32), u64>) -> Result<()> {
        let tx = self.db.begin_write().await?;
        let limit = sql_of(LimitKey::ApiRequestsMonth, "$2");
        let sql = format!(
            "INSERT INTO api_usage (org_id, month, requests) SELECT o.id, $3, $4 FROM orgs o WHERE o.id = $1
             ON CONFLICT (org_id, month) DO UPDATE SET requests = api_usage.requests + excluded.requests
             RETURNING requests, (SELECT {limit} FROM orgs o WHERE o.id = $1) AS most"
        );
        let mut heard = Vec::new();
        for ((org, month), count) in counts {
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            let values = [(*org).into(), tx.now().into(), (*month).into(), count.into()];
            let row = Written::find_by_statement(tx.sql(&sql, values)).one(tx.conn()).await?;
            // An organisation that is gone for good has none.
            if let Some(Written { requests, most }) = row {
                let stand = Stand {
                    month: *month,
                    requests: u64::try_from(requests).unwrap_or(0),
                    limit: Limit::from_number(most).unwrap_or(Limit::Unlimited),
                };
                heard.push((*org, stand));
            }
        }
        tx.commit_bookkeeping().await?;
        self.stands.lock().unwrap_or_else(PoisonError::into_inner).extend(heard);
        Ok(())
    }

    /// Writes down now and then until `shutdown`, and once more at the end.
    pub async fn run(self: Arc<Self>, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = pin!(shutdown);
        loop {
            let is_over = tokio::select! {
                () = &mut shutdown => true,
                () = tokio::time::sleep(FLUSH_EVERY) => false,
            };
            if let Err(error) = self.flush().await {
                tracing::warn!(%error, "requests were counted and not written down yet");
            }
            if is_over {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_those_of_the_calendar() {
        let at = |text: &str| Timestamp::parse(text).unwrap();
        assert_eq!(month_of(at("2030-01-31T23:59:59Z")), 203_001);
        assert_eq!(month_of(at("2030-02-01T01:00:00+02:00")), 203_001);
        assert_eq!(end_of_month(at("2030-12-05T00:00:00Z")), at("2031-01-01T00:00:00Z"));
        assert_eq!(end_of_month(at("2032-02-29T12:00:00Z")), at("2032-03-01T00:00:00Z"));
    }

    #[test]
    fn changes_go_on_until_a_fifth_above_the_limit() {
        let stand = |requests, limit| Stand {
            month: 203_001,
            requests,
            limit,
        };
        assert!(!stand(120, Limit::Max(100)).is_exhausted(203_001));
        assert!(stand(121, Limit::Max(100)).is_exhausted(203_001));
        assert!(!stand(121, Limit::Max(100)).is_exhausted(203_002), "the next month");
        assert!(!stand(u64::MAX, Limit::Unlimited).is_exhausted(203_001));
        assert!(stand(1, Limit::Max(0)).is_exhausted(203_001));
    }
}

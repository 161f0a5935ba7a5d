//! Soft delays after failures. Failures are counted against an account, or against the name that was tried when there
//! is none, so that known and unknown names are slowed alike. Nobody is ever locked out: the longest delay is a minute,
//! and wrong passwords from elsewhere do not count where the account's person signs in from, see `known_place`.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::{ConnectionTrait, EntityTrait, FromQueryResult};
use tokio::sync::{Mutex, MutexGuard};

use super::entity::throttle;
use crate::crypto::token::TokenMacKey;
use crate::kernel::id::UserId;
use crate::kernel::{Db, Error, Problem, ProblemCode, Reads, Result, Timestamp, WriteTx};

/// Seconds to wait after the first failure, the second and so on; after more, the last. Source: Kanidm's soft lock.
const DELAYS: [u64; 9] = [0, 0, 1, 3, 5, 10, 20, 40, 60];
/// After this long without a failure the count begins anew.
const MEMORY: Duration = Duration::from_hours(24);
/// Names that are looked at at once in this process. Two that fall together wait for each other, and no harm is done.
const LANES: usize = 256;

/// What is being tried. Each is counted apart: knowing the password must not wipe out failed codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    Password,
    /// The password of a user of a realm.
    RealmPassword,
    SecondFactor,
    /// A code that was mailed.
    MailedCode,
    /// Having an address mailed, which no failure is about: see `mail_limit`.
    VerificationMail,
}

impl Attempt {
    const fn purpose(self) -> &'static str {
        match self {
            Self::Password => "throttle:password",
            Self::RealmPassword => "throttle:realm_password",
            Self::SecondFactor => "throttle:second_factor",
            Self::MailedCode => "throttle:mailed_code",
            Self::VerificationMail => "throttle:verification_mail",
        }
    }
}

/// Against whom or what attempts count, as a keyed hash.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Subject([u8; 32]);

impl Subject {
    /// An account, under whichever of its names it was tried.
    pub fn account(macs: &TokenMacKey, attempt: Attempt, user: UserId) -> Self {
        Self(macs.mac_text(attempt.purpose(), &user.to_string()))
    }

    /// An account at a place that it was signed in to from before.
    pub fn place(macs: &TokenMacKey, attempt: Attempt, user: UserId, ip: &str) -> Self {
        Self(macs.mac_text(attempt.purpose(), &format!("{user}@{ip}")))
    }

    /// A canonical name that no account has.
    pub fn name(macs: &TokenMacKey, attempt: Attempt, canonical: &str) -> Self {
        // Ids have an underscore behind three letters; the colon keeps names apart from them.
        Self(macs.mac_text(attempt.purpose(), &format!("name:{canonical}")))
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        self.0.to_vec()
    }
}

/// What tells a wrong proof from any other failure: only the former counts.
pub trait Judged {
    fn is_wrong_proof(&self) -> bool;
}

impl Judged for Error {
    fn is_wrong_proof(&self) -> bool {
        self.code() == Some(ProblemCode::InvalidCredentials)
    }
}

/// Lets the attempts against one subject through one at a time, with a delay between failures.
#[derive(Clone)]
pub struct Throttle {
    lanes: Arc<Vec<Mutex<()>>>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            lanes: Arc::new((0..LANES).map(|_| Mutex::new(())).collect()),
        }
    }
}

impl Throttle {
    /// Makes an attempt, unless its subject is to wait. A wrong proof counts, a right one forgives what was before.
    ///
    /// Attempts of one subject take turns, so that a thousand at once do not all slip through before the first has
    /// failed; between processes the database counts, and each lets at most one through at a time.
    ///
    /// # Errors
    /// `rate_limited` with the seconds to wait, before anything was looked at; else what the attempt fails with.
    pub async fn guard<T, E>(
        &self,
        db: &Db,
        subject: Subject,
        attempt: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E>
    where
        E: From<Error> + Judged,
    {
        let _turn = self.turn(subject).await?;
        let failed_before = check(db, subject).await?;
        let outcome = attempt.await;
        match &outcome {
            Ok(_) if failed_before => forgive(db, subject).await?,
            Err(error) if error.is_wrong_proof() => count(db, subject).await?,
            Ok(_) | Err(_) => {}
        }
        outcome
    }

    async fn turn(&self, subject: Subject) -> Result<MutexGuard<'_, ()>> {
        let Subject([first, ..]) = subject;
        let lane = self
            .lanes
            .get(usize::from(first))
            .ok_or_else(|| Error::internal("a throttle without lanes"))?;
        Ok(lane.lock().await)
    }
}

/// Whether there were failures; refuses while the delay after the last lasts.
async fn check(db: &Db, subject: Subject) -> Result<bool> {
    let row = throttle::Entity::find_by_id(subject.bytes()).one(db.conn()).await?;
    let Some(row) = row else { return Ok(false) };
    let now = db.now();
    match row.blocked_until {
        Some(until) if until > now => Err(too_soon(until.since(now)).into()),
        Some(_) | None => Ok(true),
    }
}

fn too_soon(wait: Duration) -> Problem {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let detail = format!("Too many failed attempts. Wait {seconds} seconds, then try again.");
    Problem::new(ProblemCode::RateLimited, detail).with("retry_after", seconds)
}

#[derive(FromQueryResult)]
struct Failures {
    failures: i32,
}

/// Counts a failure, and sets the delay that follows it.
async fn count(db: &Db, subject: Subject) -> Result<()> {
    let tx = db.begin_write().await?;
    let now = tx.now();
    let sql = "INSERT INTO throttles (subject_mac, failures, last_at, blocked_until) VALUES ($1, 1, $2, NULL)
               ON CONFLICT (subject_mac) DO UPDATE
               SET failures = CASE WHEN throttles.last_at < $3 THEN 1 ELSE throttles.failures + 1 END, last_at = $2
               RETURNING failures";
    let values = [subject.bytes().into(), now.into(), (now - MEMORY).into()];
    let counted = Failures::find_by_statement(tx.sql(sql, values)).one(tx.conn()).await?;
    let until = now + delay(counted.map_or(1, |row| row.failures));
    let sql = "UPDATE throttles SET blocked_until = $2 WHERE subject_mac = $1";
    tx.conn()
        .execute_raw(tx.sql(sql, [subject.bytes().into(), until.into()]))
        .await?;
    tx.commit_bookkeeping().await?;
    Ok(())
}

async fn forgive(db: &Db, subject: Subject) -> Result<()> {
    let tx = db.begin_write().await?;
    let sql = "DELETE FROM throttles WHERE subject_mac = $1";
    tx.conn().execute_raw(tx.sql(sql, [subject.bytes().into()])).await?;
    tx.commit_bookkeeping().await?;
    Ok(())
}

/// How long to wait after so many failures.
fn delay(failures: i32) -> Duration {
    let index = usize::try_from(failures.saturating_sub(1)).unwrap_or(0);
    let seconds = DELAYS.get(index).or(DELAYS.last()).copied().unwrap_or(0);
    Duration::from_secs(seconds)
}

/// Deletes what is too old to count; returns how many rows.
///
/// # Errors
/// [`Error::Db`].
pub async fn prune(tx: &WriteTx) -> Result<u64> {
    let before: Timestamp = tx.now() - MEMORY;
    let sql = "DELETE FROM throttles WHERE last_at < $1";
    let deleted = tx.conn().execute_raw(tx.sql(sql, [before.into()])).await?;
    Ok(deleted.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_minute_and_no_further() {
        let seconds: Vec<_> = (1..=12).map(|failures| delay(failures).as_secs()).collect();
        assert_eq!(seconds, [0, 0, 1, 3, 5, 10, 20, 40, 60, 60, 60, 60]);
        assert_eq!(delay(i32::MAX).as_secs(), 60);
    }

    #[test]
    fn a_name_cannot_pass_for_an_account_nor_one_kind_of_attempt_for_another() {
        let macs = TokenMacKey::new([1; 32]);
        let user = UserId(uuid::Uuid::from_u128(7));
        let all = [
            Subject::account(&macs, Attempt::Password, user),
            Subject::account(&macs, Attempt::SecondFactor, user),
            Subject::account(&macs, Attempt::MailedCode, user),
            Subject::place(&macs, Attempt::Password, user, "192.0.2.1"),
            Subject::place(&macs, Attempt::Password, user, "192.0.2.2"),
            Subject::name(&macs, Attempt::Password, &user.to_string()),
            Subject::name(&macs, Attempt::Password, "dana@example.com"),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(all.iter().skip(index + 1).all(|two| one.0 != two.0));
        }
    }

    #[test]
    fn what_is_left_of_a_second_is_waited_for_too() {
        assert_eq!(too_soon(Duration::from_millis(1)).extra["retry_after"], 1);
        assert_eq!(too_soon(Duration::from_millis(2500)).extra["retry_after"], 3);
    }
}

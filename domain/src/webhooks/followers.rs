//! Who waits for the next event of which organisation in this process, and when to look.
//!
//! A commit of this process is a hint to look at once. Commits of other processes are seen within a second: everything
//! that is waited for is looked at in one statement.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast, watch};
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use crate::journal;
use crate::kernel::id::OrgId;
use crate::kernel::{Db, Problem, ProblemCode, Result};

/// How often everything that is waited for is looked at.
const PERIOD: Duration = Duration::from_secs(1);
/// Organisations of one statement at most.
const AT_ONCE: usize = 1_000;
/// Requests of one process that wait at once.
const MAX_WAITING: usize = 1_000;
/// Requests of one organisation among them: others must find room too.
const MAX_OF_ORG: usize = 100;
/// Seconds after which another request may wait.
const RETRY_AFTER: u64 = 10;

/// An organisation whose next event is waited for.
struct Followed {
    /// Its newest number as of the last look; 0 before the first.
    newest: watch::Sender<i64>,
    waiting: usize,
}

#[derive(Default)]
struct Following {
    orgs: HashMap<OrgId, Followed>,
    waiting: usize,
    /// The process is stopping.
    is_closed: bool,
}

impl Following {
    fn admit(&mut self, org: OrgId) -> Result<watch::Receiver<i64>> {
        if self.is_closed || self.waiting >= MAX_WAITING {
            let detail = "This server has no room for another request that waits. Try again, or ask with `wait=0`.";
            return Err(full(ProblemCode::Unavailable, detail));
        }
        let followed = self.orgs.entry(org).or_insert_with(|| Followed {
            newest: watch::Sender::new(0),
            waiting: 0,
        });
        if followed.waiting >= MAX_OF_ORG {
            let detail = "As many requests of the organisation wait as may. End some, or ask with `wait=0`.";
            return Err(full(ProblemCode::RateLimited, detail));
        }
        followed.waiting += 1;
        self.waiting += 1;
        let mut newest = followed.newest.subscribe();
        // What was looked at before this request came says nothing of what the request has seen.
        newest.mark_changed();
        Ok(newest)
    }

    fn leave(&mut self, org: OrgId) {
        self.waiting = self.waiting.saturating_sub(1);
        if let Some(followed) = self.orgs.get_mut(&org) {
            followed.waiting = followed.waiting.saturating_sub(1);
            if followed.waiting == 0 {
                self.orgs.remove(&org);
            }
        }
    }
}

fn full(code: ProblemCode, detail: &'static str) -> crate::kernel::Error {
    Problem::new(code, detail).with("retry_after", RETRY_AFTER).into()
}

/// Those who wait in this process.
pub struct Followers {
    db: Db,
    following: Mutex<Following>,
    /// Somebody has begun to wait.
    begun: Notify,
}

/// The place of one request; dropping it gives it back.
pub struct Place {
    followers: Arc<Followers>,
    org: OrgId,
    newest: watch::Receiver<i64>,
}

impl Place {
    /// Waits until the organisation's ledger may have grown; the first time it has always. `false` when the process is
    /// stopping.
    pub async fn grown(&mut self) -> bool {
        self.newest.changed().await.is_ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.followers.following().leave(self.org);
    }
}

impl Followers {
    /// Nobody waits yet, and nobody is woken unless [`Followers::run`] runs.
    pub fn new(db: Db) -> Arc<Self> {
        Arc::new(Self {
            db,
            following: Mutex::default(),
            begun: Notify::new(),
        })
    }

    /// Takes a place for a request.
    ///
    /// # Errors
    /// `rate_limited` when the organisation has enough of them, `unavailable` when the process has.
    pub fn place(self: &Arc<Self>, org: OrgId) -> Result<Place> {
        let newest = self.following().admit(org)?;
        self.begun.notify_one();
        Ok(Place {
            followers: self.clone(),
            org,
            newest,
        })
    }

    /// Looks whenever something may have been recorded. At `shutdown` nobody waits any longer.
    pub async fn run(self: Arc<Self>, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let mut grown = self.db.grown_ledgers();
        let mut period = tokio::time::interval(PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_followed = self.is_followed();
            let orgs = tokio::select! {
                () = &mut shutdown => break,
                ledger = grown.recv() => match ledger {
                    Ok(ledger) => self.of_these(&gather(ledger, &mut grown)),
                    Err(RecvError::Lagged(_)) => self.everything(),
                    Err(RecvError::Closed) => break,
                },
                _ = period.tick(), if is_followed => self.everything(),
                () = self.begun.notified(), if !is_followed => continue,
            };
            self.look(&orgs).await;
        }
        self.close();
    }

    fn following(&self) -> MutexGuard<'_, Following> {
        self.following.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_followed(&self) -> bool {
        !self.following().orgs.is_empty()
    }

    fn everything(&self) -> Vec<OrgId> {
        self.following().orgs.keys().copied().collect()
    }

    fn of_these(&self, ledgers: &[Uuid]) -> Vec<OrgId> {
        let following = self.following();
        let orgs = ledgers.iter().map(|ledger| OrgId(*ledger));
        orgs.filter(|org| following.orgs.contains_key(org)).collect()
    }

    /// Looks at some organisations and wakes those who wait if there is something new.
    async fn look(&self, orgs: &[OrgId]) {
        for orgs in orgs.chunks(AT_ONCE) {
            let ledgers: Vec<Uuid> = orgs.iter().map(|org| org.0).collect();
            match journal::heads(&self.db, &ledgers).await {
                Ok(heads) => self.wake(&heads),
                Err(error) => tracing::debug!(%error, "cannot look at ledgers that are followed"),
            }
        }
    }

    fn wake(&self, heads: &HashMap<Uuid, i64>) {
        let following = self.following();
        for (ledger, head) in heads {
            let Some(followed) = following.orgs.get(&OrgId(*ledger)) else {
                continue;
            };
            followed.newest.send_if_modified(|known| {
                let is_news = *known != *head;
                *known = *head;
                is_news
            });
        }
    }

    /// Ends every wait: those whose organisation is dropped are woken.
    fn close(&self) {
        let mut following = self.following();
        following.is_closed = true;
        following.orgs.clear();
    }
}

/// Takes the notices that wait behind the first one too.
fn gather(first: Uuid, more: &mut broadcast::Receiver<Uuid>) -> Vec<Uuid> {
    let mut ledgers = vec![first];
    while let Ok(ledger) = more.try_recv() {
        if !ledgers.contains(&ledger) {
            ledgers.push(ledger);
        }
    }
    ledgers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Error;

    fn org(number: u128) -> OrgId {
        OrgId(Uuid::from_u128(number))
    }

    fn refused(following: &mut Following, org: OrgId) -> ProblemCode {
        match following.admit(org).map_err(Error::into_problem) {
            Ok(_) => panic!("it was let in"),
            Err(problem) => {
                assert!(problem.extra.contains_key("retry_after"));
                problem.code
            }
        }
    }

    #[test]
    fn each_organisation_has_its_share_and_gets_it_back() {
        let mut following = Following::default();
        for _ in 0..MAX_OF_ORG {
            assert!(following.admit(org(1)).is_ok());
        }
        assert_eq!(refused(&mut following, org(1)), ProblemCode::RateLimited);
        assert!(following.admit(org(2)).is_ok());
        following.leave(org(1));
        assert!(following.admit(org(1)).is_ok());
        following.leave(org(2));
        assert!(!following.orgs.contains_key(&org(2)));
    }

    #[test]
    fn a_process_that_is_full_or_stopping_lets_nobody_in() {
        let mut following = Following {
            waiting: MAX_WAITING,
            ..Following::default()
        };
        assert_eq!(refused(&mut following, org(1)), ProblemCode::Unavailable);
        following.leave(org(1));
        assert!(following.admit(org(1)).is_ok());
        following.is_closed = true;
        assert_eq!(refused(&mut following, org(1)), ProblemCode::Unavailable);
    }
}

//! Who watches which environment in this process, and when to look at one.
//!
//! A notice of a change, from this process or another, is only a hint to look. Without any, everything that is watched
//! is looked at once a second, in one statement. A watcher hears that there is something new and finds out for itself
//! what it is: nothing is kept here for those who are slow.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast, watch};
use tokio::time::MissedTickBehavior;

use super::watch::newest;
use crate::access::grant::SecretsList;
use crate::access::{Caller, EnvAccess};
use crate::jobs::Bell;
use crate::kernel::id::{CredentialId, EnvId, OrgId};
use crate::kernel::{Db, Problem, ProblemCode, Result};

/// How often everything that is watched is looked at.
const PERIOD: Duration = Duration::from_secs(1);
/// Environments of one statement at most.
const AT_ONCE: usize = 1_000;
/// Seconds after which another stream may be tried.
const RETRY_AFTER: u64 = 10;

/// Streams that one process keeps open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchLimits {
    pub streams: usize,
    /// Of one organisation: others must find room too.
    pub per_org: usize,
    /// Of one credential: the machines that share a key, not a client that never lets go.
    pub per_credential: usize,
}

impl Default for WatchLimits {
    fn default() -> Self {
        Self {
            streams: 1_000,
            per_org: 500,
            per_credential: 100,
        }
    }
}

/// Whose a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Holder {
    env: EnvId,
    org: OrgId,
    credential: CredentialId,
}

/// An environment that is watched.
struct Environment {
    /// Its newest revision as of the last look; `None` when it is gone.
    newest: watch::Sender<Option<i64>>,
    streams: usize,
}

#[derive(Default)]
struct Watched {
    environments: HashMap<EnvId, Environment>,
    orgs: HashMap<OrgId, usize>,
    credentials: HashMap<CredentialId, usize>,
    streams: usize,
    /// The process is stopping.
    is_closed: bool,
}

impl Watched {
    /// Lets a stream in, if there is room for it. `revision` is what the caller has just read.
    fn admit(&mut self, holder: Holder, revision: i64, limits: WatchLimits) -> Result<watch::Receiver<Option<i64>>> {
        let Holder { env, org, credential } = holder;
        if self.is_closed || self.streams >= limits.streams {
            let detail = "This server has no room for another stream. Try again, or poll with `wait=0`.";
            return Err(full(ProblemCode::Unavailable, detail));
        }
        if self.orgs.get(&org).is_some_and(|held| *held >= limits.per_org) {
            let detail = "The organisation has as many streams open as it may. End some, or poll with `wait=0`.";
            return Err(full(ProblemCode::RateLimited, detail));
        }
        let of_credential = self.credentials.get(&credential);
        if of_credential.is_some_and(|held| *held >= limits.per_credential) {
            let detail = "This credential has as many streams open as it may. End some, or use another credential.";
            return Err(full(ProblemCode::RateLimited, detail));
        }
        self.streams += 1;
        *self.orgs.entry(org).or_default() += 1;
        *self.credentials.entry(credential).or_default() += 1;
        let watched = self.environments.entry(env).or_insert_with(|| Environment {
            newest: watch::Sender::new(Some(revision)),
            streams: 0,
        });
        watched.streams += 1;
        Ok(watched.newest.subscribe())
    }

    fn leave(&mut self, holder: Holder) {
        let Holder { env, org, credential } = holder;
        self.streams = self.streams.saturating_sub(1);
        count_down(&mut self.orgs, org);
        count_down(&mut self.credentials, credential);
        if let Some(watched) = self.environments.get_mut(&env) {
            watched.streams = watched.streams.saturating_sub(1);
            if watched.streams == 0 {
                self.environments.remove(&env);
            }
        }
    }
}

fn full(code: ProblemCode, detail: &'static str) -> crate::kernel::Error {
    Problem::new(code, detail).with("retry_after", RETRY_AFTER).into()
}

fn count_down<K: Copy + Eq + Hash>(counts: &mut HashMap<K, usize>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

/// The watchers of this process.
pub struct Watchers {
    db: Db,
    limits: WatchLimits,
    watched: Mutex<Watched>,
    /// Somebody has begun to watch.
    begun: Notify,
}

/// The place of one stream; dropping it gives it back.
pub struct Seat {
    watchers: Arc<Watchers>,
    holder: Holder,
    newest: watch::Receiver<Option<i64>>,
}

impl Seat {
    /// Waits until the environment has another revision, or is gone. `false` when the process is stopping.
    pub async fn changed(&mut self) -> bool {
        self.newest.changed().await.is_ok()
    }

    /// The newest revision as of the last look; `None` when the environment is gone. [`Seat::changed`] then waits for
    /// another one.
    pub fn newest(&mut self) -> Option<i64> {
        *self.newest.borrow_and_update()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.watchers.watched().leave(self.holder);
    }
}

impl Watchers {
    /// Nobody watches yet, and nobody is told anything unless [`Watchers::run`] runs.
    pub fn new(db: Db, limits: WatchLimits) -> Arc<Self> {
        Arc::new(Self {
            db,
            limits,
            watched: Mutex::default(),
            begun: Notify::new(),
        })
    }

    /// Takes a place for a stream of this caller's.
    ///
    /// # Errors
    /// `rate_limited` when the credential or its organisation has enough of them, `unavailable` when the process has.
    pub fn seat(self: &Arc<Self>, access: &EnvAccess<SecretsList>, caller: &Caller) -> Result<Seat> {
        let holder = Holder {
            env: access.env.id,
            org: access.org.id,
            credential: caller.credential,
        };
        let newest = self.watched().admit(holder, access.env.revision, self.limits)?;
        self.begun.notify_one();
        Ok(Seat {
            watchers: self.clone(),
            holder,
            newest,
        })
    }

    /// Looks whenever something may have changed, and passes notices of this process on to the others. At `shutdown`
    /// every stream ends.
    pub async fn run(self: Arc<Self>, notices: Option<Arc<dyn Bell>>, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let mut committed = self.db.changed_environments();
        let mut period = tokio::time::interval(PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut listens = false;
        loop {
            let is_watched = self.is_watched();
            // From the first watcher on for good: notices that nobody takes would pile up.
            listens |= is_watched;
            let envs: BTreeSet<EnvId> = tokio::select! {
                () = &mut shutdown => break,
                changed = committed.recv() => match changed {
                    Ok(env) => {
                        let envs = gather(env, &mut committed);
                        tell(notices.as_deref(), &envs).await;
                        envs
                    }
                    // Too many at once; other processes look within the second.
                    Err(RecvError::Lagged(_)) => self.everything(),
                    Err(RecvError::Closed) => break,
                },
                names = heard(notices.as_deref()), if listens => names.iter().filter_map(|name| name.parse().ok()).collect(),
                _ = period.tick(), if is_watched => self.everything(),
                () = self.begun.notified(), if !is_watched => continue,
            };
            self.look(&envs).await;
        }
        self.close();
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_watched(&self) -> bool {
        !self.watched().environments.is_empty()
    }

    fn everything(&self) -> BTreeSet<EnvId> {
        self.watched().environments.keys().copied().collect()
    }

    fn of_these(&self, envs: &BTreeSet<EnvId>) -> Vec<EnvId> {
        let watched = self.watched();
        let is_watched = |env: &EnvId| watched.environments.contains_key(env);
        envs.iter().copied().filter(is_watched).collect()
    }

    /// Looks at those that are watched and wakes their watchers if there is something new.
    async fn look(&self, envs: &BTreeSet<EnvId>) {
        for envs in self.of_these(envs).chunks(AT_ONCE) {
            match newest(&self.db, envs).await {
                Ok(newest) => self.wake(envs, &newest),
                Err(error) => tracing::debug!(%error, "cannot look at environments that are watched"),
            }
        }
    }

    fn wake(&self, envs: &[EnvId], newest: &HashMap<EnvId, i64>) {
        let watched = self.watched();
        for env in envs {
            let Some(environment) = watched.environments.get(env) else {
                continue;
            };
            let now = newest.get(env).copied();
            environment.newest.send_if_modified(|known| {
                let is_news = *known != now;
                *known = now;
                is_news
            });
        }
    }

    /// Ends every stream: those who wait on an environment that is dropped are woken.
    fn close(&self) {
        let mut watched = self.watched();
        watched.is_closed = true;
        watched.environments.clear();
    }
}

/// Takes the notices that wait behind the first one too.
fn gather(first: EnvId, more: &mut broadcast::Receiver<EnvId>) -> BTreeSet<EnvId> {
    let mut envs = BTreeSet::from([first]);
    while let Ok(env) = more.try_recv() {
        envs.insert(env);
    }
    envs
}

/// Tells the other processes.
async fn tell(notices: Option<&dyn Bell>, envs: &BTreeSet<EnvId>) {
    if let Some(notices) = notices {
        let names: Vec<_> = envs.iter().map(EnvId::to_string).collect();
        notices.ring(&names).await;
    }
}

/// Waits for a notice of another process.
async fn heard(notices: Option<&dyn Bell>) -> Vec<String> {
    match notices {
        Some(notices) => notices.next().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::kernel::Error;

    const LIMITS: WatchLimits = WatchLimits {
        streams: 5,
        per_org: 3,
        per_credential: 2,
    };

    fn holder(env: u128, org: u128, credential: u128) -> Holder {
        Holder {
            env: EnvId(Uuid::from_u128(env)),
            org: OrgId(Uuid::from_u128(org)),
            credential: CredentialId(Uuid::from_u128(credential)),
        }
    }

    fn refused(watched: &mut Watched, holder: Holder) -> ProblemCode {
        match watched.admit(holder, 1, LIMITS).map_err(Error::into_problem) {
            Ok(_) => panic!("it was let in"),
            Err(problem) => {
                assert!(problem.extra.contains_key("retry_after"));
                problem.code
            }
        }
    }

    #[test]
    fn each_credential_and_each_organisation_has_its_share_and_gets_it_back() {
        let mut watched = Watched::default();
        for (env, org, credential) in [(1, 1, 1), (2, 1, 1), (1, 1, 2), (3, 2, 3)] {
            assert!(watched.admit(holder(env, org, credential), 1, LIMITS).is_ok());
        }
        assert_eq!(
            refused(&mut watched, holder(1, 2, 1)),
            ProblemCode::RateLimited,
            "the credential"
        );
        assert_eq!(
            refused(&mut watched, holder(1, 1, 4)),
            ProblemCode::RateLimited,
            "the organisation"
        );
        assert!(watched.admit(holder(3, 2, 3), 1, LIMITS).is_ok());
        assert_eq!(
            refused(&mut watched, holder(4, 3, 5)),
            ProblemCode::Unavailable,
            "the process"
        );
        watched.leave(holder(1, 1, 1));
        assert!(watched.admit(holder(1, 1, 1), 1, LIMITS).is_ok());
    }

    #[test]
    fn what_nobody_watches_any_more_is_forgotten() {
        let mut watched = Watched::default();
        let all = [holder(1, 1, 1), holder(1, 1, 2), holder(2, 2, 3)];
        for one in all {
            assert!(watched.admit(one, 1, LIMITS).is_ok());
        }
        assert_eq!(watched.environments.len(), 2);
        for one in all {
            watched.leave(one);
        }
        assert!(watched.environments.is_empty() && watched.orgs.is_empty() && watched.credentials.is_empty());
        assert_eq!(watched.streams, 0);
    }

    #[test]
    fn a_process_that_is_stopping_lets_nobody_in() {
        let mut watched = Watched {
            is_closed: true,
            ..Watched::default()
        };
        assert_eq!(refused(&mut watched, holder(1, 1, 1)), ProblemCode::Unavailable);
    }
}

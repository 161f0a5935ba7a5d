//! Values that somebody stores in one environment at the same time, as a pipeline does. One after the other they would take a
//! transaction each, and all but the first would wait: those that wait are stored together, in one transaction and with one
//! look at everything, and yet each is decided for itself, and is a revision and an event of its own. Who comes alone waits for
//! nobody, and nobody waits here for others: those meet in the database.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::timeout;
use uuid::Uuid;

use super::change::{self, Change};
use super::current::{self, Current};
use super::editor::Editor;
use super::lock::Lock;
use super::place::EnvPlace;
use super::write::{self, Put, Written};
use crate::access::grant::SecretsWrite;
use crate::access::{self, Caller, EnvAccess, Principal};
use crate::crypto::key_store::KeyStore;
use crate::jobs::Bell;
use crate::kernel::trace::{self, TraceParent};
use crate::kernel::{Db, Error, Problem, ProblemCode, Result, WriteTx};
use crate::limits::meter::Meter;

/// Values that are stored together, at most.
const MOST: usize = 64;
/// How long one waits for its turn: as long as for a connection to the database.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who stores something, and organisation, project and environment as the path names them. An environment may go by several
/// names: then those who use the one and the other wait for each other in the database.
type Line = (Principal, [Box<str>; 3]);

/// Everybody who stores values in this process.
pub struct Writers {
    db: Db,
    keys: Arc<KeyStore>,
    bell: Arc<dyn Bell>,
    meter: Arc<Meter>,
    /// Where something is being stored, and what waits there.
    lines: Mutex<HashMap<Line, Vec<Ask>>>,
}

/// Something that waits to be stored.
struct Ask {
    id: Uuid,
    caller: Arc<Caller>,
    put: Put,
    span: Option<TraceParent>,
    told: oneshot::Sender<Result<Written>>,
}

impl Ask {
    fn tell(self, written: Result<Written>) {
        // Who hung up is told nothing.
        let _ = self.told.send(written);
    }
}

impl Writers {
    pub fn new(db: Db, keys: Arc<KeyStore>, bell: Arc<dyn Bell>, meter: Arc<Meter>) -> Arc<Self> {
        Arc::new(Self {
            db,
            keys,
            bell,
            meter,
            lines: Mutex::default(),
        })
    }

    /// Stores a value as [`write::put`] does, and commits it. `place` is organisation, project and environment.
    ///
    /// # Errors
    /// `not_found`, `forbidden`, `insufficient_scope`; those of [`write::put`]; `rate_limited` when the organisation has made
    /// too many requests; `unavailable` when its turn does not come. Nothing was stored then.
    pub async fn put(self: &Arc<Self>, caller: &Arc<Caller>, place: [&str; 3], put: Put) -> Result<Written> {
        let line = (caller.actor.principal, place.map(Box::from));
        match self.arrive(&line, caller, put)? {
            Arrival::First(turn, put) => {
                let written = self.store(&turn.line, caller, put).await;
                drop(turn);
                written
            }
            Arrival::Waits(id, told) => self.wait(&line, id, told).await,
        }
    }

    /// How many store something, or wait for their turn.
    pub fn present(&self) -> usize {
        self.lines().values().map(|waiting| 1 + waiting.len()).sum()
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<Line, Vec<Ask>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn arrive(self: &Arc<Self>, line: &Line, caller: &Arc<Caller>, put: Put) -> Result<Arrival> {
        let id = self.db.rng().uuid(self.db.clock().now())?;
        match self.lines().entry(line.clone()) {
            Entry::Vacant(free) => {
                free.insert(Vec::new());
                let turn = Turn {
                    writers: Arc::clone(self),
                    line: line.clone(),
                };
                Ok(Arrival::First(turn, put))
            }
            Entry::Occupied(mut waiting) => {
                let (told, is_told) = oneshot::channel();
                waiting.get_mut().push(Ask {
                    id,
                    caller: Arc::clone(caller),
                    put,
                    span: trace::current(),
                    told,
                });
                Ok(Arrival::Waits(id, is_told))
            }
        }
    }

    /// Waits for what becomes of an ask. What has not begun in time never begins.
    async fn wait(&self, line: &Line, id: Uuid, mut told: oneshot::Receiver<Result<Written>>) -> Result<Written> {
        let gone = |_| Err(Error::internal("nobody stored what waited"));
        if let Ok(told) = timeout(PATIENCE, &mut told).await {
            return told.unwrap_or_else(gone);
        }
        let withdrawn = self.lines().get_mut(line).is_some_and(|waiting| {
            let before = waiting.len();
            waiting.retain(|ask| ask.id != id);
            waiting.len() < before
        });
        if !withdrawn {
            return told.await.unwrap_or_else(gone);
        }
        let detail = "Too much is being stored there at once. Try again.";
        Err(Problem::new(ProblemCode::Unavailable, detail)
            .with("retry_after", 1)
            .into())
    }

    /// Stores one value in a transaction of its own.
    async fn store(&self, line: &Line, caller: &Caller, put: Put) -> Result<Written> {
        let (_, [org, project, env]) = line;
        let tx = self.db.begin_write().await?;
        let access = access::key::<SecretsWrite>(&tx, caller, org, project, env, &put.key).await?;
        let written = write::put(&tx, &self.keys, caller, &access, put).await?;
        if written.is_unchanged() {
            tx.rollback().await?;
            return Ok(written);
        }
        self.meter.require_room(access.org.id)?;
        self.commit(tx).await?;
        Ok(written)
    }

    async fn commit(&self, tx: WriteTx) -> Result<()> {
        let lanes = tx.commit().await?;
        if !lanes.is_empty() {
            self.bell.ring(&lanes).await;
        }
        Ok(())
    }

    /// Answers those who waited, no two of them for one key.
    async fn answer(&self, line: &Line, asks: Vec<Ask>) {
        // When something is wrong with all of them together, each is told for itself what is wrong with it.
        let together = if asks.len() > 1 {
            self.store_all(line, &asks).await.ok().flatten()
        } else {
            None
        };
        match together {
            Some(Stored::Done(written)) => asks
                .into_iter()
                .zip(written)
                .for_each(|(ask, written)| ask.tell(written)),
            // Whether it is stored nobody knows: it is not tried again.
            Some(Stored::InDoubt(error)) => tell_all(asks, error),
            None => self.answer_one_by_one(line, asks).await,
        }
    }

    async fn answer_one_by_one(&self, line: &Line, asks: Vec<Ask>) {
        let mut asks = asks.into_iter();
        while let Some(ask) = asks.next() {
            let written = trace::within(ask.span, self.store(line, &ask.caller, ask.put.clone())).await;
            match written {
                // The database is the trouble: the others need not wait for it, one after the other.
                Err(error) if error.is_passing() => {
                    return tell_all(std::iter::once(ask).chain(asks).collect(), error);
                }
                written => ask.tell(written),
            }
        }
    }

    /// Stores several values in one transaction. `None` where they have to go one by one.
    async fn store_all(&self, line: &Line, asks: &[Ask]) -> Result<Option<Stored>> {
        let tx = self.db.begin_write().await?;
        let asked: Vec<(&Caller, &str)> = asks.iter().map(|ask| (&*ask.caller, ask.put.key.as_str())).collect();
        let (principal, [org, project, env]) = line;
        let decided = access::keys::<SecretsWrite>(&tx, *principal, [org, project, env], &asked).await?;
        let decided: Vec<Result<EnvAccess<SecretsWrite>>> = asks
            .iter()
            .zip(decided)
            .map(|(ask, access)| access.and_then(|access| ask.put.check().map(|()| access)))
            .collect();
        let open: Vec<(&str, &EnvAccess<SecretsWrite>)> = asked
            .iter()
            .zip(&decided)
            .filter_map(|((_, key), access)| Some((*key, access.as_ref().ok()?)))
            .collect();
        let Some((_, first)) = open.first() else {
            tx.rollback().await?;
            return Ok(Some(Stored::Done(
                decided.into_iter().filter_map(Result::err).map(Err).collect(),
            )));
        };
        let (place, org) = (EnvPlace::from(*first), first.org.id);
        let lock = Lock::take(&tx, &self.keys, first, open.len()).await?;
        if lock.is_gated {
            tx.rollback().await?;
            return Ok(None);
        }
        let keys: Vec<&str> = open.iter().map(|(key, _)| *key).collect();
        let current = current::of_keys(&tx, place.env, &keys).await?;
        let mut changes = Vec::with_capacity(open.len());
        let mut written = Vec::with_capacity(asks.len());
        for (ask, access) in asks.iter().zip(decided) {
            let stored = match access {
                Ok(access) => edit(&lock, ask, &access, current.get(&ask.put.key), &mut changes).await,
                Err(refused) => Err(refused),
            };
            match stored {
                Err(fault @ (Error::Db(_) | Error::Internal(_))) => return Err(fault),
                stored => written.push(stored),
            }
        }
        if changes.is_empty() {
            tx.rollback().await?;
            return Ok(Some(Stored::Done(written)));
        }
        lock.settle(changes.len()).await?;
        change::write(&tx, &self.keys, &place, &lock.keys, changes).await?;
        self.meter.require_room(org)?;
        match self.commit(tx).await {
            Ok(()) => Ok(Some(Stored::Done(written))),
            Err(error) => Ok(Some(Stored::InDoubt(error))),
        }
    }
}

/// Makes one of several changes, unless it comes to nothing.
async fn edit<'a>(
    lock: &Lock<'a>,
    ask: &'a Ask,
    access: &EnvAccess<SecretsWrite>,
    current: Option<&Current>,
    changes: &mut Vec<Change<'a>>,
) -> Result<Written> {
    let mut editor = Editor::within(lock, &ask.caller, access, changes.len());
    let secret = ask.put.clone().edit(&mut editor, current).await?;
    if editor.is_empty() {
        let revision = editor.base();
        return Ok(Written { secret, revision });
    }
    let change = editor.close_one(ask.span)?;
    let revision = change.revision;
    changes.push(change);
    Ok(Written { secret, revision })
}

/// What became of several values.
enum Stored {
    /// Of each, in their order.
    Done(Vec<Result<Written>>),
    /// The commit failed.
    InDoubt(Error),
}

/// Tells all of them of one fault; the first, who is told all of it, is the one that the log tells of.
fn tell_all(asks: Vec<Ask>, error: Error) {
    let mut asks = asks.into_iter();
    let first = asks.next();
    let problem = error.problem();
    if let Some(first) = first {
        first.tell(Err(error));
    }
    for ask in asks {
        ask.tell(Err(problem.clone().into()));
    }
}

enum Arrival {
    /// Nothing else is being stored there.
    First(Turn, Put),
    Waits(Uuid, oneshot::Receiver<Result<Written>>),
}

/// The right to store values in a line. When it ends, those are served who came meanwhile.
struct Turn {
    writers: Arc<Writers>,
    line: Line,
}

impl Turn {
    /// Serves those who wait, and those who come meanwhile, in the order in which they came.
    async fn serve(self, mut waiting: Vec<Ask>) {
        while !waiting.is_empty() {
            let mut keys = HashSet::new();
            let (now, later) = waiting
                .into_iter()
                .partition(|ask: &Ask| keys.len() < MOST && keys.insert(ask.put.key.clone()));
            self.put_back(later);
            self.writers.answer(&self.line, now).await;
            waiting = self.waiting();
        }
    }

    /// All who wait.
    fn waiting(&self) -> Vec<Ask> {
        self.writers
            .lines()
            .get_mut(&self.line)
            .map(mem::take)
            .unwrap_or_default()
    }

    /// Lets some wait on, before those who came meanwhile.
    fn put_back(&self, asks: Vec<Ask>) {
        if let Some(waiting) = self.writers.lines().get_mut(&self.line) {
            waiting.splice(0..0, asks);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let waiting = {
            let mut lines = self.writers.lines();
            match lines.get_mut(&self.line).map(mem::take) {
                Some(waiting) if !waiting.is_empty() => waiting,
                _ => {
                    lines.remove(&self.line);
                    return;
                }
            }
        };
        let next = Self {
            writers: Arc::clone(&self.writers),
            line: self.line.clone(),
        };
        // Where nothing is run any more, all of it is dropped: nobody waits in this line then, and those who did hear of it.
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(next.serve(waiting))),
            Err(_) => drop(waiting),
        }
    }
}

//! Values that are stored in one environment at the same time. One after the other they would take a transaction each, and all
//! but the first would wait: those that wait are stored together, in one transaction and with one look at everything, and yet
//! each is a revision of its own, with its own author and its own event. Who comes alone waits for nobody.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::change::{self, Change};
use super::current::{self, Current};
use super::editor::Editor;
use super::lock::Lock;
use super::place::EnvPlace;
use super::write::{self, Put, Written};
use crate::access::grant::SecretsWrite;
use crate::access::{self, Caller, EnvAccess};
use crate::crypto::key_store::KeyStore;
use crate::jobs::Bell;
use crate::kernel::trace::{self, TraceParent};
use crate::kernel::{Db, Error, Result, WriteTx};
use crate::limits::meter::Meter;

/// Values that are stored together, at most.
const MOST: usize = 64;

/// Organisation, project and environment, as a path names them. One environment may go by several names: then those who use
/// the one and the other wait for each other in the database.
type Name = [Box<str>; 3];

/// Everybody who stores values in this process.
pub struct Writers {
    db: Db,
    keys: Arc<KeyStore>,
    bell: Arc<dyn Bell>,
    meter: Arc<Meter>,
    /// Where somebody is storing something, and who waits there.
    lines: Mutex<HashMap<Name, Vec<Ask>>>,
}

/// Somebody who waits.
struct Ask {
    caller: Arc<Caller>,
    put: Put,
    span: Option<TraceParent>,
    told: oneshot::Sender<Result<Written>>,
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
    /// too many requests. Nothing was stored then.
    pub async fn put(self: &Arc<Self>, caller: &Arc<Caller>, place: [&str; 3], put: Put) -> Result<Written> {
        let name = place.map(Box::from);
        match self.arrive(&name, caller, put) {
            Arrival::First(turn, put) => {
                let written = self.store(&turn.name, caller, put).await;
                drop(turn);
                written
            }
            Arrival::Waits(told) => told
                .await
                .unwrap_or_else(|_| Err(Error::internal("a writer went away"))),
        }
    }

    /// How many store something, or wait for their turn.
    pub fn present(&self) -> usize {
        self.lines().values().map(|waiting| 1 + waiting.len()).sum()
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<Name, Vec<Ask>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn arrive(self: &Arc<Self>, name: &Name, caller: &Arc<Caller>, put: Put) -> Arrival {
        match self.lines().entry(name.clone()) {
            Entry::Vacant(free) => {
                free.insert(Vec::new());
                let turn = Turn {
                    writers: Arc::clone(self),
                    name: name.clone(),
                };
                Arrival::First(turn, put)
            }
            Entry::Occupied(mut line) => {
                let (told, is_told) = oneshot::channel();
                line.get_mut().push(Ask {
                    caller: Arc::clone(caller),
                    put,
                    span: trace::current(),
                    told,
                });
                Arrival::Waits(is_told)
            }
        }
    }

    /// Stores one value in a transaction of its own.
    async fn store(&self, name: &Name, caller: &Caller, put: Put) -> Result<Written> {
        let [org, project, env] = name;
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

    /// Answers those who waited.
    async fn answer(&self, name: &Name, asks: Vec<Ask>) {
        if asks.len() > 1 {
            match self.store_all(name, &asks).await {
                Ok(Some(written)) => {
                    for (ask, written) in asks.into_iter().zip(written) {
                        let _ = ask.told.send(written);
                    }
                    return;
                }
                Ok(None) => {}
                Err(error) if error.is_passing() => {
                    tracing::warn!(%error, "values could not be stored");
                    let problem = error.into_problem();
                    for ask in asks {
                        let _ = ask.told.send(Err(problem.clone().into()));
                    }
                    return;
                }
                // Together it is too much, say. Each is told for itself.
                Err(error) => tracing::debug!(%error, "values are stored one by one"),
            }
        }
        for Ask {
            caller,
            put,
            span,
            told,
        } in asks
        {
            let _ = told.send(trace::within(span, self.store(name, &caller, put)).await);
        }
    }

    /// Stores several values, no two of them under one key, in one transaction: what becomes of each. `None` where one has to
    /// come after the other.
    async fn store_all(&self, name: &Name, asks: &[Ask]) -> Result<Option<Vec<Result<Written>>>> {
        let tx = self.db.begin_write().await?;
        let asked: Vec<(&Caller, &str)> = asks.iter().map(|ask| (&*ask.caller, ask.put.key.as_str())).collect();
        let [org, project, env] = name;
        let decided = access::keys::<SecretsWrite>(&tx, [org, project, env], &asked).await?;
        let allowed: Vec<&EnvAccess<SecretsWrite>> = decided.iter().filter_map(|access| access.as_ref().ok()).collect();
        let Some(first) = allowed.first() else {
            tx.rollback().await?;
            return Ok(Some(decided.into_iter().filter_map(Result::err).map(Err).collect()));
        };
        let (place, env) = (EnvPlace::from(*first), first.env.id);
        let lock = Lock::take(&tx, &self.keys, first, allowed.len()).await?;
        if lock.is_gated {
            tx.rollback().await?;
            return Ok(None);
        }
        let keys: Vec<&str> = asked.iter().map(|(_, key)| *key).collect();
        let current = current::of_keys(&tx, env, &keys).await?;
        let mut changes = Vec::with_capacity(asks.len());
        let mut written = Vec::with_capacity(asks.len());
        for (ask, access) in asks.iter().zip(decided) {
            let stored = match access {
                Ok(access) => {
                    self.edit(&lock, ask, &access, current.get(&ask.put.key), &mut changes)
                        .await
                }
                Err(refused) => Err(refused),
            };
            match stored {
                Err(fault @ (Error::Db(_) | Error::Internal(_))) => return Err(fault),
                stored => written.push(stored),
            }
        }
        if changes.is_empty() {
            tx.rollback().await?;
            return Ok(Some(written));
        }
        lock.settle(changes.len()).await?;
        change::write(&tx, &self.keys, &place, lock.keys.data.id(), changes).await?;
        self.commit(tx).await?;
        Ok(Some(written))
    }

    /// Makes one of several changes, unless it comes to nothing.
    async fn edit<'a>(
        &self,
        lock: &Lock<'a>,
        ask: &'a Ask,
        access: &EnvAccess<SecretsWrite>,
        current: Option<&Current>,
        changes: &mut Vec<Change<'a>>,
    ) -> Result<Written> {
        ask.put.check()?;
        let mut editor = Editor::within(lock, &ask.caller, access, changes.len());
        let secret = ask.put.clone().edit(&mut editor, current).await?;
        if editor.is_empty() {
            let revision = editor.base();
            return Ok(Written { secret, revision });
        }
        self.meter.require_room(access.org.id)?;
        let change = editor.close_one(ask.span)?;
        let revision = change.revision;
        changes.push(change);
        Ok(Written { secret, revision })
    }
}

enum Arrival {
    /// Nobody stores anything there.
    First(Turn, Put),
    Waits(oneshot::Receiver<Result<Written>>),
}

/// The right to store values in an environment, among those of this process. When it ends, those are let in who came meanwhile.
struct Turn {
    writers: Arc<Writers>,
    name: Name,
}

impl Turn {
    /// Those who wait, in the order in which they came, no two of them for one key.
    fn next(&self) -> Vec<Ask> {
        let mut lines = self.writers.lines();
        let Some(line) = lines.get_mut(&self.name) else {
            return Vec::new();
        };
        let mut keys = HashSet::new();
        let (now, later) = line
            .drain(..)
            .partition(|ask: &Ask| keys.len() < MOST && keys.insert(ask.put.key.clone()));
        *line = later;
        now
    }

    async fn serve(self) {
        loop {
            let asks = self.next();
            if asks.is_empty() {
                return;
            }
            self.writers.answer(&self.name, asks).await;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut lines = self.writers.lines();
        if lines.get(&self.name).is_none_or(Vec::is_empty) {
            lines.remove(&self.name);
            return;
        }
        drop(lines);
        let next = Self {
            writers: Arc::clone(&self.writers),
            name: self.name.clone(),
        };
        tokio::spawn(next.serve());
    }
}

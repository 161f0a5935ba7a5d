//! What a caller was given in an environment, between two reads with the same credential. The statement that looks a
//! credential up also asks for the access epoch of the organisation, which advances with every row that an answer
//! depends on, in the very transaction of the change (triggers of the schema). What was loaded under this epoch is what
//! a query would find now: a role that is taken away stops working at the next request.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use super::facts::Principal;
use super::load::Loaded;
use crate::kernel::id::{EnvId, OrgId};

/// Bytes of remembered facts, roughly.
const CAPACITY: u64 = 16 * 1024 * 1024;
/// What a place takes beside its facts, bytes, and what a fact takes.
const PLACE: usize = 768;
const FACT: usize = 512;
/// Places that nobody asks for are forgotten after this time.
const IDLE: Duration = Duration::from_mins(10);

/// A credential's MAC, and organisation, project and environment as a path names them.
type Key = ([u8; 32], [Box<str>; 3]);

/// What callers were given where they read lately.
#[derive(Clone)]
pub struct AccessMemory(Cache<Key, Arc<Known>>);

impl Default for AccessMemory {
    fn default() -> Self {
        let weight = |_: &Key, known: &Arc<Known>| {
            let facts = known.loaded.facts.memberships.len() + known.loaded.facts.rules.len();
            u32::try_from(PLACE + facts * FACT).unwrap_or(u32::MAX)
        };
        let cache = Cache::builder().max_capacity(CAPACITY).weigher(weight);
        Self(cache.time_to_idle(IDLE).build())
    }
}

/// What was loaded for a caller, and under which epoch.
pub struct Known {
    principal: Principal,
    epoch: i64,
    env: EnvId,
    loaded: Loaded,
}

impl Known {
    pub fn org(&self) -> OrgId {
        self.loaded.org.id
    }

    pub fn env(&self) -> EnvId {
        self.env
    }

    /// What a query would find now, if nothing has changed but the environment's revision.
    fn now(&self, principal: Principal, epoch: Option<i64>, revision: Option<i64>) -> Option<Loaded> {
        if self.principal != principal || Some(self.epoch) != epoch {
            return None;
        }
        let mut loaded = self.loaded.clone();
        loaded.env.as_mut()?.revision = revision?;
        Some(loaded)
    }
}

/// The environment that a reading request names, and the memory of it.
pub struct Wanted<'a> {
    pub memory: &'a AccessMemory,
    /// Organisation, project and environment, as the path names them.
    pub place: [&'a str; 3],
}

impl Wanted<'_> {
    /// The memory for the credential with this MAC.
    pub fn by(&self, mac: [u8; 32]) -> Recall {
        let key = (mac, self.place.map(Box::from));
        Recall {
            known: self.memory.0.get(&key),
            memory: self.memory.clone(),
            key,
            current: None,
        }
    }
}

/// The memory of one request.
#[derive(Clone)]
pub struct Recall {
    memory: AccessMemory,
    key: Key,
    known: Option<Arc<Known>>,
    current: Option<Loaded>,
}

impl fmt::Debug for Recall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recall")
            .field("place", &self.key.1)
            .finish_non_exhaustive()
    }
}

impl Recall {
    /// What is remembered, to be held against the epoch of now.
    pub fn known(&self) -> Option<&Known> {
        self.known.as_deref()
    }

    /// Says whose credential it is, and which epoch and revision were read with it.
    #[must_use]
    pub fn at(mut self, principal: Principal, epoch: Option<i64>, revision: Option<i64>) -> Self {
        self.current = self
            .known
            .as_ref()
            .and_then(|known| known.now(principal, epoch, revision));
        self
    }

    /// What a query for this path would find.
    pub(super) fn get(&self, path: &[&str]) -> Option<Loaded> {
        if self.is_about(path) {
            self.current.clone()
        } else {
            None
        }
    }

    /// Remembers what a query found for this path.
    pub(super) fn keep(&self, principal: Principal, path: &[&str], loaded: &Loaded) {
        let (Some(env), Some(epoch)) = (&loaded.env, loaded.epoch) else {
            return;
        };
        if self.is_about(path) {
            let known = Known {
                principal,
                epoch,
                env: env.id,
                loaded: loaded.clone(),
            };
            self.memory.0.insert(self.key.clone(), Arc::new(known));
        }
    }

    fn is_about(&self, path: &[&str]) -> bool {
        let (_, place) = &self.key;
        path.len() == place.len() && path.iter().zip(place).all(|(name, known)| **name == **known)
    }
}

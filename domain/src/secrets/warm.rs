//! Opened secrets between two reads. An environment's state at a revision never changes, and every request reads the
//! revision anew, so what is remembered under that very revision cannot be stale. Bounded, wiped when dropped, and gone
//! after a minute: also what was tampered with in the database shows after that time at the latest.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use super::read::Opened;
use crate::kernel::Problem;
use crate::kernel::id::EnvId;
use crate::kernel::text::json_len;

/// How long an environment stays opened in memory. Data keys stay as long.
const TTL: Duration = Duration::from_mins(1);
/// What an opened secret takes beside its texts, bytes, roughly, and what its entry in an answer does.
const OVERHEAD: usize = 192;
const OVERHEAD_OF_ENTRY: usize = 128;

/// What was read.
#[derive(PartialEq, Eq, Hash)]
enum Place {
    Whole(EnvId),
    /// The secret of this key.
    One(EnvId, Box<str>),
}

/// The secrets of a place at one revision of its environment, sorted by key.
struct Remembered {
    revision: i64,
    secrets: Arc<[Arc<Opened>]>,
}

/// Environments that were read lately, and single secrets of others.
#[derive(Default)]
pub struct WarmReads(Option<Cache<Place, Arc<Remembered>>>);

impl WarmReads {
    /// Holds at most `bytes` of opened secrets; 0 = none, and every read opens what it answers.
    pub fn new(bytes: u64) -> Self {
        let weight = |place: &Place, remembered: &Arc<Remembered>| {
            let size = match place {
                Place::Whole(_) => |opened: &Arc<Opened>| size(opened) + size_of_entry(opened),
                Place::One(..) => |opened: &Arc<Opened>| size(opened),
            };
            let bytes: usize = remembered.secrets.iter().map(size).sum();
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        Self((bytes > 0).then(|| {
            Cache::builder()
                .max_capacity(bytes)
                .weigher(weight)
                .time_to_live(TTL)
                .build()
        }))
    }

    /// Wipes what is too old. The cache does so by itself only while it is used.
    pub fn tidy(&self) {
        if let Some(cache) = &self.0 {
            cache.run_pending_tasks();
        }
    }

    /// Whether anything is remembered at all.
    pub(super) const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The environment as it was at this very revision, if it is remembered.
    pub(super) fn at(&self, env: EnvId, revision: i64) -> Option<Arc<[Arc<Opened>]>> {
        self.remembered(&Place::Whole(env), revision)
    }

    /// A secret as it was at this very revision of its environment, if that is remembered: `not_found` when there was none.
    pub(super) fn one_at(&self, env: EnvId, revision: i64, key: &str) -> Option<Result<Arc<Opened>, Problem>> {
        if let Some(all) = self.at(env, revision) {
            let place = all.binary_search_by(|opened| opened.key.as_str().cmp(key));
            let found = place.ok().and_then(|place| all.get(place));
            return Some(found.cloned().ok_or_else(Problem::not_found));
        }
        let one = self.remembered(&Place::One(env, key.into()), revision)?;
        one.first().cloned().map(Ok)
    }

    /// Remembers all secrets of an environment at a revision.
    pub(super) fn keep(&self, env: EnvId, revision: i64, secrets: &Arc<[Arc<Opened>]>) {
        self.remember(Place::Whole(env), revision, Arc::clone(secrets));
    }

    /// Remembers one secret of an environment at a revision.
    pub(super) fn keep_one(&self, env: EnvId, revision: i64, secret: &Arc<Opened>) {
        let place = Place::One(env, secret.key.as_str().into());
        self.remember(place, revision, [Arc::clone(secret)].into());
    }

    fn remembered(&self, place: &Place, revision: i64) -> Option<Arc<[Arc<Opened>]>> {
        let remembered = self.0.as_ref()?.get(place)?;
        (remembered.revision == revision).then(|| Arc::clone(&remembered.secrets))
    }

    fn remember(&self, place: Place, revision: i64, secrets: Arc<[Arc<Opened>]>) {
        if let Some(cache) = &self.0 {
            cache.insert(place, Arc::new(Remembered { revision, secrets }));
        }
    }
}

fn size(opened: &Opened) -> usize {
    OVERHEAD + opened.key.len() + opened.value.expose().len() + opened.comment.expose().len()
}

/// Whether it is written yet or not.
fn size_of_entry(opened: &Opened) -> usize {
    let texts = json_len(opened.value.expose()) + json_len(opened.comment.expose());
    OVERHEAD_OF_ENTRY + opened.key.len() + texts
}

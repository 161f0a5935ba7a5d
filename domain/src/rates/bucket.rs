//! Buckets of requests: the generic cell rate algorithm, one number for each key, and never more keys than the memory
//! that is set aside for them. The `governor` crate has one rate for all keys and no bound on their number; ours differ
//! by plan, and anybody can have as many addresses as they like.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::kernel::Timestamp;

/// Nanoseconds.
const MINUTE: u64 = 60_000_000_000;
/// Locks, so that requests seldom wait for each other.
const SHARDS: usize = 16;
/// A shard that is full looks for buckets that are full again this often at most, nanoseconds.
const SWEEP_EVERY: u64 = 1_000_000_000;

/// Requests a minute. All of them may come at once; then they come back one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(NonZeroU32);

/// Where a key stands after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Requests a minute.
    pub limit: u32,
    /// Requests that may follow at once.
    pub remaining: u32,
    /// Time until all of them may.
    pub reset: Duration,
}

/// A request that came too soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany {
    /// Requests a minute.
    pub limit: u32,
    /// Time until the next one is admitted.
    pub wait: Duration,
}

impl TooMany {
    /// Where the key stands: nothing is left, and something comes back after the wait.
    pub const fn standing(self) -> Standing {
        Standing {
            limit: self.limit,
            remaining: 0,
            reset: self.wait,
        }
    }
}

impl Rate {
    /// So many a minute, multiplied; at least one.
    pub fn new(per_minute: u32, factor: u32, scale: f64) -> Self {
        let scaled = f64::from(per_minute) * f64::from(factor) * scale;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to what fits right before"
        )]
        let limit = scaled.round().clamp(1.0, f64::from(u32::MAX)) as u32;
        Self(NonZeroU32::new(limit).unwrap_or(NonZeroU32::MIN))
    }

    /// Counts one request in a bucket, which is full again at `full_at`. Instants in nanoseconds.
    fn count(self, full_at: &mut u64, now: u64) -> Result<Standing, TooMany> {
        let limit = self.0.get();
        let each = MINUTE / u64::from(limit);
        let whole = each * u64::from(limit);
        let missing = full_at.saturating_sub(now) + each;
        if missing > whole {
            let wait = Duration::from_nanos(missing - whole);
            return Err(TooMany { limit, wait });
        }
        *full_at = now + missing;
        Ok(Standing {
            limit,
            remaining: u32::try_from((whole - missing) / each).unwrap_or(limit),
            reset: Duration::from_nanos(missing),
        })
    }
}

/// Counts requests by key, in this process's memory.
pub struct Buckets<K> {
    shards: [Mutex<Shard<K>>; SHARDS],
    hasher: RandomState,
    /// Keys of one shard.
    most: usize,
}

struct Shard<K> {
    /// When each bucket is full again, nanoseconds. Those that are need not be kept.
    full_at: HashMap<K, u64>,
    swept_at: u64,
}

impl<K: Copy + Eq + Hash> Buckets<K> {
    /// Room for about so many keys that are counted at one time.
    pub fn new(capacity: usize) -> Self {
        let shard = || Shard {
            full_at: HashMap::new(),
            swept_at: 0,
        };
        Self {
            shards: std::array::from_fn(|_| Mutex::new(shard())),
            hasher: RandomState::new(),
            most: capacity.div_ceil(SHARDS),
        }
    }

    /// Counts a request. When there is no room for another key, it counts against `others`, which all such keys share:
    /// whoever fills the memory gains nothing by it.
    ///
    /// # Errors
    /// It came too soon, and was not counted.
    pub fn count(&self, key: K, others: K, rate: Rate, now: Timestamp) -> Result<Standing, TooMany> {
        let now = u64::try_from(now.micros()).unwrap_or(0).saturating_mul(1000);
        let mut shard = self.shard(&key);
        if shard.has_room(&key, now, self.most) {
            return shard.count(key, rate, now);
        }
        drop(shard);
        self.shard(&others).count(others, rate, now)
    }

    /// Keys that are kept, full buckets among them.
    pub fn len(&self) -> usize {
        let kept = |shard: &Mutex<Shard<K>>| shard.lock().unwrap_or_else(PoisonError::into_inner).full_at.len();
        self.shards.iter().map(kept).sum()
    }

    /// Whether nothing is counted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, key: &K) -> MutexGuard<'_, Shard<K>> {
        let [first, rest @ ..] = &self.shards;
        let place = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        let shard = place.checked_sub(1).and_then(|place| rest.get(place)).unwrap_or(first);
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Copy + Eq + Hash> Shard<K> {
    /// Whether the key is here or may come in. Looks for buckets that are full again when there is no room.
    fn has_room(&mut self, key: &K, now: u64, most: usize) -> bool {
        if self.full_at.len() < most || self.full_at.contains_key(key) {
            return true;
        }
        if now.saturating_sub(self.swept_at) < SWEEP_EVERY {
            return false;
        }
        self.swept_at = now;
        self.full_at.retain(|_, full_at| *full_at > now);
        self.full_at.len() < most
    }

    fn count(&mut self, key: K, rate: Rate, now: u64) -> Result<Standing, TooMany> {
        rate.count(self.full_at.entry(key).or_insert(now), now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_900_000_000_000_000;

    fn at(millis: i64) -> Timestamp {
        Timestamp(START + millis * 1000)
    }

    fn rate(per_minute: u32) -> Rate {
        Rate::new(per_minute, 1, 1.0)
    }

    #[test]
    fn a_key_has_its_share_of_every_minute() {
        let buckets = Buckets::new(100);
        let count = |key: u8, millis| buckets.count(key, 0, rate(3), at(millis));
        for remaining in [2, 1, 0] {
            let standing = count(1, 0).unwrap();
            assert_eq!((standing.limit, standing.remaining), (3, remaining));
            assert_eq!(standing.reset, Duration::from_secs(u64::from(3 - remaining) * 20));
        }
        let wait = |millis| count(1, millis).unwrap_err().wait;
        assert_eq!(wait(0), Duration::from_secs(20));
        assert!(count(2, 0).is_ok(), "others are not held up");
        assert_eq!(wait(19_000), Duration::from_secs(1));
        assert_eq!(count(1, 20_000).unwrap().remaining, 0);
        assert!(count(1, 20_000).is_err(), "one has come back, not three");
        assert_eq!(count(1, 200_000).unwrap().remaining, 2, "and no more than three ever");
    }

    #[test]
    fn a_minute_admits_the_burst_and_what_comes_back_in_it() {
        let buckets = Buckets::new(100);
        let admitted = (0..60_000).filter(|millis| buckets.count(1, 0, rate(100), at(*millis)).is_ok());
        assert_eq!(admitted.count(), 199);
    }

    #[test]
    fn rates_that_divide_no_minute_still_give_all_of_it() {
        for limit in [1, 7, 11, 999, 600_000, u32::MAX] {
            let buckets = Buckets::new(10);
            let first = buckets.count(1, 0, rate(limit), at(0)).unwrap();
            assert_eq!((first.limit, first.remaining), (limit, limit - 1), "{limit}");
        }
    }

    #[test]
    fn limits_are_scaled_and_never_less_than_one() {
        let limit = |per_minute, factor, scale| Rate::new(per_minute, factor, scale).0.get();
        assert_eq!(limit(300, 1, 0.02), 6);
        assert_eq!(limit(300, 10, 1.0), 3000);
        assert_eq!(limit(1, 1, 0.001), 1);
        assert_eq!(limit(u32::MAX, 10, 1000.0), u32::MAX);
    }

    #[test]
    fn a_clock_that_steps_back_locks_nobody_out_for_ever() {
        let buckets = Buckets::new(100);
        for _ in 0..3 {
            buckets.count(1, 0, rate(3), at(30_000)).unwrap();
        }
        assert!(buckets.count(1, 0, rate(3), at(0)).is_err());
        assert!(buckets.count(1, 0, rate(3), at(50_000)).is_ok());
    }

    #[test]
    fn memory_is_bounded_and_whoever_fills_it_shares_one_bucket() {
        let buckets = Buckets::new(SHARDS * 4);
        let flood = |from: u32, millis| {
            let all = from..from + 10_000;
            all.filter(|key| buckets.count(*key, 0, rate(5), at(millis)).is_ok())
                .count()
        };
        // A place for each of the first, and one bucket of five for all others together.
        assert!((60..=75).contains(&flood(1, 0)));
        assert!(buckets.len() <= SHARDS * 4 + 1, "{}", buckets.len());
        assert!(flood(100_000, 1) <= 5, "no bucket is full again yet");
        // A minute later their buckets are full again and make room.
        assert!(flood(200_000, 120_000) >= 60);
        assert!(buckets.len() <= SHARDS * 4 + 1, "{}", buckets.len());
    }
}

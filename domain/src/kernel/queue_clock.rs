//! The time by which jobs fall due and leases end.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Clock, Timestamp};

/// After this long the database is asked again what time it is: the clocks of two machines drift.
const GOOD_FOR: Duration = Duration::from_mins(1);

/// A reading of the shared time, and when it was taken.
#[derive(Clone, Copy)]
struct Anchor {
    at: Instant,
    then: Timestamp,
    /// When somebody last set out to take a reading.
    asked_at: Instant,
}

/// Time that goes on by the machine's steady clock from one reading: of the database's clock where several processes
/// share one, and of this machine's where one process is alone. Turning the clock of a machine changes nothing. A clock
/// that a test moves is followed as it is.
pub(super) struct QueueClock {
    clock: Clock,
    anchor: Mutex<Anchor>,
}

impl QueueClock {
    /// Begins with the time of this machine.
    pub(super) fn new(clock: Clock) -> Self {
        let at = Instant::now();
        let anchor = Anchor {
            at,
            then: clock.now(),
            asked_at: at,
        };
        Self {
            clock,
            anchor: Mutex::new(anchor),
        }
    }

    fn anchor(&self) -> MutexGuard<'_, Anchor> {
        self.anchor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Timestamp {
        if self.clock.is_manual() {
            return self.clock.now();
        }
        let Anchor { at, then, asked_at: _ } = *self.anchor();
        then + at.elapsed()
    }

    /// Whether the caller is to take a reading now; others are told no while it does.
    pub(super) fn is_stale(&self) -> bool {
        let mut anchor = self.anchor();
        let is_stale = !self.clock.is_manual() && anchor.asked_at.elapsed() > GOOD_FOR;
        if is_stale {
            anchor.asked_at = Instant::now();
        }
        is_stale
    }

    /// It was `then` at the moment `at`.
    pub(super) fn set(&self, at: Instant, then: Timestamp) {
        let asked_at = Instant::now();
        *self.anchor() = Anchor { at, then, asked_at };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_from_its_reading_and_not_with_the_clock_of_the_machine() {
        let clock = QueueClock::new(Clock::system());
        let then = Timestamp(1_000_000);
        clock.set(Instant::now(), then);
        let (first, second) = (clock.now(), clock.now());
        assert!(then <= first && first <= second && second < then + Duration::from_mins(5));
        assert!(!clock.is_stale());
    }

    #[test]
    fn a_clock_moved_by_hand_is_followed() {
        let hands = Clock::manual(Timestamp(0));
        let clock = QueueClock::new(hands.clone());
        hands.advance(Duration::from_secs(7));
        assert_eq!(clock.now().secs(), 7);
    }
}

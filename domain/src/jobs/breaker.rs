//! The breaker of an endpoint: after enough failures in a row nothing is sent for a while, then one delivery tries. What
//! waits meanwhile uses up no attempt. It stands in the database, so that it outlives workers and is one for all.

use std::time::Duration;

/// Attempts in a row that found nobody before it opens.
const UNREACHABLE: i64 = 5;
/// Attempts in a row that failed in whatever way before it opens.
const FAILURES: i64 = 10;
/// How long it is open the first time; twice as long each time after.
const FIRST: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_hours(1);
/// Steps after which the time no longer grows.
const LAST_STEP: i32 = 7;

/// Whether so many failures open it.
pub(super) const fn trips(unreachable: i64, failures: i64) -> bool {
    unreachable >= UNREACHABLE || failures >= FAILURES
}

/// How long it is open at its n-th opening, from 1.
pub(super) fn open_for(step: i32) -> Duration {
    let doublings = u32::try_from(step.clamp(1, LAST_STEP + 1) - 1).unwrap_or(0);
    (FIRST * 2_u32.pow(doublings)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_open_for_twice_as_long_each_time_up_to_an_hour() {
        let seconds = [0, 1, 2, 3, 7, 8, 100, i32::MAX].map(|step| open_for(step).as_secs());
        assert_eq!(seconds, [30, 30, 60, 120, 1920, 3600, 3600, 3600]);
    }

    #[test]
    fn silence_opens_it_sooner_than_refusals() {
        assert!(trips(5, 5) && trips(0, 10));
        assert!(!trips(4, 9));
    }
}

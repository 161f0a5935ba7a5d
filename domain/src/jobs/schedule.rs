//! When to try again.

use std::time::Duration;

use crate::kernel::{Result, Rng, Timestamp};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// Wait before each attempt, seconds: 0, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h; 75.6 h together.
/// Source: Standard Webhooks, suggested schedule.
pub const RETRY_DELAYS: [u64; 10] = [
    0,
    5,
    5 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    14 * HOUR,
    20 * HOUR,
    24 * HOUR,
];

/// Tries before a job is dead.
pub const MAX_ATTEMPTS: i32 = 10;

/// Each delay is spread by a fifth, so that what failed together does not come back together.
const SPREAD: f64 = 0.2;

/// A receiver may ask for this much patience, and no more.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * HOUR);

/// The instant of the attempt after `attempt`; `None` when there is none left.
///
/// # Errors
/// No random numbers.
pub fn next_attempt(
    attempt: i32,
    max_attempts: i32,
    retry_after: Option<Duration>,
    now: Timestamp,
    rng: &Rng,
) -> Result<Option<Timestamp>> {
    if attempt >= max_attempts {
        return Ok(None);
    }
    let delay = usize::try_from(attempt)
        .ok()
        .and_then(|n| RETRY_DELAYS.get(n))
        .or(RETRY_DELAYS.last())
        .copied()
        .unwrap_or(5);
    let delay = Duration::from_secs(delay).mul_f64(rng.jitter(SPREAD)?);
    let asked = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
    Ok(Some(now + delay.max(asked)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_attempts_over_about_seventy_five_hours() {
        let total: u64 = RETRY_DELAYS.iter().sum();
        assert_eq!(total, 75 * HOUR + 35 * MINUTE + 5);
    }

    #[test]
    fn delays_are_spread_and_retry_after_is_honoured_up_to_a_day() {
        let rng = Rng::seeded(1);
        let now = Timestamp(0);
        let after = |attempt, asked| {
            next_attempt(attempt, MAX_ATTEMPTS, asked, now, &rng)
                .unwrap()
                .map(|at| at.since(now).as_secs_f64())
        };
        let delays: Vec<f64> = (0..100).map(|_| after(2, None).unwrap()).collect();
        assert!(delays.iter().all(|delay| (240.0..=360.0).contains(delay)));
        assert!(delays.iter().any(|delay| *delay < 270.0) && delays.iter().any(|delay| *delay > 330.0));
        assert!((after(1, Some(Duration::from_hours(1))).unwrap() - 3600.0).abs() < 0.001);
        assert!((after(1, Some(Duration::from_hours(240))).unwrap() - 86_400.0).abs() < 0.001);
        assert_eq!(after(MAX_ATTEMPTS, None), None);
    }
}

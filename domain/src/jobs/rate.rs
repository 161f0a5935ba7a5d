//! How often an endpoint may be asked. The instant from which it may be asked again stands in the database and is moved
//! in the transaction that claims, so that the rate is one for all workers. (A generic cell rate algorithm, with bursts
//! of one.)

use std::time::Duration;

use crate::kernel::{Error, Problem, Result, Timestamp};

/// Deliveries of a rate at most.
const MAX_DELIVERIES: u32 = 1000;

/// How far ahead of its time a delivery may be claimed: a claim for each would be slow. Its worker then waits.
const AHEAD: Duration = Duration::from_millis(500);
/// Shortest wait before somebody looks for leave again.
const SHORTEST_WAIT: Duration = Duration::from_millis(5);

/// What a rate counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    Second,
    Minute,
}

impl Per {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
        }
    }

    const fn duration(self) -> Duration {
        match self {
            Self::Second => Duration::from_secs(1),
            Self::Minute => Duration::from_mins(1),
        }
    }
}

/// So many deliveries in a while, evenly spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    deliveries: u32,
    per: Per,
}

impl Rate {
    /// What somebody asks for; 0 is no limit.
    ///
    /// # Errors
    /// `invalid_field` naming `rate.deliveries`, unless it is 0 to 1000.
    pub fn checked(deliveries: i64, per: Per) -> Result<Option<Self>> {
        match u32::try_from(deliveries) {
            Ok(0) => Ok(None),
            Ok(deliveries @ 1..=MAX_DELIVERIES) => Ok(Some(Self { deliveries, per })),
            Ok(_) | Err(_) => {
                let message = format!("must be between 0 and {MAX_DELIVERIES}");
                Err(Problem::field("rate.deliveries", "range", message).into())
            }
        }
    }

    pub const fn deliveries(self) -> u32 {
        self.deliveries
    }

    pub const fn per(self) -> Per {
        self.per
    }

    /// A rate as it is stored.
    ///
    /// # Errors
    /// [`Error::Internal`] for what is none.
    pub fn stored(deliveries: Option<i32>, per: Option<&str>) -> Result<Option<Self>> {
        let (Some(deliveries), Some(per)) = (deliveries, per) else {
            return Ok(None);
        };
        let per = [Per::Second, Per::Minute].into_iter().find(|unit| unit.as_str() == per);
        match (u32::try_from(deliveries), per) {
            (Ok(deliveries), Some(per)) => Ok(Some(Self { deliveries, per })),
            _ => Err(Error::internal("a rate is stored wrongly")),
        }
    }

    /// A rate as it is stored; see [`Rate::stored`].
    pub fn columns(rate: Option<Self>) -> (Option<i32>, Option<String>) {
        let deliveries = rate.and_then(|rate| i32::try_from(rate.deliveries).ok());
        (deliveries, rate.map(|rate| rate.per.as_str().to_owned()))
    }

    /// From one delivery to the next.
    pub fn interval(self) -> Duration {
        self.per.duration() / self.deliveries.max(1)
    }
}

/// What is to become of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateChange {
    To(Rate),
    /// No limit any more.
    Lifted,
}

impl From<Option<Rate>> for RateChange {
    fn from(rate: Option<Rate>) -> Self {
        rate.map_or(Self::Lifted, Self::To)
    }
}

/// Leave to deliver to one endpoint, as one claim gives it out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leave {
    now: Timestamp,
    /// When the next delivery may begin.
    pub(super) next: Timestamp,
    interval: Duration,
}

impl Leave {
    /// `next` is what the database says.
    pub(super) fn new(rate: Rate, next: Option<Timestamp>, now: Timestamp) -> Self {
        Self {
            now,
            next: next.map_or(now, |next| next.max(now)),
            interval: rate.interval(),
        }
    }

    /// How many deliveries may be claimed.
    pub(super) fn available(&self) -> u32 {
        let end = self.now + AHEAD;
        if self.next > end {
            return 0;
        }
        let more = end.since(self.next).as_micros() / self.interval.as_micros().max(1);
        u32::try_from(more).map_or(u32::MAX, |more| more.saturating_add(1))
    }

    /// Gives out one; returns how long it must wait.
    pub(super) fn give(&mut self) -> Duration {
        let wait = self.next.since(self.now);
        self.next = self.next + self.interval;
        wait
    }

    /// When to look for more, from now on.
    pub(super) fn wait(&self) -> Duration {
        self.next.since(self.now).saturating_sub(AHEAD).max(SHORTEST_WAIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000_000);

    #[test]
    fn deliveries_are_spread_evenly_from_the_first_on() {
        let rate = Rate::checked(10, Per::Second).unwrap().unwrap();
        let mut leave = Leave::new(rate, None, NOW);
        assert_eq!(leave.available(), 6);
        let waits: Vec<u128> = (0..6).map(|_| leave.give().as_millis()).collect();
        assert_eq!(waits, [0, 100, 200, 300, 400, 500]);
        assert_eq!((leave.available(), leave.next), (0, NOW + Duration::from_millis(600)));
        assert_eq!(leave.wait(), Duration::from_millis(100));
    }

    #[test]
    fn what_another_worker_took_is_gone_and_what_nobody_took_is_not_saved_up() {
        let rate = Rate::checked(30, Per::Minute).unwrap().unwrap();
        let taken = Leave::new(rate, Some(NOW + Duration::from_secs(2)), NOW);
        assert_eq!((taken.available(), taken.wait()), (0, Duration::from_millis(1500)));
        let mut idle = Leave::new(rate, Some(NOW - Duration::from_hours(1)), NOW);
        assert_eq!((idle.available(), idle.give()), (1, Duration::ZERO));
        assert_eq!((idle.available(), idle.next), (0, NOW + Duration::from_secs(2)));
    }

    #[test]
    fn rates_are_read_as_they_are_stored() {
        let rate = Rate::stored(Some(100), Some("minute")).unwrap().unwrap();
        assert_eq!(rate.interval(), Duration::from_millis(600));
        assert_eq!(Rate::columns(Some(rate)), (Some(100), Some("minute".to_owned())));
        assert_eq!(Rate::stored(None, None).unwrap(), None);
        assert!(Rate::stored(Some(1), Some("hour")).is_err());
        assert_eq!(Rate::checked(0, Per::Second).unwrap(), None);
        for deliveries in [-1, 1001, i64::MAX] {
            assert!(Rate::checked(deliveries, Per::Second).is_err(), "{deliveries}");
        }
    }
}

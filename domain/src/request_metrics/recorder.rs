//! What this process has counted, by route and hour.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::times::Times;
use crate::kernel::{Clock, Timestamp};

/// Microseconds.
const HOUR: i64 = 3_600_000_000;

/// The beginning of the hour that an instant lies in.
pub(super) fn hour_of(at: Timestamp) -> Timestamp {
    Timestamp(at.micros() - at.micros().rem_euclid(HOUR))
}

/// Requests of one hour, method, route and class of status.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Series {
    pub(super) hour: Timestamp,
    pub(super) route: String,
    pub(super) method: String,
    /// The first digit of the status.
    pub(super) class: i64,
}

/// What came together in a series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) requests: u64,
    pub(super) sum_us: u64,
    pub(super) max_us: u64,
    pub(super) times: Times,
}

impl Tally {
    fn add(&mut self, micros: u64) {
        self.requests += 1;
        self.sum_us = self.sum_us.saturating_add(micros);
        self.max_us = self.max_us.max(micros);
        self.times.add(micros);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
        self.max_us = self.max_us.max(other.max_us);
        self.times.merge(&other.times);
    }
}

/// A tally, and whether there is more in it than in the database.
#[derive(Default)]
struct Cell {
    tally: Tally,
    is_new: bool,
}

/// Hour, method and class of status.
type Key = (Timestamp, &'static str, i64);
/// Tallies by route, as a request finds them without making a key.
type Cells = BTreeMap<String, Vec<(Key, Cell)>>;

/// Counts the requests of this process.
pub struct Recorder {
    /// Tells processes apart; each start is another.
    pub(super) instance: Uuid,
    clock: Clock,
    cells: Mutex<Cells>,
}

impl Recorder {
    pub fn new(instance: Uuid, clock: Clock) -> Self {
        Self {
            instance,
            clock,
            cells: Mutex::default(),
        }
    }

    /// Counts a request that has ended. `method` and `route` must be ours, never what a client wrote: their number has to
    /// have an end.
    pub fn record(&self, method: &'static str, route: &str, status: u16, took: Duration) {
        let key = (hour_of(self.clock.now()), method, i64::from(status / 100));
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let mut cells = self.cells();
        if let Some(of_route) = cells.get_mut(route) {
            count(of_route, key, micros);
            return;
        }
        let mut of_route = Vec::new();
        count(&mut of_route, key, micros);
        cells.insert(route.to_owned(), of_route);
    }

    fn cells(&self) -> MutexGuard<'_, Cells> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that is in memory.
    pub(super) fn all(&self) -> Vec<(Series, Tally)> {
        let cells = self.cells();
        let all = cells.iter().flat_map(|(route, of_route)| {
            let one = |(key, cell): &(Key, Cell)| (series(route, *key), cell.tally.clone());
            of_route.iter().map(one).collect::<Vec<_>>()
        });
        all.collect()
    }

    /// What the database does not have yet; from now on it counts as written.
    pub(super) fn take_new(&self) -> Vec<(Series, Tally)> {
        let mut cells = self.cells();
        let mut new = Vec::new();
        for (route, of_route) in cells.iter_mut() {
            for (key, cell) in of_route.iter_mut().filter(|(_, cell)| cell.is_new) {
                cell.is_new = false;
                new.push((series(route, *key), cell.tally.clone()));
            }
        }
        new
    }

    /// It was not written after all.
    pub(super) fn put_back(&self, taken: &[(Series, Tally)]) {
        let mut cells = self.cells();
        for (
            Series {
                hour,
                route,
                method,
                class,
            },
            _,
        ) in taken
        {
            let of_route = cells.get_mut(route).into_iter().flatten();
            let same = |(at, by, of): &Key| (at, *by, of) == (hour, method.as_str(), class);
            for (_, cell) in of_route.filter(|(key, _)| same(key)) {
                cell.is_new = true;
            }
        }
    }

    /// Forgets the hours before this one that are written.
    pub(super) fn forget(&self) {
        let now = hour_of(self.clock.now());
        for of_route in self.cells().values_mut() {
            of_route.retain(|((hour, _, _), cell)| cell.is_new || *hour >= now);
        }
    }
}

fn count(of_route: &mut Vec<(Key, Cell)>, key: Key, micros: u64) {
    if let Some((_, cell)) = of_route.iter_mut().find(|(known, _)| *known == key) {
        cell.tally.add(micros);
        cell.is_new = true;
        return;
    }
    let mut cell = Cell::default();
    cell.tally.add(micros);
    cell.is_new = true;
    of_route.push((key, cell));
}

fn series(route: &str, (hour, method, class): Key) -> Series {
    Series {
        hour,
        route: route.to_owned(),
        method: method.to_owned(),
        class,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorder() -> (Recorder, Clock) {
        let clock = Clock::manual(Timestamp(5 * HOUR + 7));
        (Recorder::new(Uuid::from_u128(1), clock.clone()), clock)
    }

    #[test]
    fn requests_are_told_apart_by_hour_method_route_and_class() {
        let (recorder, clock) = recorder();
        for status in [200, 204, 304, 404, 500] {
            recorder.record("GET", "/v1/orgs", status, Duration::from_millis(3));
        }
        recorder.record("POST", "/v1/orgs", 201, Duration::from_millis(9));
        clock.advance(Duration::from_hours(1));
        recorder.record("GET", "/v1/orgs", 200, Duration::from_millis(1));
        let all = recorder.all();
        assert_eq!(all.len(), 6);
        let (first, tally) = &all[0];
        assert_eq!((first.hour, first.class, tally.requests), (Timestamp(5 * HOUR), 2, 2));
        assert_eq!((tally.sum_us, tally.max_us), (6000, 3000));
    }

    #[test]
    fn what_was_taken_is_new_again_only_when_more_came_or_it_was_put_back() {
        let (recorder, clock) = recorder();
        recorder.record("GET", "/v1/orgs", 200, Duration::from_millis(3));
        let taken = recorder.take_new();
        assert_eq!((taken.len(), recorder.take_new().len()), (1, 0));
        recorder.put_back(&taken);
        assert_eq!(recorder.take_new(), taken);
        recorder.record("GET", "/v1/orgs", 200, Duration::from_millis(3));
        assert_eq!(
            recorder.take_new()[0].1.requests,
            2,
            "the whole hour again: to write it twice does no harm"
        );
        clock.advance(Duration::from_hours(1));
        recorder.forget();
        assert!(recorder.all().is_empty());
    }

    #[test]
    fn an_hour_that_is_not_written_is_not_forgotten() {
        let (recorder, clock) = recorder();
        recorder.record("GET", "/v1/orgs", 200, Duration::from_millis(3));
        clock.advance(Duration::from_hours(1));
        recorder.forget();
        assert_eq!(recorder.all().len(), 1);
    }
}

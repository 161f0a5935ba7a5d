//! What the hours of all processes add up to. Percentiles come from the histograms put together, and are no averages of
//! percentiles.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::recorder::{Recorder, Tally, hour_of};
use super::store;
use crate::kernel::{Reads, Result, Timestamp};

/// The longest summary, hours.
pub const MAX_HOURS: u32 = 168;

/// Requests put together.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    pub requests: u64,
    /// By the first digit of the status: 2, 3, 4, 5. The few that have another are among the requests only.
    pub by_class: [u64; 4],
    /// The part of them that failed by our fault, 0 to 1: 5xx only.
    pub error_rate: f64,
    /// Milliseconds.
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
    pub mean: f64,
}

/// Requests of one route.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteFigures {
    pub method: String,
    pub route: String,
    pub figures: Figures,
}

/// Requests of one hour.
#[derive(Clone, Debug, PartialEq)]
pub struct Hour {
    /// Its beginning.
    pub at: Timestamp,
    pub figures: Figures,
}

/// The requests of some hours, the last of which has not ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// The beginning of the first hour.
    pub from: Timestamp,
    /// Now.
    pub to: Timestamp,
    pub hours: u32,
    pub total: Figures,
    /// Requests a second, over the whole time.
    pub per_second: f64,
    /// Those that take most of the time first: by the 95th percentile times the number.
    pub routes: Vec<RouteFigures>,
    /// Every hour, the oldest first.
    pub timeline: Vec<Hour>,
    /// Processes that have counted something.
    pub instances: usize,
    /// Hours without a single request.
    pub missing: Vec<Timestamp>,
}

/// Sums up the current hour and those before it, `hours` in all. What `own` has not written down yet is in it.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn summary(from: &impl Reads, own: &Recorder, hours: u32) -> Result<Summary> {
    let to = from.now();
    let first = hour_of(to) - Duration::from_hours(u64::from(hours.max(1)) - 1);
    let mut all = BTreeMap::new();
    for (instance, series, tally) in store::since(from, first).await? {
        all.insert((instance, series), tally);
    }
    // After the database: what is written meanwhile is in memory too, and counts once.
    for (series, tally) in own.all().into_iter().filter(|(series, _)| series.hour >= first) {
        all.insert((own.instance, series), tally);
    }
    let (mut total, mut routes, mut by_hour) = (Group::default(), BTreeMap::new(), BTreeMap::new());
    let mut instances = BTreeSet::new();
    for ((instance, series), tally) in all {
        instances.insert(instance);
        total.add(series.class, &tally);
        let route: &mut Group = routes.entry((series.route, series.method)).or_default();
        route.add(series.class, &tally);
        let hour: &mut Group = by_hour.entry(series.hour).or_default();
        hour.add(series.class, &tally);
    }
    let every = (0..hours.max(1)).map(|n| first + Duration::from_hours(n.into()));
    let missing = every.clone().filter(|hour| !by_hour.contains_key(hour)).collect();
    let timeline = every.map(|at| Hour {
        at,
        figures: by_hour.remove(&at).unwrap_or_default().figures(),
    });
    Ok(Summary {
        from: first,
        to,
        hours,
        timeline: timeline.collect(),
        per_second: ratio(total.tally.requests, to.since(first).as_secs().max(1)),
        total: total.figures(),
        routes: sorted(routes),
        instances: instances.len(),
        missing,
    })
}

fn sorted(routes: BTreeMap<(String, String), Group>) -> Vec<RouteFigures> {
    let mut routes: Vec<_> = routes
        .into_iter()
        .map(|((route, method), group)| {
            let weight = u128::from(group.percentile(950)) * u128::from(group.tally.requests);
            let figures = group.figures();
            (weight, RouteFigures { method, route, figures })
        })
        .collect();
    routes.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    routes.into_iter().map(|(_, route)| route).collect()
}

/// Requests that are put together.
#[derive(Default)]
struct Group {
    by_class: [u64; 4],
    tally: Tally,
}

impl Group {
    fn add(&mut self, class: i64, tally: &Tally) {
        let place = usize::try_from(class).ok().and_then(|class| class.checked_sub(2));
        if let Some(count) = place.and_then(|place| self.by_class.get_mut(place)) {
            *count += tally.requests;
        }
        self.tally.merge(tally);
    }

    fn percentile(&self, of_thousand: u64) -> u64 {
        self.tally.times.percentile(of_thousand, self.tally.max_us)
    }

    fn figures(&self) -> Figures {
        let Tally {
            requests,
            sum_us,
            max_us,
            times: _,
        } = self.tally;
        let [_, _, _, failed] = self.by_class;
        let millis = |of_thousand| ratio(self.percentile(of_thousand), 1000);
        Figures {
            requests,
            by_class: self.by_class,
            error_rate: ratio(failed, requests.max(1)),
            p50: millis(500),
            p90: millis(900),
            p95: millis(950),
            p99: millis(990),
            max: ratio(max_us, 1000),
            mean: ratio(sum_us, requests.max(1).saturating_mul(1000)),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "figures to look at: fifteen digits are enough"
)]
fn ratio(part: u64, of: u64) -> f64 {
    part as f64 / of as f64
}

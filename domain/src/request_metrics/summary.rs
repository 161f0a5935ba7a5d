//! What the hours of all processes add up to. Percentiles come from the histograms put together, and are no averages of
//! percentiles.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::recorder::{Recorder, Tally, hour_of};
use super::store;
use crate::access::Superuser;
use crate::kernel::{Problem, Reads, Result, Timestamp};

/// The longest summary, hours.
const MAX_HOURS: u32 = 168;
/// The one that nobody chose.
const HOURS: u32 = 24;

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
    pub instances: u64,
    /// Hours without a single request.
    pub missing: Vec<Timestamp>,
}

/// How many hours to sum up, of those that were asked for.
///
/// # Errors
/// `invalid_field`.
pub fn hours(asked: Option<i64>) -> Result<u32> {
    let Some(asked) = asked else { return Ok(HOURS) };
    let hours = u32::try_from(asked)
        .ok()
        .filter(|hours| (1..=MAX_HOURS).contains(hours));
    hours.ok_or_else(|| Problem::field("hours", "range", format!("must be 1 to {MAX_HOURS}")).into())
}

/// Sums up the current hour and those before it, `hours` in all. What `own` has not written down yet is in it.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn summary(from: &impl Reads, _: &Superuser, own: &Recorder, hours: u32) -> Result<Summary> {
    let to = from.now();
    let first = hour_of(to) - Duration::from_hours(u64::from(hours.max(1)) - 1);
    // Before the database: what is written and forgotten meanwhile is there, and counts once.
    let held = own.all();
    let mut all = BTreeMap::new();
    for (instance, series, tally) in store::since(from, first).await? {
        all.insert((instance, series), tally);
    }
    for (series, tally) in held.into_iter().filter(|(series, _)| series.hour >= first) {
        let known: &mut Tally = all.entry((own.instance, series)).or_default();
        if known.requests <= tally.requests {
            *known = tally;
        }
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
        instances: u64::try_from(instances.len()).unwrap_or(u64::MAX),
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

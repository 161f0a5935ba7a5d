//! How much one lane may do at once, learned from its own results.

use std::time::Duration;

/// Jobs at once of a lane that nothing is known of.
const FIRST_WINDOW: usize = 4;
/// Work that is claimed ahead: what a lane does in this time. A claim for each job would be slow.
const AHEAD: Duration = Duration::from_millis(200);
/// Jobs of one lane that are claimed ahead, at most.
const MOST_AHEAD: usize = 256;
/// Jobs in a row that came to no good, after which nothing that was claimed ahead is begun: the breaker may be about to open.
const TROUBLE: usize = 5;
/// A lane whose jobs take longer than this on average is slow; half of it makes it quick again.
const SLOW: Duration = Duration::from_secs(1);

/// What a result says of the one who was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Omen {
    Good,
    /// Too much was asked, or nobody is there.
    Bad,
    /// It tells nothing of that.
    Neither,
}

/// A window that is halved by a bad result. Until the first one it grows with every good result, so that it is as wide as it
/// may be after a few round trips; from then on with every window's worth of them.
#[derive(Debug)]
pub(super) struct Pace {
    window: usize,
    most: usize,
    adapts: bool,
    /// Nothing bad has come yet.
    is_fresh: bool,
    /// Good results since the window last changed.
    good: usize,
    /// Results to come of jobs that began before the window was halved: they must not halve it again.
    past: usize,
    /// Jobs since the last good one.
    bad: usize,
    /// Mean time of a job, the last ones weighing more.
    mean: Option<Duration>,
    is_slow: bool,
}

impl Pace {
    /// One that stays at `most` unless it `adapts`.
    pub(super) fn new(most: usize, adapts: bool) -> Self {
        Self {
            window: if adapts { FIRST_WINDOW.min(most) } else { most },
            most,
            adapts,
            is_fresh: true,
            good: 0,
            past: 0,
            bad: 0,
            mean: None,
            is_slow: false,
        }
    }

    /// Jobs at once.
    pub(super) fn window(&self) -> usize {
        self.window
    }

    /// Jobs that may be claimed and not ended: more than run at once as long as all goes well.
    pub(super) fn ahead(&self) -> usize {
        let Some(mean) = self.mean.filter(|_| self.adapts && self.bad == 0) else {
            return self.window;
        };
        let rounds = AHEAD.as_micros() / mean.as_micros().max(1);
        let rounds = usize::try_from(rounds).unwrap_or(usize::MAX);
        self.window
            .saturating_mul(rounds)
            .clamp(self.window, MOST_AHEAD.max(self.window))
    }

    /// Whether what was claimed is better given back.
    pub(super) fn is_in_trouble(&self) -> bool {
        self.bad >= TROUBLE
    }

    pub(super) fn is_slow(&self) -> bool {
        self.is_slow
    }

    /// Begins carefully: nobody knows whether the other side is well again.
    pub(super) fn restart(&mut self) {
        if self.adapts {
            self.window = 1;
            self.is_fresh = false;
            (self.good, self.past) = (0, 0);
        }
    }

    /// Takes in a result, while `others` of the lane are still running.
    pub(super) fn ended(&mut self, omen: Omen, took: Duration, others: usize) {
        if !self.adapts {
            return;
        }
        let mean = self.mean.map_or(took, |mean| (mean * 3 + took) / 4);
        self.mean = Some(mean);
        self.is_slow = mean > if self.is_slow { SLOW / 2 } else { SLOW };
        self.bad = if omen == Omen::Good { 0 } else { self.bad + 1 };
        let is_past = self.past > 0;
        self.past = self.past.saturating_sub(1);
        match omen {
            Omen::Good => {
                self.good += 1;
                let is_due = self.is_fresh || self.good >= self.window;
                if is_due && self.window < self.most {
                    self.window += 1;
                    self.good = 0;
                }
            }
            Omen::Bad if is_past => {}
            Omen::Bad => {
                self.window = (self.window / 2).max(1);
                self.is_fresh = false;
                (self.good, self.past) = (0, others);
            }
            Omen::Neither => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(1);

    fn run(pace: &mut Pace, omen: Omen, times: usize) {
        for _ in 0..times {
            pace.ended(omen, QUICK, 0);
        }
    }

    #[test]
    fn it_grows_with_every_good_result_as_long_as_none_is_bad() {
        let mut pace = Pace::new(8, true);
        assert_eq!(pace.window(), 4);
        run(&mut pace, Omen::Good, 1);
        assert_eq!(pace.window(), 5);
        run(&mut pace, Omen::Neither, 10);
        assert_eq!(pace.window(), 5);
        run(&mut pace, Omen::Good, 2);
        assert_eq!(pace.window(), 7);
        run(&mut pace, Omen::Good, 1000);
        assert_eq!(pace.window(), 8);
    }

    #[test]
    fn after_a_bad_result_it_grows_by_one_a_round_and_no_further_than_it_may() {
        let mut pace = Pace::new(8, true);
        run(&mut pace, Omen::Good, 4);
        run(&mut pace, Omen::Bad, 1);
        assert_eq!(pace.window(), 4);
        run(&mut pace, Omen::Good, 4);
        assert_eq!(pace.window(), 5);
        run(&mut pace, Omen::Good, 4);
        assert_eq!(pace.window(), 5);
        run(&mut pace, Omen::Neither, 10);
        assert_eq!(pace.window(), 5);
        run(&mut pace, Omen::Good, 1000);
        assert_eq!(pace.window(), 8);
    }

    #[test]
    fn one_that_began_anew_grows_by_one_a_round() {
        let mut pace = Pace::new(8, true);
        pace.restart();
        run(&mut pace, Omen::Good, 1);
        assert_eq!(pace.window(), 2);
        run(&mut pace, Omen::Good, 1);
        assert_eq!(pace.window(), 2);
    }

    #[test]
    fn a_round_of_failures_halves_it_once() {
        let mut pace = Pace::new(32, true);
        run(&mut pace, Omen::Good, 1000);
        pace.ended(Omen::Bad, QUICK, 31);
        run(&mut pace, Omen::Bad, 31);
        assert_eq!(pace.window(), 16);
        run(&mut pace, Omen::Bad, 10);
        assert_eq!(pace.window(), 1);
        run(&mut pace, Omen::Good, 1);
        assert_eq!(pace.window(), 2);
    }

    #[test]
    fn quick_lanes_are_claimed_ahead_and_slow_ones_are_told_apart() {
        let mut pace = Pace::new(32, true);
        assert_eq!(pace.ahead(), 4);
        pace.ended(Omen::Good, Duration::from_millis(20), 0);
        assert_eq!(pace.ahead(), 50);
        run(&mut pace, Omen::Good, 1000);
        assert_eq!((pace.ahead(), pace.is_slow()), (256, false));
        pace.ended(Omen::Bad, Duration::from_secs(20), 0);
        assert!(pace.is_slow() && !pace.is_in_trouble());
        assert_eq!(pace.ahead(), pace.window());
        run(&mut pace, Omen::Good, 10);
        assert!(!pace.is_slow());
    }

    #[test]
    fn nothing_is_claimed_ahead_once_something_failed() {
        let mut pace = Pace::new(32, true);
        run(&mut pace, Omen::Good, 100);
        run(&mut pace, Omen::Neither, 1);
        assert_eq!(pace.ahead(), pace.window());
        run(&mut pace, Omen::Bad, 4);
        assert!(pace.is_in_trouble());
        run(&mut pace, Omen::Good, 1);
        assert!(!pace.is_in_trouble() && pace.ahead() > pace.window());
    }

    #[test]
    fn one_that_does_not_adapt_stays() {
        let mut pace = Pace::new(3, false);
        pace.ended(Omen::Bad, Duration::from_secs(20), 2);
        pace.restart();
        assert_eq!((pace.window(), pace.ahead(), pace.is_slow()), (3, 3, false));
    }
}

//! Lanes that have work, served in turn. One ring serves one kind of job and holds the slots of that kind, so that
//! no kind starves another and no lane starves its neighbours.
//!
//! A lane is rung, then claimed from, then its jobs stand in line for slots. So many jobs of a lane run at once as its
//! pace allows, and so many of an organisation as its share; lanes whose receivers are slow have slots of their own, and
//! cannot take those of the others.

mod lane;
mod lanes;
mod pace;
mod seat;
mod share;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::jobs::LaneNews;
use tokio::sync::Notify;

use lanes::Lanes;
pub(crate) use pace::Omen;
pub(crate) use seat::Seat;

/// How many times the slots may be claimed: what waits for a slot is there when one comes free.
const CLAIMS_PER_SLOT: usize = 8;
/// The share of all that one organisation gets: an eighth.
const SHARES: usize = 8;

/// How a kind of job is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Jobs at once.
    slots: usize,
    /// Besides, jobs at once of lanes that are slow. Without, they share the slots of the others.
    slow_slots: usize,
    /// Jobs at once of one lane, at most.
    per_lane: usize,
    /// Jobs at once of one organisation, at most.
    per_org: usize,
    /// Whether lanes find their own pace and are claimed ahead.
    adapts: bool,
}

impl Limits {
    /// The same for every lane.
    pub(crate) fn plain(slots: usize, per_lane: usize) -> Self {
        Self {
            slots,
            slow_slots: 0,
            per_lane,
            per_org: usize::MAX,
            adapts: false,
        }
    }

    /// For receivers of which some are slow, or dead: a quarter of the slots is for those, and an organisation gets an
    /// eighth of all.
    pub(crate) fn adaptive(slots: usize, per_lane: usize) -> Self {
        let slow_slots = slots / 4;
        Self {
            slots: slots - slow_slots,
            slow_slots,
            per_lane,
            per_org: (slots / SHARES).max(per_lane),
            adapts: true,
        }
    }

    /// Jobs that may be claimed and not ended.
    fn claimable(&self) -> usize {
        let slots = self.slots + self.slow_slots;
        if self.adapts { slots * CLAIMS_PER_SLOT } else { slots }
    }

    /// Jobs of one organisation that may be claimed and not begun.
    fn ahead_per_org(&self) -> usize {
        if self.adapts {
            self.claimable() / SHARES
        } else {
            usize::MAX
        }
    }
}

/// The ring of one kind of job.
pub(crate) struct Ring {
    lanes: Mutex<Lanes>,
    wake: Notify,
    /// A lane runs one job at a time.
    is_single: bool,
}

impl Ring {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            lanes: Mutex::new(Lanes::new(limits)),
            wake: Notify::new(),
            is_single: limits.per_lane == 1,
        }
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known, and wakes who waits to claim if there is more to claim for than before: most jobs begin and
    /// end while enough is claimed, and nobody need look then.
    fn change(&self, change: impl FnOnce(&mut Lanes)) {
        let mut lanes = self.lanes();
        let before = lanes.urge();
        change(&mut lanes);
        let now = lanes.urge();
        drop(lanes);
        if now > before {
            self.wake.notify_one();
        }
    }

    /// Whether a lane runs one job at a time, and the next when the result of that is written.
    pub(crate) fn is_single(&self) -> bool {
        self.is_single
    }

    /// Notes that a lane has work. Noted twice is noted once.
    pub(crate) fn rung(&self, name: &str) {
        self.lanes().rung(name);
        self.wake.notify_one();
    }

    /// Waits until there is a lane to claim from and room for its jobs, and a moment longer for others as long as none has
    /// run out of jobs. For one waiter.
    pub(crate) async fn ready(&self) {
        loop {
            let next_look = {
                let mut lanes = self.lanes();
                lanes.let_go();
                if lanes.is_ready() {
                    return;
                }
                lanes.next_look()
            };
            match next_look {
                None => self.wake.notified().await,
                Some(until) => tokio::select! {
                    () = self.wake.notified() => {}
                    () = tokio::time::sleep_until(until) => {}
                },
            }
        }
    }

    /// Takes up to `max` lanes and reserves room for the number of jobs to claim of each. The room is shared among the
    /// lanes taken, so that the first is not given what the others wait for.
    pub(crate) fn take(&self, max: usize) -> Vec<(String, u32)> {
        self.lanes().take(max)
    }

    /// Takes in what a claim brought of a lane that was asked for `asked` jobs.
    pub(crate) fn settle(&self, name: &str, asked: u32, news: &LaneNews) {
        self.lanes().settle(name, asked, news);
        self.wake.notify_one();
    }

    /// Gives back the room of a claim that failed; the lane is asked again.
    pub(crate) fn put_back(&self, name: &str, asked: u32) {
        self.lanes().put_back(name, asked);
    }

    /// Forgets what was learned of lanes that have long been idle.
    pub(crate) fn forget_idle(&self) {
        self.lanes().forget_idle();
    }

    /// Jobs that may still be claimed.
    #[cfg(test)]
    pub(crate) fn room(&self) -> usize {
        self.lanes().room()
    }
}

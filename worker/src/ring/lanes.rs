//! What a ring knows: which lanes have work, in which order they are served, and who holds which slot.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use domain::jobs::LaneNews;
use domain::kernel::id::OrgId;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Limits;
use super::lane::{Lane, Slot, Waiter};
use super::pace::Omen;
use super::share::{Share, wanted};

/// Jobs of one lane in one claim at most.
const CLAIM_PER_LANE: usize = 256;
/// A lane that is held is looked at again after this long at the latest: what held it may be gone.
const LONGEST_HOLD: Duration = Duration::from_secs(5);
/// What was learned of a lane is kept for so long after its last job.
const MEMORY: Duration = Duration::from_mins(10);
/// Lanes that have jobs left to begin are claimed from together, so often: a claim costs much the same for one as for all.
pub(super) const TOGETHER: Duration = Duration::from_millis(10);

/// Slots, and the lanes that stand in line for them.
struct Pool {
    free: usize,
    line: VecDeque<Arc<str>>,
}

impl Pool {
    fn new(slots: usize) -> Self {
        Self {
            free: slots,
            line: VecDeque::new(),
        }
    }
}

/// How much there is to claim for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urge {
    /// There is no lane to claim from, or no room for what it gives.
    Nothing,
    /// There are lanes, and all of them have jobs left to begin.
    Patient,
    Pressing,
}

pub(super) struct Lanes {
    limits: Limits,
    /// Jobs that may still be claimed.
    room: usize,
    /// Lanes to be claimed from.
    queue: VecDeque<Arc<str>>,
    /// When lanes were last taken from the queue.
    taken_at: Option<Instant>,
    /// One of those in the queue has nothing left to begin.
    is_pressing: bool,
    known: HashMap<Arc<str>, Lane>,
    holds: BinaryHeap<Reverse<(Instant, Arc<str>)>>,
    quick: Pool,
    slow: Pool,
    shares: HashMap<OrgId, Share>,
}

impl Lanes {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            room: limits.claimable(),
            queue: VecDeque::new(),
            taken_at: None,
            is_pressing: false,
            known: HashMap::new(),
            holds: BinaryHeap::new(),
            quick: Pool::new(limits.slots),
            slow: Pool::new(limits.slow_slots),
            shares: HashMap::new(),
        }
    }

    pub(super) fn rung(&mut self, name: &str) {
        let name: Arc<str> = match self.known.get_key_value(name) {
            Some((name, _)) => Arc::clone(name),
            None => name.into(),
        };
        let limits = self.limits;
        let lane = self
            .known
            .entry(Arc::clone(&name))
            .or_insert_with(|| Lane::new(&limits));
        lane.is_rung = true;
        self.enqueue(&name);
    }

    /// Puts a rung lane at the end of the queue if more of it can be claimed; otherwise its next ended job does.
    fn enqueue(&mut self, name: &Arc<str>) {
        let Some(lane) = self.known.get_mut(name) else { return };
        if lane.is_rung && !lane.is_queued && wanted(lane, &self.shares, &self.limits, 0) > 0 {
            lane.is_queued = true;
            self.is_pressing |= lane.claimed == 0;
            self.queue.push_back(Arc::clone(name));
        } else if lane.is_idle() && !self.limits.adapts {
            self.known.remove(name);
        }
    }

    /// Lets go of lanes whose time has come.
    pub(super) fn let_go(&mut self) {
        let now = Instant::now();
        while let Some(until) = self.next_hold()
            && until <= now
        {
            let Some(Reverse((_, name))) = self.holds.pop() else {
                return;
            };
            if let Some(lane) = self.known.get_mut(&name)
                && lane.held_until == Some(until)
            {
                lane.held_until = None;
                self.enqueue(&name);
            }
        }
    }

    /// When the next lane is let go of.
    pub(super) fn next_hold(&self) -> Option<Instant> {
        self.holds.peek().map(|Reverse((until, _))| *until)
    }

    /// Whether it is time to claim.
    pub(super) fn is_ready(&self) -> bool {
        match self.urge() {
            Urge::Nothing => false,
            Urge::Patient => self.due().is_none_or(|due| due <= Instant::now()),
            Urge::Pressing => true,
        }
    }

    /// How much there is to claim for.
    pub(super) fn urge(&self) -> Urge {
        if self.room == 0 || self.queue.is_empty() {
            Urge::Nothing
        } else if self.is_pressing {
            Urge::Pressing
        } else {
            Urge::Patient
        }
    }

    /// When lanes that are not pressing are claimed from; `None` is at once.
    fn due(&self) -> Option<Instant> {
        self.taken_at.filter(|_| self.limits.adapts).map(|at| at + TOGETHER)
    }

    /// When to look again, if nothing happens before.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let due = self.due().filter(|_| self.urge() == Urge::Patient);
        due.into_iter().chain(self.next_hold()).min()
    }

    pub(super) fn take(&mut self, max: usize) -> Vec<(String, u32)> {
        self.taken_at = Some(Instant::now());
        let taken = self.queue.len().min(max);
        let share = self.room.checked_div(taken).unwrap_or(0).max(1);
        let mut asked = Vec::with_capacity(taken);
        let mut of_orgs: HashMap<OrgId, usize> = HashMap::new();
        for name in self.queue.iter().take(taken) {
            if let Some(org) = self.known.get(name).and_then(|lane| lane.org) {
                *of_orgs.entry(org).or_default() += 1;
            }
        }
        for _ in 0..taken {
            if self.room == 0 {
                break;
            }
            let Some(name) = self.queue.pop_front() else { break };
            let Some(lane) = self.known.get_mut(&name) else {
                continue;
            };
            let of_org = lane.org.map_or(0, |org| of_orgs.get(&org).copied().unwrap_or(0));
            let wanted = wanted(lane, &self.shares, &self.limits, of_org);
            let jobs = wanted.min(CLAIM_PER_LANE).min(share).min(self.room);
            lane.is_queued = false;
            if jobs == 0 {
                // It stays rung, and its next ended job queues it.
                continue;
            }
            lane.is_rung = false;
            lane.asked += jobs;
            self.room -= jobs;
            asked.push((name.to_string(), u32::try_from(jobs).unwrap_or(u32::MAX)));
        }
        // Whoever found no place in this claim does not wait for the next.
        self.is_pressing = !self.queue.is_empty();
        asked
    }

    /// Takes in what a claim brought of a lane.
    pub(super) fn settle(&mut self, name: &str, asked: u32, news: &LaneNews) {
        let (asked, claimed) = (count(asked), count(news.claimed));
        self.give_room(asked.saturating_sub(claimed));
        let Some((name, _)) = self.known.get_key_value(name) else {
            return;
        };
        let name = Arc::clone(name);
        let Some(lane) = self.known.get_mut(&name) else { return };
        lane.asked = lane.asked.saturating_sub(asked);
        lane.claimed += claimed;
        lane.is_rung |= news.may_have_more || news.held.is_some();
        if news.one_by_one && !lane.last.one_by_one {
            lane.pace.restart();
        }
        lane.last = *news;
        if let Some(held) = news.held {
            let until = Instant::now() + held.min(LONGEST_HOLD);
            lane.held_until = Some(until);
            self.holds.push(Reverse((until, Arc::clone(&name))));
        }
        self.enqueue(&name);
    }

    /// A claim failed: it told nothing of the lane.
    pub(super) fn put_back(&mut self, name: &str, asked: u32) {
        let last = self.known.get(name).map(|lane| lane.last).unwrap_or_default();
        let again = LaneNews {
            claimed: 0,
            may_have_more: true,
            held: None,
            ..last
        };
        self.settle(name, asked, &again);
    }

    fn give_room(&mut self, jobs: usize) {
        self.room = (self.room + jobs).min(self.limits.claimable());
    }

    /// A job of a lane was claimed.
    pub(super) fn seated(&mut self, name: &str, org: Option<OrgId>) {
        let (Some(org), Some(lane)) = (org, self.known.get_mut(name)) else {
            return;
        };
        lane.org = Some(org);
        lane.seats += 1;
        if lane.seats == 1 {
            self.shares.entry(org).or_default().lanes += 1;
        }
    }

    /// It has ended, or goes back.
    fn unseated(&mut self, name: &Arc<str>, org: Option<OrgId>) {
        let Some(org) = org else { return };
        let Some(share) = self.shares.get_mut(&org) else {
            return;
        };
        if let Some(lane) = self.known.get_mut(name)
            && lane.seats > 0
        {
            lane.seats -= 1;
            share.lanes = share.lanes.saturating_sub(usize::from(lane.seats == 0));
        }
        if share.lanes == 0 && share.running == 0 {
            self.shares.remove(&org);
        }
    }

    /// A claimed job is ready to begin. It is told when it may.
    pub(super) fn wait(&mut self, name: &Arc<str>, org: Option<OrgId>, turn: oneshot::Sender<Slot>) {
        let limits = self.limits;
        let lane = self.known.entry(Arc::clone(name)).or_insert_with(|| Lane::new(&limits));
        lane.waiting.push_back(Waiter { org, turn });
        self.line_up(name);
    }

    /// Puts a lane in line for a slot if it has a job to begin.
    fn line_up(&mut self, name: &Arc<str>) {
        let Some(lane) = self.known.get_mut(name) else { return };
        if lane.is_in_line || lane.waiting.is_empty() || lane.running >= lane.window() {
            return;
        }
        lane.is_in_line = true;
        let is_slow = lane.pace.is_slow() && self.limits.slow_slots > 0;
        self.pool(is_slow).line.push_back(Arc::clone(name));
        self.admit(is_slow);
    }

    fn pool(&mut self, is_slow: bool) -> &mut Pool {
        if is_slow { &mut self.slow } else { &mut self.quick }
    }

    /// Gives the free slots of a pool to the lanes in line, one job each in turn.
    fn admit(&mut self, is_slow: bool) {
        while self.pool(is_slow).free > 0 {
            let Some(name) = self.pool(is_slow).line.pop_front() else {
                return;
            };
            if self.begin(&name, is_slow) {
                self.pool(is_slow).free -= 1;
            }
        }
    }

    /// Lets the next job of a lane begin. The lane goes to the end of the line if it has more.
    fn begin(&mut self, name: &Arc<str>, is_slow: bool) -> bool {
        let Some(lane) = self.known.get_mut(name) else {
            return false;
        };
        lane.is_in_line = false;
        while lane.running < lane.window() {
            let Some(waiter) = lane.waiting.pop_front() else { break };
            if let Some(org) = waiter.org {
                let share = self.shares.entry(org).or_default();
                if share.running >= self.limits.per_org {
                    lane.waiting.push_front(waiter);
                    lane.is_in_line = true;
                    share.parked.push_back(Arc::clone(name));
                    return false;
                }
            }
            let Waiter { org, turn } = waiter;
            if turn.send(Slot { is_slow }).is_err() {
                // It was given up while it waited.
                continue;
            }
            if let Some(org) = org {
                self.shares.entry(org).or_default().running += 1;
            }
            lane.claimed = lane.claimed.saturating_sub(1);
            self.is_pressing |= lane.is_queued && lane.claimed == 0;
            lane.running += 1;
            if !lane.waiting.is_empty() && lane.running < lane.window() {
                lane.is_in_line = true;
                self.pool(is_slow).line.push_back(Arc::clone(name));
            }
            return true;
        }
        false
    }

    /// Takes a running job off its organisation's share; returns the lanes that wait for that.
    fn leave(&mut self, org: Option<OrgId>) -> VecDeque<Arc<str>> {
        let Some(org) = org else {
            return VecDeque::new();
        };
        let Some(share) = self.shares.get_mut(&org) else {
            return VecDeque::new();
        };
        share.running = share.running.saturating_sub(1);
        std::mem::take(&mut share.parked)
    }

    /// A job that was claimed goes without having begun.
    pub(super) fn given_up(&mut self, name: &Arc<str>, org: Option<OrgId>) {
        self.give_room(1);
        if let Some(lane) = self.known.get_mut(name) {
            lane.claimed = lane.claimed.saturating_sub(1);
            self.is_pressing |= lane.is_queued && lane.claimed == 0;
        }
        self.unseated(name, org);
        self.enqueue(name);
    }

    /// A running job has ended.
    pub(super) fn ended(&mut self, name: &Arc<str>, org: Option<OrgId>, slot: Slot, result: Option<(Omen, Duration)>) {
        self.give_room(1);
        self.pool(slot.is_slow).free += 1;
        if let Some(lane) = self.known.get_mut(name) {
            lane.running = lane.running.saturating_sub(1);
            lane.last_used = Instant::now();
            if let Some((omen, took)) = result {
                lane.pace.ended(omen, took, lane.running);
                if lane.pace.is_in_trouble() {
                    // They hear that their turn will not come.
                    lane.waiting.clear();
                }
            }
        }
        let parked = self.leave(org);
        self.unseated(name, org);
        for parked in parked {
            if let Some(lane) = self.known.get_mut(&parked) {
                lane.is_in_line = false;
            }
            self.line_up(&parked);
        }
        self.line_up(name);
        self.admit(slot.is_slow);
        self.enqueue(name);
    }

    /// Forgets what was learned of lanes that have long been idle.
    pub(super) fn forget_idle(&mut self) {
        let now = Instant::now();
        self.known
            .retain(|_, lane| !lane.is_idle() || lane.held_until.is_some() || now - lane.last_used < MEMORY);
    }

    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.room
    }

    #[cfg(test)]
    pub(super) fn knows_nothing(&self) -> bool {
        self.known.is_empty() && self.shares.is_empty()
    }
}

fn count(jobs: u32) -> usize {
    usize::try_from(jobs).unwrap_or(usize::MAX)
}

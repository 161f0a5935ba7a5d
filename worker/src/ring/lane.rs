//! What a ring knows of one lane.

use std::collections::VecDeque;

use domain::jobs::LaneNews;
use domain::kernel::id::OrgId;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Limits;
use super::pace::Pace;

/// The slot of a running job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) is_slow: bool,
}

/// A claimed job that waits for its turn.
pub(super) struct Waiter {
    pub(super) org: Option<OrgId>,
    pub(super) turn: oneshot::Sender<Slot>,
}

/// What is known of one lane.
pub(super) struct Lane {
    /// Whose it is; known once a job of it was claimed.
    pub(super) org: Option<OrgId>,
    /// Jobs that a claim under way was asked for.
    pub(super) asked: usize,
    /// Jobs that were claimed and have not ended, for its organisation's count of lanes.
    pub(super) seats: usize,
    /// Claimed and not begun.
    pub(super) claimed: usize,
    pub(super) running: usize,
    /// Those of the claimed that are ready to begin, oldest first.
    pub(super) waiting: VecDeque<Waiter>,
    /// Whether it may have due jobs that nobody asked for yet.
    pub(super) is_rung: bool,
    /// Whether it is in the queue of lanes to be claimed from.
    pub(super) is_queued: bool,
    /// Whether it is in a line for slots, or parked.
    pub(super) is_in_line: bool,
    pub(super) held_until: Option<Instant>,
    /// What the last claim told of it.
    pub(super) last: LaneNews,
    pub(super) pace: Pace,
    pub(super) last_used: Instant,
}

impl Lane {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            org: None,
            asked: 0,
            seats: 0,
            claimed: 0,
            running: 0,
            waiting: VecDeque::new(),
            is_rung: false,
            is_queued: false,
            is_in_line: false,
            held_until: None,
            last: LaneNews::default(),
            pace: Pace::new(limits.per_lane, limits.adapts),
            last_used: Instant::now(),
        }
    }

    pub(super) fn window(&self) -> usize {
        if self.last.one_by_one { 1 } else { self.pace.window() }
    }

    /// How many more jobs to claim. Of a lane that is claimed ahead none before half of that is used up: many small
    /// claims cost more than one.
    pub(super) fn wants(&self) -> usize {
        let is_led = self.last.one_by_one || self.last.is_timed;
        let most = if is_led { self.window() } else { self.pace.ahead() };
        let held = self.held();
        if most > self.window() && held > most / 2 {
            return 0;
        }
        most.saturating_sub(held)
    }

    /// Jobs that it was asked for, has given, or runs.
    pub(super) fn held(&self) -> usize {
        self.asked + self.claimed + self.running
    }

    pub(super) fn is_idle(&self) -> bool {
        !self.is_rung && !self.is_queued && self.held() == 0
    }
}

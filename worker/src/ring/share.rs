//! What the lanes of one organisation share.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use domain::kernel::id::OrgId;

use super::Limits;
use super::lane::Lane;

/// What one organisation holds.
#[derive(Default)]
pub(super) struct Share {
    /// Lanes that hold jobs.
    pub(super) lanes: usize,
    pub(super) running: usize,
    /// Lanes that wait because the organisation holds all that it may.
    pub(super) parked: VecDeque<Arc<str>>,
}

/// How many more jobs of a lane to claim, when so many lanes of its organisation are `queued`. What an organisation may
/// have claimed ahead is shared among its lanes, so that it does not fill the room of all with what waits for its own
/// slots. Of its share a lane gets nothing before half of it is used up.
pub(super) fn wanted(lane: &Lane, shares: &HashMap<OrgId, Share>, limits: &Limits, queued: usize) -> usize {
    if lane.held_until.is_some() {
        return 0;
    }
    let lanes = lane.org.and_then(|org| shares.get(&org)).map_or(0, |share| share.lanes);
    let fair = (limits.ahead_per_org() / lanes.max(queued).max(1)).max(1);
    if lane.claimed > fair / 2 {
        return 0;
    }
    lane.wants().min(fair - lane.claimed)
}

//! The place of one claimed job in its ring.

use std::sync::Arc;
use std::time::Duration;

use domain::kernel::id::OrgId;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::lane::Slot;
use super::{Omen, Ring};

enum Place {
    /// Claimed, and not ready to begin.
    Claimed,
    /// In line for a slot.
    Waiting(oneshot::Receiver<Slot>),
    Running {
        slot: Slot,
        since: Instant,
        result: Option<(Omen, Duration)>,
    },
}

/// The place of one claimed job, given back when dropped, however the job ends.
pub(crate) struct Seat {
    ring: Arc<Ring>,
    lane: Arc<str>,
    org: Option<OrgId>,
    place: Place,
}

impl Seat {
    /// Takes over the room that [`Ring::take`] reserved and [`Ring::settle`] confirms.
    pub(crate) fn new(ring: &Arc<Ring>, lane: &str, org: Option<OrgId>) -> Self {
        ring.lanes().seated(lane, org);
        Self {
            ring: Arc::clone(ring),
            lane: lane.into(),
            org,
            place: Place::Claimed,
        }
    }

    /// Waits until the job may begin; false when it had better go back, because its lane is in trouble. A wait that was
    /// broken off goes on where it was.
    pub(crate) async fn turn(&mut self) -> bool {
        if matches!(self.place, Place::Claimed) {
            let (turn, told) = oneshot::channel();
            self.place = Place::Waiting(told);
            self.ring.change(|lanes| lanes.wait(&self.lane, self.org, turn));
        }
        if let Place::Waiting(told) = &mut self.place {
            self.place = match told.await {
                Ok(slot) => Place::Running {
                    slot,
                    since: Instant::now(),
                    result: None,
                },
                Err(_) => Place::Claimed,
            };
        }
        matches!(self.place, Place::Running { .. })
    }

    /// Notes how the job ended, now.
    pub(crate) fn ended(&mut self, omen: Omen) {
        if let Place::Running { since, result, .. } = &mut self.place {
            *result = Some((omen, since.elapsed()));
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Self { ring, lane, org, place } = self;
        ring.change(|lanes| match place {
            Place::Claimed => lanes.given_up(lane, *org),
            Place::Waiting(told) => {
                // Closed first: a turn that comes later would be given to nobody.
                told.close();
                match told.try_recv() {
                    Ok(slot) => lanes.ended(lane, *org, slot, None),
                    Err(_) => lanes.given_up(lane, *org),
                }
            }
            Place::Running { slot, since: _, result } => lanes.ended(lane, *org, *slot, *result),
        });
    }
}

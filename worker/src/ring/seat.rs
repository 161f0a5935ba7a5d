//! The place of one claimed job in its ring.

use std::sync::Arc;
use std::time::Duration;

use domain::kernel::id::OrgId;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::lanes::Slot;
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
        Self {
            ring: Arc::clone(ring),
            lane: lane.into(),
            org,
            place: Place::Claimed,
        }
    }

    /// Waits until the job may begin. A wait that was broken off goes on where it was.
    pub(crate) async fn turn(&mut self) {
        if matches!(self.place, Place::Claimed) {
            let (turn, told) = oneshot::channel();
            self.place = Place::Waiting(told);
            self.ring.lanes().wait(&self.lane, self.org, turn);
        }
        let Place::Waiting(told) = &mut self.place else { return };
        self.place = match told.await {
            Ok(slot) => Place::Running {
                slot,
                since: Instant::now(),
                result: None,
            },
            // The ring gives every turn that is asked for.
            Err(_) => Place::Claimed,
        };
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
        let mut lanes = self.ring.lanes();
        match &mut self.place {
            Place::Claimed => lanes.given_up(&self.lane),
            Place::Waiting(told) => {
                // Closed first: a turn that comes later would be given to nobody.
                told.close();
                match told.try_recv() {
                    Ok(slot) => lanes.ended(&self.lane, self.org, slot, None),
                    Err(_) => lanes.given_up(&self.lane),
                }
            }
            Place::Running { slot, since: _, result } => lanes.ended(&self.lane, self.org, *slot, *result),
        }
        drop(lanes);
        self.ring.wake.notify_one();
    }
}

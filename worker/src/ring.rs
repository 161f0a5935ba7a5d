//! Lanes that have work, served in turn. One ring serves one kind of job and holds the slots of that kind, so that
//! no kind starves another and no lane starves its neighbours.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Jobs of one lane in one claim at most.
const CLAIM_PER_LANE: usize = 16;

/// What is known of one lane; forgotten as soon as there is nothing to know.
#[derive(Default)]
struct Lane {
    /// Jobs taken and not yet ended.
    running: usize,
    /// Whether it may have due jobs that nobody asked for yet.
    is_rung: bool,
    is_queued: bool,
}

struct Lanes {
    free: usize,
    window: usize,
    queue: VecDeque<String>,
    known: HashMap<String, Lane>,
}

impl Lanes {
    /// Puts a rung lane at the end of the queue if it has room in its window; otherwise its next ended job does.
    fn enqueue(&mut self, name: &str) {
        let Some(lane) = self.known.get_mut(name) else { return };
        if lane.is_rung && !lane.is_queued && lane.running < self.window {
            lane.is_queued = true;
            self.queue.push_back(name.to_owned());
        } else if !lane.is_rung && !lane.is_queued && lane.running == 0 {
            self.known.remove(name);
        }
    }

    fn end(&mut self, name: &str, jobs: usize) {
        self.free += jobs;
        if let Some(lane) = self.known.get_mut(name) {
            lane.running = lane.running.saturating_sub(jobs);
        }
        self.enqueue(name);
    }
}

/// The ring of one kind of job.
pub(crate) struct Ring {
    lanes: Mutex<Lanes>,
    wake: Notify,
}

impl Ring {
    /// `slots` jobs at once in all, `window` of one lane.
    pub(crate) fn new(slots: usize, window: usize) -> Self {
        Self {
            lanes: Mutex::new(Lanes {
                free: slots,
                window,
                queue: VecDeque::new(),
                known: HashMap::new(),
            }),
            wake: Notify::new(),
        }
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a lane has work. Noted twice is noted once.
    pub(crate) fn rung(&self, name: &str) {
        let mut lanes = self.lanes();
        lanes.known.entry(name.to_owned()).or_default().is_rung = true;
        lanes.enqueue(name);
        drop(lanes);
        self.wake.notify_one();
    }

    /// Waits until there is a lane to serve and a slot to serve it with. For one waiter.
    pub(crate) async fn ready(&self) {
        loop {
            let is_ready = {
                let lanes = self.lanes();
                lanes.free > 0 && !lanes.queue.is_empty()
            };
            if is_ready {
                return;
            }
            self.wake.notified().await;
        }
    }

    /// Takes up to `max` lanes and reserves slots for the number of jobs to claim of each. The free slots are shared
    /// among the lanes taken, so that the first is not given what the others wait for.
    pub(crate) fn take(&self, max: usize) -> Vec<(String, u32)> {
        let mut lanes = self.lanes();
        let taken = lanes.queue.len().min(max);
        let share = lanes.free.checked_div(taken).unwrap_or(0).max(1);
        let mut asked = Vec::with_capacity(taken);
        while asked.len() < taken && lanes.free > 0 {
            let Some(name) = lanes.queue.pop_front() else { break };
            let (free, window) = (lanes.free, lanes.window);
            let Some(lane) = lanes.known.get_mut(&name) else {
                continue;
            };
            let room = window.saturating_sub(lane.running);
            let jobs = room.min(CLAIM_PER_LANE).min(share).min(free);
            lane.is_queued = false;
            lane.is_rung = false;
            lane.running += jobs;
            lanes.free -= jobs;
            asked.push((name, u32::try_from(jobs).unwrap_or(u32::MAX)));
        }
        asked
    }

    /// Gives back the slots that a claim left unused. A lane that gave all it was asked for may have more.
    pub(crate) fn settle(&self, name: &str, asked: u32, claimed: u32) {
        let mut lanes = self.lanes();
        if claimed >= asked
            && let Some(lane) = lanes.known.get_mut(name)
        {
            lane.is_rung = true;
        }
        lanes.end(name, unused(asked, claimed));
        drop(lanes);
        self.wake.notify_one();
    }

    /// Gives back the slots of a claim that failed; the lane is asked again.
    pub(crate) fn put_back(&self, name: &str, asked: u32) {
        let mut lanes = self.lanes();
        if let Some(lane) = lanes.known.get_mut(name) {
            lane.is_rung = true;
        }
        lanes.end(name, unused(asked, 0));
    }

    /// Jobs that hold a slot.
    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        self.lanes().free
    }
}

fn unused(asked: u32, claimed: u32) -> usize {
    usize::try_from(asked.saturating_sub(claimed)).unwrap_or(0)
}

/// The slot of one claimed job, given back when dropped, however the job ends.
pub(crate) struct Seat {
    ring: Arc<Ring>,
    lane: String,
}

impl Seat {
    /// Takes over a slot that [`Ring::take`] reserved.
    pub(crate) fn new(ring: &Arc<Ring>, lane: &str) -> Self {
        Self {
            ring: Arc::clone(ring),
            lane: lane.to_owned(),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.ring.lanes().end(&self.lane, 1);
        self.ring.wake.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(ring: &Ring) -> Vec<(String, u32)> {
        ring.take(64)
    }

    fn lane(name: &str, jobs: u32) -> (String, u32) {
        (name.to_owned(), jobs)
    }

    #[test]
    fn a_lane_rung_often_is_served_once() {
        let ring = Ring::new(16, 8);
        for name in ["a", "b", "a", "a"] {
            ring.rung(name);
        }
        assert_eq!(asked(&ring), [lane("a", 8), lane("b", 8)]);
        assert!(asked(&ring).is_empty());
    }

    #[test]
    fn free_slots_are_shared_among_the_lanes() {
        let ring = Ring::new(8, 8);
        for name in ["a", "b", "c", "d"] {
            ring.rung(name);
        }
        assert_eq!(asked(&ring), [lane("a", 2), lane("b", 2), lane("c", 2), lane("d", 2)]);
        ring.rung("e");
        assert!(asked(&ring).is_empty(), "no slot is free");
    }

    #[test]
    fn a_full_lane_waits_for_one_of_its_jobs_and_lets_others_pass() {
        let ring = Arc::new(Ring::new(64, 2));
        ring.rung("a");
        assert_eq!(asked(&ring), [lane("a", 2)]);
        let seats = [Seat::new(&ring, "a"), Seat::new(&ring, "a")];
        ring.settle("a", 2, 2);
        ring.rung("b");
        assert_eq!(asked(&ring), [lane("b", 2)]);
        drop(seats);
        assert_eq!(asked(&ring), [lane("a", 2)]);
    }

    #[test]
    fn a_lane_with_more_goes_to_the_end() {
        let ring = Ring::new(64, 32);
        ring.rung("a");
        ring.rung("b");
        assert_eq!(ring.take(1), [lane("a", 16)]);
        ring.settle("a", 16, 16);
        let order: Vec<String> = asked(&ring).into_iter().map(|(name, _)| name).collect();
        assert_eq!(order, ["b", "a"]);
    }

    #[test]
    fn slots_that_a_claim_left_unused_come_back_and_idle_lanes_are_forgotten() {
        let ring = Arc::new(Ring::new(10, 8));
        ring.rung("a");
        assert_eq!(asked(&ring), [lane("a", 8)]);
        let seat = Seat::new(&ring, "a");
        ring.settle("a", 8, 1);
        assert_eq!(ring.free(), 9);
        drop(seat);
        assert_eq!(ring.free(), 10);
        assert!(ring.lanes().known.is_empty());
        ring.rung("a");
        let _ = asked(&ring);
        ring.put_back("a", 8);
        assert_eq!(asked(&ring), [lane("a", 8)]);
    }

    #[tokio::test]
    async fn whoever_waits_is_woken() {
        let ring = Arc::new(Ring::new(1, 8));
        ring.rung("a");
        let _ = asked(&ring);
        let seat = Seat::new(&ring, "a");
        ring.rung("a");
        let waiting = tokio::spawn({
            let ring = Arc::clone(&ring);
            async move { ring.ready().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(seat);
        waiting.await.unwrap();
    }
}

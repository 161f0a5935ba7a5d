use std::sync::Arc;
use std::time::Duration;

use domain::kernel::id::OrgId;
use sea_orm::prelude::Uuid;

use super::*;

fn plain(slots: usize, per_lane: usize) -> Arc<Ring> {
    Arc::new(Ring::new(Limits::plain(slots, per_lane)))
}

fn adaptive(slots: usize, per_lane: usize) -> Arc<Ring> {
    Arc::new(Ring::new(Limits::adaptive(slots, per_lane)))
}

fn lane(name: &str, jobs: u32) -> (String, u32) {
    (name.to_owned(), jobs)
}

fn news(claimed: u32, may_have_more: bool) -> LaneNews {
    LaneNews {
        claimed,
        may_have_more,
        ..LaneNews::default()
    }
}

fn org(n: u128) -> OrgId {
    OrgId(Uuid::from_u128(n))
}

/// Rings a lane and claims `jobs` of it, as if it had no more.
fn claim(ring: &Arc<Ring>, name: &str, of: Option<OrgId>, jobs: u32) -> Vec<Seat> {
    ring.rung(name);
    let asked = ring.take(1);
    assert_eq!(asked.len(), 1, "{name} is asked");
    ring.settle(name, asked[0].1, &news(jobs, false));
    (0..jobs).map(|_| Seat::new(ring, name, of)).collect()
}

/// Whether a job may begin at once.
async fn begins(seat: &mut Seat) -> bool {
    tokio::time::timeout(Duration::ZERO, seat.turn()).await == Ok(true)
}

#[tokio::test]
async fn a_lane_rung_often_is_served_once() {
    let ring = plain(16, 8);
    for name in ["a", "b", "a", "a"] {
        ring.rung(name);
    }
    assert_eq!(ring.take(64), [lane("a", 8), lane("b", 8)]);
    assert!(ring.take(64).is_empty());
}

#[tokio::test]
async fn room_is_shared_among_the_lanes() {
    let ring = plain(8, 8);
    for name in ["a", "b", "c", "d"] {
        ring.rung(name);
    }
    assert_eq!(ring.take(64), [lane("a", 2), lane("b", 2), lane("c", 2), lane("d", 2)]);
    ring.rung("e");
    assert!(ring.take(64).is_empty(), "there is no room");
}

#[tokio::test]
async fn a_full_lane_waits_for_one_of_its_jobs_and_lets_others_pass() {
    let ring = plain(64, 2);
    ring.rung("a");
    assert_eq!(ring.take(64), [lane("a", 2)]);
    ring.settle("a", 2, &news(2, true));
    let seats = [Seat::new(&ring, "a", None), Seat::new(&ring, "a", None)];
    ring.rung("b");
    assert_eq!(ring.take(64), [lane("b", 2)]);
    drop(seats);
    assert_eq!(ring.take(64), [lane("a", 2)]);
}

#[tokio::test]
async fn a_lane_with_more_goes_to_the_end() {
    let ring = plain(64, 16);
    ring.rung("a");
    ring.rung("b");
    assert_eq!(ring.take(1), [lane("a", 16)]);
    ring.settle("a", 16, &news(1, true));
    let order: Vec<String> = ring.take(64).into_iter().map(|(name, _)| name).collect();
    assert_eq!(order, ["b", "a"]);
}

#[tokio::test]
async fn what_a_claim_left_unused_comes_back_and_idle_lanes_are_forgotten() {
    let ring = plain(10, 8);
    let mut seats = claim(&ring, "a", Some(org(1)), 1);
    assert_eq!(ring.room(), 9);
    assert!(begins(&mut seats[0]).await);
    drop(seats);
    assert_eq!(ring.room(), 10);
    assert!(ring.lanes().knows_nothing());
    ring.rung("a");
    let _ = ring.take(64);
    ring.put_back("a", 8);
    assert_eq!(ring.take(64), [lane("a", 8)]);
}

#[tokio::test]
async fn so_many_jobs_of_a_lane_run_at_once_as_its_window_allows() {
    let ring = adaptive(64, 32);
    let mut seats = claim(&ring, "a", None, 4);
    for seat in &mut seats {
        assert!(begins(seat).await);
    }
    let mut fifth = Seat::new(&ring, "a", None);
    assert!(!begins(&mut fifth).await);
    drop(fifth);
    // Four good results make room for four more.
    for mut seat in seats {
        seat.ended(Omen::Good);
    }
    ring.rung("a");
    assert!(ring.take(1)[0].1 > 8, "a quick lane is claimed ahead");
    let mut seats: Vec<Seat> = (0..10).map(|_| Seat::new(&ring, "a", None)).collect();
    let mut running = 0;
    for seat in &mut seats {
        running += usize::from(begins(seat).await);
    }
    assert_eq!(running, 8);
}

#[tokio::test]
async fn a_turn_that_nobody_waits_for_goes_to_the_next() {
    let ring = plain(1, 8);
    let mut seats = claim(&ring, "a", None, 1);
    let mut first = seats.remove(0);
    assert!(begins(&mut first).await);
    let (mut second, mut third) = (Seat::new(&ring, "b", None), Seat::new(&ring, "c", None));
    assert!(!begins(&mut second).await && !begins(&mut third).await);
    drop(second);
    drop(first);
    assert!(begins(&mut third).await);
}

#[tokio::test]
async fn an_organisation_holds_no_more_than_its_share() {
    let ring = adaptive(64, 4);
    let mut ours = Vec::new();
    for name in ["a", "b", "c"] {
        ours.extend(claim(&ring, name, Some(org(1)), 4));
    }
    let mut running = 0;
    for seat in &mut ours {
        running += usize::from(begins(seat).await);
    }
    assert_eq!(running, 8, "an eighth of all slots");
    let mut theirs = claim(&ring, "z", Some(org(2)), 1);
    assert!(begins(&mut theirs[0]).await);
    assert!(!begins(&mut ours[8]).await);
    ours.remove(0);
    assert!(
        begins(&mut ours[7]).await,
        "one ended, and the first that waited begins"
    );
    assert!(!begins(&mut ours[8]).await);
}

#[tokio::test]
async fn an_organisation_does_not_fill_the_room_with_what_waits() {
    // Room for 64, an eighth of it for what waits of one organisation.
    let ring = adaptive(8, 8);
    let mut ours = Vec::new();
    for name in ["a", "b", "c", "d"] {
        ours.extend(claim(&ring, name, Some(org(1)), 4));
    }
    ring.rung("a");
    assert!(ring.take(1).is_empty(), "sixteen wait");
    ring.rung("e");
    assert_eq!(ring.take(1).len(), 1, "nobody knows whose it is");
    drop(ours);
    assert_eq!(ring.take(1), [lane("a", 4)]);
}

#[tokio::test(start_paused = true)]
async fn slow_lanes_have_slots_of_their_own() {
    let ring = adaptive(8, 8);
    // It shows to be slow.
    let mut seats = claim(&ring, "slow", None, 1);
    assert!(begins(&mut seats[0]).await);
    tokio::time::advance(Duration::from_secs(20)).await;
    seats[0].ended(Omen::Bad);
    drop(seats);
    let mut slow = claim(&ring, "slow", None, 2);
    assert!(begins(&mut slow[0]).await && begins(&mut slow[1]).await);
    let mut slower = claim(&ring, "slower", None, 1);
    assert!(begins(&mut slower[0]).await);
    tokio::time::advance(Duration::from_secs(20)).await;
    slower[0].ended(Omen::Bad);
    drop(slower);
    let mut slower = claim(&ring, "slower", None, 1);
    assert!(!begins(&mut slower[0]).await, "both slow slots are taken");
    let mut quick = Vec::new();
    for name in ["a", "b"] {
        quick.extend(claim(&ring, name, None, 3));
    }
    for seat in &mut quick {
        assert!(begins(seat).await, "six slots are for the others");
    }
}

#[tokio::test]
async fn what_was_claimed_of_a_lane_in_trouble_goes_back() {
    let ring = adaptive(64, 32);
    let mut seats = claim(&ring, "a", None, 4);
    for seat in &mut seats {
        assert!(begins(seat).await);
    }
    let mut waiting = Seat::new(&ring, "a", None);
    assert!(!begins(&mut waiting).await);
    for mut seat in seats {
        seat.ended(Omen::Bad);
    }
    // Four failures halved the window: two may run.
    let mut second = Seat::new(&ring, "a", None);
    assert!(begins(&mut waiting).await && begins(&mut second).await);
    let mut behind = Seat::new(&ring, "a", None);
    assert!(!begins(&mut behind).await);
    waiting.ended(Omen::Bad);
    drop(waiting);
    assert!(!behind.turn().await, "it is told to go back");
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_is_held_is_claimed_from_when_its_time_has_come() {
    let ring = adaptive(8, 8);
    ring.rung("a");
    let asked = ring.take(1);
    let held = LaneNews {
        held: Some(Duration::from_millis(300)),
        ..LaneNews::default()
    };
    ring.settle("a", asked[0].1, &held);
    ring.rung("a");
    assert!(ring.take(1).is_empty());
    let since = tokio::time::Instant::now();
    ring.ready().await;
    assert!(since.elapsed() >= Duration::from_millis(300));
    assert_eq!(ring.take(1).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn lanes_with_jobs_left_to_begin_are_claimed_from_together() {
    let ring = adaptive(64, 32);
    for mut seat in claim(&ring, "a", None, 4) {
        assert!(begins(&mut seat).await);
        seat.ended(Omen::Good);
    }
    // It is quick, so much of it is claimed ahead.
    ring.rung("a");
    let asked = ring.take(1)[0].1;
    assert_eq!(asked, 64);
    ring.settle("a", asked, &news(asked, true));
    let mut seats: Vec<Seat> = (0..asked).map(|_| Seat::new(&ring, "a", None)).collect();
    for mut seat in seats.drain(..40) {
        assert!(begins(&mut seat).await);
        seat.ended(Omen::Good);
    }
    let since = tokio::time::Instant::now();
    ring.ready().await;
    assert!(since.elapsed() >= lanes::TOGETHER);
    let asked = ring.take(1)[0].1;
    assert_eq!(asked, 40);
    ring.settle("a", asked, &news(0, false));
    ring.rung("b");
    let at_once = tokio::time::timeout(Duration::ZERO, ring.ready()).await;
    assert!(at_once.is_ok(), "whoever has nothing does not wait for others");
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_runs_out_while_it_waits_for_others_waits_no_longer() {
    let ring = adaptive(64, 1);
    for mut seat in claim(&ring, "a", None, 1) {
        assert!(begins(&mut seat).await);
        seat.ended(Omen::Good);
    }
    ring.rung("a");
    let asked = ring.take(1)[0].1;
    ring.settle("a", asked, &news(2, true));
    let (mut first, mut second) = (Seat::new(&ring, "a", None), Seat::new(&ring, "a", None));
    assert!(begins(&mut first).await);
    let waiting = async {
        let since = tokio::time::Instant::now();
        ring.ready().await;
        since.elapsed()
    };
    let running_out = async {
        drop(first);
        begins(&mut second).await
    };
    let (waited, has_begun) = tokio::join!(waiting, running_out);
    assert!(has_begun && waited < lanes::TOGETHER, "{waited:?}");
}

#[tokio::test]
async fn an_ordered_lane_gives_one_job_after_the_other() {
    let ring = adaptive(64, 32);
    ring.rung("a");
    let asked = ring.take(1);
    let one = LaneNews {
        claimed: 1,
        may_have_more: true,
        one_by_one: true,
        ..LaneNews::default()
    };
    ring.settle("a", asked[0].1, &one);
    let seat = Seat::new(&ring, "a", None);
    ring.rung("a");
    assert!(ring.take(1).is_empty(), "its first job has not ended");
    drop(seat);
    assert_eq!(ring.take(1), [lane("a", 1)]);
}

#[tokio::test]
async fn whoever_waits_is_woken() {
    let ring = plain(1, 8);
    ring.rung("a");
    let asked = ring.take(64);
    ring.settle("a", asked[0].1, &news(1, false));
    let seat = Seat::new(&ring, "a", None);
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

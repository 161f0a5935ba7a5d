//! Stopping: nothing twice, nothing lost, nothing left running.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use domain::jobs::{self, AttemptLog, Bell, Finished, JobState, LEASE, LaneNews, Verdict};
use domain::kernel::{Clock, Reads, Timestamp};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::sink::{Answer, Received, Sink};
use super::world::{World, until};
use crate::finisher::{Finisher, Kept};
use crate::ring::{Limits, Omen, Ring, Seat};
use crate::run::{Runner, Taken};

#[tokio::test]
async fn stopping_under_load_leaves_nothing_running_and_sends_nothing_twice() {
    let world = World::new().await;
    let slow = |_| Answer {
        wait: Duration::from_millis(20),
        ..Answer::status(200)
    };
    let sink = Sink::start(slow).await;
    for _ in 0..5 {
        world.webhook(&sink.url).await;
    }
    let lanes = world.emit(40).await;
    let mut before = 0;
    for round in 1..=3 {
        let worker = world.start("one of many");
        world.bell.ring(&lanes).await;
        until(async || sink.hits() > before + 20).await;
        worker.stop().await;
        assert_eq!(world.count("webhook", JobState::Running).await, 0, "round {round}");
        let done = world.count("webhook", JobState::Done).await;
        assert_eq!(done, sink.hits(), "round {round}");
        assert!(done < 200, "it was stopped under load");
        before = done;
    }
    let worker = world.start("the last");
    world.wait_for("webhook", JobState::Done, 200).await;
    worker.stop().await;
    assert_eq!(sink.hits(), 200);
    let events: BTreeSet<String> = sink.seen().iter().map(Received::id).collect();
    assert_eq!(events.len(), 40);
    let jobs = world.jobs("webhook").await;
    assert!(jobs.iter().all(|job| job.attempt == 1 && job.crashes == 0));
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_changes_nothing_any_more() {
    let clock = Clock::manual(Timestamp::parse("2030-01-02T03:04:05Z").unwrap());
    let world = World::with_clock(clock).await;
    let sink = Sink::start(|turn| Answer {
        is_held: turn == 0,
        ..Answer::status(if turn == 0 { 500 } else { 200 })
    })
    .await;
    world.webhook(&sink.url).await;
    world.emit(1).await;
    let worker = world.start("one");
    until(async || sink.hits() == 1).await;
    world.db.clock().advance(LEASE + Duration::from_secs(1));
    world.wait_for("webhook", JobState::Done, 1).await;
    sink.let_go();
    let job = &world.jobs("webhook").await[0];
    until(async || world.attempts(job).await.len() == 3).await;
    worker.stop().await;
    let mut outcomes = world.outcomes(job).await;
    outcomes.sort();
    assert_eq!(outcomes, ["ok", "stale", "worker_lost"]);
    assert_eq!(&world.jobs("webhook").await[0], job);
}

#[tokio::test]
async fn the_result_of_a_job_that_is_gone_holds_up_no_other() {
    let world = World::new().await;
    world.webhook("https://example.com/").await;
    let lanes = world.emit(2).await;
    let claimed = world.steal(&lanes).await;
    let gone = claimed[0].job.id;
    for table in ["job_leases WHERE job_id", "jobs WHERE id"] {
        world
            .sql(&format!("DELETE FROM {table} = x'{}'", gone.0.simple()))
            .await;
    }
    let result = |taken: &Taken| Finished {
        job_id: taken.job.id,
        lease_id: taken.job.lease_id,
        n: 1,
        started_at: world.db.now(),
        verdict: Verdict::Done,
        is_trial: false,
        log: AttemptLog {
            outcome: "ok",
            ..AttemptLog::default()
        },
    };
    let results: Vec<Finished> = claimed.iter().map(result).collect();
    assert_eq!(
        jobs::finish(&world.db, "one", &results).await.unwrap(),
        1,
        "one came too late"
    );
    let left = world.jobs("webhook").await;
    assert_eq!((left.len(), left[0].state), (1, JobState::Done.as_i32()));
    assert_eq!(world.outcomes(&left[0]).await, ["ok"]);
}

#[tokio::test]
async fn what_was_claimed_and_not_begun_goes_back_unused() {
    let world = World::new().await;
    let sink = Sink::start(|_| Answer::status(200)).await;
    world.webhook(&sink.url).await;
    let lanes = world.emit(3).await;
    let shutdown = CancellationToken::new();
    let (runner, incoming) = runner(&world, &shutdown);
    let claimed = world.steal(&lanes).await;
    assert_eq!(world.count("webhook", JobState::Running).await, 3);
    shutdown.cancel();
    runner.start(claimed);
    runner.tasks.close();
    runner.tasks.wait().await;
    drop(runner);
    let finisher = Finisher {
        db: world.db.clone(),
        name: "one".to_owned(),
        metrics: world.metrics(),
    };
    finisher.run(incoming).await;
    let jobs = world.jobs("webhook").await;
    assert!(world.outcomes(&jobs[0]).await.is_empty(), "nothing is logged");
    let is_unused = |job: &domain::jobs::entity::job::Model| job.state == 0 && job.attempt == 0 && job.crashes == 0;
    assert!(jobs.len() == 3 && jobs.iter().all(is_unused), "{jobs:?}");
    assert_eq!(sink.hits(), 0);
}

#[tokio::test]
async fn what_goes_back_unbegun_does_not_make_a_slow_lane_quick() {
    let world = World::new().await;
    world.webhook("https://example.com/").await;
    let lanes = world.emit(8).await;
    let (runner, _incoming) = runner(&world, &CancellationToken::new());
    // Two slots for what is slow, six for the others.
    let ring = Arc::new(Ring::new(Limits::adaptive(8, 8)));
    let seats = |count: u32| -> Vec<Seat> {
        ring.rung("lane");
        let asked = ring.take(1);
        let claimed = LaneNews {
            claimed: count,
            ..LaneNews::default()
        };
        ring.settle("lane", asked[0].1, &claimed);
        (0..count).map(|_| Seat::new(&ring, "lane", None)).collect()
    };
    let mut first = seats(1).remove(0);
    assert!(first.turn().await);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    first.ended(Omen::Good);
    drop(first);
    // Slots come, but so late that others may have a better use for these.
    for taken in world.steal(&lanes).await {
        let late = Taken {
            at: taken.at - Duration::from_secs(6),
            seat: seats(1).remove(0),
            ..taken
        };
        let work = Box::pin(async { panic!("it is not begun") });
        Arc::clone(&runner).run_one(late, work).await;
    }
    let mut begun = 0;
    let mut three = seats(3);
    for seat in &mut three {
        begun += u32::from(tokio::time::timeout(Duration::ZERO, seat.turn()).await == Ok(true));
    }
    assert_eq!(begun, 2, "it is still slow");
}

/// A runner without a worker around it, and where its results arrive.
fn runner(world: &World, shutdown: &CancellationToken) -> (Arc<Runner>, mpsc::Receiver<Kept>) {
    let (results, incoming) = mpsc::channel(16);
    let runner = Runner::new(
        world.db.clone(),
        world.handlers(),
        results,
        world.metrics(),
        shutdown.clone(),
    );
    (Arc::new(runner), incoming)
}

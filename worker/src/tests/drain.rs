//! Stopping: nothing twice, nothing lost, nothing left running.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use domain::jobs::{self, AttemptLog, Bell, Finished, JobState, LEASE, Verdict};
use domain::kernel::{Clock, Reads, Timestamp};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::sink::{Answer, Received, Sink};
use super::world::{World, until};
use crate::finisher::Finisher;
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
    let (results, incoming) = mpsc::channel(8);
    let shutdown = CancellationToken::new();
    let runner = Arc::new(Runner::new(
        world.db.clone(),
        world.handlers(),
        results,
        world.metrics(),
        shutdown.clone(),
    ));
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

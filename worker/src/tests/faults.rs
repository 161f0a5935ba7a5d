//! Jobs that are broken, handlers that panic, a database that takes no results.

use std::sync::Arc;
use std::time::Duration;

use domain::jobs::{JobState, Verdict, claim};
use domain::kernel::Error;
use sea_orm::{ConnAcquireErr, DbErr};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::sink::{Answer, Sink};
use super::world::{World, until};
use crate::finisher::Finisher;
use crate::ring::{Limits, Ring, Seat};
use crate::run::{Ending, Runner, Taken};

#[tokio::test]
async fn an_unreadable_payload_is_dead_at_once_and_its_lane_goes_on() {
    let world = World::new().await;
    let sink = Sink::start(|_| Answer::status(200)).await;
    world.webhook(&sink.url).await;
    world.emit(1).await;
    world
        .sql("UPDATE jobs SET payload = '{\"job\":\"from_the_future\"}' WHERE kind = 'webhook'")
        .await;
    world.emit(1).await;
    let worker = world.start("one");
    world.wait_for("webhook", JobState::Done, 1).await;
    world.wait_for("webhook", JobState::Dead, 1).await;
    worker.stop().await;
    let jobs = world.jobs("webhook").await;
    let dead = jobs.iter().find(|job| job.state == JobState::Dead.as_i32()).unwrap();
    assert_eq!(world.outcomes(dead).await, ["poison"]);
    assert_eq!(sink.hits(), 1);
}

#[tokio::test]
async fn a_panic_is_an_attempt_and_gives_its_slot_back() {
    let world = World::new().await;
    let sink = Sink::start(|_| Answer::status(200)).await;
    world.webhook(&sink.url).await;
    let lanes = world.emit(1).await;
    let (results, incoming) = mpsc::channel(8);
    let runner = Arc::new(Runner::new(
        world.db.clone(),
        world.handlers(),
        results,
        world.metrics(),
        CancellationToken::new(),
    ));
    let ring = Arc::new(Ring::new(Limits::plain(1, 8)));
    ring.rung(&lanes[0]);
    let asked = ring.take(1);
    let mut claim = claim(&world.db, &asked, "one").await.unwrap();
    let job = claim.jobs.remove(0);
    ring.settle(&job.lane, 1, &claim.lanes[&job.lane]);
    let at = world.db.queue_now();
    let taken = Taken {
        at,
        claimed_at: Instant::now(),
        seat: Seat::new(&ring, &job.lane, job.org_id),
        one_by_one: false,
        is_timed: false,
        job,
    };
    let work = Box::pin(async { panic!("on purpose") });
    Arc::clone(&runner).run_one(taken, work).await;
    drop(runner);
    assert_eq!(ring.room(), 1);
    let finisher = Finisher {
        db: world.db.clone(),
        name: "one".to_owned(),
        metrics: world.metrics(),
    };
    finisher.run(incoming).await;
    let job = &world.jobs("webhook").await[0];
    assert_eq!((job.state, job.attempt), (JobState::Ready.as_i32(), 1));
    assert!(job.next_at > at + Duration::from_secs(3));
    assert_eq!(world.outcomes(job).await, ["panic"]);
}

#[tokio::test]
async fn results_are_kept_while_the_database_takes_none() {
    let world = World::new().await;
    let sink = Sink::start(|_| Answer::status(200)).await;
    world.webhook(&sink.url).await;
    world.emit(5).await;
    world.sql("ALTER TABLE job_attempts RENAME TO away").await;
    let worker = world.start("one");
    until(async || sink.hits() == 5).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.count("webhook", JobState::Running).await, 5);
    world.sql("ALTER TABLE away RENAME TO job_attempts").await;
    world.wait_for("webhook", JobState::Done, 5).await;
    worker.stop().await;
    assert_eq!(sink.hits(), 5);
}

#[tokio::test]
async fn a_database_that_is_away_costs_a_job_no_try() {
    let world = World::new().await;
    world.webhook("http://127.0.0.1:65000/").await;
    let lanes = world.emit(1).await;
    let job = world.steal(&lanes).await.remove(0).job;
    let away = Error::Db(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout));
    let put_off = Ending::failed(&world.db, &job, &away);
    assert!(matches!(put_off.verdict, Verdict::Continue(at) if at > world.db.queue_now()));
    let broken = Error::internal("it does not add up");
    let tried_again = Ending::failed(&world.db, &job, &broken);
    assert!(matches!(tried_again.verdict, Verdict::Retry(_)));
}

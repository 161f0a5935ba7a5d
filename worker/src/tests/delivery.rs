//! Deliveries: once, signed, retried by schedule, and given up when told so.

use std::time::Duration;

use domain::jobs::{Bell, JobState, LEASE};
use domain::journal::entity::event;
use domain::kernel::{Clock, Reads, Timestamp};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use standardwebhooks::Webhook;

use super::sink::{Answer, Sink};
use super::world::{World, until};
use crate::run::Step;

fn manual() -> Clock {
    Clock::manual(Timestamp::parse("2030-01-02T03:04:05Z").unwrap())
}

#[tokio::test]
async fn a_rung_event_is_delivered_once_and_the_official_library_accepts_its_signature() {
    let world = World::new().await;
    let sink = Sink::start(|_| Answer::status(204)).await;
    let (_, secret) = world.webhook(&sink.url).await;
    let worker = world.start("one");
    let lanes = world.emit(3).await;
    world.bell.ring(&lanes).await;
    world.wait_for("webhook", JobState::Done, 3).await;
    worker.stop().await;
    let receiver = Webhook::new(secret.expose()).unwrap();
    let mut events: Vec<String> = world
        .jobs("webhook")
        .await
        .into_iter()
        .map(|job| job.event_id.unwrap().to_string())
        .collect();
    let mut ids = Vec::new();
    for received in sink.seen() {
        receiver.verify(&received.body, &received.headers).unwrap();
        let body: serde_json::Value = serde_json::from_slice(&received.body).unwrap();
        assert_eq!(body["type"], "org.updated");
        assert_eq!(received.headers["content-type"], "application/json");
        ids.push(received.id());
    }
    ids.sort();
    events.sort();
    assert_eq!(ids, events);
    let job = &world.jobs("webhook").await[0];
    let attempt = &world.attempts(job).await[0];
    assert_eq!(
        (attempt.n, attempt.outcome.as_str(), attempt.status),
        (1, "ok", Some(204))
    );
    assert_eq!(
        (attempt.worker.as_str(), attempt.remote_ip.as_deref()),
        ("one", Some("127.0.0.1"))
    );
    let headers = attempt.response_headers.as_deref().unwrap();
    assert!(headers.contains("text/plain") && !headers.contains("a=b"), "{headers}");
}

#[tokio::test]
async fn an_event_that_nobody_rang_for_is_delivered_by_the_sweeper() {
    let world = World::new().await;
    let sink = Sink::start(|_| Answer::status(200)).await;
    world.webhook(&sink.url).await;
    let worker = world.start("one");
    // After the sweep at the start, so that it is the clockwork that finds it.
    world.wait_for("mail", JobState::Done, 1).await;
    world.emit(1).await;
    world.wait_for("webhook", JobState::Done, 1).await;
    worker.stop().await;
    assert_eq!(sink.hits(), 1);
}

#[tokio::test]
async fn a_ring_is_faster_than_the_sweeper() {
    let world = World::new().await;
    let sink = Sink::start(|_| Answer::status(200)).await;
    world.webhook(&sink.url).await;
    let worker = world.start("one");
    let started = std::time::Instant::now();
    for round in 1..=6 {
        let lanes = world.emit(1).await;
        world.bell.ring(&lanes).await;
        world.wait_for("webhook", JobState::Done, round).await;
    }
    // The sweeper alone would need 0.8 s or more for each but the first.
    assert!(
        started.elapsed() < Duration::from_millis(3500),
        "{:?}",
        started.elapsed()
    );
    worker.stop().await;
}

#[tokio::test]
async fn a_failure_is_tried_again_by_the_schedule_and_not_before() {
    let world = World::with_clock(manual()).await;
    let sink = Sink::start(|turn| Answer::status(if turn == 0 { 500 } else { 200 })).await;
    world.webhook(&sink.url).await;
    world.emit(1).await;
    let start = world.db.now();
    let worker = world.start("one");
    until(async || world.jobs("webhook").await[0].last_outcome.as_deref() == Some("http")).await;
    let job = &world.jobs("webhook").await[0];
    assert_eq!((job.state, job.attempt), (JobState::Ready.as_i32(), 1));
    let wait = job.next_at.since(start).as_secs_f64();
    assert!((4.0..=6.0).contains(&wait), "{wait}");
    world.db.clock().advance(Duration::from_secs(3));
    world.bell.ring(std::slice::from_ref(&job.lane)).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(sink.hits(), 1, "it was not due");
    world.db.clock().advance(Duration::from_secs(4));
    world.wait_for("webhook", JobState::Done, 1).await;
    worker.stop().await;
    assert_eq!(world.outcomes(job).await, ["http", "ok"]);
    let ids: Vec<String> = sink.seen().iter().map(super::sink::Received::id).collect();
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_switched_off_and_asked_no_more() {
    let world = World::new().await;
    let sink = Sink::start(|_| Answer::status(410)).await;
    let (webhook, _) = world.webhook(&sink.url).await;
    world.emit(1).await;
    let worker = world.start("one");
    world.wait_for("webhook", JobState::Dead, 1).await;
    let lanes = world.emit(1).await;
    assert!(lanes.is_empty(), "a webhook that is switched off gets no jobs");
    worker.stop().await;
    assert_eq!(sink.hits(), 1);
    let rows = event::Entity::find()
        .filter(event::Column::Action.eq("webhook.disabled"))
        .filter(event::Column::TargetId.eq(webhook.0))
        .all(world.db.conn())
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].actor_type, "system");
    assert!(rows[0].data.contains("gone"), "{}", rows[0].data);
}

#[tokio::test]
async fn a_lane_with_many_jobs_is_drained_within_its_window() {
    let world = World::new().await;
    let sink = Sink::start(|_| Answer {
        wait: Duration::from_millis(20),
        ..Answer::status(200)
    })
    .await;
    world.webhook(&sink.url).await;
    let lanes = world.emit(100).await;
    let worker = world.start("one");
    world.bell.ring(&lanes).await;
    world.wait_for("webhook", JobState::Done, 100).await;
    worker.stop().await;
    // It begins with four at once and grows to what a lane may have.
    assert_eq!((sink.hits(), sink.peak()), (100, 8));
}

#[tokio::test]
async fn what_changes_between_claim_and_run_counts() {
    let world = World::new().await;
    let sink = Sink::start(|_| Answer::status(200)).await;
    world.webhook(&sink.url).await;
    let lanes = world.emit(1).await;
    world.sql("UPDATE webhooks SET enabled = false").await;
    assert!(
        world.steal(&lanes).await.is_empty(),
        "a job that is held is not claimed"
    );
    world.sql("UPDATE webhooks SET enabled = true").await;
    let taken = world.steal(&lanes).await;
    world.sql("UPDATE webhooks SET enabled = false").await;
    let mut prepared = world.handlers().prepare(taken).await;
    let (taken, step) = prepared.pop().unwrap();
    assert!(matches!(step, Step::Release));
    world.sql("UPDATE webhooks SET deleted_at = 1").await;
    let mut prepared = world.handlers().prepare(vec![taken]).await;
    let (_, step) = prepared.pop().unwrap();
    let Step::End(ending) = step else { panic!("it goes on") };
    assert_eq!(ending.verdict, domain::jobs::Verdict::Cancelled);
}

#[tokio::test]
async fn the_job_of_a_dead_worker_is_taken_back_and_delivered() {
    let world = World::with_clock(manual()).await;
    let sink = Sink::start(|_| Answer::status(200)).await;
    world.webhook(&sink.url).await;
    let lanes = world.emit(1).await;
    assert_eq!(world.steal(&lanes).await.len(), 1);
    let worker = world.start("one");
    world.wait_for("mail", JobState::Done, 1).await;
    assert_eq!(sink.hits(), 0, "the lease still holds");
    world.db.clock().advance(LEASE + Duration::from_secs(1));
    world.wait_for("webhook", JobState::Done, 1).await;
    worker.stop().await;
    let job = &world.jobs("webhook").await[0];
    assert_eq!((job.attempt, job.crashes), (1, 1));
    let attempts = world.attempts(job).await;
    let log: Vec<(i32, &str)> = attempts.iter().map(|row| (row.n, row.outcome.as_str())).collect();
    assert_eq!(log, [(1, "worker_lost"), (2, "ok")]);
}

#[tokio::test]
async fn five_dead_workers_are_enough() {
    let world = World::with_clock(manual()).await;
    let sink = Sink::start(|_| Answer::status(200)).await;
    world.webhook(&sink.url).await;
    let lanes = world.emit(1).await;
    for _ in 0..5 {
        let taken = world.steal(&lanes).await;
        assert!(domain::jobs::begin(&world.db, &taken[0].job).await.unwrap());
        world.db.clock().advance(LEASE + Duration::from_secs(1));
        domain::jobs::sweep(&world.db).await.unwrap();
    }
    let worker = world.start("one");
    world.wait_for("mail", JobState::Done, 1).await;
    worker.stop().await;
    assert_eq!((world.count("webhook", JobState::Dead).await, sink.hits()), (1, 0));
    let dead = &world.jobs("webhook").await[0];
    assert_eq!(world.outcomes(dead).await, ["worker_lost"; 5]);
}

#[tokio::test]
async fn what_a_dead_worker_had_claimed_besides_is_not_to_blame() {
    let world = World::with_clock(manual()).await;
    let sink = Sink::start(|_| Answer::status(200)).await;
    world.webhook(&sink.url).await;
    let lanes = world.emit(3).await;
    for _ in 0..7 {
        assert_eq!(world.steal(&lanes).await.len(), 3);
        world.db.clock().advance(LEASE + Duration::from_secs(1));
        domain::jobs::sweep(&world.db).await.unwrap();
    }
    let jobs = world.jobs("webhook").await;
    assert!(jobs.iter().all(|job| job.crashes == 1 && job.attempt == 0));
    let worker = world.start("one");
    world.wait_for("webhook", JobState::Done, 3).await;
    worker.stop().await;
    let job = &world.jobs("webhook").await[0];
    assert_eq!(world.outcomes(job).await, ["worker_lost", "ok"]);
}

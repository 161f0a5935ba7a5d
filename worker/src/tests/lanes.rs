//! What one endpoint may do to another, and to itself: order, rate, breaker, window.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use domain::jobs::{self, Bell, Claim, JobState, Per, Rate, health};
use domain::kernel::id::WebhookId;
use domain::kernel::{Clock, Timestamp};
use tokio::time::Instant;

use super::sink::{Answer, Received, Sink};
use super::world::{World, until};

fn manual() -> Clock {
    Clock::manual(Timestamp::parse("2030-01-02T03:04:05Z").unwrap())
}

/// The lane of an endpoint.
fn lane(webhook: WebhookId) -> String {
    format!("wh:{}", webhook.0.simple())
}

async fn claim(world: &World, webhook: WebhookId, wanted: u32, worker: &str) -> Claim {
    jobs::claim(&world.db, &[(lane(webhook), wanted)], worker)
        .await
        .unwrap()
}

/// The ids of all events, in the order of the journal.
async fn in_order(world: &World) -> Vec<String> {
    let mut jobs = world.jobs("webhook").await;
    jobs.sort_by_key(|job| job.seq);
    jobs.iter().map(|job| job.event_id.unwrap().to_string()).collect()
}

#[tokio::test]
async fn an_ordered_endpoint_gets_one_event_after_the_other_and_none_passes_one_that_failed() {
    let world = World::with_clock(manual()).await;
    let sink = Sink::start(|turn| Answer {
        wait: Duration::from_millis(5),
        ..Answer::status(if turn == 0 { 500 } else { 200 })
    })
    .await;
    world.webhook_with(&sink.url, true, None).await;
    let lanes = world.emit(8).await;
    let workers = [world.start("one"), world.start("two")];
    world.bell.ring(&lanes).await;
    until(async || world.jobs("webhook").await.iter().any(|job| job.last_outcome.is_some())).await;
    world.bell.ring(&lanes).await;
    tokio::time::sleep(Duration::from_millis(1300)).await;
    assert_eq!(sink.hits(), 1, "the others wait for the first");
    world.db.clock().advance(Duration::from_secs(7));
    world.wait_for("webhook", JobState::Done, 8).await;
    for worker in workers {
        worker.stop().await;
    }
    let mut expected = in_order(&world).await;
    expected.insert(0, expected[0].clone());
    let seen: Vec<String> = sink.seen().iter().map(Received::id).collect();
    assert_eq!((seen, sink.peak()), (expected, 1));
}

#[tokio::test]
async fn an_event_that_was_given_up_lets_the_next_pass() {
    let world = World::new().await;
    let sink = Sink::start(|turn| Answer::status(if turn == 0 { 400 } else { 200 })).await;
    world.webhook_with(&sink.url, true, None).await;
    let lanes = world.emit(3).await;
    world
        .sql("UPDATE jobs SET max_attempts = 1 WHERE kind = 'webhook'")
        .await;
    let worker = world.start("one");
    world.bell.ring(&lanes).await;
    world.wait_for("webhook", JobState::Done, 2).await;
    worker.stop().await;
    assert_eq!(world.count("webhook", JobState::Dead).await, 1);
    let seen: Vec<String> = sink.seen().iter().map(Received::id).collect();
    assert_eq!(seen, in_order(&world).await);
}

#[tokio::test]
async fn the_order_is_that_of_the_journal_and_not_of_the_jobs() {
    let world = World::new().await;
    let (webhook, _) = world.webhook_with("http://127.0.0.1:65000/", true, None).await;
    world.emit(2).await;
    // As if the second had been prepared before the first.
    world
        .sql("UPDATE jobs SET seq = 1000 - seq, next_at = next_at - seq WHERE kind = 'webhook'")
        .await;
    let last = in_order(&world).await;
    let claimed = claim(&world, webhook, 8, "one").await;
    assert_eq!(claimed.jobs.len(), 1);
    assert_eq!(claimed.jobs[0].event_id.unwrap().to_string(), last[0]);
    assert!(
        claim(&world, webhook, 8, "two").await.jobs.is_empty(),
        "its head is taken"
    );
}

#[tokio::test]
async fn a_rate_is_one_for_all_workers() {
    let world = World::with_clock(manual()).await;
    let rate = Rate::checked(4, Per::Second).unwrap();
    let (webhook, _) = world.webhook_with("http://127.0.0.1:65000/", false, rate).await;
    world.emit(10).await;
    let one = claim(&world, webhook, 8, "one").await;
    let waits: Vec<u128> = one.jobs.iter().map(|job| job.wait.as_millis()).collect();
    assert_eq!(waits, [0, 250, 500]);
    let news = one.lanes[&lane(webhook)];
    assert_eq!((news.held, news.is_timed), (Some(Duration::from_millis(250)), true));
    assert!(claim(&world, webhook, 8, "two").await.jobs.is_empty());
    world.db.clock().advance(Duration::from_millis(500));
    let two = claim(&world, webhook, 8, "two").await;
    let waits: Vec<u128> = two.jobs.iter().map(|job| job.wait.as_millis()).collect();
    assert_eq!(waits, [250, 500]);
    // What nobody took is not saved up.
    world.db.clock().advance(Duration::from_hours(1));
    assert_eq!(claim(&world, webhook, 8, "one").await.jobs.len(), 3);
}

#[tokio::test]
async fn an_endpoint_with_a_rate_is_asked_no_faster() {
    let world = World::new().await;
    let sink = Sink::start(|_| Answer::status(200)).await;
    let rate = Rate::checked(20, Per::Second).unwrap();
    world.webhook_with(&sink.url, false, rate).await;
    let lanes = world.emit(20).await;
    let began = Instant::now();
    let workers = [world.start("one"), world.start("two")];
    world.bell.ring(&lanes).await;
    world.wait_for("webhook", JobState::Done, 20).await;
    for worker in workers {
        worker.stop().await;
    }
    // What came late says nothing, and nothing comes early.
    for (received, turn) in sink.seen().iter().zip(0_u32..) {
        let after = received.at - began;
        assert!(after >= Duration::from_millis(50) * turn, "{turn}: {after:?}");
    }
    assert_eq!(sink.hits(), 20);
}

/// An endpoint whose breaker is open, because ten deliveries of twelve failed.
struct Broken {
    world: World,
    sink: Sink,
    webhook: WebhookId,
    is_well: Arc<AtomicBool>,
}

impl Broken {
    async fn new() -> Self {
        let world = World::with_clock(manual()).await;
        let is_well = Arc::new(AtomicBool::new(false));
        let well = Arc::clone(&is_well);
        let sink = Sink::start(move |_| Answer::status(if well.load(Ordering::SeqCst) { 200 } else { 500 })).await;
        let (webhook, _) = world.webhook(&sink.url).await;
        let lanes = world.emit(12).await;
        let worker = world.start("one");
        world.bell.ring(&lanes).await;
        let broken = Self {
            world,
            sink,
            webhook,
            is_well,
        };
        until(async || broken.paused_for().await.is_some()).await;
        worker.stop().await;
        broken
    }

    async fn paused_for(&self) -> Option<Duration> {
        let now = self.world.db.queue_now();
        let healths = health::of(&self.world.db, vec![self.webhook]).await.unwrap();
        let until = healths.get(&self.webhook).and_then(|health| health.paused_until);
        until.map(|until| until.since(now))
    }
}

#[tokio::test]
async fn nothing_is_sent_while_the_breaker_is_open_and_it_outlives_the_worker() {
    let broken = Broken::new().await;
    let (world, sink, webhook) = (&broken.world, &broken.sink, broken.webhook);
    assert!((10..=12).contains(&sink.hits()), "{}", sink.hits());
    let before = sink.hits();
    // Every retry is due, and the breaker is not.
    world.db.clock().advance(Duration::from_secs(7));
    let worker = world.start("two");
    world.bell.ring(&[lane(webhook)]).await;
    tokio::time::sleep(Duration::from_millis(1300)).await;
    assert_eq!(sink.hits(), before);
    worker.stop().await;
    let jobs = world.jobs("webhook").await;
    assert!(jobs.iter().all(|job| job.attempt <= 1), "what waits uses up no attempt");
    let claim = claim(world, webhook, 8, "three").await;
    let held = claim.lanes[&lane(webhook)].held;
    assert_eq!((claim.jobs.len(), held), (0, Some(Duration::from_secs(23))));
}

#[tokio::test]
async fn one_delivery_tries_and_the_others_follow() {
    let broken = Broken::new().await;
    let (world, webhook) = (&broken.world, broken.webhook);
    world.db.clock().advance(Duration::from_secs(31));
    let trial = claim(world, webhook, 8, "one").await;
    assert_eq!(trial.jobs.len(), 1);
    assert!(trial.jobs[0].is_trial && trial.lanes[&lane(webhook)].one_by_one);
    assert!(claim(world, webhook, 8, "two").await.jobs.is_empty(), "one is enough");
    // Its worker died. Another one tries when its lease is over.
    world.db.clock().advance(jobs::LEASE + Duration::from_secs(1));
    broken.is_well.store(true, Ordering::SeqCst);
    let worker = world.start("three");
    world.wait_for("webhook", JobState::Done, 12).await;
    worker.stop().await;
    assert_eq!(broken.paused_for().await, None);
}

#[tokio::test]
async fn a_trial_that_fails_doubles_the_pause() {
    let broken = Broken::new().await;
    assert_eq!(broken.paused_for().await, Some(Duration::from_secs(30)));
    // Past the last one, a pause is not mistaken for the lease of the trial.
    for (after, pause) in [(31, 60), (61, 120), (121, 240)] {
        let before = broken.sink.hits();
        broken.world.db.clock().advance(Duration::from_secs(after));
        let worker = broken.world.start("one");
        until(async || broken.sink.hits() > before).await;
        worker.stop().await;
        assert_eq!(broken.sink.hits(), before + 1);
        assert_eq!(broken.paused_for().await, Some(Duration::from_secs(pause)));
    }
}

#[tokio::test]
async fn a_dead_endpoint_takes_its_window_and_delays_nobody() {
    let world = World::new().await;
    let dead = Sink::start(|_| Answer {
        is_held: true,
        ..Answer::status(200)
    })
    .await;
    let alive = Sink::start(|_| Answer::status(200)).await;
    world.webhook(&dead.url).await;
    world.webhook(&alive.url).await;
    let lanes = world.emit(100).await;
    let worker = world.start("one");
    world.bell.ring(&lanes).await;
    world.wait_for("webhook", JobState::Done, 100).await;
    assert_eq!((alive.hits(), dead.hits()), (100, 4));
    for _ in 0..200 {
        dead.let_go();
    }
    world.wait_for("webhook", JobState::Done, 200).await;
    worker.stop().await;
    assert_eq!(dead.hits(), 100);
}

#[tokio::test]
async fn what_was_claimed_ahead_goes_back_at_the_end() {
    let world = World::new().await;
    let turns = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&turns);
    let sink = Sink::start(move |turn| {
        counted.fetch_max(turn, Ordering::SeqCst);
        // Quick at first, so that much is claimed ahead; then it hangs.
        Answer {
            is_held: turn >= 60,
            ..Answer::status(200)
        }
    })
    .await;
    world.webhook(&sink.url).await;
    let lanes = world.emit(400).await;
    let worker = world.start("one");
    world.bell.ring(&lanes).await;
    until(async || turns.load(Ordering::SeqCst) >= 66).await;
    let stopping = tokio::spawn(worker.stop());
    until(async || world.count("webhook", JobState::Running).await <= 8).await;
    for _ in 0..8 {
        sink.let_go();
    }
    stopping.await.unwrap();
    assert_eq!(world.count("webhook", JobState::Running).await, 0);
    let done = world.count("webhook", JobState::Done).await;
    assert_eq!(sink.hits(), done, "nothing was sent and not written down");
    let jobs = world.jobs("webhook").await;
    assert!(jobs.iter().all(|job| job.crashes == 0));
    assert_eq!(jobs.iter().filter(|job| job.attempt == 0).count(), 400 - done);
}

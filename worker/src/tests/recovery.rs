//! Past events that are delivered once more: by small steps, by whichever worker lives.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::access;
use domain::jobs::{Bell, JobState, LEASE, Verdict};
use domain::kernel::id::{RecoveryId, WebhookId};
use domain::kernel::{Clock, Reads, Timestamp};
use domain::webhooks::recovering::{self, Next};
use domain::webhooks::recovery::{self, RecoveryMode, Wanted};
use tokio_util::sync::CancellationToken;

use super::sink::{Answer, Received, Sink};
use super::world::World;

/// Two steps.
const EVENTS: usize = 520;

/// A webhook that missed events, and the recovery of them.
struct Missed {
    world: World,
    sink: Sink,
    id: RecoveryId,
    lanes: Vec<String>,
}

impl Missed {
    async fn begin() -> Self {
        let world = World::with_clock(Clock::manual(Timestamp::parse("2030-01-02T03:04:05Z").unwrap())).await;
        let sink = Sink::start(|_| Answer::status(200)).await;
        let (webhook, _) = world.webhook(&sink.url).await;
        world.db.clock().advance(Duration::from_secs(1));
        let since = world.db.now();
        world.sql("UPDATE webhooks SET enabled = false").await;
        assert!(world.emit(EVENTS).await.is_empty());
        world.sql("UPDATE webhooks SET enabled = true").await;
        let (id, lanes) = ask(&world, webhook, since).await;
        Self { world, sink, id, lanes }
    }
}

async fn ask(world: &World, webhook: WebhookId, since: Timestamp) -> (RecoveryId, Vec<String>) {
    let tx = world.db.begin_write().await.unwrap();
    let access = access::org(&tx, &world.caller, &world.org.to_string()).await.unwrap();
    let wanted = Wanted {
        mode: RecoveryMode::Missing,
        since,
        until: None,
    };
    let begun = recovery::start(&tx, &world.caller, &access, &webhook.to_string(), wanted)
        .await
        .unwrap();
    (begun.id, tx.commit().await.unwrap())
}

#[tokio::test]
async fn a_worker_that_dies_in_the_middle_loses_and_doubles_nothing() {
    let Missed { world, sink, id, lanes } = Missed::begin().await;
    assert_eq!(world.steal(&lanes).await.len(), 1);
    assert!(matches!(recovering::step(&world.db, id).await.unwrap(), Next::Step(_)));
    assert_eq!(world.jobs("webhook").await.len(), 500);
    // Steps that are cut wherever they are.
    for millis in 1..=3 {
        let _ = tokio::time::timeout(Duration::from_millis(millis), recovering::step(&world.db, id)).await;
    }
    let worker = world.start("two");
    world.wait_for("mail", JobState::Done, 1).await;
    world.db.clock().advance(LEASE + Duration::from_secs(1));
    world.wait_for("recovery", JobState::Done, 1).await;
    world.wait_for("webhook", JobState::Done, EVENTS).await;
    worker.stop().await;
    let ids: BTreeSet<String> = sink.seen().iter().map(Received::id).collect();
    assert_eq!((sink.hits(), ids.len()), (EVENTS, EVENTS));
}

#[tokio::test]
async fn a_recovery_that_is_rung_for_is_carried_out() {
    let Missed { world, sink, lanes, .. } = Missed::begin().await;
    let worker = world.start("one");
    world.bell.ring(&lanes).await;
    world.wait_for("recovery", JobState::Done, 1).await;
    world.wait_for("webhook", JobState::Done, EVENTS).await;
    worker.stop().await;
    assert_eq!(sink.hits(), EVENTS);
}

#[tokio::test]
async fn a_stretch_ends_early_at_a_shutdown() {
    let Missed { world, id, lanes, .. } = Missed::begin().await;
    let taken = world.steal(&lanes).await.remove(0);
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    let ending = world.recover(shutdown).run(&taken.job, id).await;
    assert!(matches!(ending.verdict, Verdict::Continue(_)));
    assert_eq!(
        (ending.log.outcome, world.jobs("webhook").await.len()),
        ("unfinished", 500)
    );
}

#[tokio::test]
async fn a_webhook_that_is_switched_off_meanwhile_ends_its_recovery() {
    let Missed { world, id, lanes, .. } = Missed::begin().await;
    let taken = world.steal(&lanes).await.remove(0);
    assert!(matches!(recovering::step(&world.db, id).await.unwrap(), Next::Step(_)));
    world.sql("UPDATE webhooks SET enabled = false").await;
    let ending = world.recover(CancellationToken::new()).run(&taken.job, id).await;
    assert_eq!(ending.verdict, Verdict::Cancelled);
    assert_eq!(world.jobs("webhook").await.len(), 500);
    world.sql("UPDATE webhooks SET enabled = true").await;
    assert_eq!(recovering::step(&world.db, id).await.unwrap(), Next::Cancelled);
}

//! Keys that are replaced: values are sealed anew in small steps, by whichever worker lives.

use std::time::Duration;

use domain::access::{self, ActorKind, Caller, Origin, grant};
use domain::crypto::key_store::generations::{self, KeyState};
use domain::crypto::key_store::{CACHE_TTL, KeyScope};
use domain::jobs::{self, AttemptLog, Bell, Finished, JobState, LEASE, Verdict};
use domain::kernel::id::ProjectId;
use domain::kernel::page::PageRequest;
use domain::kernel::{Clock, Reads, Secret, Timestamp};
use domain::projects::project;
use domain::secrets::bulk::{self, BulkSet, Mode};
use domain::secrets::list::{self, Selection};
use domain::secrets::reencrypt::{Next, Reencryption};
use domain::secrets::{NewValue, WarmReads, rotation};
use tokio_util::sync::CancellationToken;

use super::world::{World, until};
use crate::housekeeping;

/// Five steps.
const SECRETS: usize = 1000;

fn manual() -> Clock {
    Clock::manual(Timestamp::parse("2030-01-02T03:04:05Z").unwrap())
}

/// A project with many secrets, and somebody who owns it.
struct Project<'a> {
    world: &'a World,
    owner: Caller,
    org: String,
    id: ProjectId,
}

impl<'a> Project<'a> {
    async fn fill(world: &'a World) -> Self {
        let owner = Caller {
            origin: Origin {
                actor: ActorKind::User,
                actor_id: Some(world.user().0),
                ..Origin::system()
            },
            ..world.caller.clone()
        };
        let org = world.org.to_string();
        let tx = world.db.begin_write().await.unwrap();
        let may = access::org(&tx, &owner, &org).await.unwrap();
        let made = project::create(&tx, &world.keys, &owner, &may, "web", Some("web"), "")
            .await
            .unwrap();
        let may = access::env(&tx, &owner, &org, "web", "production").await.unwrap();
        let secret = |n: usize| {
            let value = NewValue {
                value: Secret::new(format!("value {n}")),
                comment: Some(Secret::new(format!("comment {n}"))),
            };
            (format!("KEY_{n}"), value)
        };
        let set = BulkSet {
            secrets: (0..SECRETS).map(secret).collect(),
            mode: Mode::Merge,
            dry_run: false,
        };
        bulk::set(&tx, &world.keys, &owner, &may, None, set).await.unwrap();
        tx.commit().await.unwrap();
        Self {
            world,
            owner,
            org,
            id: made.id,
        }
    }

    /// Returns the lanes to ring.
    async fn rotate(&self) -> Vec<String> {
        let tx = self.world.db.begin_write().await.unwrap();
        let may = access::project(&tx, &self.owner, &self.org, "web").await.unwrap();
        let begun = rotation::rotate(&tx, &self.world.keys, &self.owner, &may)
            .await
            .unwrap();
        assert_eq!(begun.remaining, i64::try_from(SECRETS).unwrap());
        tx.commit().await.unwrap()
    }

    /// Versions that are yet to be sealed anew.
    async fn remaining(&self) -> i64 {
        let may = access::project::<grant::KeysRotate>(&self.world.db, &self.owner, &self.org, "web")
            .await
            .unwrap();
        let page = PageRequest { limit: 100, offset: 0 };
        let keys = rotation::list(&self.world.db, &may, page).await.unwrap();
        keys.data.iter().map(|key| key.remaining).sum()
    }

    async fn states(&self) -> Vec<KeyState> {
        let all = generations::all(&self.world.db, KeyScope::Project(self.id)).await;
        all.unwrap().iter().map(|key| key.state).collect()
    }

    /// Asserts that every value reads as it was written.
    async fn assert_whole(&self) {
        let may = access::env::<grant::SecretsRead>(&self.world.db, &self.owner, &self.org, "web", "production")
            .await
            .unwrap();
        let read = list::secrets(
            &self.world.db,
            &self.world.keys,
            &WarmReads::default(),
            &may,
            &Selection::default(),
        )
        .await
        .unwrap();
        assert_eq!(read.page.data.len(), SECRETS);
        for secret in &read.page.data {
            let n = secret.key.strip_prefix("KEY_").unwrap();
            assert!(*secret.value.expose() == format!("value {n}"), "{}", secret.key);
            assert!(*secret.comment.expose() == format!("comment {n}"), "{}", secret.key);
        }
    }
}

#[tokio::test]
async fn a_rotation_is_carried_out_and_a_minute_later_the_old_key_is_gone() {
    let world = World::with_clock(manual()).await;
    let project = Project::fill(&world).await;
    let worker = world.start("one");
    let lanes = project.rotate().await;
    assert_eq!(lanes, [format!("keys:{}", project.id.0.simple())]);
    world.bell.ring(&lanes).await;
    until(async || project.remaining().await == 0).await;
    project.assert_whole().await;
    until(async || world.jobs("keys").await[0].last_outcome.as_deref() == Some("waiting")).await;
    let job = &world.jobs("keys").await[0];
    assert_eq!((job.state, job.attempt), (JobState::Ready.as_i32(), 0));
    assert_eq!(job.next_at, world.db.now() + CACHE_TTL);
    assert_eq!(project.states().await, [KeyState::Active, KeyState::Retiring]);
    world.db.clock().advance(CACHE_TTL);
    world.wait_for("keys", JobState::Done, 1).await;
    worker.stop().await;
    assert_eq!(project.states().await, [KeyState::Active, KeyState::Destroyed]);
    project.assert_whole().await;
    assert_eq!(world.jobs("keys").await[0].attempt, 1);
}

#[tokio::test]
async fn a_worker_that_dies_in_the_middle_is_succeeded_by_another() {
    let world = World::with_clock(manual()).await;
    let project = Project::fill(&world).await;
    let lanes = project.rotate().await;
    assert_eq!(world.steal(&lanes).await.len(), 1);
    let mut walk = Reencryption::new(&world.db, &world.keys, project.id);
    for _ in 0..2 {
        assert_eq!(walk.step().await.unwrap(), Next::Step);
    }
    drop(walk);
    assert_eq!(project.remaining().await, 600);
    // Steps that are cut wherever they are.
    for millis in 1..=3 {
        let mut walk = Reencryption::new(&world.db, &world.keys, project.id);
        let _ = tokio::time::timeout(Duration::from_millis(millis), walk.step()).await;
        project.assert_whole().await;
    }
    let worker = world.start("two");
    world.wait_for("mail", JobState::Done, 1).await;
    world.db.clock().advance(LEASE + Duration::from_secs(1));
    until(async || project.remaining().await == 0).await;
    until(async || world.jobs("keys").await[0].last_outcome.as_deref() == Some("waiting")).await;
    world.db.clock().advance(CACHE_TTL);
    world.wait_for("keys", JobState::Done, 1).await;
    worker.stop().await;
    assert_eq!(project.states().await, [KeyState::Active, KeyState::Destroyed]);
    project.assert_whole().await;
}

#[tokio::test]
async fn a_stretch_ends_early_at_a_shutdown() {
    let world = World::new().await;
    let project = Project::fill(&world).await;
    let lanes = project.rotate().await;
    let taken = world.steal(&lanes).await.remove(0);
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    let ending = world.reencrypt(shutdown).run(&taken.job, project.id).await;
    assert!(matches!(ending.verdict, Verdict::Continue(_)));
    assert_eq!((ending.log.outcome, project.remaining().await), ("unfinished", 800));
}

#[tokio::test]
async fn a_run_that_goes_on_later_uses_up_no_try() {
    let world = World::new().await;
    let project = Project::fill(&world).await;
    let lanes = project.rotate().await;
    let job = world.steal(&lanes).await.remove(0).job;
    let later = world.db.now() + Duration::from_mins(5);
    let finished = Finished {
        job_id: job.id,
        lease_id: job.lease_id,
        n: 1,
        started_at: world.db.now(),
        verdict: Verdict::Continue(later),
        is_trial: false,
        log: AttemptLog::default(),
    };
    assert_eq!(jobs::finish(&world.db, "ghost", &[finished]).await.unwrap(), 0);
    let job = &world.jobs("keys").await[0];
    assert_eq!(
        (job.state, job.attempt, job.next_at),
        (JobState::Ready.as_i32(), 0, later)
    );
    assert_eq!(job.done_at, None);
    assert_eq!(world.count("keys", JobState::Running).await, 0, "nobody holds it");
}

#[tokio::test]
async fn what_was_given_up_is_taken_up_again() {
    let world = World::new().await;
    let project = Project::fill(&world).await;
    project.rotate().await;
    housekeeping::sweep(&world.db, &world.keys).await;
    assert_eq!(world.jobs("keys").await.len(), 1, "it is under way");
    world.sql("UPDATE jobs SET state = 3 WHERE kind = 'keys'").await;
    for _ in 0..2 {
        housekeeping::sweep(&world.db, &world.keys).await;
        assert_eq!(world.count("keys", JobState::Ready).await, 1);
    }
    let worker = world.start("one");
    until(async || project.remaining().await == 0).await;
    worker.stop().await;
    project.assert_whole().await;
}

#[tokio::test]
async fn a_key_that_has_sealed_enough_is_replaced_in_passing() {
    let world = World::new().await;
    let project = Project::fill(&world).await;
    let enough = domain::crypto::envelope::MAX_SEALS;
    world
        .sql(&format!("UPDATE data_keys SET seals = {enough} WHERE purpose = 'data'"))
        .await;
    for _ in 0..2 {
        housekeeping::sweep(&world.db, &world.keys).await;
        assert_eq!(project.states().await, [KeyState::Active, KeyState::Retiring]);
    }
}

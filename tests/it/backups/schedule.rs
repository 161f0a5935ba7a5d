//! Made unasked, and let go.

use std::time::Duration;

use domain::backups::{let_go, make_due};
use domain::kernel::Reads;
use harness::app::{Options, eventually};
use harness::{Backend, TestApp, on_each_backend};
use sea_orm::ConnectionTrait;

use super::{BACKUPS, made, root};

const HOUR: Duration = Duration::from_hours(1);

async fn set(backend: Backend, settings: &[(&'static str, &str)]) -> TestApp {
    let options = Options::new(backend).stopped_clock();
    let options = settings
        .iter()
        .fold(options, |options, (name, value)| options.with(name, *value));
    TestApp::start(options).await
}

async fn due(t: &TestApp) -> usize {
    make_due(t.db(), &t.app().backups)
        .await
        .expect("a look at the clock")
        .len()
}

async fn none_is_under_way(t: &TestApp) {
    let open = "SELECT COUNT(*) FROM jobs WHERE kind = 'backup' AND state = 0";
    eventually("no backup is under way", || async { t.number(open).await == 0 }).await;
}

on_each_backend! {
    async fn one_is_made_each_time_the_hours_are_over(backend: Backend) {
        let t = set(backend, &[("STRONGROOM_BACKUP_EVERY", "6")]).await;
        assert_eq!(due(&t).await, 1, "there is none yet");
        assert_eq!(due(&t).await, 0);
        t.advance((6 * HOUR).saturating_sub(Duration::from_secs(1)));
        assert_eq!(due(&t).await, 0);
        t.advance(Duration::from_secs(1));
        let (plan, db) = (&t.app().backups, t.db());
        let (one, two) = tokio::join!(make_due(db, plan), make_due(db, plan));
        assert_eq!(one.unwrap().len() + two.unwrap().len(), 1, "two look and one acts");
        assert_eq!(t.number("SELECT COUNT(*) FROM backups WHERE cause = 'scheduled'").await, 2);
        let told = "SELECT COUNT(*) FROM journal WHERE action = 'backup.requested' AND actor_type = 'system'";
        assert_eq!(t.number(told).await, 2);
        none_is_under_way(&t).await;
    }

    async fn one_that_was_asked_for_counts_too(backend: Backend) {
        let t = set(backend, &[("STRONGROOM_BACKUP_EVERY", "6")]).await;
        made(root(&t).await.client()).await;
        assert_eq!(due(&t).await, 0);
    }

    async fn none_is_made_unasked_by_default(backend: Backend) {
        let t = set(backend, &[]).await;
        assert_eq!(due(&t).await, 0);
    }

    async fn those_that_are_too_many_go_and_the_newest_proved_one_stays(backend: Backend) {
        let t = set(backend, &[("STRONGROOM_BACKUP_KEEP", "2")]).await;
        let root = root(&t).await;
        let mut ids = Vec::new();
        for _ in 0..3 {
            t.advance(Duration::from_mins(1));
            ids.push(made(&root).await);
        }
        none_is_under_way(&t).await;
        let there = |id: &str| t.dir.path().join(format!("backups/{id}.srb")).exists();
        let kept: Vec<_> = ids.iter().map(|id| there(id)).collect();
        assert_eq!(kept, [false, true, true]);
        root.get(&format!("{BACKUPS}/{}", ids[0])).await.problem(404, "not_found");
        let told = "SELECT COUNT(*) FROM journal WHERE action = 'backup.deleted' AND actor_type = 'system'";
        assert_eq!(t.number(told).await, 1);
        // When only the older one was proved and the newer fail, it stays although it is the third.
        t.sql("UPDATE backups SET last_verified_at = NULL, state = 'failed'
               WHERE created_at = (SELECT MAX(created_at) FROM backups)").await;
        t.sql("UPDATE jobs SET state = 4 WHERE kind = 'backup'").await;
        let more = "INSERT INTO backups (id, state, cause, source, created_at, rows_done)
            SELECT $1, 'failed', 'requested', 'sqlite', MAX(created_at) + 1, 0 FROM backups";
        let tx = t.db().begin_write().await.unwrap();
        tx.conn().execute_raw(tx.sql(more, [uuid::Uuid::new_v4().into()])).await.unwrap();
        tx.commit_bookkeeping().await.unwrap();
        assert_eq!(t.number("SELECT COUNT(*) FROM backups").await, 3);
        assert_eq!(let_go(t.db(), &t.app().backups).await.unwrap(), 0);
    }

    async fn those_that_are_too_old_go(backend: Backend) {
        let t = set(backend, &[("STRONGROOM_BACKUP_KEEP_DAYS", "2"), ("STRONGROOM_BACKUP_KEEP", "0")]).await;
        let root = root(&t).await;
        made(&root).await;
        t.advance(24 * HOUR);
        let root = root.signs_in_again().await;
        made(&root).await;
        none_is_under_way(&t).await;
        assert_eq!(let_go(t.db(), &t.app().backups).await.unwrap(), 0);
        t.advance(25 * HOUR);
        assert_eq!(let_go(t.db(), &t.app().backups).await.unwrap(), 1);
        t.advance(240 * HOUR);
        assert_eq!(let_go(t.db(), &t.app().backups).await.unwrap(), 0, "the newest that was proved stays");
    }
}

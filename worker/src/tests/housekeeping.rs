//! What is swept out.

use std::time::Duration;

use domain::kernel::{Clock, Reads, Timestamp};
use sea_orm::ConnectionTrait;

use super::world::World;
use crate::housekeeping;

#[tokio::test]
async fn an_organisation_that_can_no_longer_be_restored_is_swept_out() {
    let world = World::with_clock(Clock::manual(Timestamp::parse("2030-01-02T03:04:05Z").unwrap())).await;
    let tx = world.db.begin_write().await.unwrap();
    let sql = "UPDATE orgs SET deleted_at = $1";
    tx.execute_raw(tx.sql(sql, [world.db.now().into()])).await.unwrap();
    tx.commit_bookkeeping().await.unwrap();
    let left = async || {
        let rows = world
            .db
            .conn()
            .query_all_raw(world.db.sql("SELECT id FROM orgs", []))
            .await;
        rows.unwrap().len()
    };
    world.db.clock().advance(Duration::from_hours(30 * 24));
    housekeeping::sweep(&world.db, &world.keys).await;
    assert_eq!(left().await, 1);
    world.db.clock().advance(Duration::from_secs(1));
    housekeeping::sweep(&world.db, &world.keys).await;
    assert_eq!(left().await, 0);
}

#[tokio::test]
async fn events_that_a_plan_does_not_keep_go_at_night() {
    let world = World::with_clock(Clock::manual(Timestamp::parse("2030-01-02T03:04:05Z").unwrap())).await;
    world.emit(5).await;
    world
        .sql(
            "INSERT INTO limit_overrides (org_id, key, value, reason, set_at)
             SELECT id, 'audit_retention_days', 7, '', 0 FROM orgs",
        )
        .await;
    let kept = async || {
        let sql = "SELECT COUNT(*) FROM journal WHERE ledger_id = (SELECT id FROM orgs)";
        let row = world.db.conn().query_one_raw(world.db.sql(sql, [])).await.unwrap();
        row.unwrap().try_get_by_index::<i64>(0).unwrap()
    };
    let all = kept().await;
    world.db.clock().advance(Duration::from_hours(8 * 24));
    housekeeping::keep_limits(&world.db).await;
    assert_eq!(kept().await, all, "it is three o'clock");
    world.db.clock().advance(Duration::from_hours(23));
    housekeeping::keep_limits(&world.db).await;
    assert_eq!(kept().await, 2, "the newest, and the event that tells of the removal");
}

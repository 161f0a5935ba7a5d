//! What is left of a deleted organisation once it can no longer be restored: its journal, and nothing else.

use std::time::Duration;

use domain::journal;
use domain::kernel::Reads;
use domain::orgs::purge;
use harness::app::Options;
use harness::matrix::World;
use harness::{TestApp, on_each_backend};
use sea_orm::ConnectionTrait;
use serde_json::json;

const DAY: Duration = Duration::from_hours(24);

/// The columns that name an organisation, with those of the journal left out.
const COLUMNS: &[(&str, &str)] = &[
    ("orgs", "id"),
    ("projects", "org_id"),
    ("environments", "org_id"),
    ("template_keys", "org_id"),
    ("secrets", "org_id"),
    ("memberships", "org_id"),
    ("roles", "org_id"),
    ("acl_rules", "org_id"),
    ("service_accounts", "org_id"),
    ("credentials", "org_id"),
    ("invites", "org_id"),
    ("webhooks", "org_id"),
    ("webhook_secrets", "org_id"),
    ("webhook_recoveries", "org_id"),
    ("jobs", "org_id"),
    ("billing_subscriptions", "org_id"),
    ("usage_counters", "org_id"),
    ("limit_overrides", "org_id"),
    ("api_usage", "org_id"),
    ("limit_notices", "org_id"),
    ("data_keys", "scope_id"),
];

async fn count(t: &TestApp, table: &str, column: &str, id: uuid::Uuid) -> i64 {
    let sql = format!("SELECT COUNT(*) FROM {table} WHERE {column} = $1");
    let row = t.db().conn().query_one_raw(t.db().sql(&sql, [id.into()])).await;
    row.expect("the query")
        .expect("a row")
        .try_get_by_index(0)
        .expect("a number")
}

on_each_backend! {
    async fn nothing_of_it_is_left_after_thirty_days_but_its_journal(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let world = World::build(&t).await;
        let (org, project) = (world.own.org_id.0, world.own.project_id.0);
        let bound = world.owner.token(json!({ "name": "ci", "org": "acme" })).await;
        let keys = |id| count(&t, "data_keys", "scope_id", id);
        assert!(keys(org).await > 0 && keys(project).await > 0);
        let machines = "SELECT COUNT(*) FROM credentials WHERE kind = 'service_key'";
        let before = (t.number(machines).await, t.number("SELECT COUNT(*) FROM secret_versions").await);
        world.owner.delete("/v1/orgs/acme").await.expect(204).ok();
        t.advance(30 * DAY);
        assert_eq!(purge::purge(t.db()).await.expect("purge"), 0, "it can still be restored");
        assert_eq!(count(&t, "orgs", "id", org).await, 1);
        t.advance(Duration::from_micros(1));
        assert_eq!(purge::purge(t.db()).await.expect("purge"), 1);
        for (table, column) in COLUMNS {
            assert_eq!(count(&t, table, column, org).await, 0, "{table}");
        }
        assert_eq!(keys(project).await, 0, "what was sealed can never be opened");
        let written_to = "SELECT COUNT(*) FROM mails WHERE address IN ('acme-invitee@example.com', 'globex-invitee@example.com')";
        assert_eq!(t.number(written_to).await, 1, "who was invited to the other organisation stays");
        let after = (t.number(machines).await, t.number("SELECT COUNT(*) FROM secret_versions").await);
        assert_eq!((after.0 * 2, after.1 * 2), before, "the other organisation has as much as it had");
        assert!(count(&t, "journal", "ledger_id", org).await > 10);
        let snapshot = t.db().begin_snapshot().await.expect("a snapshot");
        let found = journal::verify(&snapshot, org).await.expect("verify");
        assert_eq!(found.fault_count, 0, "nothing is missed of what was removed: {:?}", found.faults);
        drop(snapshot);
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'org.purged' AND actor_type = 'system'").await, 1);
        bound.get("/v1/auth/me").await.problem(401, "unauthenticated");
        assert_eq!(purge::purge(t.db()).await.expect("purge"), 0);
        let owner = world.owner.signs_in_again().await;
        owner.post("/v1/orgs/acme/restore", json!({})).await.problem(404, "not_found");
        // The slug is free again.
        owner.post("/v1/orgs", json!({ "name": "Acme", "slug": "acme" })).await.expect(201).ok();
        let outsider = world.outsider.signs_in_again().await;
        outsider.get("/v1/orgs/globex/projects/vault/environments/production/secrets/RIVAL_KEY").await.expect(200).ok();
    }

    async fn one_that_was_restored_stays(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        acme.owner.delete("/v1/orgs/acme").await.expect(204).ok();
        acme.owner.post("/v1/orgs/acme/restore", json!({})).await.expect(200).ok();
        t.advance(31 * DAY);
        assert_eq!(purge::purge(t.db()).await.expect("purge"), 0);
        acme.owner.signs_in_again().await.get("/v1/orgs/acme").await.expect(200).ok();
    }
}

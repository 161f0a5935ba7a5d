//! What callers were given is remembered between their reads, under the access epoch of the organisation. Every row
//! that an answer depends on advances it, whoever writes the row; and nobody is answered from an older epoch.

use domain::kernel::Reads;
use harness::{TestApp, on_both};
use sea_orm::ConnectionTrait;
use serde_json::json;

/// The epochs of all organisations together.
async fn epochs(t: &TestApp) -> i64 {
    let db = t.db();
    let query = db.sql("SELECT CAST(SUM(epoch) AS bigint) AS n FROM access_epochs", []);
    let row = db.conn().query_one_raw(query).await.expect("ask").expect("a row");
    row.try_get("", "n").expect("a number")
}

/// Statements behind which no operation stands, as of somebody at the database's prompt, in an order in which each finds
/// a row.
const DECIDING: [&str; 14] = [
    "UPDATE roles SET permissions = '[\"org:read\"]'",
    "DELETE FROM roles",
    "UPDATE acl_rules SET effect = 'deny'",
    "DELETE FROM acl_rules",
    "UPDATE memberships SET expires_at = 1",
    "UPDATE memberships SET env_classes = 'dev'",
    "UPDATE environments SET class = 'prod' WHERE slug = 'development'",
    "UPDATE environments SET slug = 'other' WHERE slug = 'development'",
    "UPDATE environments SET deleted_at = 1 WHERE slug = 'other'",
    "DELETE FROM environments WHERE slug = 'staging'",
    "UPDATE projects SET slug = 'site'",
    "UPDATE projects SET deleted_at = 1",
    "UPDATE orgs SET require_mfa = TRUE",
    "DELETE FROM memberships",
];

/// Statements that change nobody's access.
const INDIFFERENT: [&str; 3] = [
    "UPDATE environments SET revision = revision + 1",
    "UPDATE projects SET description = 'other'",
    "UPDATE orgs SET name = 'other'",
];

on_both! {
    async fn whatever_decides_about_access_advances_the_epoch(t: TestApp) {
        let acme = t.org("acme").await;
        acme.project("web").await;
        let roles = acme.path("/roles");
        let role = json!({ "name": "reader", "level": "org", "permissions": ["secrets:list"] });
        let before = epochs(&t).await;
        acme.owner.post(&roles, role).await.expect(201).ok();
        assert!(epochs(&t).await > before, "a new role");
        let member = acme.member("dana", "viewer").await;
        let before = epochs(&t).await;
        let subject = json!({ "type": "user", "id": member.id.to_string() });
        let rule = json!({ "subject": subject, "pattern": "web/development/*", "permissions": ["secrets:read"], "effect": "allow" });
        acme.owner.post(&acme.path("/acl"), rule).await.expect(201).ok();
        assert!(epochs(&t).await > before, "a new rule");
        for statement in INDIFFERENT {
            let before = epochs(&t).await;
            t.sql(statement).await;
            assert_eq!(epochs(&t).await, before, "{statement}");
        }
        for statement in DECIDING {
            let before = epochs(&t).await;
            t.sql(statement).await;
            assert!(epochs(&t).await > before, "{statement}");
        }
    }

    async fn nobody_reads_from_memory_what_the_database_has_taken_away(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("development");
        acme.owner.put(&env.secret("A"), json!({ "value": "1" })).await.expect(201).ok();
        let viewer = acme.member("dana", "viewer").await;
        for _ in 0..3 {
            assert_eq!(viewer.get(&env.secrets()).await.expect(200).at("/data/0/value"), "1");
        }
        t.sql("UPDATE environments SET class = 'prod'").await;
        assert_eq!(viewer.get(&env.secrets()).await.status(), 403);
        t.sql("UPDATE environments SET class = 'dev'").await;
        viewer.get(&env.secrets()).await.expect(200).ok();
        t.sql("DELETE FROM memberships WHERE role_id <> (SELECT m.role_id FROM memberships m ORDER BY m.created_at LIMIT 1)").await;
        viewer.get(&env.secrets()).await.problem(404, "not_found");
    }

    async fn a_remembered_environment_is_found_by_each_of_its_names(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("web").await;
        let env = project.env("development");
        acme.owner.put(&env.secret("A"), json!({ "value": "1" })).await.expect(201).ok();
        let (by_slug, by_escape) = (env.secrets(), env.secrets().replace("development", "%64evelopment"));
        for _ in 0..2 {
            for path in [&by_slug, &by_escape] {
                assert_eq!(acme.owner.get(path).await.expect(200).at("/revision"), "1");
            }
        }
        acme.owner.patch(&env.0, json!({ "slug": "dev" })).await.expect(200).ok();
        for path in [&by_slug, &by_escape] {
            acme.owner.get(path).await.problem(404, "not_found");
        }
    }
}

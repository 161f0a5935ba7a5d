//! Plans and limits: exact under concurrency, told so that a program can act on it, and never in the way of reading.

mod counting;
mod downgrade;
mod meter;
mod plans;
mod races;
mod retention;
mod states;
mod warnings;

use harness::people::Person;
use harness::{Org, TestApp};

/// Sets a limit of an organisation, long ago.
async fn limit(t: &TestApp, org: &Org<'_>, key: &str, value: i64) {
    t.sql(&format!(
        "INSERT INTO limit_overrides (org_id, key, value, reason, set_at)
         SELECT id, '{key}', {value}, '', 0 FROM orgs WHERE slug = '{}'
         ON CONFLICT (org_id, key) DO UPDATE SET value = excluded.value",
        org.slug
    ))
    .await;
}

/// What the counters of a resource say, all together.
async fn counted(t: &TestApp, resource: &str) -> i64 {
    let sum = "SELECT CAST(COALESCE(SUM(used), 0) AS bigint) FROM usage_counters WHERE resource";
    t.number(&format!("{sum} = '{resource}'")).await
}

/// Somebody who administers the instance.
async fn root(t: &TestApp) -> Person {
    let root = t.person("root").await;
    t.sql("UPDATE users SET is_superuser = TRUE WHERE first_name = 'root'")
        .await;
    root
}

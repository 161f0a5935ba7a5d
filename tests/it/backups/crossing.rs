//! From SQLite to PostgreSQL and back, and from PostgreSQL to SQLite and back: every row is what it was.

use std::collections::BTreeMap;

use domain::backups::{self, Header};
use domain::kernel::Db;
use harness::app::fresh_root_key;
use harness::{Backend, Receiver, TestApp, on_both};
use serde_json::json;
use tempfile::TempDir;

use super::{contents, empty, restored, write};

/// Something in as many tables as a few calls reach.
async fn fill(t: &TestApp) {
    let receiver = Receiver::start().await;
    let acme = t.org("acme").await;
    let web = acme.project("web").await;
    let env = web.env("production");
    let hook = json!({ "url": receiver.url, "events": ["*"] });
    acme.owner.post(&acme.path("/webhooks"), hook).await.expect(201).ok();
    for (number, value) in [
        "",
        "plain",
        "many\nlines\n",
        "Grüße, 世界 🗝",
        "\"quoted\" \\ back|slash",
    ]
    .iter()
    .enumerate()
    {
        let body = json!({ "value": value, "comment": value });
        acme.owner.put(&env.secret(&format!("KEY_{number}")), body).await.ok();
    }
    acme.owner.delete(&env.secret("KEY_1")).await.expect(200).ok();
    acme.owner
        .put(&format!("{}/pins/release", env.0), json!({ "revision": 2 }))
        .await
        .ok();
    acme.developer("dana").await;
    acme.owner.token(json!({ "name": "ci" })).await;
    let robot = json!({ "name": "robot", "role": "viewer", "ip_allow": ["192.0.2.0/24"] });
    acme.owner
        .post(&acme.path("/service-accounts"), robot)
        .await
        .expect(201)
        .ok();
    let rule = json!({ "subject": { "type": "role", "name": "viewer" }, "pattern": "web/*/KEY_0", "permissions": ["secrets:read"] });
    acme.owner.post(&acme.path("/acl"), rule).await.ok();
    acme.owner
        .post(
            &format!("{}/template", web.path),
            json!({ "key": "KEY_0", "required": true }),
        )
        .await
        .ok();
    acme.owner
        .post(&format!("{}/rotate-key", web.path), json!({}))
        .await
        .ok();
    acme.owner
        .post(&acme.path("/invites"), json!({ "email": "guest@example.com" }))
        .await
        .expect(201)
        .ok();
}

/// What is not the same after one more restoration: a restoration ends sessions, codes and backups under way.
fn without_settled(mut rows: BTreeMap<String, Vec<String>>) -> BTreeMap<String, Vec<String>> {
    for table in ["credentials", "challenges", "jobs", "backups"] {
        if let Some(lines) = rows.get_mut(table) {
            *lines = vec![lines.len().to_string()];
        }
    }
    rows
}

/// Restores a file into a database of a kind and holds it to what was in the one before.
async fn one_leg(
    t: &TestApp,
    from: (&Db, &Header),
    file: &std::path::Path,
    key: &str,
    into: Backend,
    folder: &TempDir,
    is_first: bool,
) -> Db {
    let (_, db) = empty(into, folder, &format!("{}.db", uuid::Uuid::new_v4())).await;
    let back = restored(file, key, &db).await;
    assert_eq!(&back.header, from.1);
    let (before, after) = (contents(from.0, from.1).await, contents(&db, from.1).await);
    if is_first {
        assert_eq!(without_settled(after), without_settled(before));
    } else {
        assert_eq!(after, before, "a second restoration changes nothing");
    }
    let checked = backups::check(&db, from.1, &t.app().keys)
        .await
        .expect("it is in order");
    assert_eq!(checked.rows, from.1.rows());
    assert!(
        checked.values == 1 && checked.ledgers >= 2 && checked.events > 10,
        "{checked:?}"
    );
    db
}

on_both! {
    async fn every_row_survives_two_crossings(t: TestApp) {
        fill(&t).await;
        // Nothing may move while the live database is compared.
        let busy = "SELECT (SELECT COUNT(*) FROM job_leases)
            + (SELECT COUNT(*) FROM jobs WHERE state = 0 AND kind NOT IN ('webhook', 'keys'))";
        harness::app::eventually("nothing is under way", || async { t.number(busy).await == 0 }).await;
        t.sql("UPDATE jobs SET state = 4 WHERE state = 0").await;
        let other = match t.backend {
            Backend::Sqlite => Backend::Postgres,
            Backend::Postgres => Backend::Sqlite,
        };
        let (folder, key) = (TempDir::new().unwrap(), fresh_root_key());
        let (file, header) = write(t.db(), &key, &folder, "first.srb").await;
        let across = one_leg(&t, (t.db(), &header), &file, &key, other, &folder, true).await;
        let (file, header) = write(&across, &key, &folder, "second.srb").await;
        let back = one_leg(&t, (&across, &header), &file, &key, t.backend, &folder, false).await;
        across.close().await;
        back.close().await;
    }
}

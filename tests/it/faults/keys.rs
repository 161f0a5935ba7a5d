//! Keys that are exchanged while processes come and go.

use std::time::Duration;

use harness::app;
use harness::processes::{self, Installation, Process, Tenant, number, sql, within};
use serde_json::json;

use super::load::{Load, assert_kept};

const ONE: &str = "one:cm9vdC1rZXktcm9vdC1rZXktcm9vdC1rZXktcm9vdC0=";
const TWO: &str = "two:b3RoZXIga2V5IG90aGVyIGtleSBvdGhlciBrZXkgMDE=";
const SETTING: &str = "STRONGROOM_ROOT_KEY";

async fn root_keys(installation: &Installation) -> String {
    let process = installation.run("strongroom-api", &["root-keys"]);
    let status = process.wait().await;
    assert_eq!(status.code(), Some(0), "{}", process.log());
    process.output()
}

#[test]
fn the_root_key_is_exchanged_as_the_manual_says() {
    app::run(async {
        let installation = Installation::embedded().with(SETTING, ONE);
        let api = installation.api().await;
        let tenant = Tenant::create(&api.url, "acme", None).await;
        let path = format!("{}DB_URL", tenant.secrets);
        tenant.client.put(&path, json!({ "value": "kept" })).await.ok();
        assert_eq!(api.process.terminate().await, 0);

        let installation = installation.with(SETTING, &format!("{TWO},{ONE}"));
        let api = installation.api().await;
        let db = installation.db().await;
        within(Duration::from_secs(10), "keys are wrapped anew", || async {
            number(&db, "SELECT COUNT(*) FROM data_keys WHERE root_key_id = 'one'").await == 0
        })
        .await;
        let told = root_keys(&installation).await;
        assert!(told.contains("two") && told.contains("primary"), "{told}");
        assert!(told.contains("one  0 keys  not needed: it can be removed"), "{told}");
        assert_eq!(api.process.terminate().await, 0);

        let installation = installation.with(SETTING, TWO);
        let api = installation.api().await;
        let tenant = tenant.at(&api.url);
        assert_eq!(tenant.client.get(&path).await.expect(200).at("/value"), "kept");
        tenant.verify().await;
    });
}

/// Kills worker after worker while keys are rotated and values are written.
async fn rotate_and_kill(installation: &Installation, tenant: &Tenant, mut worker: Process) -> Process {
    let db = installation.db().await;
    let project = format!("{}/projects/web", tenant.org);
    for _ in 0..8 {
        let rotated = tenant.client.post(&format!("{project}/rotate-key"), json!({})).await;
        rotated.expect(202).ok();
        tokio::time::sleep(Duration::from_millis(150)).await;
        worker.kill();
        // The leases of the dead end now and not after a minute.
        sql(&db, "UPDATE jobs SET crashes = 0 WHERE state = 0").await;
        sql(&db, "UPDATE job_leases SET lease_until = 0").await;
        worker = installation.worker().await;
    }
    worker
}

#[test]
fn workers_killed_while_keys_are_rotated_lose_nothing() {
    processes::run(async {
        let database = app::postgres_database().await;
        let installation = Installation::scaled(&database, &app::redis_url()).with("STRONGROOM_AUDIT_READS", "off");
        let (api, worker) = tokio::join!(installation.api(), installation.worker());
        let tenant = Tenant::create(&api.url, "acme", None).await;
        let bulk: serde_json::Map<_, _> = (0..1000).map(|n| (format!("BULK_{n}"), json!("v"))).collect();
        let path = tenant.secrets.replace("/secrets/", "/bulk");
        tenant
            .client
            .post(&path, json!({ "secrets": bulk }))
            .await
            .expect(200)
            .ok();
        let load = Load::new(&tenant, &api.url);
        let writers = load.start(8, 40);
        let _worker = rotate_and_kill(&installation, &tenant, worker).await;
        let acknowledged = writers.join_all().await;
        assert!(load.refused().is_empty(), "{:?}", load.refused());
        let db = installation.db().await;
        let left = "SELECT COUNT(*) FROM data_keys WHERE state = 'retiring' AND (emptied_at IS NULL OR failed > 0)";
        within(Duration::from_mins(1), "everything is sealed anew", || async {
            number(&db, left).await == 0
        })
        .await;
        assert_kept(&tenant, &db, acknowledged).await;
        tenant.verify().await;
        let found = tenant
            .client
            .post(&format!("{}/projects/web/verify", tenant.org), json!({}))
            .await
            .expect(200);
        assert_eq!(found.at("/ok"), "true", "{}", found.text());
    });
}

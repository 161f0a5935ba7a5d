//! Counters under kill -9: whatever was cut off, they say what is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::limits::recount;
use harness::Client;
use harness::app;
use harness::processes::{self, Installation, Tenant};
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

const WRITERS: usize = 8;
const KILLS: usize = 6;

/// Makes, deletes and brings back secrets of its own until told to stop. What is not answered is done again.
async fn write(client: Client, secrets: String, writer: usize, stop: Arc<AtomicBool>) {
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        let path = format!("{secrets}K{writer}_{}", n % 5);
        let body = || Some(("application/json", json!({ "value": "x" }).to_string().into_bytes()));
        let empty = || Some(("application/json", b"{}".to_vec()));
        let _ = client.try_send(Method::PUT, &path, body()).await;
        let _ = client.try_send(Method::DELETE, &path, None).await;
        let restored = client.try_send(Method::POST, &format!("{path}/restore"), empty()).await;
        if restored.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        n += 1;
    }
}

async fn kill_and_count(installation: Installation) {
    let mut api = installation.api().await;
    let tenant = Tenant::create(&api.url, "acme", None).await;
    for _ in 0..KILLS {
        let stop = Arc::new(AtomicBool::new(false));
        let here = tenant.at(&api.url);
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            writers.spawn(write(here.client.clone(), here.secrets.clone(), writer, stop.clone()));
        }
        tokio::time::sleep(Duration::from_millis(400)).await;
        api.process.kill();
        stop.store(true, Ordering::Relaxed);
        while writers.join_next().await.is_some() {}
        api = installation.api().await;
    }
    let db = installation.db().await;
    let found = processes::number(
        &db,
        "SELECT used FROM usage_counters WHERE resource = 'secrets_per_project'",
    )
    .await;
    assert!(found > 0, "the writers were felt");
    let drifts = recount::run(&db).await.expect("the counters are compared");
    assert!(drifts.is_empty(), "{drifts:?}");
    tenant.at(&api.url).verify().await;
}

#[test]
fn counters_of_an_embedded_server_killed_again_and_again_are_right() {
    processes::run(kill_and_count(Installation::embedded()));
}

#[test]
fn counters_of_an_api_killed_again_and_again_are_right() {
    processes::run(async {
        let database = app::postgres_database().await;
        kill_and_count(Installation::scaled(&database, &app::redis_url())).await;
    });
}

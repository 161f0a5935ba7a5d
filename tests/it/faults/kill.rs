//! kill -9 at random moments of 2,000 writes.

use std::time::Duration;

use harness::processes::{self, Api, Installation, Process, Tenant, within};
use harness::{Receiver, app};
use rand::Rng;

use super::load::{Load, assert_kept};
use super::{assert_delivered, jobs_end};

const WRITERS: usize = 16;
const EACH: usize = 125;
/// Of each kind of process.
const KILLS: usize = 20;

/// Moments of the kills, as counts of acknowledged writes, in order.
fn moments() -> Vec<usize> {
    let mut random = rand::rng();
    let mut moments: Vec<usize> = (0..KILLS)
        .map(|_| random.random_range(1..WRITERS * EACH - 50))
        .collect();
    moments.sort_unstable();
    moments
}

async fn reached(load: &Load, count: usize) {
    within(Duration::from_mins(1), "the writers go on", || async {
        load.done() >= count
    })
    .await;
}

/// The receiver takes its time, so that kills find deliveries under way.
async fn slow_receiver() -> Receiver {
    let receiver = Receiver::start().await;
    receiver.answer(204, Duration::from_millis(20));
    receiver
}

async fn kill_api(installation: &Installation, load: &Load, mut api: Api) -> Api {
    for moment in moments() {
        reached(load, moment).await;
        api.process.kill();
        api = installation.api().await;
        load.moves_to(&api.url);
    }
    api
}

async fn kill_workers(installation: &Installation, load: &Load, mut workers: [Process; 2]) -> [Process; 2] {
    for (n, moment) in moments().into_iter().enumerate() {
        reached(load, moment).await;
        let worker = &mut workers[n % 2];
        worker.kill();
        *worker = installation.worker().await;
    }
    workers
}

async fn check(installation: &Installation, tenant: &Tenant, receiver: &Receiver, api: &Api) {
    let db = installation.db().await;
    jobs_end(&db, Duration::from_secs(30)).await;
    let tenant = tenant.at(&api.url);
    let repeated = assert_delivered(receiver, &tenant, &db).await;
    // A kill can repeat what was under way, which is at most the slots of a lane.
    assert!(repeated <= 2 * KILLS * 16, "{repeated} came twice");
    tenant.verify().await;
}

#[test]
fn an_embedded_server_killed_twenty_times_loses_nothing() {
    processes::run(async {
        // Reads of the check need no row each.
        let installation = Installation::embedded().with("STRONGROOM_AUDIT_READS", "off");
        let api = installation.api().await;
        let receiver = slow_receiver().await;
        let tenant = Tenant::create(&api.url, "acme", Some(&receiver)).await;
        let load = Load::new(&tenant, &api.url);
        let writers = load.start(WRITERS, EACH);
        let api = kill_api(&installation, &load, api).await;
        let acknowledged = writers.join_all().await;
        assert!(load.unanswered() > 0, "the kills were felt");
        assert_kept(&tenant.at(&api.url), &installation.db().await, acknowledged).await;
        check(&installation, &tenant, &receiver, &api).await;
    });
}

#[test]
fn an_api_and_workers_killed_twenty_times_each_lose_nothing() {
    processes::run(async {
        let database = app::postgres_database().await;
        let installation = Installation::scaled(&database, &app::redis_url()).with("STRONGROOM_AUDIT_READS", "off");
        let (api, one, two) = tokio::join!(installation.api(), installation.worker(), installation.worker());
        let receiver = slow_receiver().await;
        let tenant = Tenant::create(&api.url, "acme", Some(&receiver)).await;
        let load = Load::new(&tenant, &api.url);
        let writers = load.start(WRITERS, EACH);
        let (api, _workers) = tokio::join!(
            kill_api(&installation, &load, api),
            kill_workers(&installation, &load, [one, two])
        );
        let acknowledged = writers.join_all().await;
        assert!(load.unanswered() > 0, "the kills were felt");
        assert_kept(&tenant.at(&api.url), &installation.db().await, acknowledged).await;
        check(&installation, &tenant, &receiver, &api).await;
    });
}

//! kill -9 at random moments of 2,000 writes; five times as often in five times as many when there is time.

use std::time::Duration;

use harness::processes::{self, Api, Installation, Process, Tenant, number, within};
use harness::{Receiver, app};
use rand::Rng;

use super::load::{Load, assert_kept};
use super::{assert_delivered, jobs_end, seconds};

const WRITERS: usize = 16;

/// How often each kind of process is killed.
fn kills() -> usize {
    if seconds().is_some() { 100 } else { 20 }
}

/// Writes of each writer: a hundred in all for each kill.
fn each(kills: usize) -> usize {
    kills * 100 / WRITERS
}

/// Moments of the kills, as counts of acknowledged writes, in order.
fn moments(kills: usize) -> Vec<usize> {
    let mut random = rand::rng();
    let mut moments: Vec<usize> = (0..kills)
        .map(|_| random.random_range(1..WRITERS * each(kills) - 50))
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

async fn kill_api(installation: &Installation, load: &Load, mut api: Api, kills: usize) -> Api {
    for moment in moments(kills) {
        reached(load, moment).await;
        api.process.kill();
        api = installation.api().await;
        load.moves_to(&api.url);
    }
    api
}

async fn kill_workers(
    installation: &Installation,
    load: &Load,
    mut workers: [Process; 2],
    kills: usize,
) -> [Process; 2] {
    for (n, moment) in moments(kills).into_iter().enumerate() {
        reached(load, moment).await;
        let worker = &mut workers[n % 2];
        worker.kill();
        *worker = installation.worker().await;
    }
    workers
}

async fn check(installation: &Installation, tenant: &Tenant, receiver: &Receiver, api: &Api, kills: usize) {
    let db = installation.db().await;
    jobs_end(&db, Duration::from_secs(30)).await;
    let tenant = tenant.at(&api.url);
    let repeated = assert_delivered(receiver, &tenant, &db).await;
    let lost = "SELECT COUNT(*) FROM job_attempts WHERE outcome = 'worker_lost'";
    let lost = number(&db, lost).await;
    println!("{kills} kills: {lost} attempts were lost, {repeated} events came twice");
    // A few kills may all find nothing under way.
    assert!(lost > 0 || kills < 20, "the log tells of workers that were lost");
    // A kill can repeat what was under way, which is at most the slots of a lane.
    assert!(repeated <= kills * 32, "{repeated} came twice");
    tenant.verify().await;
}

/// An API and two workers, each kind killed so often.
async fn kill_both(installation: Installation, kills: usize) {
    let (api, one, two) = tokio::join!(installation.api(), installation.worker(), installation.worker());
    let receiver = slow_receiver().await;
    let tenant = Tenant::create(&api.url, "acme", Some(&receiver)).await;
    let load = Load::new(&tenant, &api.url);
    let writers = load.start(WRITERS, each(kills));
    let (api, _workers) = tokio::join!(
        kill_api(&installation, &load, api, kills),
        kill_workers(&installation, &load, [one, two], kills)
    );
    let acknowledged = writers.join_all().await;
    assert!(load.unanswered() > 0, "the kills were felt");
    assert_kept(&tenant.at(&api.url), &installation.db().await, acknowledged).await;
    check(&installation, &tenant, &receiver, &api, kills).await;
}

#[test]
fn an_embedded_server_killed_twenty_times_loses_nothing() {
    processes::run(async {
        // Reads of the check need no row each.
        let installation = Installation::embedded().with("STRONGROOM_AUDIT_READS", "off");
        let (api, kills) = (installation.api().await, kills());
        let receiver = slow_receiver().await;
        let tenant = Tenant::create(&api.url, "acme", Some(&receiver)).await;
        let load = Load::new(&tenant, &api.url);
        let writers = load.start(WRITERS, each(kills));
        let api = kill_api(&installation, &load, api, kills).await;
        let acknowledged = writers.join_all().await;
        assert!(load.unanswered() > 0, "the kills were felt");
        assert_kept(&tenant.at(&api.url), &installation.db().await, acknowledged).await;
        check(&installation, &tenant, &receiver, &api, kills).await;
    });
}

#[test]
fn an_api_and_workers_killed_twenty_times_each_lose_nothing() {
    processes::run(async {
        let installation = Installation::scaled(&app::postgres_database().await, &app::redis_url());
        kill_both(installation.with("STRONGROOM_AUDIT_READS", "off"), kills()).await;
    });
}

#[test]
fn an_api_and_workers_that_have_no_redis_lose_nothing_either() {
    processes::run(async {
        let installation = Installation::without_redis(&app::postgres_database().await);
        // What a kill leaves behind is the same; here it is found without a bell.
        kill_both(installation.with("STRONGROOM_AUDIT_READS", "off"), kills() / 4).await;
    });
}

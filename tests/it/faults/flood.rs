//! Somebody floods the service with ten times what is allowed: sign-ins under ever new forwarding headers, and reads with
//! one token. Whoever else pulls must not feel it. In a long run the goal counts; in CI, beside other tests, a loose one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use harness::app;
use harness::processes::{self, Installation, Tenant, sql};
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::bare::Bare;
use super::{limit, seconds};

/// Who pulls, each with a token of its own, and how long each rests between two pulls.
const PULLERS: usize = 8;
const REST: Duration = Duration::from_millis(50);
const SECRETS: usize = 100;
/// Requests a second of the flood: ten times 300 sign-ins and 1000 reads a minute.
const SIGN_INS: u32 = 50;
const READS: u32 = 167;
/// The most that each half of the flood waits for at a time.
const MOST_UNANSWERED: usize = 256;
/// Most that is waited for what the flood may do at first, because it rested while others were measured alone.
const SETTLE: Duration = Duration::from_secs(15);
/// Then so many sign-ins are let through in a second at most: five, and what falls into it by chance.
const SETTLED: usize = 8;
/// How long a round takes.
const ROUND: Duration = Duration::from_secs(2);
/// Below this a 99th of a hundred says more of the machine than of us.
const FLOOR: Duration = Duration::from_millis(10);

/// How often each kind of round takes its turn: many short ones, so that what else befalls the machine befalls both.
fn rounds() -> u64 {
    seconds().map_or(3, |long| long / ROUND.as_secs())
}

/// One half of the flood.
#[derive(Default)]
struct Flood {
    runs: AtomicBool,
    is_over: AtomicBool,
    /// How many of its requests were answered with each status.
    answers: Mutex<BTreeMap<u16, usize>>,
}

impl Flood {
    /// Sends so many requests a second while it runs, and waits for no answer before the next one.
    async fn send(self: Arc<Self>, per_second: u32, client: Bare, request: impl Fn(usize) -> String) {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut unanswered = JoinSet::new();
        for n in 0.. {
            ticks.tick().await;
            if self.is_over.load(Ordering::Relaxed) {
                break;
            }
            if self.runs.load(Ordering::Relaxed) && unanswered.len() < MOST_UNANSWERED {
                let (client, request) = (client.clone(), request(n));
                unanswered.spawn(async move { client.ask(&request).await });
            }
            while let Some(status) = unanswered.try_join_next() {
                self.count(status.expect("an answer"));
            }
        }
        unanswered
            .join_all()
            .await
            .into_iter()
            .for_each(|status| self.count(status));
    }

    fn count(&self, status: u16) {
        *self.answers.lock().expect("whole").entry(status).or_default() += 1;
    }

    /// How many requests were not refused.
    fn let_through(&self) -> usize {
        let answers = self.answers.lock().expect("whole");
        answers
            .iter()
            .filter(|(status, _)| **status != 429)
            .map(|(_, count)| count)
            .sum()
    }

    /// Waits until it is let through as seldom as one that has never rested, two seconds in a row.
    async fn settles(&self) {
        let (mut before, mut calm, deadline) = (self.let_through(), 0, Instant::now() + SETTLE);
        while calm < 2 {
            assert!(Instant::now() < deadline, "the flood is refused");
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = self.let_through();
            calm = if now - before <= SETTLED { calm + 1 } else { 0 };
            before = now;
        }
    }
}

/// A request to sign in, said to come from the `n`-th address.
fn sign_in(anyone: &Bare, n: usize) -> String {
    let ip = format!("198.51.{}.{}", n / 250 % 250, n % 250 + 1);
    let body = json!({ "email": format!("guess-{n}@example.com"), "password": "wrong horse battery" });
    anyone.post_from(&ip, "/v1/auth/login", &body.to_string())
}

/// Asks, eight times at once, until it is refused; what is let through is let through before the rounds begin.
async fn until_refused(client: &Bare, request: impl Fn(usize) -> String) {
    for n in 0.. {
        let ask = |one: usize| {
            let (client, request) = (client.clone(), request(n * 8 + one));
            async move { client.ask(&request).await }
        };
        let eight: JoinSet<u16> = (0..8).map(ask).collect();
        if eight.join_all().await.contains(&429) {
            return;
        }
    }
}

/// Somebody who pulls an environment of a hundred secrets with some tokens: the requests, and how they are sent.
struct Puller {
    client: Bare,
    requests: Vec<String>,
}

impl Puller {
    async fn new(url: &str, slug: &str, tokens: usize) -> Self {
        let tenant = Tenant::create(url, slug, None).await;
        let value = Value::from("x".repeat(64));
        let secrets: Map<String, Value> = (0..SECRETS).map(|n| (format!("KEY_{n}"), value.clone())).collect();
        let bulk = tenant.secrets.replace("/secrets/", "/bulk");
        tenant.client.post(&bulk, json!({ "secrets": secrets })).await.ok();
        let (client, mut requests) = (Bare::new(url), Vec::new());
        for n in 0..tokens {
            let token = json!({ "name": format!("puller {n}") });
            let token = tenant.person.post("/v1/auth/tokens", token).await.expect(201);
            requests.push(client.get(tenant.secrets.trim_end_matches('/'), &token.at("/token")));
        }
        Self { client, requests }
    }

    /// Pulls for a round; how long it waited each time.
    async fn round(&self) -> Vec<Duration> {
        let end = Instant::now() + ROUND;
        let at_work = self.requests.iter().cloned().map(|request| {
            let client = self.client.clone();
            async move {
                let mut took = Vec::new();
                while Instant::now() < end {
                    let asked = Instant::now();
                    assert_eq!(client.ask(&request).await, 200);
                    took.push(asked.elapsed());
                    tokio::time::sleep(REST).await;
                }
                took
            }
        });
        at_work.collect::<JoinSet<_>>().join_all().await.concat()
    }
}

/// The 99th of a hundred.
fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

async fn beside_a_flood(installation: Installation, name: &str) {
    // In CI the limits are met sooner: nothing is as fast there.
    let scale = if seconds().is_some() { "1" } else { "0.02" };
    let installation = installation.with("STRONGROOM_RATE_LIMIT_SCALE", scale);
    let api = installation.api().await;
    let pullers = Puller::new(&api.url, "acme", PULLERS).await;
    let flooder = Puller::new(&api.url, "zoo", 1).await;
    let db = installation.db().await;
    // A token that is bound to no organisation counts by the most that one of its owner's allows.
    for (slug, reads) in [("acme", 1_000_000), ("zoo", 1000)] {
        let limit = format!(
            "INSERT INTO limit_overrides (org_id, key, value, reason, set_at)
             SELECT id, 'rate_limit_rpm', {reads}, 'a flood', 0 FROM orgs WHERE slug IN ('{slug}', 'owner-of-{slug}')"
        );
        sql(&db, &limit).await;
    }
    let anyone = Bare::new(&api.url);
    let (reader, read) = (flooder.client, flooder.requests[0].clone());
    until_refused(&anyone, |n| sign_in(&anyone, n)).await;
    until_refused(&reader, |_| read.clone()).await;

    let halves = [Arc::<Flood>::default(), Arc::default()];
    let [sign_ins, reads] = halves.clone();
    let mut senders = JoinSet::new();
    senders.spawn(sign_ins.send(SIGN_INS, anyone.clone(), move |n| sign_in(&anyone, n)));
    senders.spawn(reads.send(READS, reader, move |_| read.clone()));
    pullers.round().await;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..rounds() {
        alone.extend(pullers.round().await);
        for half in &halves {
            half.runs.store(true, Ordering::Relaxed);
        }
        halves[0].settles().await;
        beside.extend(pullers.round().await);
        for half in &halves {
            half.runs.store(false, Ordering::Relaxed);
        }
    }
    for half in &halves {
        half.is_over.store(true, Ordering::Relaxed);
    }
    senders.join_all().await;
    let answers = halves.map(|half| half.answers.lock().expect("whole").clone());
    let count = alone.len();
    let (alone, beside) = (p99(alone), p99(beside));
    let ratio = beside.as_secs_f64() / alone.as_secs_f64();
    println!(
        "flood, {name}: pull p99 {alone:.1?} alone, {beside:.1?} beside a flood of ten times its limits, {ratio:.2} times; \
         {count} pulls of each kind; the flood was answered {answers:?}"
    );
    for answers in &answers {
        let (refused, sent) = (answers.get(&429).copied().unwrap_or(0), answers.values().sum::<usize>());
        assert!(refused * 10 >= sent * 7, "the flood is refused: {answers:?}");
    }
    let most = if seconds().is_some() {
        alone.max(FLOOR).mul_f64(1.2)
    } else {
        alone.mul_f64(3.0).max(Duration::from_millis(300))
    };
    assert!(beside <= most, "{beside:?}, and {alone:?} alone");
}

#[test]
fn embedded() {
    processes::run_for(limit(), async {
        beside_a_flood(Installation::embedded(), "SQLite, embedded").await;
    });
}

#[test]
fn scaled() {
    processes::run_for(limit(), async {
        let installation = Installation::scaled(&app::postgres_database().await, &app::redis_url());
        beside_a_flood(installation, "PostgreSQL + Redis").await;
    });
}

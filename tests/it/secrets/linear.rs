//! Many writers and readers at once: whatever they were told has one order that agrees with time. The history of
//! every call is kept and checked afterwards; `STRONGROOM_TEST_WRITES` makes it longer.

mod calls;
mod checker;
mod checker_tests;

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use harness::app::{Options, number_from_environment, run_for};
use harness::{Backend, TestApp};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use self::calls::{COUNTERS, Field, KEYS, counter, single, staged, together};
use self::checker::{Call, What, check};

/// Operations of all writers together.
const WRITES: u64 = 1_500;
const WRITERS: u64 = 32;
const READERS: usize = 2;
const PROMOTERS: usize = 2;
/// Between two promotions, and between two values to be promoted.
const PAUSE: Duration = Duration::from_millis(20);

mod every_history_of_concurrent_calls_has_an_order {
    use harness::Backend;

    #[test]
    fn sqlite() {
        super::concurrent(Backend::Sqlite);
    }

    #[test]
    fn postgres() {
        super::concurrent(Backend::Postgres);
    }
}

fn concurrent(backend: Backend) {
    let writes = number_from_environment("STRONGROOM_TEST_WRITES").unwrap_or(WRITES);
    let limit = Duration::from_mins(2) + Duration::from_millis(writes * 40);
    run_for(limit, async move {
        // Reads are to be many, and the audit log is not what this is about.
        let t = TestApp::start(Options::new(backend).with("STRONGROOM_AUDIT_READS", "off")).await;
        let acme = t.org("acme").await;
        // A session would end before a long run does.
        let client = acme.owner.token(json!({ "name": "linear" })).await;
        let field = Arc::new(Field::new(client, acme.project("web").await));
        field.run(writes).await;
        field.pull().await;
        let calls = field.calls.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let violations = check(&calls);
        assert!(
            violations.is_empty(),
            "{} of {} calls: {:?}",
            violations.len(),
            calls.len(),
            violations.first()
        );
        field.assert_counted(&calls);
        assert_felt(&calls);
    });
}

impl Field {
    /// Until the writers are done.
    async fn run(self: &Arc<Self>, count: u64) {
        let mut others = JoinSet::new();
        for _ in 0..READERS {
            let field = self.clone();
            others.spawn(async move { field.pull_on().await });
        }
        for _ in 0..PROMOTERS {
            let field = self.clone();
            others.spawn(async move { field.promote_on().await });
        }
        let field = self.clone();
        others.spawn(async move { field.stage_on().await });
        let each = count / WRITERS;
        let writer = |writer: u64| {
            let field = self.clone();
            async move { field.write_on(writer, each).await }
        };
        let writers: JoinSet<()> = (0..WRITERS).map(writer).collect();
        writers.join_all().await;
        self.is_over.store(true, Ordering::Relaxed);
        others.join_all().await;
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    async fn write_on(&self, writer: u64, count: u64) {
        let mut chance = StdRng::seed_from_u64(writer);
        for _ in 0..count {
            let index = chance.random_range(0..KEYS);
            match chance.random_range(0..100) {
                0..=49 => self.put_single(index, None).await,
                50..=72 => {
                    let known = self.known[index].load(Ordering::Relaxed);
                    self.put_single(index, (known > 0).then_some(known)).await;
                }
                73..=82 => {
                    self.read(&single(index)).await;
                }
                83..=92 => self.store_together().await,
                _ => self.increment(chance.random_range(0..COUNTERS)).await,
            }
        }
    }

    async fn put_single(&self, index: usize, expected: Option<u64>) {
        if let Some(version) = self.put(&single(index), self.fresh(), expected).await {
            self.known[index].fetch_max(version, Ordering::Relaxed);
        }
    }

    /// Adds one to a counter, by as many tries as it takes: none of them is lost.
    async fn increment(&self, index: usize) {
        let key = counter(index);
        loop {
            let (version, value) = self.read(&key).await;
            let next = value.parse::<u64>().unwrap_or_default() + 1;
            let stored = match version {
                0 => self.make(&key, next).await,
                version => self.put(&key, next.to_string(), Some(version)).await.is_some(),
            };
            if stored {
                self.increments[index].fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
    }

    async fn pull_on(&self) {
        while !self.is_over() {
            self.pull().await;
        }
    }

    /// Stores value after value in staging: the n-th one is version n of each key.
    async fn stage_on(&self) {
        let path = format!("{}/bulk", self.project.env("staging").0);
        for n in 1_u64.. {
            if self.is_over() {
                return;
            }
            let secrets: Value = together("PROMOTED")
                .into_iter()
                .map(|key| (key, json!(staged(n))))
                .collect();
            let answer = self.client.post(&path, json!({ "secrets": secrets })).await.expect(200);
            assert_eq!(answer.at("/results/0/version"), n.to_string());
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn promote_on(&self) {
        while !self.is_over() {
            self.promote().await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Each counter is as high as it was counted up, and has as many versions.
    fn assert_counted(&self, calls: &[Call]) {
        let Some(What::Read(last)) = calls.last().map(|call| &call.what) else {
            panic!("the last call is a pull");
        };
        for index in 0..COUNTERS {
            let counted = self.increments[index].load(Ordering::Relaxed);
            let key = counter(index);
            let seen = last.iter().find(|seen| seen.key == key).expect("it was read");
            let wanted = if counted == 0 {
                String::new()
            } else {
                counted.to_string()
            };
            assert_eq!((seen.version, &seen.value), (counted, &wanted), "{key}");
        }
    }
}

/// A history in which nobody met anybody proves nothing.
fn assert_felt(calls: &[Call]) {
    let count = |is_it: fn(&What) -> bool| calls.iter().filter(|call| is_it(&call.what)).count();
    let refused = count(|what| matches!(what, What::Refused { .. }));
    let together = count(|what| matches!(what, What::Wrote(written) if written.len() > 2));
    let pulls = count(|what| matches!(what, What::Read(seen) if seen.len() > 1));
    assert!(
        refused > 10 && together > 20 && pulls > 20,
        "{refused} refused, {together} together, {pulls} pulls"
    );
}

//! How many SQL statements the operations on secrets send: few, and never more for more keys. Counted in the log of
//! a PostgreSQL of their own; SQLite is sent the same ones, and one more for what is counted.

use domain::kernel::Db;
use harness::app::{Options, run};
use harness::servers::Postgres;
use harness::statements::{LOGGED, Log, Sent, Statement};
use harness::{Answer, Backend, Client, EnvPath, Project, TestApp};
use reqwest::Method;
use serde_json::{Value, json};

/// Statements of a read that was made before, the one that finds the caller among them, beside the batch that records
/// it. Quality, speed, asks for two.
const OF_A_READ: usize = 1;
/// Statements of a change, in its transaction, beside those of the journal and the deliveries that it asks for.
/// Source: quality, speed.
const OF_A_CHANGE: usize = 8;
/// The same of going back to an earlier revision, which is read too.
const OF_A_WAY_BACK: usize = 9;
/// What finds the caller, before the transaction.
const BEFORE_A_CHANGE: usize = 1;
/// What only the journal, and its deliveries, read and write.
const JOURNALS: [&str; 4] = ["ledgers", "INTO journal (", "webhooks", "INTO jobs ("];

/// An application on a PostgreSQL that logs what it is sent.
struct Stage {
    t: TestApp,
    owner: Client,
    org: String,
    log: Log,
    _postgres: Postgres,
}

impl Stage {
    async fn new() -> Self {
        let postgres = tokio::task::spawn_blocking(Postgres::start_fast)
            .await
            .expect("start PostgreSQL");
        // A clock that stands still notes the use of a token once, and looks at its plan once; requests are counted, as
        // everywhere but in tests; and no worker looks for jobs.
        let options = Options::new(Backend::Postgres)
            .stopped_clock()
            .with("STRONGROOM_RATE_LIMIT_SCALE", "1000")
            .with("STRONGROOM_DATABASE_URL", postgres.url("postgres") + LOGGED)
            .with("STRONGROOM_WORKER", "external");
        let t = TestApp::start(options).await;
        let acme = t.org("acme").await;
        let (owner, org) = (acme.owner.client().clone(), acme.path(""));
        Self {
            log: Log::of(t.db()).await,
            t,
            owner,
            org,
            _postgres: postgres,
        }
    }

    async fn project(&self, slug: &str) -> Project {
        let made = self
            .owner
            .post(&format!("{}/projects", self.org), json!({ "name": slug, "slug": slug }))
            .await;
        Project {
            id: made.expect(201).at("/id").parse().expect("an id"),
            path: format!("{}/projects/{slug}", self.org),
        }
    }

    /// What one request sent.
    async fn sent(&mut self, request: impl Future<Output = Answer>) -> Sent {
        self.log.skip().await;
        let _ = request.await;
        let mut sent = self.log.sent().await;
        // Requests are counted by themselves, every few seconds.
        sent.transactions
            .retain(|transaction| !transaction.iter().any(|statement| statement.sql.contains("api_usage")));
        sent
    }
}

fn is_journals(statement: &Statement) -> bool {
    JOURNALS.iter().any(|table| statement.sql.contains(table))
}

/// Everything that a read sends but for the transaction that records it, and how many round trips that is.
fn of_a_read(sent: &Sent) -> (usize, Vec<&Statement>) {
    let others = || {
        sent.transactions
            .iter()
            .filter(|transaction| !transaction.iter().all(is_journals))
    };
    // One that was read before is recorded by one statement.
    let alone = sent
        .alone
        .iter()
        .filter(|statement| !statement.sql.contains("INTO journal ("));
    let statements: Vec<_> = alone.chain(others().flatten()).collect();
    // BEGIN and COMMIT.
    (statements.len() + 2 * others().count(), statements)
}

/// Everything that a change sends in its transaction, but for what the journal does there.
fn of_a_change(sent: &Sent) -> Vec<&Statement> {
    let all = sent.transactions.iter().flatten();
    all.filter(|statement| !is_journals(statement)).collect()
}

/// The beginnings of statements, for the message of a failure.
fn shown(statements: &[&Statement]) -> String {
    let beginning = |statement: &&Statement| {
        let words: Vec<_> = statement.sql.split_whitespace().take(12).collect();
        format!("\n    {}", words.join(" ").chars().take(100).collect::<String>())
    };
    let beginnings: Vec<String> = statements.iter().map(beginning).collect();
    beginnings.concat()
}

/// So many values.
fn values(count: usize, value: &str) -> Value {
    (0..count).map(|n| (format!("KEY_{n:04}"), json!(value))).collect()
}

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("KEY_{n:04}")).collect()
}

#[test]
fn reading_an_environment_again_takes_one_statement_however_much_is_in_it() {
    run(async {
        let mut stage = Stage::new().await;
        let mut faults = Vec::new();
        for count in [10, 100, 1000] {
            let env = stage.project(&format!("read-{count}")).await.env("production");
            let owner = stage.owner.clone();
            owner
                .post(&format!("{}/bulk", env.0), json!({ "secrets": values(count, "v") }))
                .await
                .ok();
            // Once to open the keys.
            let tag = owner
                .get(&env.secrets())
                .await
                .expect(200)
                .header("etag")
                .expect("a tag")
                .to_owned();
            let pull = stage.sent(async { owner.get(&env.secrets()).await.expect(200) }).await;
            let same = owner.with("If-None-Match", &tag);
            let unchanged = stage.sent(async { same.get(&env.secrets()).await.expect(304) }).await;
            for (name, sent) in [("pull", pull), ("unchanged pull", unchanged)] {
                let (round_trips, statements) = of_a_read(&sent);
                if round_trips > OF_A_READ {
                    faults.push(format!(
                        "{name} of {count}: {round_trips} round trips{}",
                        shown(&statements)
                    ));
                }
            }
        }
        assert!(faults.is_empty(), "at most {OF_A_READ}:\n{}", faults.join("\n"));
    });
}

#[test]
fn reads_to_which_nothing_comes_in_between_are_recorded_by_one_statement() {
    run(async {
        let mut stage = Stage::new().await;
        let path = stage.project("read").await.env("production").secret("A");
        let owner = stage.owner.clone();
        let put = |value: &'static str| owner.put(&path, json!({ "value": value }));
        put("v").await.ok();
        // As many as it takes to know that nothing else is added.
        for _ in 0..3 {
            owner.get(&path).await.ok();
        }
        let sent = stage.sent(async { owner.get(&path).await.expect(200) }).await;
        assert_eq!((sent.alone.len(), sent.transactions.len()), (OF_A_READ + 1, 0));
        assert!(sent.alone.iter().any(is_journals));
        put("w").await.ok();
        let sent = stage.sent(async { owner.get(&path).await.expect(200) }).await;
        assert_eq!(sent.transactions.len(), 1, "the end of the ledger is not where it was");
    });
}

#[test]
fn a_change_of_a_thousand_keys_takes_as_many_statements_as_one_of_ten() {
    run(async {
        let mut stage = Stage::new().await;
        let (few, many) = (changes(&mut stage, 10).await, changes(&mut stage, 1000).await);
        let mut faults = Vec::new();
        for ((name, few), (_, many)) in few.iter().zip(&many) {
            let (of_few, of_many) = (of_a_change(few), of_a_change(many));
            if of_few.len() != of_many.len() {
                faults.push(format!(
                    "{name}: {} statements of 10 keys, {} of 1000",
                    of_few.len(),
                    of_many.len()
                ));
            }
            let most = if name.starts_with("rollback") {
                OF_A_WAY_BACK
            } else {
                OF_A_CHANGE
            };
            if of_few.len() > most {
                faults.push(format!("{name} of 10: {} statements{}", of_few.len(), shown(&of_few)));
            }
            if few.alone.len() > BEFORE_A_CHANGE || many.alone.len() > BEFORE_A_CHANGE {
                let alone: Vec<_> = few.alone.iter().chain(&many.alone).collect();
                faults.push(format!("{name}: before its transaction{}", shown(&alone)));
            }
            assert_eq!(
                (few.transactions.len(), many.transactions.len()),
                (1, 1),
                "{name}: all or nothing"
            );
        }
        assert!(faults.is_empty(), "at most {OF_A_CHANGE}:\n{}", faults.join("\n"));
        assert!(recorded(stage.t.db()).await > 0, "the journal was written");
    });
}

async fn recorded(db: &Db) -> i64 {
    let bulk = "SELECT COUNT(*) FROM journal WHERE action IN ('secret.bulk_set', 'secret.promoted')";
    harness::processes::number(db, bulk).await
}

/// What each operation on so many keys sends, in an order in which none is without effect.
async fn changes(stage: &mut Stage, count: usize) -> Vec<(&'static str, Sent)> {
    let project = stage.project(&format!("change-{count}")).await;
    let [staging, production] = ["staging", "production"].map(|slug| project.env(slug));
    let owner = stage.owner.clone();
    let post = |env: &EnvPath, operation: &str, body: Value| {
        let (owner, path) = (owner.clone(), format!("{}/{operation}", env.0));
        async move { owner.post(&path, body).await.expect(200) }
    };
    // The keys of the project are open from here on.
    owner
        .put(&staging.secret("FIRST"), json!({ "value": "v", "comment": "c" }))
        .await
        .ok();
    owner.get(&staging.secrets()).await.ok();

    let mut sent = Vec::new();
    let new = json!({ "secrets": values(count, "one") });
    sent.push(("bulk set of new keys", stage.sent(post(&staging, "bulk", new)).await));
    let changed = json!({ "secrets": values(count, "two"), "mode": "replace" });
    sent.push((
        "bulk set of other values",
        stage.sent(post(&staging, "bulk", changed)).await,
    ));
    let promotion = json!({ "from": "staging", "to": "production" });
    let promote = |body: Value| {
        let (owner, path) = (owner.clone(), format!("{}/promote", project.path));
        async move {
            let answer = owner.post(&path, body).await.expect(200);
            assert_eq!(answer.at("/applied"), "true", "{}", answer.text());
            answer
        }
    };
    sent.push(("promotion of new keys", stage.sent(promote(promotion.clone())).await));
    let lines: Vec<_> = keys(count).iter().map(|key| format!("{key}=three")).collect();
    let path = format!("{}/import", staging.0);
    let text = lines.join("\n").into_bytes();
    let import = async {
        owner
            .send_bytes(Method::POST, &path, "text/plain", text)
            .await
            .expect(200)
    };
    sent.push(("import of other values", stage.sent(import).await));
    sent.push(("promotion of other values", stage.sent(promote(promotion)).await));
    // To where FIRST was still there, and each key had its first value.
    let back = json!({ "revision": "2" });
    sent.push((
        "rollback of the environment",
        stage.sent(post(&staging, "rollback", back)).await,
    ));
    let delete = json!({ "keys": keys(count) });
    sent.push(("bulk delete", stage.sent(post(&staging, "bulk-delete", delete)).await));
    let back = json!({ "revision": "2" });
    sent.push((
        "rollback of a deletion",
        stage.sent(post(&staging, "rollback", back)).await,
    ));
    assert_eq!(owner.get(&production.secret("KEY_0000")).await.at("/value"), "three");
    assert_eq!(owner.get(&staging.secret("KEY_0000")).await.at("/value"), "one");
    sent
}

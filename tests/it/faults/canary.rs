//! A canary in everything that is secret: none may sing where it does not belong, with every log line there is.

mod haystack;
mod use_everything;

use std::collections::BTreeMap;
use std::time::Duration;

use harness::processes::{self, Api, Installation, number};
use harness::servers::{Postgres, Redis};
use harness::{Client, Receiver};

use self::haystack::{Haystack, Monitor};
use self::use_everything::use_everything;
use super::jobs_end;

/// What proves to a collector of traces who sends them.
const COLLECTOR_KEY: &str = "canary-key-of-the-collector";
/// What is in every trace of a request to an organisation, and is no secret.
const ROUTE: &str = "/v1/orgs/{org}";

/// Every secret of a run, by what it is.
#[derive(Default)]
pub struct Canaries {
    /// May be nowhere.
    everywhere: BTreeMap<String, String>,
    /// May be in a mail, and nowhere else.
    mailed: BTreeMap<String, String>,
    /// Six digits each: too few to tell one from chance, but not several.
    codes: BTreeMap<String, String>,
    /// Bytes that may be nowhere.
    bytes: BTreeMap<String, Vec<u8>>,
    /// What refusals answered: it may repeat nothing of what was sent.
    refusals: String,
}

impl Canaries {
    /// Notes a secret and returns it.
    pub fn note(&mut self, what: &str, secret: impl Into<String>) -> String {
        let secret = secret.into();
        assert!(secret.len() >= 12, "{what}: too short to be told from chance");
        self.everywhere.insert(what.to_owned(), secret.clone());
        secret
    }

    /// Notes a code and returns it.
    pub fn note_code(&mut self, what: &str, code: impl Into<String>) -> String {
        let code = code.into();
        assert!(
            code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()),
            "{what}"
        );
        self.codes.insert(what.to_owned(), code.clone());
        code
    }

    /// Makes a secret that nobody else has.
    pub fn make(&mut self, what: &str) -> String {
        let secret = format!("canary-{}-{}", what.replace(' ', "-"), uuid::Uuid::new_v4().simple());
        self.note(what, secret)
    }
}

/// Looks for every canary in everything.
fn assert_silent(canaries: &Canaries, haystacks: &[Haystack]) {
    let mut found = Vec::new();
    for haystack in haystacks {
        let secrets = canaries.everywhere.iter();
        let mailed = canaries.mailed.iter().filter(|_| !haystack.is_mail());
        for (what, secret) in secrets.chain(mailed) {
            if haystack.contains(secret) {
                found.push(format!("{what} in {}", haystack.name));
            }
        }
        for (what, _) in canaries.bytes.iter().filter(|(_, bytes)| haystack.holds(bytes)) {
            found.push(format!("{what} in {}", haystack.name));
        }
        let codes = canaries.codes.iter().filter(|_| !haystack.is_mail());
        let codes: Vec<_> = codes.filter(|(_, code)| haystack.has_number(code)).collect();
        if codes.len() > 1 {
            found.push(format!("{codes:?} in {}", haystack.name));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

async fn everything_arrives(receiver: &Receiver, installation: &Installation) {
    let db = installation.db().await;
    jobs_end(&db, Duration::from_mins(1)).await;
    let deliveries = number(&db, "SELECT COUNT(*) FROM jobs WHERE kind = 'webhook'").await;
    assert!(deliveries > 5 && !receiver.received().is_empty());
}

/// The same, telling a collector of everything.
fn traced(installation: &Installation, collector: &Receiver) -> Installation {
    let header = format!("authorization=Bearer%20{COLLECTOR_KEY}");
    installation
        .clone()
        .with("STRONGROOM_OTLP_ENDPOINT", &collector.url)
        .with("STRONGROOM_OTLP_HEADERS", &header)
}

/// What Prometheus is told.
async fn metrics(api: &Api) -> String {
    let url = api.metrics.as_deref().expect("a listener for metrics");
    let (origin, path) = url.split_at(url.len() - "/metrics".len());
    Client::new(origin).get(path).await.expect(200).text()
}

#[test]
fn no_secret_is_in_files_or_logs_of_an_embedded_server() {
    processes::run(async {
        let collector = Receiver::start().await;
        let installation = Installation::embedded()
            .with("STRONGROOM_LOG", "trace")
            .with("STRONGROOM_METRICS_LISTEN", "127.0.0.1:0");
        let installation = traced(&installation, &collector);
        let api = installation.api().await;
        let receiver = Receiver::start().await;
        let mut canaries = use_everything(&api, &receiver, installation.dir()).await;
        everything_arrives(&receiver, &installation).await;
        let key = std::fs::read_to_string(installation.dir().join("data/root.key")).expect("the root key");
        canaries.note("root key", key.trim());
        canaries.note("key of the collector", COLLECTOR_KEY);

        let metrics = metrics(&api).await;
        assert!(metrics.contains(ROUTE), "what is no secret is found: {metrics}");
        let look = || {
            let mut all = Haystack::files(installation.dir(), &["root.key"]);
            all.push(Haystack::new("metrics", metrics.clone()));
            all.push(Haystack::of_webhooks(&receiver));
            all.push(Haystack::of_traces(&collector));
            all.push(Haystack::new("refusals", canaries.refusals.clone()));
            all
        };
        let running = look();
        assert!(
            running.iter().any(|one| one.name.ends_with("strongroom.db-wal")),
            "the log of the database is there"
        );
        assert!(
            running.iter().any(|one| one.contains("CANARY_KEY")),
            "what is no secret is found"
        );
        assert!(
            running.iter().any(|one| one.contains("TRACE")),
            "every log line is there"
        );
        assert_silent(&canaries, &running);
        assert_eq!(api.process.terminate().await, 0);
        assert_silent(&canaries, &look());
        assert!(Haystack::of_traces(&collector).contains(ROUTE), "traces are there");
    });
}

#[test]
fn no_secret_is_in_tables_bells_or_logs_of_a_scaled_installation() {
    processes::run(async {
        let (postgres, redis) = (Postgres::start_fast(), Redis::start());
        let collector = Receiver::start().await;
        let installation =
            Installation::scaled(&postgres.url("postgres"), &redis.url()).with("STRONGROOM_LOG", "trace");
        let installation = traced(&installation, &collector);
        let monitor = Monitor::start(redis.port()).await;
        let (api, worker) = tokio::join!(installation.api(), installation.worker());
        let receiver = Receiver::start().await;
        let mut canaries = use_everything(&api, &receiver, installation.dir()).await;
        everything_arrives(&receiver, &installation).await;
        canaries.note("root key", installation.setting("STRONGROOM_ROOT_KEY"));
        canaries.note("key of the collector", COLLECTOR_KEY);
        assert_eq!((api.process.terminate().await, worker.terminate().await), (0, 0));

        let mut all = Haystack::files(installation.dir(), &[]);
        all.extend(Haystack::tables(&installation.db().await).await);
        all.extend([
            Haystack::of_webhooks(&receiver),
            Haystack::of_traces(&collector),
            monitor.heard(),
            Haystack::of_redis(&redis.url()).await,
        ]);
        all.push(Haystack::new("refusals", canaries.refusals.clone()));
        let found = |text: &str| all.iter().filter(|one| one.contains(text)).count();
        let counts = [
            found("CANARY_KEY"),
            found("INFO"),
            found("TRACE"),
            found("strongroom:bell"),
            found("process webhook"),
        ];
        assert!(
            counts.iter().zip([2, 2, 1, 2, 1]).all(|(found, least)| *found >= least),
            "what is no secret: {counts:?}"
        );
        assert_silent(&canaries, &all);
    });
}

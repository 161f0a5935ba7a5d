//! Large backlogs: how long a claim takes in one, and what an endpoint that has one costs its neighbours.

use std::time::{Duration, Instant};

use domain::jobs::{self, AttemptLog, Cause, Claim, Claimed, Finished, Job, NewJob, Verdict, emit};
use domain::kernel::id::{EventId, OrgId, WebhookId};
use domain::kernel::{Backend, Db, Reads};
use harness::Client;
use sea_orm::ConnectionTrait;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::drive::percentile;
use crate::measure::idle;
use crate::sink::Sink;
use crate::stack::{Fixture, Process, SECRETS, Site, client, key};
use crate::webhooks::{self, Latency};
use crate::{Outcome, Plan, median};

/// Organisations with a backlog, and lanes of each. One lane of them all holds a tenth of it.
const ORGS: usize = 3;
const LANES_PER_ORG: usize = 100;
const LANES: usize = ORGS * LANES_PER_ORG;
/// Lanes of one claim, and jobs of each, as a worker asks for them.
const LANES_PER_CLAIM: usize = 64;
const JOBS_PER_LANE: u32 = 4;
/// Deliveries in the backlog for one claim that is timed.
const JOBS_PER_CLAIM: u64 = 2_500;
const SWEEPS: usize = 50;
/// Writes a second while neighbours are watched.
const RATE: u32 = 100;
/// Time for the worker to begin with the dead endpoint.
const NOTICE: Duration = Duration::from_secs(2);

/// How long claims and sweeps take while very much waits, milliseconds: median and 99th of a hundred.
#[derive(Clone, Debug)]
pub struct Claims {
    pub backend: &'static str,
    pub jobs: u64,
    pub lanes: usize,
    pub claim: (f64, f64),
    pub sweep: (f64, f64),
}

/// Deliveries of one event that there is: they can be made.
const ONE_EVENT: &str = "t.event_id";
/// Deliveries of an event each, as most are; those are not there.
const OWN_EVENTS: &str = "{id}";

/// Makes so many deliveries to a webhook that are due: copies, by one statement, of one that is made as all are.
async fn fill(db: &Db, hook: WebhookId, count: u64, events: &str) -> Outcome<()> {
    let newest = "SELECT j.id, j.ledger_id FROM journal j JOIN webhooks w ON w.org_id = j.ledger_id
                  WHERE w.id = $1 ORDER BY j.seq DESC LIMIT 1";
    let row = db.conn().query_one_raw(db.sql(newest, [hook.into()])).await?;
    let row = row.ok_or("an organisation without an event")?;
    let (event, org): (Uuid, Uuid) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    let tx = db.begin_write().await?;
    let job = NewJob {
        job: Job::DeliverWebhookV1,
        lane: hook.0.simple().to_string(),
        org_id: Some(OrgId(org)),
        webhook_id: Some(hook),
        event_id: Some(EventId(event)),
        cause: Cause::Event,
        idempotency_key: format!("backlog:{}", hook.0.simple()),
    };
    let made = emit(&tx, vec![job]).await?;
    let one = made.first().ok_or("no job was made")?;
    // In the order in which they were made, as the ids of jobs are.
    let id = match tx.backend() {
        Backend::Postgres => "CAST(substr(CAST(t.id AS text), 1, 24) || lpad(to_hex(copies.n), 12, '0') AS uuid)",
        Backend::Sqlite => "unhex(substr(hex(t.id), 1, 20) || printf('%012X', copies.n))",
    };
    let event = events.replace("{id}", id);
    let copies = format!(
        "INSERT INTO jobs (id, kind, lane, org_id, webhook_id, event_id, payload, idempotency_key, state, attempt,
            max_attempts, crashes, cause, next_at, created_at, seq)
         WITH RECURSIVE copies (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copies WHERE n < $2)
         SELECT {id}, t.kind, t.lane, t.org_id, t.webhook_id, {event}, t.payload, t.idempotency_key || ':' || copies.n,
            t.state, t.attempt, t.max_attempts, t.crashes, t.cause, t.next_at, t.created_at, t.seq
         FROM copies, jobs t WHERE t.id = $1"
    );
    let values = [(*one).into(), i64::try_from(count.saturating_sub(1))?.into()];
    tx.conn().execute_raw(tx.sql(&copies, values)).await?;
    tx.commit_bookkeeping().await?;
    Ok(())
}

fn half_and_most(mut took: Vec<Duration>) -> (f64, f64) {
    took.sort_unstable();
    (percentile(&took, 50), percentile(&took, 99))
}

/// Founds organisations.
async fn found(site: &Site, fixture: &Fixture, slugs: &[String]) -> Outcome<()> {
    let api = site.api().await?;
    let owner = client(&api).bearer(&fixture.token);
    for slug in slugs {
        owner.post("/v1/orgs", json!({ "name": slug, "slug": slug })).await.ok();
    }
    api.stop().await
}

/// Ends what was claimed: a worker holds some hundred jobs, and never a tenth of a backlog.
async fn end(db: &Db, claim: &Claim) -> Outcome<()> {
    let done = |job: &Claimed| Finished {
        job_id: job.id,
        lease_id: job.lease_id,
        n: job.attempt,
        started_at: db.now(),
        verdict: Verdict::Done,
        is_trial: job.is_trial,
        log: AttemptLog {
            outcome: "ok",
            ..AttemptLog::default()
        },
    };
    let done: Vec<Finished> = claim.jobs.iter().map(done).collect();
    jobs::finish(db, "bench", &done).await?;
    Ok(())
}

/// Claims from a backlog as a worker does, with no worker there.
pub async fn claims(plan: &Plan, site: &Site, fixture: &Fixture, sink: &Sink) -> Outcome<Claims> {
    eprintln!("claims in a backlog of {}: {}", plan.backlog, site.name());
    let orgs: Vec<String> = (0..ORGS).map(|n| format!("backlog-{n}")).collect();
    found(site, fixture, &orgs).await?;
    let hooks = webhooks::register(site, fixture, sink, &orgs, LANES_PER_ORG).await?;
    let db = site.db().await?;
    let large = plan.backlog / 10;
    let others = (plan.backlog - large) / (LANES as u64 - 1);
    for (n, hook) in hooks.iter().enumerate() {
        fill(&db, *hook, if n == 0 { large } else { others }, OWN_EVENTS).await?;
    }
    if site.backend == Backend::Postgres {
        // As the server does by itself in time.
        db.conn().execute_unprepared("ANALYZE jobs, job_leases").await?;
    }
    let lanes: Vec<String> = hooks.iter().map(|hook| format!("wh:{}", hook.0.simple())).collect();
    let (mut claimed, mut swept) = (Vec::new(), Vec::new());
    let mut turn = lanes.iter().cycle();
    for _ in 0..plan.backlog / JOBS_PER_CLAIM {
        let asked: Vec<(String, u32)> = turn
            .by_ref()
            .take(LANES_PER_CLAIM)
            .map(|lane| (lane.clone(), JOBS_PER_LANE))
            .collect();
        let begun = Instant::now();
        let claim = jobs::claim(&db, &asked, "bench").await?;
        claimed.push(begun.elapsed());
        if claim.jobs.len() != LANES_PER_CLAIM * JOBS_PER_LANE as usize {
            return Err(format!("a claim brought {} jobs", claim.jobs.len()).into());
        }
        end(&db, &claim).await?;
    }
    for _ in 0..SWEEPS {
        let begun = Instant::now();
        let found = jobs::sweep(&db).await?;
        swept.push(begun.elapsed());
        if found.due_lanes.len() < LANES {
            return Err(format!("a sweep found {} lanes", found.due_lanes.len()).into());
        }
    }
    db.close().await;
    Ok(Claims {
        backend: site.name(),
        jobs: plan.backlog,
        lanes: LANES,
        claim: half_and_most(claimed),
        sweep: half_and_most(swept),
    })
}

/// Takes every connection and never answers.
async fn silence() -> Outcome<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/dead", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut nothing = [0; 1024];
                while stream.read(&mut nothing).await.is_ok_and(|read| read > 0) {}
            });
        }
    });
    Ok(url)
}

/// An endpoint of somebody else's that never answers, and for which very much waits.
struct Dead {
    owner: Client,
    path: String,
    hook: WebhookId,
}

impl Dead {
    async fn make(plan: &Plan, api: &Process, fixture: &Fixture, db: &Db) -> Outcome<Self> {
        let owner = client(api).bearer(&fixture.token);
        owner
            .post("/v1/orgs", json!({ "name": "zoo", "slug": "zoo" }))
            .await
            .ok();
        let body = json!({ "url": silence().await?, "events": ["org.updated"], "enabled": false });
        let made = owner.post("/v1/orgs/zoo/webhooks", body).await.expect(201);
        let hook: WebhookId = made.at("/id").parse().map_err(|_| "no webhook id")?;
        fill(db, hook, plan.dead, ONE_EVENT).await?;
        let path = format!("/v1/orgs/zoo/webhooks/{}", made.at("/id"));
        Ok(Self { owner, path, hook })
    }

    /// While it is off, what waits for it stays where it is.
    async fn switch(&self, enabled: bool) {
        self.owner.patch(&self.path, json!({ "enabled": enabled })).await.ok();
        if enabled {
            tokio::time::sleep(NOTICE).await;
        }
    }

    async fn forget(&self, db: &Db) -> Outcome<()> {
        let tx = db.begin_write().await?;
        for sql in [
            "DELETE FROM job_leases WHERE job_id IN (SELECT id FROM jobs WHERE webhook_id = $1)",
            "DELETE FROM jobs WHERE webhook_id = $1",
        ] {
            tx.conn().execute_raw(tx.sql(sql, [self.hook.into()])).await?;
        }
        tx.commit_bookkeeping().await?;
        Ok(())
    }
}

/// A hundred endpoints that want a key each, alone and beside a dead one, in turn.
pub async fn neighbours(plan: &Plan, site: &Site, fixture: &Fixture, sink: &Sink) -> Outcome<[Latency; 2]> {
    eprintln!(
        "neighbours of an endpoint with {} dead jobs: {}",
        plan.dead,
        site.name()
    );
    let (api, worker) = site.all().await?;
    let owner = client(&api).bearer(&fixture.token);
    let mut hooks = Vec::new();
    for n in 0..SECRETS {
        let path = format!("/neighbour-{n}");
        let filters = json!({ "keys": [key(n)] });
        let body = json!({ "url": format!("{}{path}", sink.url), "events": ["secret.*"], "filters": filters });
        let made = owner.post("/v1/orgs/acme/webhooks", body).await.expect(201);
        sink.expect(&path, &made.at("/secret"));
        hooks.push(format!("/v1/orgs/acme/webhooks/{}", made.at("/id")));
    }
    let db = site.db().await?;
    let dead = Dead::make(plan, &api, fixture, &db).await?;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..plan.neighbours {
        alone.push(webhooks::latency(plan.neighbourhood, site, fixture, &api, sink, RATE).await?);
        dead.switch(true).await;
        beside.push(webhooks::latency(plan.neighbourhood, site, fixture, &api, sink, RATE).await?);
        dead.switch(false).await;
    }
    for hook in hooks {
        owner.delete(&hook).await.ok();
    }
    api.stop().await?;
    if let Some(worker) = worker {
        worker.stop().await?;
    }
    dead.forget(&db).await?;
    idle(&db).await?;
    db.close().await;
    let (mut alone, mut beside) = (middle(&alone)?, middle(&beside)?);
    alone.beside = format!(" to {SECRETS} endpoints");
    beside.beside = format!("{}, beside one with {} dead jobs", alone.beside, plan.dead);
    let ratio = beside.from_commit.1 / alone.from_commit.1;
    beside.goal = format!("p99 from the answer ≤ 1.2 × alone; it is {ratio:.2} ×");
    Ok([alone, beside])
}

/// The median of each figure.
fn middle(rounds: &[Latency]) -> Outcome<Latency> {
    let of = |figure: fn(&Latency) -> f64| median(rounds.iter().map(figure).collect());
    let first = rounds.first().ok_or("no rounds")?;
    Ok(Latency {
        from_commit: (of(|one| one.from_commit.0), of(|one| one.from_commit.1)),
        from_due: (of(|one| one.from_due.0), of(|one| one.from_due.1)),
        count: rounds.iter().map(|one| one.count).sum(),
        ..first.clone()
    })
}

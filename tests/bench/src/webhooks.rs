//! Webhooks: how fast a backlog drains, and how long after a write its receivers know.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use domain::jobs::{Cause, Job, NewJob, emit};
use domain::kernel::id::{EventId, OrgId, WebhookId};
use domain::kernel::{Backend, Db, Reads};
use sea_orm::ConnectionTrait;
use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::drive::{Round, middle, percentile};
use crate::limits::bare;
use crate::measure::{Row, idle, number};
use crate::sink::Sink;
use crate::stack::{Fixture, Process, Site, client, key};
use crate::{Outcome, Plan, cpu, median};

/// Jobs made in one transaction.
const CHUNK: usize = 500;
/// Deliveries that the product makes at once, for one organisation and to one endpoint: `worker::Slots`.
const AT_ONCE: usize = 32;
const AT_ONCE_PER_ENDPOINT: usize = 32;

/// Drains a backlog spread over some endpoints, beside a plain client's loop on the same sink.
pub async fn drain(plan: &Plan, site: &Site, fixture: &Fixture, sink: &Sink, endpoints: usize) -> Outcome<Row> {
    let measure = if endpoints == 1 {
        "drain webhooks, 1 endpoint"
    } else {
        "drain webhooks, 32 endpoints"
    };
    eprintln!("{measure}: {}", site.name());
    let hooks = register(site, fixture, sink, &["acme".to_owned()], endpoints).await?;
    let concurrency = AT_ONCE.min(endpoints * AT_ONCE_PER_ENDPOINT);
    let (mut product, mut limit) = (Vec::new(), Vec::new());
    for round in 0..plan.drains {
        let drained = drain_once(plan, site, sink, &hooks, round).await?;
        eprintln!("  product: {:.0}/s, {:.3} CPU-ms", drained.rate, drained.cpu_ms);
        product.push(drained);
        let url = format!("{}/bare", sink.url);
        let posted = bare::post_all(&url, &sink.sample(), plan.deliveries, concurrency).await?;
        eprintln!("  limit: {:.0}/s, {:.3} CPU-ms", posted.rate, posted.cpu_ms);
        limit.push(posted);
    }
    let ratios = product
        .iter()
        .zip(&limit)
        .map(|(product, limit)| product.rate / limit.rate);
    Ok(Row {
        measure,
        backend: site.name(),
        ratio: median(ratios.collect()),
        product: middle(&product),
        parts: vec![("plain client loop", middle(&limit))],
        limit: middle(&limit),
        statements: None,
        goal: "≥ 7,000/s, ≤ 0.25 CPU-ms",
    })
}

/// Makes endpoints in some organisations, so many in each, and ends the API again.
pub async fn register(
    site: &Site,
    fixture: &Fixture,
    sink: &Sink,
    orgs: &[String],
    endpoints: usize,
) -> Outcome<Vec<WebhookId>> {
    let api = site.api().await?;
    let owner = client(&api).bearer(&fixture.token);
    let mut hooks = Vec::new();
    for org in orgs {
        for i in 0..endpoints {
            let path = format!("/drain-{endpoints}-{org}-{i}");
            let body = json!({ "url": format!("{}{path}", sink.url), "events": ["secret.*"] });
            let made = owner.post(&format!("/v1/orgs/{org}/webhooks"), body).await.expect(201);
            sink.expect(&path, &made.at("/secret"));
            hooks.push(made.at("/id").parse().map_err(|_| "no webhook id")?);
        }
    }
    api.stop().await?;
    Ok(hooks)
}

async fn drain_once(plan: &Plan, site: &Site, sink: &Sink, hooks: &[WebhookId], round: u32) -> Outcome<Round> {
    let db = site.db().await?;
    let attempts = number(&db, "SELECT count(*) FROM job_attempts").await?;
    queue(&db, plan.deliveries, hooks, round).await?;
    sink.reset();
    let before = cpu::spent(cpu::PRODUCT);
    let process = match site.backend {
        Backend::Postgres => site.worker()?,
        Backend::Sqlite => site.api().await?,
    };
    sink.wait_for(plan.deliveries).await?;
    idle(&db).await?;
    let elapsed = sink.first().ok_or("nothing arrived")?.elapsed();
    let spent = cpu::spent(cpu::PRODUCT).saturating_sub(before);
    let logged = number(&db, "SELECT count(*) FROM job_attempts").await? - attempts;
    let undone = number(&db, "SELECT count(*) FROM jobs WHERE state <> 2").await?;
    if logged != i64::try_from(plan.deliveries)? || undone != 0 {
        return Err(format!("{logged} attempts were logged, and {undone} jobs did not end well").into());
    }
    db.close().await;
    process.stop().await?;
    Ok(Round::of(plan.deliveries, elapsed, spent))
}

/// Makes jobs with no worker there to run them: every event goes to every endpoint.
async fn queue(db: &Db, deliveries: u64, hooks: &[WebhookId], round: u32) -> Outcome<()> {
    let sql = "SELECT id, ledger_id FROM journal WHERE action IN ('secret.created', 'secret.updated') ORDER BY seq DESC LIMIT 20000";
    let rows = db.conn().query_all_raw(db.sql(sql, [])).await?;
    let mut events: Vec<(Uuid, Uuid)> = Vec::new();
    for row in rows {
        events.push((row.try_get_by_index(0)?, row.try_get_by_index(1)?));
    }
    let events_and_hooks = events
        .iter()
        .cycle()
        .flat_map(|event| hooks.iter().map(move |hook| (event, hook)));
    let mut jobs = Vec::new();
    for (n, ((event, org), hook)) in (0..deliveries).zip(events_and_hooks) {
        jobs.push(NewJob {
            job: Job::DeliverWebhookV1,
            lane: hook.0.simple().to_string(),
            org_id: Some(OrgId(*org)),
            webhook_id: Some(*hook),
            event_id: Some(EventId(*event)),
            cause: Cause::Event,
            idempotency_key: format!("{round}:{n}:{}", hook.0.simple()),
        });
    }
    for chunk in jobs.chunks(CHUNK) {
        let tx = db.begin_write().await?;
        emit(&tx, chunk.to_vec()).await?;
        tx.commit_bookkeeping().await?;
    }
    Ok(())
}

/// Events a second at which there is a goal for their receipt.
const GOAL_RATE: u32 = 200;

/// Time from a write to its receipt.
#[derive(Clone, Debug)]
pub struct Latency {
    pub backend: &'static str,
    pub rate: u32,
    /// What else there was, after the rate: `, beside …`.
    pub beside: String,
    pub goal: String,
    /// From the answer to the writer, median and 99th percentile, milliseconds.
    pub from_commit: (f64, f64),
    /// From the moment at which the write was due.
    pub from_due: (f64, f64),
    pub count: usize,
}

/// What one write came to: its revision, when it was due and when it was answered.
type Written = (i64, Instant, Instant);

/// Writes at a steady rate, whatever becomes of the writes before, and waits for their receipts.
pub async fn latency(
    time: Duration,
    site: &Site,
    fixture: &Fixture,
    api: &Process,
    sink: &Sink,
    rate: u32,
) -> Outcome<Latency> {
    eprintln!("commit → receipt at {rate}/s: {}", site.name());
    let writer = client(api).bearer(&fixture.token);
    let count = rate * u32::try_from(time.as_secs())?;
    sink.reset();
    sink.keep_arrivals(true);
    let begun = Instant::now() + Duration::from_millis(100);
    let mut tasks = JoinSet::new();
    for n in 0..count {
        let due = begun + Duration::from_secs(1) * n / rate;
        tokio::time::sleep_until(due.into()).await;
        let (writer, path) = (
            writer.clone(),
            format!("{}/{}", fixture.secrets, key(usize::try_from(n % 100)?)),
        );
        tasks.spawn(async move {
            let value = format!("at-{rate}-{n}-{}", Uuid::new_v4());
            let answer = writer.put(&path, json!({ "value": value })).await;
            let at = Instant::now();
            let revision: i64 = answer.expect(200).at("/revision").parse().unwrap_or_default();
            (revision, due, at)
        });
    }
    let mut written: Vec<Written> = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        written.push(ended?);
    }
    sink.wait_for(u64::from(count)).await?;
    sink.keep_arrivals(false);
    let arrived: HashMap<i64, Instant> = sink.arrivals().into_iter().collect();
    let times = |from: fn(&Written) -> Instant| -> Outcome<(f64, f64)> {
        let mut times = Vec::with_capacity(written.len());
        for write in &written {
            let arrival = arrived.get(&write.0).ok_or("a write was never delivered")?;
            times.push(arrival.saturating_duration_since(from(write)));
        }
        times.sort_unstable();
        Ok((percentile(&times, 50), percentile(&times, 99)))
    };
    let goal = if rate == GOAL_RATE {
        "≤ 10 / ≤ 100 from the answer"
    } else {
        ""
    };
    Ok(Latency {
        backend: site.name(),
        rate,
        beside: String::new(),
        goal: goal.to_owned(),
        from_commit: times(|(_, _, answered)| *answered)?,
        from_due: times(|(_, due, _)| *due)?,
        count: written.len(),
    })
}

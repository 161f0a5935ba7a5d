//! The operations of a secrets service, on each database: pull, unchanged pull, read, write, write with a webhook.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use domain::kernel::{Backend, Db};
use harness::statements::{LOGGED, Log};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::capture::{Operation, widened};
use crate::drive::{Load, request};
use crate::limits::{bare, insert, pgbench, sqlite};
use crate::measure::{Row, Source, compare};
use crate::sink::Sink;
use crate::stack::{
    BULK, Fixture, Process, SECRETS, Site, bulk_body, bulk_json, client, is_whole_environment, key, text_at, value,
};
use crate::{CONCURRENCY, Outcome, Plan, cpu};

/// What the product sends to a database.
pub struct Sql {
    pull: Operation,
    unchanged: Operation,
    read: Operation,
    write: Operation,
    write_delivered: Operation,
    bulk: Operation,
}

/// Fills a PostgreSQL site and learns what each operation sends to it.
pub async fn learn(site: &Site, sink: &Sink) -> Outcome<(Fixture, Sql)> {
    let api = site.api_with(LOGGED).await?;
    let fixture = Fixture::make(&api, &sink.url).await?;
    let caller = client(&api).bearer(&fixture.token);
    let first = format!("{}/{}", fixture.secrets, key(0));
    // Twice: the second time keys are open, and the use of the token is noted.
    let tag = caller
        .get(&fixture.secrets)
        .await
        .expect(200)
        .header("etag")
        .unwrap_or_default()
        .to_owned();
    caller.put(&first, json!({ "value": "learning" })).await.ok();
    caller.put(&first, json!({ "value": value(0) })).await.ok();
    let db = site.db().await?;
    let mut log = Log::of(&db).await;
    // Reads and nothing else, as in the rounds: then their journal goes the shorter way.
    for _ in 0..3 {
        caller.get(&first).await.ok();
    }
    log.skip().await;
    caller.get(&fixture.secrets).await.ok();
    let pull = log.sent().await.into();
    let tag_now = caller
        .get(&fixture.secrets)
        .await
        .expect(200)
        .header("etag")
        .unwrap_or(&tag)
        .to_owned();
    log.skip().await;
    let _ = caller
        .with("If-None-Match", &tag_now)
        .get(&fixture.secrets)
        .await
        .expect(304);
    let unchanged = log.sent().await.into();
    caller.get(&first).await.ok();
    let read = log.sent().await.into();
    caller.put(&first, json!({ "value": "changed" })).await.ok();
    let write = log.sent().await.into();
    fixture.webhook(&api, true).await;
    log.skip().await;
    caller.put(&first, json!({ "value": value(0) })).await.ok();
    let write_delivered = log.sent().await.into();
    fixture.webhook(&api, false).await;
    log.skip().await;
    caller.post(&fixture.bulk_path(), bulk_json(1)).await.ok();
    let bulk = log.sent().await.into();
    db.close().await;
    api.stop().await?;
    let sql = Sql {
        pull,
        unchanged,
        read,
        write,
        write_delivered,
        bulk,
    };
    Ok((fixture, sql))
}

impl Sql {
    /// The same for SQLite, whose rows have other ids.
    pub async fn translated(&self, from: &Site, to: &Site) -> Outcome<Self> {
        let (old, new) = (from.db().await?, to.db().await?);
        let (from, to) = (sqlite::names(&old).await?, sqlite::names(&new).await?);
        old.close().await;
        new.close().await;
        let translate = |operation: &Operation| Operation {
            reads: sqlite::translated(&operation.reads, &from, &to),
            changes: sqlite::translated(&operation.changes, &from, &to),
            is_at_once: operation.is_at_once,
        };
        Ok(Self {
            pull: translate(&self.pull),
            unchanged: translate(&self.unchanged),
            read: translate(&self.read),
            write: translate(&self.write),
            write_delivered: translate(&self.write_delivered),
            bulk: translate(&self.bulk),
        })
    }
}

/// A database that limits may wear out.
struct Ground {
    backend: Backend,
    url: String,
}

impl Ground {
    /// Statements on as many connections as the product has: more writers of one row only wait for each other.
    async fn statements(&self, operation: &Operation) -> Outcome<Source> {
        let clients = (cpu::cores() * 4).max(8);
        Ok(match self.backend {
            Backend::Postgres => Source::Postgres(pgbench::Limit::new(&self.url, operation, clients)),
            Backend::Sqlite => Source::Sqlite(sqlite::Limit::new(&self.url, operation, clients).await?),
        })
    }

    /// What an operation reads, without what it records.
    async fn reads(&self, operation: &Operation) -> Outcome<Source> {
        let reads = Operation {
            reads: operation.reads.clone(),
            ..Operation::default()
        };
        self.statements(&reads).await
    }

    /// The journal of reads: one writer, as many rows a commit as there are callers.
    async fn journal(&self, operation: &Operation) -> Outcome<Source> {
        let wide = Operation {
            reads: Vec::new(),
            changes: widened(&operation.changes, CONCURRENCY),
            is_at_once: operation.is_at_once,
        };
        let rows = f64::from(u32::try_from(CONCURRENCY)?);
        Ok(match self.backend {
            Backend::Postgres => Source::PostgresBatch(pgbench::Limit::new(&self.url, &wide, 1), rows),
            Backend::Sqlite => Source::SqliteBatch(sqlite::Limit::new(&self.url, &wide, 1).await?, rows),
        })
    }
}

/// A running site with its limits.
pub struct Bench<'a> {
    plan: &'a Plan,
    site: &'a Site,
    fixture: &'a Fixture,
    sql: &'a Sql,
    ground: Ground,
    api: &'a Process,
    next: Arc<AtomicU64>,
}

impl<'a> Bench<'a> {
    /// `copy` is the URL of a copy of the site's database.
    pub fn new(
        plan: &'a Plan,
        site: &'a Site,
        (fixture, sql): (&'a Fixture, &'a Sql),
        copy: String,
        api: &'a Process,
    ) -> Self {
        let ground = Ground {
            backend: site.backend,
            url: copy,
        };
        Self {
            plan,
            site,
            fixture,
            sql,
            ground,
            api,
            // No value is written twice, also not by a later run on the same site.
            next: Arc::default(),
        }
    }

    fn load(
        &self,
        status: u16,
        request: impl Fn(u64) -> Bytes + Send + Sync + 'static,
        check: impl Fn(&[u8]) -> bool + Send + Sync + 'static,
    ) -> Load {
        Load {
            address: self.api.address,
            connections: CONCURRENCY,
            request: Arc::new(request),
            status,
            check: Arc::new(check),
            processes: cpu::PRODUCT,
            next: self.next.clone(),
        }
    }

    fn get(&self, path: &str, headers: &str) -> impl Fn(u64) -> Bytes + Send + Sync + 'static + use<> {
        let bytes = request("GET", path, &self.fixture.token, headers, "");
        move |_| bytes.clone()
    }

    /// All measures, in an order in which none spoils the next.
    pub async fn all(&self, db: &Db) -> Outcome<Vec<Row>> {
        let mut rows = vec![self.pull().await?, self.unchanged().await?];
        rows.extend([self.read().await?, self.read_in_batches().await?]);
        rows.push(self.write().await?);
        rows.push(self.bulk().await?);
        self.fixture.webhook(self.api, true).await;
        let delivered = self.write_delivered(db).await;
        self.fixture.webhook(self.api, false).await;
        rows.push(delivered?);
        Ok(rows)
    }

    async fn pull(&self) -> Outcome<Row> {
        let answer = client(self.api)
            .bearer(&self.fixture.token)
            .get(&self.fixture.secrets)
            .await;
        if !is_whole_environment(answer.bytes()) {
            return Err(format!("a wrong environment: {}", answer.text()).into());
        }
        let body = answer.bytes().to_vec();
        let (file, server) = fixed_answer(200, &body).await?;
        let product = self.load(200, self.get(&self.fixture.secrets, ""), is_whole_environment);
        let same = Load {
            address: server.address,
            check: Arc::new(move |got| got == body),
            processes: cpu::LIMIT,
            ..product.clone()
        };
        let sql = &self.sql.pull;
        let limits = vec![
            ("static handler", Source::Http(same)),
            ("SQL of the read", self.ground.reads(sql).await?),
            ("100 opens", Source::Opens(1.0)),
            ("journal batch", self.ground.journal(sql).await?),
        ];
        let name = ("pull 100 secrets", self.site.name(), "≥ 0.7, ≤ 0.2 CPU-ms");
        let row = compare(self.plan, name, Source::Http(product), limits).await?;
        drop((file, server));
        Ok(with_statements(row, sql))
    }

    async fn unchanged(&self) -> Outcome<Row> {
        let answer = client(self.api)
            .bearer(&self.fixture.token)
            .get(&self.fixture.secrets)
            .await;
        let tag = answer.header("etag").ok_or("no ETag")?.to_owned();
        let (file, server) = fixed_answer(304, b"").await?;
        let headers = format!("If-None-Match: {tag}\r\n");
        let product = self.load(304, self.get(&self.fixture.secrets, &headers), <[u8]>::is_empty);
        let same = Load {
            address: server.address,
            processes: cpu::LIMIT,
            ..product.clone()
        };
        let one = Operation {
            reads: self.sql.unchanged.reads.get(..1).ok_or("no statement")?.to_vec(),
            ..Operation::default()
        };
        let limits = vec![
            ("static handler", Source::Http(same)),
            ("one SELECT", self.ground.statements(&one).await?),
        ];
        let name = ("the same, unchanged (304)", self.site.name(), "≥ 0.85");
        let row = compare(self.plan, name, Source::Http(product), limits).await?;
        drop((file, server));
        Ok(with_statements(row, &self.sql.unchanged))
    }

    async fn read(&self) -> Outcome<Row> {
        let sql = &self.sql.read;
        let limits = vec![("SQL of the read", self.ground.statements(sql).await?)];
        let name = ("read one secret", self.site.name(), "≥ 0.8");
        let row = compare(self.plan, name, Source::Http(self.reads()), limits).await?;
        Ok(with_statements(row, sql))
    }

    /// Beside a limit that journals as the product does: sixteen reads in one transaction, and asks without HTTP.
    async fn read_in_batches(&self) -> Outcome<Row> {
        let sql = &self.sql.read;
        let limits = vec![
            ("SQL of the read", self.ground.reads(sql).await?),
            ("journal batch", self.ground.journal(sql).await?),
        ];
        let name = ("the same, limit in batches", self.site.name(), "");
        let row = compare(self.plan, name, Source::Http(self.reads()), limits).await?;
        Ok(with_statements(row, sql))
    }

    fn reads(&self) -> Load {
        let path = format!("{}/{}", self.fixture.secrets, key(1));
        let is_it = |body: &[u8]| {
            let json: Value = serde_json::from_slice(body).unwrap_or_default();
            text_at(&json, "/value") == value(1)
        };
        self.load(200, self.get(&path, ""), is_it)
    }

    /// A new value each time, one key after the other.
    fn writes(&self) -> Load {
        let (path, token) = (self.fixture.secrets.clone(), self.fixture.token.clone());
        let put = move |n: u64| {
            let i = usize::try_from(n).unwrap_or_default() % SECRETS;
            let body = format!(r#"{{"value":"written-{n:056}"}}"#);
            request("PUT", &format!("{path}/{}", key(i)), &token, "", &body)
        };
        let is_written = |body: &[u8]| {
            let json: Value = serde_json::from_slice(body).unwrap_or_default();
            let number = |pointer| json.pointer(pointer).and_then(Value::as_i64);
            number("/version") > Some(1) && number("/revision").is_some()
        };
        self.load(200, put, is_written)
    }

    async fn write(&self) -> Outcome<Row> {
        let sql = &self.sql.write;
        let limits = vec![("SQL of the write", self.ground.statements(sql).await?)];
        let name = ("write one secret", self.site.name(), "≥ 0.8, ≤ 0.8 CPU-ms");
        let row = compare(self.plan, name, Source::Http(self.writes()), limits).await?;
        Ok(with_statements(row, sql))
    }

    /// New values for a thousand keys of another environment.
    async fn bulk(&self) -> Outcome<Row> {
        let (path, token) = (self.fixture.bulk_path(), self.fixture.token.clone());
        client(self.api)
            .bearer(&self.fixture.token)
            .post(&path, bulk_json(0))
            .await
            .ok();
        let post = move |n: u64| request("POST", &path, &token, "", &bulk_body(n + 2));
        let is_written = |body: &[u8]| {
            let changed: Changed = serde_json::from_slice(body).unwrap_or_default();
            let are_new = |key: &ChangedKey| key.status == "updated" && key.version > 1;
            changed.results.len() == BULK && changed.results.iter().all(are_new)
        };
        let product = Load {
            connections: BULK_CONNECTIONS,
            ..self.load(200, post, is_written)
        };
        let sql = &self.sql.bulk;
        let limits = vec![
            (
                "one insert of 1,000 rows",
                Source::Insert(insert::Limit::new(&self.ground.url, BULK_CONNECTIONS).await?),
            ),
            ("1,000 opens, as dear as seals", Source::Opens(0.1)),
        ];
        let name = ("set 1,000 secrets at once", self.site.name(), "≥ 0.6");
        let row = compare(self.plan, name, Source::Http(product), limits).await?;
        Ok(with_statements(row, sql))
    }

    async fn write_delivered(&self, db: &Db) -> Outcome<Row> {
        let sql = &self.sql.write_delivered;
        let limits = vec![("SQL of the write", self.ground.statements(sql).await?)];
        let name = ("write one secret, one webhook", self.site.name(), "end to end ≥ Svix");
        let product = Source::Delivering(self.writes(), db.clone());
        Ok(with_statements(compare(self.plan, name, product, limits).await?, sql))
    }
}

/// Callers of bulk changes, and inserts of their limit, at once: in one environment a second caller would only wait, and a
/// second insert would not.
const BULK_CONNECTIONS: usize = 1;

/// The answer to a bulk change. It is read between two requests, by the only caller there is: not as a tree.
#[derive(Default, Deserialize)]
struct Changed<'a> {
    #[serde(borrow)]
    results: Vec<ChangedKey<'a>>,
}

#[derive(Deserialize)]
struct ChangedKey<'a> {
    status: &'a str,
    version: i64,
}

fn with_statements(mut row: Row, sql: &Operation) -> Row {
    row.statements = Some(sql.statements());
    row
}

async fn fixed_answer(status: u16, body: &[u8]) -> Outcome<(NamedTempFile, Process)> {
    let file = NamedTempFile::new()?;
    std::fs::write(file.path(), body)?;
    let mut server = bare::spawn_server(status, file.path())?;
    server.healthy().await?;
    Ok((file, server))
}

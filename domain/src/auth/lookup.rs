//! Credentials as they are stored. Those of requests that come at the same time are looked up together: while one statement
//! is on its way the next ones gather, and what several of them ask for is read once. Every statement begins after all of
//! the requests that it answers have come, so each is told what a statement of its own would have found.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DbErr, FromQueryResult};
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::timeout;
use uuid::Uuid;

use crate::kernel::id::{CredentialId, EnvId, OrgId, ProjectId};
use crate::kernel::{Backend, Db, Error, Reads, Result, Timestamp};

/// Statements under way at the same time, when some take long.
const AT_ONCE: usize = 4;
/// A statement that takes longer does not keep the next one waiting.
const LONG: Duration = Duration::from_millis(2);
/// Requests that one statement answers, at most.
const BATCH: usize = 64;
/// How often a statement lets other tasks go first. Measured with 16 callers, in turn: four times rather than once answered
/// up to a tenth more, twenty times less than that.
const TURNS: usize = 4;
/// Requests that may gather; beyond that they wait to be let in.
const QUEUE: usize = 4096;

/// A credential with what is needed to judge it.
#[derive(Clone, FromQueryResult)]
pub(super) struct Row {
    pub(super) id: CredentialId,
    pub(super) kind: String,
    pub(super) principal_type: String,
    pub(super) principal_id: Uuid,
    pub(super) scopes: Option<String>,
    pub(super) patterns: Option<String>,
    pub(super) org_id: Option<OrgId>,
    pub(super) auth_time: Option<Timestamp>,
    pub(super) amr: Option<String>,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) idle_expires_at: Option<Timestamp>,
    pub(super) last_used_at: Option<Timestamp>,
    pub(super) revoked_at: Option<Timestamp>,
    pub(super) is_superuser: Option<bool>,
    /// Whether the owner of a personal token, or of an application's, has a second factor; 0 for other credentials.
    pub(super) owner_factors: i64,
    pub(super) user_disabled_at: Option<Timestamp>,
    pub(super) email: Option<String>,
    pub(super) account_name: Option<String>,
    pub(super) account_org: Option<OrgId>,
    pub(super) account_disabled_at: Option<Timestamp>,
    pub(super) account_project: Option<ProjectId>,
    pub(super) account_project_deleted_at: Option<Timestamp>,
    pub(super) account_ip_allow: Option<String>,
    /// 0 once that was revoked which an application's token comes of: a consent, or a key of a service account.
    pub(super) sources: i64,
    pub(super) access_epoch: Option<i64>,
    pub(super) env_revision: Option<i64>,
}

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sought {
    /// Of the credential's text.
    pub(super) mac: [u8; 32],
    /// Where something is remembered: the epoch of the organisation and the revision of the environment are read too.
    pub(super) place: Option<(OrgId, EnvId)>,
}

macro_rules! select {
    ($first:literal, $from:literal, $which:literal, $sources:literal, $epoch:literal, $revision:literal) => {
        concat!(
            "SELECT ",
            $first,
            "c.id, c.kind, c.principal_type, c.principal_id, c.scopes, c.patterns, c.org_id, c.auth_time,
        c.amr, c.expires_at, c.idle_expires_at, c.last_used_at, c.revoked_at,
        CASE WHEN c.kind IN ('personal', 'oauth_access') THEN (SELECT COUNT(*) FROM second_factors f
            WHERE f.user_id = c.principal_id AND f.kind = 'totp' AND f.confirmed_at IS NOT NULL) ELSE 0 END AS owner_factors,
        u.is_superuser, u.disabled_at AS user_disabled_at, e.address AS email,
        s.name AS account_name, s.org_id AS account_org, s.disabled_at AS account_disabled_at,
        s.project_id AS account_project, p.deleted_at AS account_project_deleted_at, s.ip_allow AS account_ip_allow, ",
            $sources,
            " AS sources, ",
            $epoch,
            " AS access_epoch, ",
            $revision,
            " AS env_revision
    FROM ",
            $from,
            "credentials c
    LEFT JOIN users u ON u.id = c.principal_id AND c.principal_type = 'user'
    LEFT JOIN user_emails e ON e.user_id = u.id AND e.is_primary
    LEFT JOIN service_accounts s ON s.id = c.principal_id AND c.principal_type = 'service_account'
    LEFT JOIN projects p ON p.id = s.project_id
    WHERE ",
            $which
        )
    };
}

const BY_TOKEN: &str = select!(
    "",
    "",
    "c.secret_mac = $1",
    "CAST(1 AS bigint)",
    "CAST(NULL AS bigint)",
    "CAST(NULL AS bigint)"
);
/// With a look at what the credential comes of: whoever revokes that need not know of it. Only what is signed comes of
/// something, and that is looked up by its id.
const BY_ID: &str = select!(
    "",
    "",
    "c.id = $1",
    "CASE WHEN c.family_id IS NULL OR c.kind NOT IN ('oauth_access', 'oauth_refresh') THEN CAST(1 AS bigint)
         WHEN c.principal_type = 'user' THEN (SELECT COUNT(*) FROM oauth_grants g
             WHERE g.id = c.family_id AND g.revoked_at IS NULL)
         ELSE (SELECT COUNT(*) FROM credentials k WHERE k.id = c.family_id AND k.revoked_at IS NULL) END",
    "CAST(NULL AS bigint)",
    "CAST(NULL AS bigint)"
);
/// With what tells whether what is remembered of an environment still holds.
const BY_TOKEN_IN_ENV: &str = select!(
    "",
    "",
    "c.secret_mac = $1",
    "CAST(1 AS bigint)",
    "(SELECT x.epoch FROM access_epochs x WHERE x.org_id = $2)",
    "(SELECT v.revision FROM environments v WHERE v.id = $3)"
);
/// PostgreSQL: the limit keeps it planned for one credential at a time, along the indexes, whatever the planner believes of
/// their number.
const MANY_POSTGRES: &str = concat!(
    "SELECT a.n AS ask, r.* FROM json_to_recordset($1::json) AS a (n bigint, mac text, org uuid, env uuid) CROSS JOIN LATERAL (",
    select!(
        "",
        "",
        "c.secret_mac = decode(a.mac, 'hex')",
        "CAST(1 AS bigint)",
        "(SELECT x.epoch FROM access_epochs x WHERE x.org_id = a.org)",
        "(SELECT v.revision FROM environments v WHERE v.id = a.env)"
    ),
    " LIMIT 1) AS r"
);
/// SQLite: a cross join keeps the order of its tables.
const MANY_SQLITE: &str = select!(
    "a.value->>'n' AS ask, ",
    "json_each($1) a CROSS JOIN ",
    "c.secret_mac = unhex(a.value->>'mac')",
    "CAST(1 AS bigint)",
    "(SELECT x.epoch FROM access_epochs x WHERE x.org_id = unhex(a.value->>'org'))",
    "(SELECT v.revision FROM environments v WHERE v.id = unhex(a.value->>'env'))"
);

/// One credential by its text's MAC.
pub(super) async fn one(from: &impl Reads, sought: Sought) -> Result<Option<Row>, DbErr> {
    let mac = sought.mac.to_vec();
    let statement = match sought.place {
        None => from.sql(BY_TOKEN, [mac.into()]),
        Some((org, env)) => from.sql(BY_TOKEN_IN_ENV, [mac.into(), org.into(), env.into()]),
    };
    Row::find_by_statement(statement).one(from.conn()).await
}

/// One credential by its id.
pub(super) async fn by_id(from: &impl Reads, id: CredentialId) -> Result<Option<Row>, DbErr> {
    let statement = from.sql(BY_ID, [id.into()]);
    Row::find_by_statement(statement).one(from.conn()).await
}

/// Those that are there, by their places among those that are sought.
async fn found(from: &impl Reads, sought: &[Sought]) -> Result<HashMap<usize, Row>, DbErr> {
    match sought {
        [] => Ok(HashMap::new()),
        [single] => Ok(one(from, *single).await?.map(|row| (0, row)).into_iter().collect()),
        many => all(from, many).await,
    }
}

async fn all(from: &impl Reads, sought: &[Sought]) -> Result<HashMap<usize, Row>, DbErr> {
    let sql = match from.backend() {
        Backend::Postgres => MANY_POSTGRES,
        Backend::Sqlite => MANY_SQLITE,
    };
    let asked: Vec<Value> = sought.iter().enumerate().map(|(n, sought)| asked(n, sought)).collect();
    let asked = Value::Array(asked).to_string();
    let rows = from.conn().query_all_raw(from.sql(sql, [asked.into()])).await?;
    let numbered = rows.iter().map(|row| {
        let n: i64 = row.try_get("", "ask")?;
        let row = Row::from_query_result(row, "")?;
        Ok::<_, DbErr>((usize::try_from(n).unwrap_or(usize::MAX), row))
    });
    numbered.collect()
}

fn asked(n: usize, sought: &Sought) -> Value {
    let (org, env) = sought.place.unzip();
    json!({
        "n": n,
        "mac": hex::encode(sought.mac),
        "org": org.map(|org| org.0.simple().to_string()),
        "env": env.map(|env| env.0.simple().to_string()),
    })
}

/// What a request is told: shared by all that asked the same.
type Told = Result<Option<Arc<Row>>, DbErr>;

/// A request that waits.
struct Ask {
    sought: Sought,
    told: oneshot::Sender<Told>,
}

/// Looks credentials up, those of many requests at a time.
pub struct Lookups {
    db: Db,
    asks: mpsc::Sender<Ask>,
}

impl Lookups {
    /// Begins to take requests. It ends with the last of them when this is dropped.
    pub fn start(db: Db) -> Self {
        let (asks, queue) = mpsc::channel(QUEUE);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..AT_ONCE {
            tokio::spawn(serve(db.clone(), Arc::clone(&queue)));
        }
        Self { db, asks }
    }

    pub(super) fn db(&self) -> &Db {
        &self.db
    }

    /// What is stored from now on or later.
    pub(super) async fn find(&self, sought: Sought) -> Result<Option<Row>> {
        let gone = || Error::internal("nobody looks credentials up any more");
        let (told, hears) = oneshot::channel();
        self.asks.send(Ask { sought, told }).await.map_err(|_| gone())?;
        let row = hears.await.map_err(|_| gone())??;
        Ok(row.map(Arc::unwrap_or_clone))
    }
}

/// Takes what has gathered and asks the database. Whoever is at it keeps the queue until the answer is there, so that the
/// next gather; from a statement that takes long the others do not wait.
async fn serve(db: Db, queue: Arc<Mutex<mpsc::Receiver<Ask>>>) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let mut queue = queue.lock().await;
        if queue.recv_many(&mut batch, BATCH).await == 0 {
            return;
        }
        // Requests that have come already, and whose turn was not yet, ask now.
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
            while batch.len() < BATCH
                && let Ok(ask) = queue.try_recv()
            {
                batch.push(ask);
            }
        }
        let mut answering = pin!(answer(&db, &mut batch));
        if timeout(LONG, &mut answering).await.is_err() {
            drop(queue);
            answering.await;
        }
    }
}

async fn answer(db: &Db, batch: &mut Vec<Ask>) {
    let mut waiting: HashMap<Sought, Vec<oneshot::Sender<Told>>> = HashMap::new();
    // Who has left meanwhile is not looked for.
    for Ask { sought, told } in batch.drain(..).filter(|ask| !ask.told.is_closed()) {
        waiting.entry(sought).or_default().push(told);
    }
    let (sought, waiting): (Vec<Sought>, Vec<_>) = waiting.into_iter().unzip();
    let mut found = found(db, &sought).await;
    for (n, waiting) in waiting.into_iter().enumerate() {
        let answer: Told = match &mut found {
            Ok(rows) => Ok(rows.remove(&n).map(Arc::new)),
            Err(error) => Err(error.clone()),
        };
        for told in waiting {
            let _ = told.send(answer.clone());
        }
    }
}

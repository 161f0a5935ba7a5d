//! The only writer of the journal.

use std::mem;

use sea_orm::{ConnectionTrait, EntityTrait, FromQueryResult};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::entity::{event, ledger};
use super::{Action, chain, fan_out};
use crate::access::Origin;
use crate::jobs::{self, NewJob, Placed};
use crate::kernel::id::{
    AclRuleId, BackupId, CredentialId, EmailId, EnvId, EventId, InviteId, JobId, OAuthClientId, OAuthGrantId, OrgId,
    ProjectId, RealmUserId, RoleId, SecretId, ServiceAccountId, SessionId, SsoIdentityId, TemplateKeyId, UserId,
    WebhookId,
};
use crate::kernel::trace::{self, TraceParent};
use crate::kernel::{Error, Reads, Result, Rows, Timestamp, WriteTx};

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    User(UserId),
    Session(Uuid),
    Token(Uuid),
    Org(OrgId),
    Project(ProjectId),
    Environment(EnvId),
    Secret(SecretId),
    TemplateKey(TemplateKeyId),
    Webhook(Uuid),
    Email(EmailId),
    Invite(InviteId),
    Role(RoleId),
    AccessRule(AclRuleId),
    ServiceAccount(ServiceAccountId),
    OAuthClient(OAuthClientId),
    OAuthGrant(OAuthGrantId),
    RealmUser(RealmUserId),
    Job(JobId),
    SsoProvider(Uuid),
    SsoIdentity(SsoIdentityId),
    Backup(BackupId),
}

impl Target {
    fn parts(self) -> (&'static str, Uuid) {
        match self {
            Self::User(id) => ("user", id.0),
            Self::Session(id) => ("session", id),
            Self::Token(id) => ("token", id),
            Self::Org(id) => ("org", id.0),
            Self::Project(id) => ("project", id.0),
            Self::Environment(id) => ("environment", id.0),
            Self::Secret(id) => ("secret", id.0),
            Self::TemplateKey(id) => ("template_key", id.0),
            Self::Webhook(id) => ("webhook", id),
            Self::Email(id) => ("email", id.0),
            Self::Invite(id) => ("invite", id.0),
            Self::Role(id) => ("role", id.0),
            Self::AccessRule(id) => ("access_rule", id.0),
            Self::ServiceAccount(id) => ("service_account", id.0),
            Self::OAuthClient(id) => ("oauth_client", id.0),
            Self::OAuthGrant(id) => ("oauth_grant", id.0),
            Self::RealmUser(id) => ("realm_user", id.0),
            Self::Job(id) => ("job", id.0),
            Self::SsoProvider(id) => ("sso_provider", id),
            Self::SsoIdentity(id) => ("sso_identity", id.0),
            Self::Backup(id) => ("backup", id.0),
        }
    }
}

/// The id of what an event is about, in its public form; `kind` is the row's `target_type`.
pub fn public_id(kind: &str, id: Uuid) -> String {
    match kind {
        "user" => UserId(id).to_string(),
        "session" => SessionId(id).to_string(),
        "token" => CredentialId(id).to_string(),
        "sso_provider" if id.is_nil() => "instance".to_owned(),
        "org" | "sso_provider" => OrgId(id).to_string(),
        "project" => ProjectId(id).to_string(),
        "environment" => EnvId(id).to_string(),
        "secret" => SecretId(id).to_string(),
        "template_key" => TemplateKeyId(id).to_string(),
        "webhook" => WebhookId(id).to_string(),
        "email" => EmailId(id).to_string(),
        "invite" => InviteId(id).to_string(),
        "role" => RoleId(id).to_string(),
        "access_rule" => AclRuleId(id).to_string(),
        "service_account" => ServiceAccountId(id).to_string(),
        "oauth_client" => OAuthClientId(id).to_string(),
        "oauth_grant" => OAuthGrantId(id).to_string(),
        "realm_user" => RealmUserId(id).to_string(),
        "job" => JobId(id).to_string(),
        "sso_identity" => SsoIdentityId(id).to_string(),
        "backup" => BackupId(id).to_string(),
        _ => id.to_string(),
    }
}

/// One secret in a change, as the journal keeps it: which version, and a digest of what is stored, so that a stored
/// row that was put back or tampered with does not go unnoticed.
#[derive(Clone, Debug, Serialize)]
pub struct KeyChange {
    pub key: String,
    pub version: i64,
    pub secret_id: SecretId,
    /// SHA-256 of the sealed value, hex; absent when nothing was sealed: for a deletion, a rename, a restoration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Whether the secret lives on under the version that it had: renamed, or restored.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub keeps_version: bool,
}

/// The ledger of the instance: what concerns no organisation and no account.
pub const INSTANCE_LEDGER: Uuid = Uuid::nil();

/// The secrets of a change as the journal keeps them. A thousand of them are written once, and not made a tree of first.
///
/// # Errors
/// [`Error::Internal`].
pub fn keys(keys: &[KeyChange]) -> Result<Box<RawValue>> {
    serde_json::value::to_raw_value(keys).map_err(|fault| unwritable(&fault))
}

fn unwritable(fault: &serde_json::Error) -> Error {
    Error::internal(format!("journal data: {fault}"))
}

/// What an event tells, as it is stored.
#[derive(Serialize)]
struct Data<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<&'a RawValue>,
    #[serde(flatten)]
    facts: &'a Map<String, Value>,
}

/// An event to be recorded.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The chain it belongs to: an organisation's, an account's for what concerns no organisation, or the instance's.
    pub ledger: Uuid,
    pub action: Action,
    pub target: Target,
    pub project: Option<ProjectId>,
    pub environment: Option<EnvId>,
    pub revision: Option<i64>,
    /// Of a change of secrets: see [`keys`].
    pub keys: Option<Box<RawValue>>,
    pub data: Map<String, Value>,
}

impl Entry {
    pub fn in_org(org: OrgId, action: Action, target: Target) -> Self {
        Self::in_ledger(org.0, action, target)
    }

    pub fn of_account(user: UserId, action: Action, target: Target) -> Self {
        Self::in_ledger(user.0, action, target)
    }

    /// Of what concerns no organisation and no account.
    pub fn of_instance(action: Action, target: Target) -> Self {
        Self::in_ledger(INSTANCE_LEDGER, action, target)
    }

    fn in_ledger(ledger: Uuid, action: Action, target: Target) -> Self {
        Self {
            ledger,
            action,
            target,
            project: None,
            environment: None,
            revision: None,
            keys: None,
            data: Map::new(),
        }
    }

    #[must_use]
    pub fn project(mut self, id: ProjectId) -> Self {
        self.project = Some(id);
        self
    }

    #[must_use]
    pub fn environment(mut self, id: EnvId, revision: i64) -> Self {
        self.environment = Some(id);
        self.revision = Some(revision);
        self
    }

    /// Adds a fact. Never a secret value, a token, or anything sealed.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.data.insert(name.to_owned(), value.into());
        self
    }
}

/// Proof that an event is in the journal of the open transaction.
#[derive(Clone, Copy, Debug)]
pub struct Recorded {
    pub id: EventId,
    pub seq: i64,
    pub at: Timestamp,
}

#[derive(FromQueryResult)]
struct Head {
    seq: i64,
    hash: Vec<u8>,
}

/// Takes the next `count` numbers of a ledger. The row lock is held until the transaction ends, which makes the
/// numbers gap-free and in commit order, and the chain unforked. Returns the first number and the hash before it.
pub(super) async fn advance(tx: &WriteTx, ledger: Uuid, count: i64) -> Result<(i64, Vec<u8>)> {
    let sql = "INSERT INTO ledgers (id, seq, hash) VALUES ($1, $2, $3)
               ON CONFLICT (id) DO UPDATE SET seq = ledgers.seq + $2
               RETURNING seq, hash";
    let values = [ledger.into(), count.into(), chain::GENESIS.to_vec().into()];
    let head = Head::find_by_statement(tx.sql(sql, values)).one(tx.conn()).await?;
    let head = head.ok_or_else(|| Error::internal("a ledger without a head"))?;
    Ok((head.seq - count + 1, head.hash))
}

pub(super) async fn set_head(tx: &WriteTx, ledger: Uuid, hash: &[u8]) -> Result<()> {
    let sql = "UPDATE ledgers SET hash = $2 WHERE id = $1";
    tx.conn()
        .execute_raw(tx.sql(sql, [ledger.into(), hash.to_vec().into()]))
        .await?;
    Ok(())
}

/// A row without its place in the chain.
pub(super) fn row(id: EventId, at: Timestamp, origin: &Origin, entry: Entry) -> Result<event::Model> {
    let Entry {
        ledger,
        action,
        target,
        project,
        environment,
        revision,
        keys,
        data,
    } = entry;
    let data = Data {
        keys: keys.as_deref(),
        facts: &data,
    };
    let (target_type, target_id) = target.parts();
    let Origin {
        actor,
        actor_id,
        actor_label,
        credential,
        ip,
        user_agent,
        request_id,
    } = origin.clone();
    Ok(event::Model {
        ledger_id: ledger,
        seq: 0,
        id,
        at,
        action: action.as_str().to_owned(),
        actor_type: actor.as_str().to_owned(),
        actor_id,
        actor_label,
        credential_id: credential,
        target_type: target_type.to_owned(),
        target_id: Some(target_id),
        project_id: project,
        environment_id: environment,
        revision,
        data: serde_json::to_string(&data).map_err(|fault| unwritable(&fault))?,
        ip,
        user_agent,
        request_id,
        prev_hash: Vec::new(),
        hash: Vec::new(),
    })
}

/// Writes an event in the transaction of the change that it tells of, and the deliveries that it causes. Call it
/// last: from here to the commit the ledger is locked.
///
/// # Errors
/// [`Error::Db`].
pub async fn record(tx: &WriteTx, origin: &Origin, entry: Entry) -> Result<Recorded> {
    let span = trace::current();
    let recorded = record_all(tx, vec![Event { origin, entry, span }]).await?;
    let first = recorded.into_iter().next();
    first.ok_or_else(|| Error::internal("an event that was not recorded"))
}

/// An event of one of several changes that are made together.
pub struct Event<'a> {
    pub origin: &'a Origin,
    pub entry: Entry,
    /// What the change belongs under.
    pub span: Option<TraceParent>,
}

/// Writes several events of one ledger, in their order, as [`record`] does one.
///
/// # Errors
/// [`Error::Db`].
pub async fn record_all(tx: &WriteTx, events: Vec<Event<'_>>) -> Result<Vec<Recorded>> {
    let Some(ledger) = events.first().map(|event| event.entry.ledger) else {
        return Ok(Vec::new());
    };
    let actions: Vec<Action> = events.iter().map(|event| event.entry.action).collect();
    let spans: Vec<_> = events.iter().map(|event| event.span).collect();
    let rows = events.into_iter().map(|Event { origin, entry, span: _ }| {
        debug_assert_eq!(entry.ledger, ledger, "one ledger at a time");
        row(tx.new_id()?, tx.now(), origin, entry)
    });
    let mut rows = rows.collect::<Result<Vec<_>>>()?;
    let deliveries = fan_out::deliveries(tx, &actions, &rows).await?;
    let count = i64::try_from(rows.len()).map_err(|_| Error::internal("too many events"))?;
    let (first, hash) = advance(tx, ledger, count).await?;
    let end = link(&mut rows, first - 1, hash);
    let placed = |(n, job): (usize, NewJob)| Placed {
        job,
        seq: rows.get(n).map_or(0, |row| row.seq),
        span: spans.get(n).copied().flatten(),
    };
    jobs::emit_in_order(tx, deliveries.into_iter().map(placed).collect()).await?;
    set_head(tx, ledger, &end).await?;
    insert(tx, &rows).await?;
    if actions.iter().any(|action| action.is_deliverable()) {
        tx.will_tell_followers(ledger);
    }
    tx.note_journal_row();
    let recorded = |row: &event::Model| Recorded {
        id: row.id,
        seq: row.seq,
        at: row.at,
    };
    Ok(rows.iter().map(recorded).collect())
}

/// Gives rows their places behind the last one of a ledger; the hash of the last one then.
pub(super) fn link(rows: &mut [event::Model], last: i64, mut hash: Vec<u8>) -> Vec<u8> {
    for (row, seq) in rows.iter_mut().zip(last + 1..) {
        row.seq = seq;
        row.prev_hash = mem::take(&mut hash);
        row.hash = chain::hash(row).to_vec();
        hash.clone_from(&row.hash);
    }
    hash
}

/// The head of a ledger as stored: number and hash of its last row.
pub(super) async fn head(from: &impl Reads, ledger: Uuid) -> Result<Option<ledger::Model>> {
    Ok(ledger::Entity::find_by_id(ledger).one(from.conn()).await?)
}

/// Stores rows that have their places.
pub(super) async fn insert(tx: &WriteTx, rows: &[event::Model]) -> Result<()> {
    columns(rows).insert(tx, "").await
}

/// Rows that have their places, as they are stored.
pub(super) fn columns(rows: &[event::Model]) -> Rows {
    Rows::of("journal", rows.len())
        .each("ledger_id", rows.iter().map(|row| row.ledger_id))
        .each("seq", rows.iter().map(|row| row.seq))
        .each("id", rows.iter().map(|row| row.id))
        .each("at", rows.iter().map(|row| row.at))
        .each("action", rows.iter().map(|row| row.action.clone()))
        .each("actor_type", rows.iter().map(|row| row.actor_type.clone()))
        .each("actor_id", rows.iter().map(|row| row.actor_id))
        .each("actor_label", rows.iter().map(|row| row.actor_label.clone()))
        .each("credential_id", rows.iter().map(|row| row.credential_id))
        .each("target_type", rows.iter().map(|row| row.target_type.clone()))
        .each("target_id", rows.iter().map(|row| row.target_id))
        .each("project_id", rows.iter().map(|row| row.project_id))
        .each("environment_id", rows.iter().map(|row| row.environment_id))
        .each("revision", rows.iter().map(|row| row.revision))
        .each("data", rows.iter().map(|row| row.data.clone()))
        .each("ip", rows.iter().map(|row| row.ip.clone()))
        .each("user_agent", rows.iter().map(|row| row.user_agent.clone()))
        .each("request_id", rows.iter().map(|row| row.request_id.clone()))
        .each("prev_hash", rows.iter().map(|row| row.prev_hash.clone()))
        .each("hash", rows.iter().map(|row| row.hash.clone()))
}

//! The tokens of realms as credentials: they open nothing of this platform's. Access tokens are signed, so of them only
//! the row is here, by which they are revoked; refresh tokens are opaque, and each is good for one trade: see
//! [`super::rotation`]. Those of one sign-in are a family, and so are those that one key of a service account was traded
//! for.

use std::time::Duration;

use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait, FromQueryResult};
use uuid::Uuid;

use super::entity::credential;
use crate::access::Origin;
use crate::crypto::token::{Token, TokenKind, TokenMacKey};
use crate::kernel::id::{CredentialId, OrgId, RealmUserId, ServiceAccountId};
use crate::kernel::{Error, Reads, Result, Timestamp, WriteTx};

/// The `kind` of rows of access tokens. Nothing that looks for a caller of this platform takes it.
const ACCESS: &str = "realm_access";
/// The `kind` of rows of refresh tokens.
const REFRESH: &str = "realm_refresh";
/// How the rows name users of a realm, and service accounts.
const USER: &str = "realm_user";
const ACCOUNT: &str = "service_account";
/// Ended tokens are kept for this long, so that one that comes twice is noticed.
const KEPT: Duration = Duration::from_hours(24);
/// How long a place that somebody signed in from is remembered.
const MEMORY: Duration = Duration::from_hours(90 * 24);

/// Whose token it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    User(RealmUserId),
    ServiceAccount(ServiceAccountId),
}

impl Holder {
    const fn parts(self) -> (&'static str, Uuid) {
        match self {
            Self::User(id) => (USER, id.0),
            Self::ServiceAccount(id) => (ACCOUNT, id.0),
        }
    }

    /// The id as tokens name it.
    pub fn subject(self) -> String {
        match self {
            Self::User(id) => id.to_string(),
            Self::ServiceAccount(id) => id.to_string(),
        }
    }
}

/// A token to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewToken {
    pub holder: Holder,
    pub org: OrgId,
    /// What it comes of and ends with: a sign-in, or a key of a service account.
    pub family: Option<Uuid>,
    /// When the password was shown.
    pub auth_time: Option<Timestamp>,
    pub ends_at: Timestamp,
}

fn row(tx: &WriteTx, new: &NewToken, origin: &Origin) -> Result<credential::ActiveModel> {
    let NewToken {
        holder,
        org,
        family,
        auth_time,
        ends_at,
    } = *new;
    let (kind, id) = holder.parts();
    Ok(credential::ActiveModel {
        id: Set(tx.new_id()?),
        principal_type: Set(kind.to_owned()),
        principal_id: Set(id),
        name: Set(String::new()),
        scopes: Set(None),
        patterns: Set(None),
        org_id: Set(Some(org)),
        family_id: Set(family),
        replaced_by: Set(None),
        auth_time: Set(auth_time),
        amr: Set(None),
        ip: Set(origin.ip.clone()),
        user_agent: Set(origin.user_agent.clone()),
        created_at: Set(tx.now()),
        expires_at: Set(Some(ends_at)),
        idle_expires_at: Set(None),
        last_used_at: Set(None),
        revoked_at: Set(None),
        ..Default::default()
    })
}

/// Makes the credential of an access token, which is signed with its id in it. The caller journals.
///
/// # Errors
/// [`Error::Db`].
pub async fn insert_access(tx: &WriteTx, new: &NewToken, origin: &Origin) -> Result<CredentialId> {
    let row = credential::ActiveModel {
        kind: Set(ACCESS.to_owned()),
        // Chance: it is shown signed, and nothing has this as its keyed hash.
        secret_mac: Set(tx.rng().bytes::<32>()?.to_vec()),
        prefix: Set(String::new()),
        last_four: Set(String::new()),
        ..row(tx, new, origin)?
    };
    let made = credential::Entity::insert(row).exec_with_returning(tx.conn()).await?;
    Ok(made.id)
}

/// Stores a refresh token. The caller journals.
///
/// # Errors
/// [`Error::Db`].
pub async fn insert_refresh(
    tx: &WriteTx,
    macs: &TokenMacKey,
    token: &Token,
    new: &NewToken,
    origin: &Origin,
) -> Result<CredentialId> {
    let row = credential::ActiveModel {
        kind: Set(REFRESH.to_owned()),
        secret_mac: Set(macs.mac(token).to_vec()),
        prefix: Set(token.prefix().to_owned()),
        last_four: Set(token.last_four().to_owned()),
        ..row(tx, new, origin)?
    };
    let made = credential::Entity::insert(row).exec_with_returning(tx.conn()).await?;
    Ok(made.id)
}

#[derive(FromQueryResult)]
struct Row {
    id: CredentialId,
    principal_type: String,
    principal_id: Uuid,
    org_id: Option<OrgId>,
    family_id: Option<Uuid>,
    replaced_by: Option<CredentialId>,
    auth_time: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
}

/// A stored token.
#[derive(Clone, Debug)]
pub struct Stored {
    pub id: CredentialId,
    pub holder: Holder,
    pub org: OrgId,
    pub family: Option<Uuid>,
    pub replaced_by: Option<CredentialId>,
    pub auth_time: Option<Timestamp>,
    pub ends_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

impl Row {
    fn read(self) -> Result<Stored> {
        let Self {
            id,
            principal_type,
            principal_id,
            org_id,
            family_id,
            replaced_by,
            auth_time,
            expires_at,
            revoked_at,
        } = self;
        let broken = || Error::internal("a token of a realm is stored wrongly");
        let holder = match principal_type.as_str() {
            USER => Holder::User(RealmUserId(principal_id)),
            ACCOUNT => Holder::ServiceAccount(ServiceAccountId(principal_id)),
            _ => return Err(broken()),
        };
        Ok(Stored {
            id,
            holder,
            org: org_id.ok_or_else(broken)?,
            family: family_id,
            replaced_by,
            auth_time,
            ends_at: expires_at.ok_or_else(broken)?,
            revoked_at,
        })
    }
}

impl Stored {
    /// Whether it has ended.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.revoked_at.is_some() || self.ends_at <= now
    }
}

const SELECT: &str =
    "SELECT id, principal_type, principal_id, org_id, family_id, replaced_by, auth_time, expires_at, revoked_at
    FROM credentials";

/// A refresh token that was made here, whatever has become of it.
///
/// # Errors
/// [`Error::Db`].
pub async fn find_refresh(from: &impl Reads, macs: &TokenMacKey, text: &str) -> Result<Option<Stored>> {
    let Some(token) = Token::parse(text)
        .ok()
        .filter(|token| token.kind() == TokenKind::RealmRefresh)
    else {
        return Ok(None);
    };
    let sql = format!("{SELECT} WHERE secret_mac = $1 AND kind = $2");
    let values = [macs.mac(&token).to_vec().into(), REFRESH.into()];
    let row = Row::find_by_statement(from.sql(&sql, values)).one(from.conn()).await?;
    row.map(Row::read).transpose()
}

/// An access token by its id, whatever has become of it.
///
/// # Errors
/// [`Error::Db`].
pub async fn find_access(from: &impl Reads, id: CredentialId) -> Result<Option<Stored>> {
    let sql = format!("{SELECT} WHERE id = $1 AND kind = $2");
    let row = Row::find_by_statement(from.sql(&sql, [id.into(), ACCESS.into()]))
        .one(from.conn())
        .await?;
    row.map(Row::read).transpose()
}

/// Ends one token. The caller journals.
///
/// # Errors
/// [`Error::Db`].
pub async fn revoke(tx: &WriteTx, id: CredentialId) -> Result<()> {
    let sql = "UPDATE credentials SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
    tx.conn().execute_raw(tx.sql(sql, [id.into(), tx.now().into()])).await?;
    Ok(())
}

/// Ends every token of a sign-in. The caller journals.
///
/// # Errors
/// [`Error::Db`].
pub async fn revoke_family(tx: &WriteTx, family: Uuid) -> Result<()> {
    let sql = "UPDATE credentials SET revoked_at = $2 WHERE family_id = $1 AND kind IN ($3, $4) AND revoked_at IS NULL";
    let values = [family.into(), tx.now().into(), ACCESS.into(), REFRESH.into()];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(())
}

/// Ends every token of a user. The caller journals.
///
/// # Errors
/// [`Error::Db`].
pub async fn revoke_of_user(tx: &WriteTx, user: RealmUserId) -> Result<()> {
    let sql =
        "UPDATE credentials SET revoked_at = $2 WHERE principal_id = $1 AND kind IN ($3, $4) AND revoked_at IS NULL";
    let values = [user.into(), tx.now().into(), ACCESS.into(), REFRESH.into()];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(())
}

#[derive(FromQueryResult)]
struct Count {
    n: i64,
}

/// Whether a user signed in from this very address in the last 90 days. For a name that nobody has it asks the same, so
/// that it takes as long.
///
/// # Errors
/// [`Error::Db`].
pub async fn is_known_place(from: &impl Reads, user: Option<RealmUserId>, ip: Option<&str>) -> Result<bool> {
    let sql = "SELECT COUNT(*) AS n FROM credentials
               WHERE principal_id = $1 AND kind = $2 AND created_at > $3 AND ip = $4";
    let values = [
        user.unwrap_or(RealmUserId(Uuid::nil())).into(),
        REFRESH.into(),
        (from.now() - MEMORY).into(),
        ip.unwrap_or_default().into(),
    ];
    let count = Count::find_by_statement(from.sql(sql, values)).one(from.conn()).await?;
    Ok(count.is_some_and(|count| count.n > 0))
}

/// Deletes tokens that ended a day ago; returns how many.
///
/// # Errors
/// [`Error::Db`].
pub async fn prune(tx: &WriteTx) -> Result<u64> {
    let sql = "DELETE FROM credentials WHERE kind IN ($1, $2) AND expires_at < $3";
    let values = [ACCESS.into(), REFRESH.into(), (tx.now() - KEPT).into()];
    let deleted = tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(deleted.rows_affected())
}

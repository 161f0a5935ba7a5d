//! The tokens of OAuth clients as credentials. Access tokens are signed, so of them only the row is here, by which they
//! are revoked and their use is noted; refresh tokens are opaque, and each is good for one trade: see [`super::rotation`].
//! Those of one consent are a family, and so are those that one key of a service account was traded for.

use std::collections::BTreeMap;
use std::time::Duration;

use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait, FromQueryResult};
use uuid::Uuid;

use super::entity::credential;
use crate::access::{GrantSet, Origin};
use crate::crypto::token::{Token, TokenKind, TokenMacKey};
use crate::kernel::id::{CredentialId, OAuthClientId, OrgId, ServiceAccountId, UserId};
use crate::kernel::{Error, Reads, Result, Timestamp, WriteTx};

/// The `kind` of rows of access tokens.
pub const ACCESS: &str = "oauth_access";
/// The `kind` of rows of refresh tokens.
const REFRESH: &str = "oauth_refresh";
/// How the rows name clients that a token is of themselves.
pub const CLIENT: &str = "oauth_client";
/// Ended tokens are kept for this long, so that one that comes twice is noticed.
const KEPT: Duration = Duration::from_hours(24);

/// Whose token it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    User(UserId),
    ServiceAccount(ServiceAccountId),
    /// The client itself: it may do nothing here, and others can check who it is.
    Client(OAuthClientId),
}

impl Holder {
    const fn parts(self) -> (&'static str, Uuid) {
        match self {
            Self::User(id) => ("user", id.0),
            Self::ServiceAccount(id) => ("service_account", id.0),
            Self::Client(id) => (CLIENT, id.0),
        }
    }

    /// The id as tokens name it.
    pub fn subject(self) -> String {
        match self {
            Self::User(id) => id.to_string(),
            Self::ServiceAccount(id) => id.to_string(),
            Self::Client(id) => id.to_string(),
        }
    }
}

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewToken<'a> {
    pub holder: Holder,
    /// The client that it is given to, as tokens name it.
    pub client: &'a str,
    /// What it is narrowed to; `None` = all that its holder may.
    pub grants: Option<&'a GrantSet>,
    pub org: Option<OrgId>,
    /// What it comes of and ends with: a consent, or a key of a service account.
    pub family: Option<Uuid>,
    pub auth_time: Option<Timestamp>,
    /// How its person was signed in, as stored.
    pub amr: Option<&'a str>,
    pub ends_at: Timestamp,
}

fn row(tx: &WriteTx, new: &NewToken<'_>, origin: &Origin) -> Result<credential::ActiveModel> {
    let NewToken {
        holder,
        client,
        grants,
        org,
        family,
        auth_time,
        amr,
        ends_at,
    } = new;
    let (kind, id) = holder.parts();
    let scopes = grants.map(|grants| serde_json::to_string(&grants.to_list()));
    Ok(credential::ActiveModel {
        id: Set(tx.new_id()?),
        principal_type: Set(kind.to_owned()),
        principal_id: Set(id),
        name: Set((*client).to_owned()),
        scopes: Set(scopes
            .transpose()
            .map_err(|e| Error::internal(format!("scopes: {e}")))?),
        patterns: Set(None),
        org_id: Set(*org),
        family_id: Set(*family),
        replaced_by: Set(None),
        auth_time: Set(*auth_time),
        amr: Set(amr.map(str::to_owned)),
        ip: Set(origin.ip.clone()),
        user_agent: Set(origin.user_agent.clone()),
        created_at: Set(tx.now()),
        expires_at: Set(Some(*ends_at)),
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
pub async fn insert_access(tx: &WriteTx, new: &NewToken<'_>, origin: &Origin) -> Result<CredentialId> {
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
    new: &NewToken<'_>,
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

/// A stored token.
#[derive(Clone, Debug, FromQueryResult)]
pub struct Stored {
    pub id: CredentialId,
    /// The client that it was given to.
    pub name: String,
    pub principal_type: String,
    pub principal_id: Uuid,
    pub org_id: Option<OrgId>,
    pub family_id: Option<Uuid>,
    pub replaced_by: Option<CredentialId>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

const SELECT: &str =
    "SELECT id, name, principal_type, principal_id, org_id, family_id, replaced_by, created_at, expires_at,
    revoked_at FROM credentials";

impl Stored {
    /// Whether it has ended.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.revoked_at.is_some() || self.expires_at.is_some_and(|end| end <= now)
    }
}

/// A refresh token that was made here, whatever has become of it.
///
/// # Errors
/// [`Error::Db`].
pub async fn find_refresh(from: &impl Reads, macs: &TokenMacKey, text: &str) -> Result<Option<Stored>> {
    let Some(token) = Token::parse(text)
        .ok()
        .filter(|token| token.kind() == TokenKind::ClientRefresh)
    else {
        return Ok(None);
    };
    let sql = format!("{SELECT} WHERE secret_mac = $1 AND kind = $2");
    let values = [macs.mac(&token).to_vec().into(), REFRESH.into()];
    Ok(Stored::find_by_statement(from.sql(&sql, values))
        .one(from.conn())
        .await?)
}

/// A token by its id, whatever has become of it.
///
/// # Errors
/// [`Error::Db`].
pub async fn find(from: &impl Reads, id: CredentialId) -> Result<Option<Stored>> {
    let sql = format!("{SELECT} WHERE id = $1 AND kind IN ($2, $3)");
    let values = [id.into(), ACCESS.into(), REFRESH.into()];
    Ok(Stored::find_by_statement(from.sql(&sql, values))
        .one(from.conn())
        .await?)
}

#[derive(FromQueryResult)]
struct Used {
    family_id: Uuid,
    last_used_at: Timestamp,
}

/// When a token of each of a person's consents was last used or renewed, as far as tokens are kept.
///
/// # Errors
/// [`Error::Db`].
pub async fn last_used(from: &impl Reads, user: UserId) -> Result<BTreeMap<Uuid, Timestamp>> {
    let sql = "SELECT family_id, MAX(last_used_at) AS last_used_at FROM credentials
               WHERE principal_id = $1 AND kind IN ($2, $3) AND family_id IS NOT NULL AND last_used_at IS NOT NULL
               GROUP BY family_id";
    let values = [user.into(), ACCESS.into(), REFRESH.into()];
    let rows = Used::find_by_statement(from.sql(sql, values)).all(from.conn()).await?;
    Ok(rows
        .into_iter()
        .map(|used| (used.family_id, used.last_used_at))
        .collect())
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

/// Ends every token of a consent. The caller journals.
///
/// # Errors
/// [`Error::Db`].
pub async fn revoke_family(tx: &WriteTx, family: Uuid) -> Result<()> {
    let sql = "UPDATE credentials SET revoked_at = $2 WHERE family_id = $1 AND kind IN ($3, $4) AND revoked_at IS NULL";
    let values = [family.into(), tx.now().into(), ACCESS.into(), REFRESH.into()];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(())
}

/// Ends every token that was given to a client. The caller journals.
///
/// # Errors
/// [`Error::Db`].
pub async fn revoke_of_client(tx: &WriteTx, client: &str) -> Result<()> {
    let sql = "UPDATE credentials SET revoked_at = $2 WHERE name = $1 AND kind IN ($3, $4) AND revoked_at IS NULL";
    let values = [client.into(), tx.now().into(), ACCESS.into(), REFRESH.into()];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(())
}

/// Deletes access tokens that ended a day ago, and refresh tokens that nothing comes of any more; returns how many.
///
/// # Errors
/// [`Error::Db`].
pub async fn prune(tx: &WriteTx) -> Result<u64> {
    let sql = "DELETE FROM credentials WHERE kind IN ($1, $2) AND expires_at < $3";
    let values = [ACCESS.into(), REFRESH.into(), (tx.now() - KEPT).into()];
    let deleted = tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(deleted.rows_affected())
}

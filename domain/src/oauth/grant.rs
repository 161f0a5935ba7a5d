//! What a person let a client do. The tokens that come of it have its id as their family; it ends with them.

use std::time::Duration;

use sea_orm::{ConnectionTrait, FromQueryResult};

use super::{Client, Scopes};
use crate::auth::{account, oauth_token};
use crate::kernel::id::{OAuthClientId, OAuthGrantId, OrgId, UserId};
use crate::kernel::{Error, ProblemCode, Reads, Result, Timestamp, WriteTx};

/// However often its tokens are renewed, a consent ends after this long. Source: ASVS 5.0, 10.4.8.
pub const TTL: Duration = Duration::from_hours(90 * 24);

/// Consents of a person to one client that are looked at when they are asked again, newest first.
const LOOKED_AT: u32 = 50;

/// A consent.
#[derive(Clone, Debug)]
pub struct Grant {
    pub id: OAuthGrantId,
    pub client: OAuthClientId,
    pub user: UserId,
    /// The one organisation that it is for; `None` = all of the person's.
    pub org: Option<OrgId>,
    pub scopes: Scopes,
    pub nonce: Option<String>,
    /// When the person had signed in.
    pub auth_time: Option<Timestamp>,
    /// How, as stored.
    pub amr: Option<String>,
    pub created_at: Timestamp,
    pub ends_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

#[derive(FromQueryResult)]
struct Row {
    id: OAuthGrantId,
    client_id: OAuthClientId,
    user_id: UserId,
    org_id: Option<OrgId>,
    scopes: String,
    nonce: Option<String>,
    auth_time: Option<Timestamp>,
    amr: Option<String>,
    created_at: Timestamp,
    ends_at: Timestamp,
    revoked_at: Option<Timestamp>,
}

impl Row {
    fn read(self) -> Result<Grant> {
        let Self {
            id,
            client_id,
            user_id,
            org_id,
            scopes,
            nonce,
            auth_time,
            amr,
            created_at,
            ends_at,
            revoked_at,
        } = self;
        let broken = || Error::internal("a consent is stored wrongly");
        Ok(Grant {
            id,
            client: client_id,
            user: user_id,
            org: org_id,
            scopes: Scopes::from_stored(&scopes).ok_or_else(broken)?,
            nonce,
            auth_time,
            amr,
            created_at,
            ends_at,
            revoked_at,
        })
    }
}

const SELECT: &str =
    "SELECT id, client_id, user_id, org_id, scopes, nonce, auth_time, amr, created_at, ends_at, revoked_at
    FROM oauth_grants";

impl Grant {
    /// Whether it holds.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.ends_at > now
    }
}

/// A consent by its id, whatever has become of it.
///
/// # Errors
/// [`Error::Db`].
pub async fn find(from: &impl Reads, id: OAuthGrantId) -> Result<Option<Grant>> {
    let sql = format!("{SELECT} WHERE id = $1");
    let row = Row::find_by_statement(from.sql(&sql, [id.into()]))
        .one(from.conn())
        .await?;
    row.map(Row::read).transpose()
}

/// A consent that holds, and whose person is let in. Their account is locked until the transaction ends: what ends
/// consents waits, or was first. `None` for any other.
///
/// # Errors
/// [`Error::Db`].
pub(super) async fn hold(tx: &WriteTx, id: OAuthGrantId) -> Result<Option<Grant>> {
    let Some(found) = find(tx, id).await? else {
        return Ok(None);
    };
    let standing = match account::lock(tx, found.user).await {
        Err(error) if error.code() == Some(ProblemCode::NotFound) => return Ok(None),
        standing => standing?,
    };
    if standing.disabled_at.is_some() {
        return Ok(None);
    }
    Ok(find(tx, id).await?.filter(|grant| grant.is_live(tx.now())))
}

/// Whether a person has let a client do all this before, in this organisation, and that holds.
///
/// # Errors
/// [`Error::Db`].
pub async fn is_known(
    from: &impl Reads,
    client: &Client,
    user: UserId,
    org: Option<OrgId>,
    scopes: &Scopes,
) -> Result<bool> {
    let sql = format!(
        "{SELECT} WHERE user_id = $1 AND client_id = $2 AND revoked_at IS NULL AND ends_at > $3
         ORDER BY created_at DESC LIMIT {LOOKED_AT}"
    );
    let values = [user.into(), client.id.into(), from.now().into()];
    let rows = Row::find_by_statement(from.sql(&sql, values)).all(from.conn()).await?;
    for row in rows {
        let grant = row.read()?;
        if grant.org == org && scopes.are_within(&grant.scopes) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// All that a person lets clients do, newest first.
///
/// # Errors
/// [`Error::Db`].
pub(super) async fn live_of_user(from: &impl Reads, user: UserId) -> Result<Vec<Grant>> {
    let sql = format!(
        "{SELECT} WHERE user_id = $1 AND revoked_at IS NULL AND ends_at > $2 ORDER BY created_at DESC, id DESC"
    );
    let rows = Row::find_by_statement(from.sql(&sql, [user.into(), from.now().into()]))
        .all(from.conn())
        .await?;
    rows.into_iter().map(Row::read).collect()
}

/// Ends all that a person lets one client do, with every token that came of it; returns how many consents that were. The
/// caller has locked the account, and journals.
///
/// # Errors
/// [`Error::Db`].
pub(super) async fn end_of_client(tx: &WriteTx, user: UserId, client: OAuthClientId) -> Result<u64> {
    let sql = "UPDATE oauth_grants SET revoked_at = $3
               WHERE user_id = $1 AND client_id = $2 AND revoked_at IS NULL AND ends_at > $3";
    let values: [sea_orm::Value; 3] = [user.into(), client.into(), tx.now().into()];
    let ended = tx.conn().execute_raw(tx.sql(sql, values.clone())).await?;
    let sql = "UPDATE credentials SET revoked_at = $3
               WHERE principal_id = $1 AND kind IN ('oauth_access', 'oauth_refresh') AND revoked_at IS NULL
                 AND family_id IN (SELECT id FROM oauth_grants WHERE user_id = $1 AND client_id = $2)";
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(ended.rows_affected())
}

/// Ends all that a person has let clients do, with every token that came of it. The caller has locked the account, and
/// journals.
///
/// # Errors
/// [`Error::Db`].
pub async fn end_of_user(tx: &WriteTx, user: UserId) -> Result<()> {
    for sql in [
        "UPDATE oauth_grants SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL",
        "UPDATE credentials SET revoked_at = $2 WHERE principal_id = $1 AND revoked_at IS NULL
            AND kind IN ('oauth_access', 'oauth_refresh')",
    ] {
        tx.conn()
            .execute_raw(tx.sql(sql, [user.into(), tx.now().into()]))
            .await?;
    }
    Ok(())
}

/// Stores a consent. The caller journals.
///
/// # Errors
/// [`Error::Db`].
pub(super) async fn insert(tx: &WriteTx, grant: &Grant) -> Result<()> {
    let sql =
        "INSERT INTO oauth_grants (id, client_id, user_id, org_id, scopes, nonce, auth_time, amr, created_at, ends_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let values = [
        grant.id.into(),
        grant.client.into(),
        grant.user.into(),
        grant.org.into(),
        grant.scopes.to_string().into(),
        grant.nonce.clone().into(),
        grant.auth_time.into(),
        grant.amr.clone().into(),
        grant.created_at.into(),
        grant.ends_at.into(),
    ];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(())
}

/// Ends a consent with all of its tokens. The caller journals.
///
/// # Errors
/// [`Error::Db`].
pub(super) async fn end(tx: &WriteTx, id: OAuthGrantId) -> Result<()> {
    let sql = "UPDATE oauth_grants SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
    tx.conn().execute_raw(tx.sql(sql, [id.into(), tx.now().into()])).await?;
    oauth_token::revoke_family(tx, id.0).await
}

/// Ends every consent to a client; its tokens are ended apart.
pub(super) async fn revoke_of_client(tx: &WriteTx, client: OAuthClientId) -> Result<()> {
    let sql = "UPDATE oauth_grants SET revoked_at = $2 WHERE client_id = $1 AND revoked_at IS NULL";
    tx.conn()
        .execute_raw(tx.sql(sql, [client.into(), tx.now().into()]))
        .await?;
    Ok(())
}

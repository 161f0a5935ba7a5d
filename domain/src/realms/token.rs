//! What becomes of a token of a realm that is shown again: whose it is now, and giving it up.

use sea_orm::FromQueryResult;
use uuid::Uuid;

use super::realm::{self, Realm};
use super::user;
use crate::access::Origin;
use crate::auth::realm_token::{self, Holder, Stored};
use crate::crypto::token::TokenMacKey;
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{CredentialId, OrgId, RealmUserId, ServiceAccountId};
use crate::kernel::{Problem, Reads, Result, WriteTx};
use crate::signing::{self, Typ};

/// Longest token that is looked at, bytes.
const MAX_LEN: usize = 8 * 1024;

/// # Errors
/// `invalid_field` naming `token`.
pub(super) fn require_short(text: &str) -> Result<()> {
    if text.len() <= MAX_LEN {
        return Ok(());
    }
    let message = format!("must have at most {MAX_LEN} bytes");
    Err(Problem::field("token", "too_long", message).into())
}

/// A signed token in force: it was not revoked, its realm is on, and its holder is let in.
#[derive(Clone, Debug)]
pub struct Live {
    pub realm: Realm,
    pub holder: Holder,
    /// Address of a user, name of a service account.
    pub label: String,
}

/// The stored half of a signed token that a realm of this instance made, whatever has become of it; `None` for anything
/// else. A claim that is not what it must be makes it anything else.
async fn signed(from: &impl Reads, instance: &str, text: &str) -> Result<Option<Stored>> {
    let Some(claims) = signing::opened(from, text, Typ::AccessToken).await? else {
        return Ok(None);
    };
    let org: Option<OrgId> = claims.text("aud").and_then(|org| org.parse().ok());
    let id: Option<CredentialId> = claims.text("jti").and_then(|id| id.parse().ok());
    let (Some(org), Some(id)) = (org, id) else {
        return Ok(None);
    };
    if !claims.meet(&Realm::issuer(instance, org), &org.to_string(), from.now()) {
        return Ok(None);
    }
    let stored = realm_token::find_access(from, id).await?;
    Ok(stored.filter(|stored| stored.org == org))
}

/// Whose a signed token is. Who that is stands in the database: what the token says of its holder is not even read.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn live(from: &impl Reads, instance: &str, text: &str) -> Result<Option<Live>> {
    let Some(stored) = signed(from, instance, text).await? else {
        return Ok(None);
    };
    if stored.is_over(from.now()) {
        return Ok(None);
    }
    let Some(realm) = realm::find(from, stored.org).await? else {
        return Ok(None);
    };
    let label = match stored.holder {
        Holder::User(id) => user_label(from, realm.id, id).await?,
        Holder::ServiceAccount(id) => account_label(from, realm.id, id, stored.family).await?,
    };
    Ok(label.map(|label| Live {
        realm,
        holder: stored.holder,
        label,
    }))
}

async fn user_label(from: &impl Reads, org: OrgId, id: RealmUserId) -> Result<Option<String>> {
    let found = user::standing(from, org, id).await?;
    Ok(found.filter(|user| user.disabled_at.is_none()).map(|user| user.address))
}

#[derive(FromQueryResult)]
struct Account {
    name: String,
}

/// The name of a service account that is let in, unless the key was revoked that its token was traded for.
async fn account_label(
    from: &impl Reads,
    org: OrgId,
    id: ServiceAccountId,
    key: Option<Uuid>,
) -> Result<Option<String>> {
    let sql = "SELECT s.name FROM service_accounts s LEFT JOIN projects p ON p.id = s.project_id
               WHERE s.id = $1 AND s.org_id = $2 AND s.disabled_at IS NULL AND p.deleted_at IS NULL
                 AND NOT EXISTS (SELECT 1 FROM credentials k WHERE k.id = $3 AND k.revoked_at IS NOT NULL)";
    let values = [id.into(), org.into(), key.unwrap_or(Uuid::nil()).into()];
    let found = Account::find_by_statement(from.sql(sql, values))
        .one(from.conn())
        .await?;
    Ok(found.map(|account| account.name))
}

/// Gives a token up. With a refresh token all that came of the same sign-in ends; with an access token it alone. Whoever
/// holds it may do that. Tells whether there was something to end, which is journaled then.
///
/// # Errors
/// `invalid_field` for a text that is too long to be one.
pub async fn revoke(
    tx: &WriteTx,
    macs: &TokenMacKey,
    instance: &str,
    realm: &Realm,
    text: &str,
    origin: &Origin,
) -> Result<bool> {
    require_short(text)?;
    let refresh = realm_token::find_refresh(tx, macs, text).await?;
    let is_refresh = refresh.is_some();
    let found = match refresh {
        Some(stored) => Some(stored),
        None => signed(tx, instance, text).await?,
    };
    let ours = |stored: &Stored| stored.org == realm.id && !stored.is_over(tx.now());
    let Some(stored) = found.filter(ours) else {
        return Ok(false);
    };
    if let Holder::User(id) = stored.holder {
        // Held, so that no trade that is under way makes another token of it.
        user::lock(tx, realm.id, id).await?;
    }
    match stored.family.filter(|_| is_refresh) {
        Some(family) => realm_token::revoke_family(tx, family).await?,
        None => realm_token::revoke(tx, stored.id).await?,
    }
    let (origin, target) = match stored.holder {
        Holder::User(id) => {
            let email = user_email(tx, realm.id, id).await?;
            (origin.clone().by_realm_user(id, &email), Target::RealmUser(id))
        }
        Holder::ServiceAccount(id) => (origin.clone(), Target::ServiceAccount(id)),
    };
    let entry = Entry::in_org(realm.id, Action::RealmTokensRevoked, target)
        .with("kind", if is_refresh { "refresh" } else { "access" });
    journal::record(tx, &origin, entry).await?;
    Ok(true)
}

async fn user_email(from: &impl Reads, org: OrgId, id: RealmUserId) -> Result<String> {
    let found = user::standing(from, org, id).await?;
    Ok(found.map(|user| user.address).unwrap_or_default())
}

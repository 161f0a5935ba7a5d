//! Who can be a member: a person with an account, or a service account of the organisation.

use sea_orm::FromQueryResult;
use uuid::Uuid;

use super::membership::Scope;
use crate::access::Principal;
use crate::auth::account;
use crate::journal::Target;
use crate::kernel::id::{OrgId, ProjectId, ServiceAccountId, UserId};
use crate::kernel::text;
use crate::kernel::{Problem, Reads, Result};

/// Reads `usr_…` or `sa_…`.
pub fn parse(text: &str) -> Option<Principal> {
    let user = text.parse().ok().map(Principal::User);
    user.or_else(|| text.parse().ok().map(Principal::ServiceAccount))
}

/// Whom the journal says that an event is about.
pub fn target(principal: Principal) -> Target {
    match principal {
        Principal::User(id) => Target::User(id),
        Principal::ServiceAccount(id) => Target::ServiceAccount(id),
    }
}

#[derive(FromQueryResult)]
struct Count {
    n: i64,
}

#[derive(FromQueryResult)]
struct ServiceAccount {
    project_id: Option<ProjectId>,
}

/// Whether the account exists and is not disabled.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn is_active(from: &impl Reads, user: UserId) -> Result<bool> {
    let sql = "SELECT COUNT(*) AS n FROM users WHERE id = $1 AND realm_id = $2 AND disabled_at IS NULL";
    let found = Count::find_by_statement(from.sql(sql, [user.into(), Uuid::nil().into()]));
    Ok(found.one(from.conn()).await?.is_some_and(|count| count.n > 0))
}

/// The person behind an address: whoever has proved it. Somebody who registered with it and could not read its mail would
/// get what was meant for its owner.
async fn by_email(from: &impl Reads, address: &str) -> Result<Option<UserId>> {
    let canonical = text::email("email", address)?.canonical;
    let found = account::find_by_proved_address(from, &canonical).await?;
    Ok(found
        .filter(|account| account.disabled_at.is_none())
        .map(|account| account.id))
}

/// Whether a service account of the organisation can hold roles here: one of a project, in that project alone.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn is_service_account(from: &impl Reads, scope: Scope, id: ServiceAccountId) -> Result<bool> {
    let Scope { org, project } = scope;
    let found = service_account(from, org, id).await?;
    Ok(found.is_some_and(|account| account.project_id.is_none() || account.project_id == project))
}

async fn service_account(from: &impl Reads, org: OrgId, id: ServiceAccountId) -> Result<Option<ServiceAccount>> {
    let sql = "SELECT project_id FROM service_accounts WHERE id = $1 AND org_id = $2";
    let found = ServiceAccount::find_by_statement(from.sql(sql, [id.into(), org.into()]));
    Ok(found.one(from.conn()).await?)
}

/// Who is to be added: by address, or by id.
#[derive(Clone, Debug, Default)]
pub struct Named {
    pub email: Option<String>,
    /// `usr_…` or `sa_…`.
    pub user_id: Option<String>,
}

impl Named {
    /// # Errors
    /// `invalid_field` naming `email` or `user_id`.
    pub async fn find(&self, from: &impl Reads, scope: Scope) -> Result<Principal> {
        match (&self.email, &self.user_id) {
            (Some(email), None) => {
                let user = by_email(from, email).await?;
                // Whether nobody has it, or somebody who has not proved it, is not told.
                let unknown = || {
                    let message = "is no address that an account has proved; send an invitation instead";
                    Problem::field("email", "unknown", message)
                };
                Ok(Principal::User(user.ok_or_else(unknown)?))
            }
            (None, Some(id)) => by_id(from, scope, id).await,
            (Some(_), Some(_)) => {
                Err(Problem::field("user_id", "conflict", "must be absent when `email` is given").into())
            }
            (None, None) => Err(Problem::field("email", "required", "or `user_id` must say who is to be added").into()),
        }
    }
}

async fn by_id(from: &impl Reads, scope: Scope, id: &str) -> Result<Principal> {
    let principal = parse(id).ok_or_else(|| Problem::field("user_id", "format", "must be usr_… or sa_…"))?;
    let can = match principal {
        Principal::User(user) => is_active(from, user).await?,
        Principal::ServiceAccount(account) => is_service_account(from, scope, account).await?,
    };
    if can {
        return Ok(principal);
    }
    Err(Problem::field("user_id", "unknown", "is no account that can be added here").into())
}

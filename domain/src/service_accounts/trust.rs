//! Which tokens of other issuers stand for a service account.

use std::collections::BTreeMap;

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder};

use super::account::{get, get_to_change};
use super::claim_pattern::ClaimPatterns;
use super::entity::federated_identity::{self as table, Model};
use crate::access::grant::ServiceAccountsManage;
use crate::access::{Caller, OrgAccess};
use crate::auth::service_key;
use crate::egress::EgressPolicy;
use crate::journal::{self, Action};
use crate::kernel::id::{FederatedIdentityId, ServiceAccountId};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::text::{self, MAX_NAME_LEN};
use crate::kernel::{Error, Problem, ProblemCode, Reads, Result, Timestamp, WriteTx};

/// Rules of one account at most.
const MAX_RULES: u64 = 20;
/// Longest audience, characters.
const MAX_AUDIENCE: usize = 500;

/// Which tokens of an issuer stand for a service account.
#[derive(Clone, Debug)]
pub struct FederatedIdentity {
    pub id: FederatedIdentityId,
    pub account: ServiceAccountId,
    pub name: String,
    pub issuer: String,
    pub jwks_uri: Option<String>,
    pub audience: String,
    pub claims: ClaimPatterns,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
}

impl FederatedIdentity {
    fn read(row: Model) -> Result<Self> {
        let Model {
            id,
            org_id: _,
            service_account_id,
            name,
            issuer,
            jwks_uri,
            audience,
            claims,
            created_at,
            last_used_at,
        } = row;
        Ok(Self {
            id,
            account: service_account_id,
            name,
            issuer,
            jwks_uri,
            audience,
            claims: ClaimPatterns::from_stored(&claims)
                .ok_or_else(|| Error::internal(format!("the federated identity {id} is stored wrongly")))?,
            created_at,
            last_used_at,
        })
    }
}

/// A rule to be made.
pub struct NewFederatedIdentity {
    /// May be empty.
    pub name: String,
    pub issuer: String,
    pub jwks_uri: Option<String>,
    pub audience: String,
    pub claims: BTreeMap<String, String>,
}

fn of_account(account: ServiceAccountId) -> sea_orm::Select<table::Entity> {
    table::Entity::find().filter(table::Column::ServiceAccountId.eq(account))
}

/// Lets tokens of an issuer stand for an account.
///
/// # Errors
/// `not_found`, `invalid_field`; `conflict` at twenty; `forbidden` for an account that holds more than the caller.
pub async fn create(
    tx: &WriteTx,
    egress: &EgressPolicy,
    caller: &Caller,
    access: &OrgAccess<ServiceAccountsManage>,
    id: &str,
    new: NewFederatedIdentity,
) -> Result<FederatedIdentity> {
    let account = get_to_change(tx, access, id).await?;
    let NewFederatedIdentity {
        name,
        issuer,
        jwks_uri,
        audience,
        claims,
    } = new;
    let name = text::short("name", name.trim(), MAX_NAME_LEN)?;
    let address = match &jwks_uri {
        // Nothing is asked of the issuer itself then: it may be known inside a cluster only.
        Some(uri) => {
            url(egress, "jwks_uri", uri)?;
            let wrong = || Problem::field("issuer", "format", "must be an absolute URL");
            url::Url::parse(&issuer)
                .ok()
                .filter(url::Url::has_host)
                .ok_or_else(wrong)?
        }
        None => url(egress, "issuer", &issuer)?,
    };
    let issuer = text::short("issuer", &issuer, MAX_AUDIENCE)?;
    let audience = text::short("audience", &audience, MAX_AUDIENCE)?;
    if audience.is_empty() {
        return Err(Problem::field("audience", "required", "must not be empty").into());
    }
    let claims = ClaimPatterns::check(&address, claims)?;
    if of_account(account.id).count(tx.conn()).await? >= MAX_RULES {
        let detail = format!("A service account has at most {MAX_RULES} federated identities. Delete one first.");
        return Err(Problem::new(ProblemCode::Conflict, detail).into());
    }
    let row = table::ActiveModel {
        id: Set(tx.new_id()?),
        org_id: Set(account.org_id),
        service_account_id: Set(account.id),
        name: Set(name),
        issuer: Set(issuer),
        jwks_uri: Set(jwks_uri),
        audience: Set(audience),
        claims: Set(claims.to_stored()),
        created_at: Set(tx.now()),
        last_used_at: Set(None),
    };
    let row = table::Entity::insert(row).exec_with_returning(tx.conn()).await?;
    let entry = account
        .entry(Action::FederatedIdentityCreated)
        .with("federated_identity_id", row.id.to_string())
        .with("issuer", row.issuer.clone())
        .with("name", row.name.clone());
    journal::record(tx, &caller.origin, entry).await?;
    FederatedIdentity::read(row)
}

fn url(egress: &EgressPolicy, field: &'static str, text: &str) -> Result<url::Url> {
    let checked = egress.check_url(text);
    Ok(checked.map_err(|refused| Problem::field(field, refused.as_str(), refused.to_string()))?)
}

/// The rules of an account, oldest first.
///
/// # Errors
/// `not_found`.
pub async fn list(
    from: &impl Reads,
    access: &OrgAccess<ServiceAccountsManage>,
    id: &str,
    page: PageRequest,
) -> Result<Page<FederatedIdentity>> {
    let account = get(from, access, id).await?;
    Page::of(all(from, account.id).await?, page).try_map(Ok)
}

/// The rules of an account, oldest first.
pub(super) async fn all(from: &impl Reads, account: ServiceAccountId) -> Result<Vec<FederatedIdentity>> {
    let rows = of_account(account)
        .order_by_asc(table::Column::CreatedAt)
        .order_by_asc(table::Column::Id)
        .all(from.conn())
        .await?;
    rows.into_iter().map(FederatedIdentity::read).collect()
}

/// Deletes a rule. Tokens that came of it are refused from the next request on.
///
/// # Errors
/// `not_found`; `forbidden` for an account that holds more than the caller.
pub async fn delete(
    tx: &WriteTx,
    caller: &Caller,
    access: &OrgAccess<ServiceAccountsManage>,
    id: &str,
    rule: &str,
) -> Result<()> {
    let account = get_to_change(tx, access, id).await?;
    let rule: FederatedIdentityId = rule.parse().map_err(|_| Problem::not_found())?;
    let deleted = table::Entity::delete_many()
        .filter(table::Column::Id.eq(rule))
        .filter(table::Column::ServiceAccountId.eq(account.id))
        .exec(tx.conn())
        .await?;
    if deleted.rows_affected == 0 {
        return Err(Problem::not_found().into());
    }
    service_key::revoke_traded(tx, rule).await?;
    let entry = account
        .entry(Action::FederatedIdentityDeleted)
        .with("federated_identity_id", rule.to_string());
    journal::record(tx, &caller.origin, entry).await?;
    Ok(())
}

//! Making a service account.

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};

use super::account::{ServiceAccount, unique_name};
use super::entity::service_account;
use crate::access::grant::ServiceAccountsManage;
use crate::access::role::RoleLevel;
use crate::access::{Caller, OrgAccess, Principal, ProjectRef};
use crate::auth::ip_allow::IpAllow;
use crate::auth::service_key::{self, CreatedKey, NewKey};
use crate::crypto::token::TokenMacKey;
use crate::journal::{self, Action};
use crate::kernel::id::{ProjectId, RoleId};
use crate::kernel::text::{self, MAX_DESCRIPTION_LEN};
use crate::kernel::{Problem, ProblemCode, Reads, Result, WriteTx};
use crate::limits::{self, LimitKey};
use crate::members::membership::{self, NewMembership, Scope};
use crate::policy::assignable::{self, AssignableRole};
use crate::projects::lookup;

/// Service accounts of one organisation at most.
const MAX_ACCOUNTS: u64 = 1000;

/// A new account.
#[derive(Clone, Debug, Default)]
pub struct NewServiceAccount {
    pub name: String,
    pub description: String,
    /// Id or slug of the one project that it can act in.
    pub project: Option<String>,
    pub ip_allow: Vec<String>,
    /// Name or id of a role, of the project if it is bound to one, else of the organisation.
    pub role: Option<String>,
    pub first_key: Option<NewKey>,
}

/// A new account with its first key.
pub struct Created {
    pub account: ServiceAccount,
    pub key: Option<CreatedKey>,
}

/// Makes an account, and gives it a role and a key if wanted.
///
/// # Errors
/// `invalid_field`; `forbidden` for a role above the caller's own; `conflict` for a taken name, or at 1000 accounts.
pub async fn create(
    tx: &WriteTx,
    macs: &TokenMacKey,
    caller: &Caller,
    access: &OrgAccess<ServiceAccountsManage>,
    new: NewServiceAccount,
) -> Result<Created> {
    let NewServiceAccount {
        name,
        description,
        project,
        ip_allow,
        role,
        first_key,
    } = new;
    let project = project_to_bind(tx, access, project).await?;
    let role = role_to_give(tx, access, project.as_ref(), role).await?;
    let account = ServiceAccount {
        id: tx.new_id()?,
        org_id: access.org.id,
        project,
        name: text::name("name", &name)?,
        description: text::long("description", &description, MAX_DESCRIPTION_LEN)?,
        ip_allow: IpAllow::parse(&ip_allow)?,
        enabled: true,
        last_used_at: None,
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    limits::reserve(tx, limits::Scope::org(access.org.id), LimitKey::ServiceAccounts, 1).await?;
    let tokens = match first_key {
        None => None,
        Some(_) => Some(limits::hold(tx, access.org.id, LimitKey::Tokens).await?),
    };
    insert(tx, &account).await?;
    let mut entry = account
        .entry(Action::ServiceAccountCreated)
        .with("name", account.name.clone());
    if let Some(role) = role {
        entry = entry.with("role", role.name);
        membership::insert(tx, membership_of(&account, role.id, caller)).await?;
    }
    let key = match first_key {
        None => None,
        Some(new) => Some(service_key::insert(tx, macs, caller, account.id, new).await?),
    };
    if let Some(tokens) = tokens {
        tokens.settle(tx).await?;
    }
    if let Some(made) = &key {
        entry = entry.with("key_id", made.key.id.to_string());
    }
    journal::record(tx, &caller.origin, entry).await?;
    Ok(Created { account, key })
}

async fn project_to_bind(
    tx: &WriteTx,
    access: &OrgAccess<ServiceAccountsManage>,
    reference: Option<String>,
) -> Result<Option<(ProjectId, String)>> {
    let Some(reference) = reference else { return Ok(None) };
    let found = lookup::project(tx, access.org.id, &reference).await?;
    let seen = found.filter(|(id, slug)| access.sees_project(ProjectRef { id: *id, slug }));
    let unknown = || Problem::field("project", "unknown", "is no project of this organisation");
    Ok(Some(seen.ok_or_else(unknown)?))
}

async fn role_to_give(
    tx: &WriteTx,
    access: &OrgAccess<ServiceAccountsManage>,
    project: Option<&(ProjectId, String)>,
    reference: Option<String>,
) -> Result<Option<AssignableRole>> {
    let Some(reference) = reference else { return Ok(None) };
    let level = if project.is_some() {
        RoleLevel::Project
    } else {
        RoleLevel::Org
    };
    // A role of the tenant's own application grants a machine nothing.
    let found = assignable::find(tx, access.org.id, level, &reference).await?;
    let found = found.filter(|role| !role.is_app);
    let role = found.ok_or_else(|| {
        let message = match level {
            RoleLevel::Org => "is no role of this organisation",
            RoleLevel::Project => "is no role of a project",
        };
        Problem::field("role", "unknown", message)
    })?;
    match project {
        None => access.require_holds(&role.grants)?,
        Some((id, _)) => access.require_holds_in(*id, &role.grants)?,
    }
    Ok(Some(role))
}

fn membership_of(account: &ServiceAccount, role: RoleId, caller: &Caller) -> NewMembership {
    let project = account.project.as_ref().map(|(id, _)| *id);
    NewMembership {
        scope: Scope {
            org: account.org_id,
            project,
        },
        subject: Principal::ServiceAccount(account.id),
        role,
        env_classes: None,
        expires_at: None,
        granted_by: Some(caller.actor.principal),
    }
}

async fn insert(tx: &WriteTx, account: &ServiceAccount) -> Result<()> {
    let of_org = service_account::Entity::find().filter(service_account::Column::OrgId.eq(account.org_id));
    if of_org.clone().count(tx.conn()).await? >= MAX_ACCOUNTS {
        let detail = format!("An organisation has at most {MAX_ACCOUNTS} service accounts.");
        return Err(Problem::new(ProblemCode::Conflict, detail).into());
    }
    let row = service_account::ActiveModel {
        id: Set(account.id),
        org_id: Set(account.org_id),
        project_id: Set(account.project.as_ref().map(|(id, _)| *id)),
        name: Set(account.name.clone()),
        description: Set(account.description.clone()),
        ip_allow: Set(account.ip_allow.to_stored()),
        disabled_at: Set(None),
        created_at: Set(account.created_at),
        updated_at: Set(account.updated_at),
    };
    let inserted = service_account::Entity::insert(row)
        .exec_without_returning(tx.conn())
        .await;
    inserted.map_err(unique_name)?;
    Ok(())
}

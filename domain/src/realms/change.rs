//! Making, changing and deleting the users of a realm. Their administrators do that; the users themselves only sign in.

use sea_orm::{ConnectionTrait, Value};
use serde_json::Map;

use super::realm;
use super::roles;
use super::user::{self, RealmUser, Status};
use crate::access::grant::UsersManage;
use crate::access::{Caller, OrgAccess};
use crate::auth::realm_token;
use crate::crypto::password::{Passwords, check_strength};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{OrgId, RealmUserId};
use crate::kernel::text::{self, Email, MAX_NAME_LEN};
use crate::kernel::{Error, Problem, ProblemCode, Reads, Result, Secret, WriteTx};
use crate::members::membership::subject_columns;

/// Largest `metadata`, bytes of JSON.
const MAX_METADATA_BYTES: usize = 16 * 1024;

/// A new user.
#[derive(Default)]
pub struct NewRealmUser {
    pub email: String,
    /// `None`: it cannot sign in until it is given one.
    pub password: Option<Secret<String>>,
    pub display_name: Option<String>,
    /// Name or id of a role of the application.
    pub role: Option<String>,
    pub metadata: Map<String, serde_json::Value>,
}

/// A new user whose fields are good.
pub struct Draft {
    email: Email,
    password_hash: Option<String>,
    display_name: String,
    role: Option<String>,
    metadata: String,
}

/// Changes to a user; absent fields stay.
#[derive(Default)]
pub struct RealmUserPatch {
    pub email: Option<String>,
    pub password: Option<Secret<String>>,
    pub display_name: Option<String>,
    pub status: Option<Status>,
    pub metadata: Option<Map<String, serde_json::Value>>,
}

/// Changes whose fields are good.
pub struct Revision {
    email: Option<Email>,
    password_hash: Option<String>,
    display_name: Option<String>,
    status: Option<Status>,
    metadata: Option<String>,
}

fn display_name(text: &str) -> Result<String> {
    text::short("display_name", text.trim(), MAX_NAME_LEN)
}

fn metadata(map: &Map<String, serde_json::Value>) -> Result<String> {
    let text = serde_json::to_string(map).map_err(|e| Error::internal(format!("metadata of a user: {e}")))?;
    if text.len() > MAX_METADATA_BYTES {
        return Err(Problem::field("metadata", "too_long", "must have at most 16 KiB as JSON").into());
    }
    Ok(text)
}

async fn hashed(passwords: &Passwords, password: Option<Secret<String>>, known: &[&str]) -> Result<Option<String>> {
    let Some(password) = password else { return Ok(None) };
    check_strength(&password, known)?;
    Ok(Some(passwords.hash(password).await?))
}

/// Checks a new user and hashes its password, which takes a while: call it before the transaction of [`create`].
///
/// # Errors
/// `invalid_field` naming the field.
pub async fn draft(passwords: &Passwords, new: NewRealmUser) -> Result<Draft> {
    let NewRealmUser {
        email,
        password,
        display_name: name,
        role,
        metadata: map,
    } = new;
    let email = text::email("email", &email)?;
    let name = display_name(name.as_deref().unwrap_or_default())?;
    Ok(Draft {
        metadata: metadata(&map)?,
        password_hash: hashed(passwords, password, &[&email.canonical, &name]).await?,
        email,
        display_name: name,
        role,
    })
}

/// Makes a user.
///
/// # Errors
/// `conflict` when the realm is off; `email_taken`; `invalid_field` for a role that is none of the application's.
pub async fn create(tx: &WriteTx, caller: &Caller, access: &OrgAccess<UsersManage>, draft: Draft) -> Result<RealmUser> {
    let org = access.org.id;
    if realm::find(tx, org).await?.is_none() {
        let detail = "The organisation has no users of its own. Set its `realm_enabled` first.";
        return Err(Problem::new(ProblemCode::Conflict, detail).into());
    }
    let Draft {
        email,
        password_hash,
        display_name,
        role,
        metadata,
    } = draft;
    let role = match role {
        None => None,
        Some(role) => Some(roles::named(tx, org, &role).await?),
    };
    let address = email.display.clone();
    let id = insert(tx, org, &email, &display_name, password_hash, metadata).await?;
    let mut entry = Entry::in_org(org, Action::RealmUserCreated, Target::RealmUser(id)).with("email", address);
    if let Some(role) = role {
        let (_, by) = subject_columns(caller.actor.principal);
        roles::put(tx, id, role.id, by).await?;
        entry = entry.with("role", role.name);
    }
    journal::record(tx, &caller.origin, entry).await?;
    user::load(tx, org, id).await
}

/// Stores a user; the caller journals.
///
/// # Errors
/// `email_taken`.
pub(super) async fn insert(
    tx: &WriteTx,
    org: OrgId,
    email: &Email,
    display_name: &str,
    password_hash: Option<String>,
    metadata: String,
) -> Result<RealmUserId> {
    let id: RealmUserId = tx.new_id()?;
    let sql =
        "INSERT INTO realm_users (id, org_id, address, canonical, display_name, password_hash, metadata, auth_epoch,
            created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $8)
        ON CONFLICT (org_id, canonical) DO NOTHING";
    let values = [
        id.into(),
        org.into(),
        email.display.clone().into(),
        email.canonical.clone().into(),
        display_name.into(),
        password_hash.into(),
        metadata.into(),
        tx.now().into(),
    ];
    let inserted = tx.conn().execute_raw(tx.sql(sql, values)).await?;
    if inserted.rows_affected() == 0 {
        return Err(taken());
    }
    Ok(id)
}

fn taken() -> Error {
    let detail = "A user of this realm has this address.";
    Problem::new(ProblemCode::EmailTaken, detail).into()
}

/// Checks changes and hashes a new password: call it before the transaction of [`update`].
///
/// # Errors
/// `invalid_field` naming the field.
pub async fn revision(passwords: &Passwords, user: &RealmUser, patch: RealmUserPatch) -> Result<Revision> {
    let RealmUserPatch {
        email,
        password,
        display_name: name,
        status,
        metadata: map,
    } = patch;
    let email = email.map(|email| text::email("email", &email)).transpose()?;
    let name = name.as_deref().map(display_name).transpose()?;
    let known = [
        email
            .as_ref()
            .map_or(user.email.as_str(), |email| email.canonical.as_str()),
        name.as_deref().unwrap_or(&user.display_name),
    ];
    Ok(Revision {
        metadata: map.as_ref().map(metadata).transpose()?,
        password_hash: hashed(passwords, password, &known).await?,
        email,
        display_name: name,
        status,
    })
}

/// The columns that a revision sets, with the fields that it names.
struct Setting {
    columns: Vec<String>,
    values: Vec<Value>,
    changed: Vec<&'static str>,
}

impl Setting {
    fn set(&mut self, field: &'static str, column: &str, value: impl Into<Value>) {
        self.values.push(value.into());
        self.columns.push(format!("{column} = ${}", self.values.len()));
        self.changed.push(field);
    }
}

fn setting(tx: &WriteTx, user: RealmUserId, revision: Revision) -> Setting {
    let Revision {
        email,
        password_hash,
        display_name,
        status,
        metadata,
    } = revision;
    let mut setting = Setting {
        columns: vec!["updated_at = $2".to_owned()],
        values: vec![user.into(), tx.now().into()],
        changed: Vec::new(),
    };
    if let Some(Email { display, canonical }) = email {
        setting.set("email", "address", display);
        setting.set("email", "canonical", canonical);
        setting.changed.dedup();
    }
    if let Some(name) = display_name {
        setting.set("display_name", "display_name", name);
    }
    if let Some(metadata) = metadata {
        setting.set("metadata", "metadata", metadata);
    }
    if let Some(status) = status {
        let disabled_at = match status {
            Status::Active => None,
            Status::Disabled => Some(tx.now()),
        };
        setting.set("status", "disabled_at", disabled_at);
    }
    if let Some(hash) = password_hash {
        setting.set("password", "password_hash", hash);
        setting.columns.push("auth_epoch = auth_epoch + 1".to_owned());
    }
    setting
}

/// Changes a user. With a new password, or switched off, all of its tokens end.
///
/// # Errors
/// `not_found`; `email_taken`.
pub async fn update(
    tx: &WriteTx,
    caller: &Caller,
    access: &OrgAccess<UsersManage>,
    id: &str,
    revision: Revision,
) -> Result<RealmUser> {
    let (org, user) = (access.org.id, roles::locked(tx, access, id).await?);
    let ends_tokens = revision.password_hash.is_some() || revision.status == Some(Status::Disabled);
    let Setting {
        columns,
        values,
        changed,
    } = setting(tx, user, revision);
    let sql = format!("UPDATE realm_users SET {} WHERE id = $1", columns.join(", "));
    let updated = tx.conn().execute_raw(tx.sql(&sql, values)).await;
    updated.map_err(|error| match error.sql_err() {
        Some(sea_orm::SqlErr::UniqueConstraintViolation(_)) => taken(),
        _ => Error::Db(error),
    })?;
    if ends_tokens {
        realm_token::revoke_of_user(tx, user).await?;
    }
    let entry = Entry::in_org(org, Action::RealmUserUpdated, Target::RealmUser(user)).with("changed", changed);
    journal::record(tx, &caller.origin, entry).await?;
    user::load(tx, org, user).await
}

/// Deletes a user with its roles and tokens. Its address is free again.
///
/// # Errors
/// `not_found`.
pub async fn delete(tx: &WriteTx, caller: &Caller, access: &OrgAccess<UsersManage>, id: &str) -> Result<()> {
    let (org, user) = (access.org.id, roles::locked(tx, access, id).await?);
    let email = user::load(tx, org, user).await?.email;
    realm_token::revoke_of_user(tx, user).await?;
    let sql = "DELETE FROM realm_users WHERE id = $1";
    tx.conn().execute_raw(tx.sql(sql, [user.into()])).await?;
    let entry = Entry::in_org(org, Action::RealmUserDeleted, Target::RealmUser(user)).with("email", email);
    journal::record(tx, &caller.origin, entry).await?;
    Ok(())
}

//! Accounts of the instance.

use std::sync::Arc;

use domain::admin::{Superuser, users};
use domain::kernel::page::{MAX_LIMIT, PageRequest};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};

use crate::app::App;
use crate::auth::session::Done;
use crate::http::caller::Caller;
use crate::http::page::List;
use crate::http::problem::ApiError;
use crate::http::time::Time;
use crate::tags::Tag;

pub struct AdminUsersApi(pub Arc<App>);

/// An account, as a superuser sees it.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and a field of the answer"
)]
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct AdminUser {
    /// Id of the account: `usr_…`.
    pub id: String,
    /// The default address.
    pub email: String,
    /// Whether that address is verified.
    pub email_verified: bool,
    /// Empty if none was given.
    pub first_name: String,
    /// Empty if none was given.
    pub last_name: String,
    /// A name to sign in with, beside the addresses.
    pub username: Option<String>,
    /// Whether it looks after the instance.
    pub is_superuser: bool,
    /// Whether it is switched on.
    pub is_active: bool,
    /// When it was switched off.
    pub disabled_at: Option<Time>,
    /// Whether it has a password; without one it signs in by mailed code.
    pub has_password: bool,
    /// Whether it has a second factor.
    pub has_second_factor: bool,
    /// Organisations that it has a role in, or in one of their projects.
    pub orgs: i64,
    /// When it last signed in.
    pub last_login_at: Option<Time>,
    /// When it was made.
    pub created_at: Time,
}

impl From<users::User> for AdminUser {
    fn from(user: users::User) -> Self {
        let users::User {
            id,
            email,
            email_verified_at,
            first_name,
            last_name,
            username,
            is_superuser,
            disabled_at,
            has_password,
            has_second_factor,
            orgs,
            last_login_at,
            created_at,
        } = user;
        Self {
            id: id.to_string(),
            email,
            email_verified: email_verified_at.is_some(),
            first_name,
            last_name,
            username,
            is_superuser,
            is_active: disabled_at.is_none(),
            disabled_at: disabled_at.map(Into::into),
            has_password,
            has_second_factor,
            orgs,
            last_login_at: last_login_at.map(Into::into),
            created_at: created_at.into(),
        }
    }
}

/// Flags of an account. What is absent stays as it is.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct AdminUserPatch {
    /// Whether it is to look after the instance.
    pub is_superuser: Option<bool>,
    /// Whether it is to be switched on.
    pub is_active: Option<bool>,
}

impl From<AdminUserPatch> for users::Flags {
    fn from(patch: AdminUserPatch) -> Self {
        let AdminUserPatch {
            is_superuser,
            is_active,
        } = patch;
        Self {
            is_superuser,
            is_active,
        }
    }
}

#[OpenApi(tag = "Tag::Administration")]
impl AdminUsersApi {
    /// List accounts
    ///
    /// Oldest first. For superusers, from a session.
    #[oai(path = "/v1/admin/users", method = "get", operation_id = "list_admin_users")]
    async fn list_admin_users(
        &self,
        caller: Caller,
        /// Only those with this in a name or an address, in upper or lower case.
        search: Query<Option<String>>,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<List<AdminUser>>, ApiError> {
        let superuser = Superuser::require(&caller)?;
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let found = users::list(&self.0.db, &superuser, search.0.as_deref(), page).await?;
        Ok(Json(List::of(found, AdminUser::from)))
    }

    /// Switch an account on or off, or make it a superuser's
    ///
    /// Switched off, its sessions and tokens are refused from the next request on, for good; switched on, its person signs
    /// in anew. Nobody does it to themselves, and the last superuser stays one. Changing `is_superuser` needs a sign-in of
    /// the last ten minutes. It stands in the account's security log. For superusers, from a session.
    #[oai(path = "/v1/admin/users/:user", method = "patch", operation_id = "update_admin_user")]
    async fn update_admin_user(
        &self,
        caller: Caller,
        /// Id of the account: `usr_…`.
        user: Path<String>,
        body: Json<AdminUserPatch>,
    ) -> Result<Json<AdminUser>, ApiError> {
        let superuser = Superuser::require(&caller)?;
        let tx = self.0.begin_write().await?;
        let (user, is_changed) = users::set_flags(&tx, &superuser, &user, body.0.into()).await?;
        let answer = Json(AdminUser::from(user));
        if is_changed {
            return tx.commit(answer).await;
        }
        tx.commit_unchanged(answer).await
    }

    /// Delete an account
    ///
    /// With the organisations in which nobody else is; refused where others would be left without an owner. Nobody deletes
    /// their own account here, and the last superuser stays. Needs a sign-in of the last ten minutes. For superusers, from
    /// a session.
    #[oai(
        path = "/v1/admin/users/:user",
        method = "delete",
        operation_id = "delete_admin_user"
    )]
    async fn delete_admin_user(
        &self,
        caller: Caller,
        /// Id of the account: `usr_…`.
        user: Path<String>,
    ) -> Result<Done, ApiError> {
        let superuser = Superuser::require(&caller)?;
        let tx = self.0.begin_write().await?;
        users::delete(&tx, &superuser, &user).await?;
        tx.commit(Done::Done).await
    }
}

//! The users of an organisation's realm, as its administrators see them.

use std::sync::Arc;

use domain::access::grant::{UsersManage, UsersRead};
use domain::access::org as gate;
use domain::kernel::page::{MAX_LIMIT, PageRequest};
use domain::realms::{change, roles, user};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::dto::{NewRealmUser, RealmRole, RealmUser, RealmUserPatch, RealmUserStatus};
use crate::app::App;
use crate::auth::session::Done;
use crate::http::caller::Caller;
use crate::http::page::List;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct RealmUsersApi(pub Arc<App>);

#[derive(Clone, ApiResponse)]
pub enum RealmUserCreated {
    /// The user was made.
    #[oai(status = 201)]
    Created(Json<RealmUser>),
}

#[derive(Clone, ApiResponse)]
pub enum RealmRoleGiven {
    /// The user held the role already.
    #[oai(status = 200)]
    Held(Json<RealmUser>),
    /// The user holds the role now.
    #[oai(status = 201)]
    Given(Json<RealmUser>),
}

#[OpenApi(tag = "Tag::Realms")]
impl RealmUsersApi {
    /// List the users of a realm
    ///
    /// Oldest first. They are users of the organisation's own application, and no accounts of this platform's.
    #[oai(path = "/v1/orgs/:org/users", method = "get", operation_id = "list_realm_users")]
    async fn list_realm_users(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Part of an address or name, whatever its case.
        search: Query<Option<String>>,
        /// Only those that are let in, or that are not.
        status: Query<Option<RealmUserStatus>>,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<List<RealmUser>>, ApiError> {
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let access = gate::<UsersRead>(&self.0.db, &caller, &org).await?;
        let filter = user::Filter {
            search: search.0,
            status: status.0.map(Into::into),
        };
        let users = user::list(&self.0.db, &access, &filter, page).await?;
        Ok(Json(List::of(users, RealmUser::from)))
    }

    /// Make a user of a realm
    ///
    /// The organisation's `realm_enabled` must be on. The user signs in at `/v1/orgs/{org}/tokens`; on this platform it
    /// can do nothing, whatever its roles call their permissions.
    #[oai(path = "/v1/orgs/:org/users", method = "post", operation_id = "create_realm_user")]
    async fn create_realm_user(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        body: Json<NewRealmUser>,
    ) -> Result<RealmUserCreated, ApiError> {
        // Hashing takes a while, and a transaction should not wait for it. Who may not is told so before.
        gate::<UsersManage>(&self.0.db, &caller, &org).await?;
        let draft = change::draft(&self.0.passwords, body.0.into()).await?;
        let tx = self.0.begin_write().await?;
        let access = gate::<UsersManage>(&*tx, &caller, &org).await?;
        let made = change::create(&tx, &caller, &access, draft).await?;
        tx.commit(RealmUserCreated::Created(Json(made.into()))).await
    }

    /// Show a user of a realm
    ///
    /// With the roles that it holds now.
    #[oai(path = "/v1/orgs/:org/users/:user", method = "get", operation_id = "get_realm_user")]
    async fn get_realm_user(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id of the user: `usr_…`.
        user: Path<String>,
    ) -> Result<Json<RealmUser>, ApiError> {
        let access = gate::<UsersRead>(&self.0.db, &caller, &org).await?;
        Ok(Json(user::get(&self.0.db, &access, &user).await?.into()))
    }

    /// Change a user of a realm
    ///
    /// What is absent stays as it is. With a new password, or switched off, all of its tokens end.
    #[oai(
        path = "/v1/orgs/:org/users/:user",
        method = "patch",
        operation_id = "update_realm_user"
    )]
    async fn update_realm_user(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id of the user: `usr_…`.
        user: Path<String>,
        body: Json<RealmUserPatch>,
    ) -> Result<Json<RealmUser>, ApiError> {
        let access = gate::<UsersManage>(&self.0.db, &caller, &org).await?;
        let known = user::get(&self.0.db, &access, &user).await?;
        let revision = change::revision(&self.0.passwords, &known, body.0.into()).await?;
        let tx = self.0.begin_write().await?;
        let access = gate::<UsersManage>(&*tx, &caller, &org).await?;
        let updated = change::update(&tx, &caller, &access, &user, revision).await?;
        tx.commit(Json(updated.into())).await
    }

    /// Delete a user of a realm
    ///
    /// With its roles and tokens; its address is free again. To keep it and let it in no more, set its `status`.
    #[oai(
        path = "/v1/orgs/:org/users/:user",
        method = "delete",
        operation_id = "delete_realm_user"
    )]
    async fn delete_realm_user(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id of the user: `usr_…`.
        user: Path<String>,
    ) -> Result<Done, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = gate::<UsersManage>(&*tx, &caller, &org).await?;
        change::delete(&tx, &caller, &access, &user).await?;
        tx.commit(Done::Done).await
    }

    /// Give a user of a realm a role
    ///
    /// A role of your application, one of twenty at most. It counts at `/v1/authorize` at once, and stands in the tokens
    /// that are made from now on.
    #[oai(
        path = "/v1/orgs/:org/users/:user/roles",
        method = "post",
        operation_id = "add_realm_user_role"
    )]
    async fn add_realm_user_role(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id of the user: `usr_…`.
        user: Path<String>,
        body: Json<RealmRole>,
    ) -> Result<RealmRoleGiven, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = gate::<UsersManage>(&*tx, &caller, &org).await?;
        let (shown, is_new) = roles::add(&tx, &caller, &access, &user, &body.role).await?;
        let shown = Json(shown.into());
        if is_new {
            tx.commit(RealmRoleGiven::Given(shown)).await
        } else {
            tx.commit_unchanged(RealmRoleGiven::Held(shown)).await
        }
    }

    /// Take a role from a user of a realm
    ///
    /// It counts for nothing at `/v1/authorize` from now on, whatever the user's tokens say.
    #[oai(
        path = "/v1/orgs/:org/users/:user/roles/:role",
        method = "delete",
        operation_id = "remove_realm_user_role"
    )]
    async fn remove_realm_user_role(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id of the user: `usr_…`.
        user: Path<String>,
        /// Id or name of the role.
        role: Path<String>,
    ) -> Result<Done, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = gate::<UsersManage>(&*tx, &caller, &org).await?;
        roles::remove(&tx, &caller, &access, &user, &role).await?;
        tx.commit(Done::Done).await
    }
}

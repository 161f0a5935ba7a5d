//! Roles.

use std::sync::Arc;

use domain::access::{self, grant};
use domain::kernel::page::{MAX_LIMIT, PageRequest};
use domain::policy::{role, role_change};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::role_dto::{Audience, NewRole, Role, RoleLevel, RolePatch};
use crate::app::App;
use crate::auth::session::Done;
use crate::http::caller::Caller;
use crate::http::page::List;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct RolesApi(pub Arc<App>);

#[derive(Clone, ApiResponse)]
pub enum RoleCreated {
    /// The role was made.
    #[oai(status = 201)]
    Created(Json<Role>),
}

#[OpenApi(tag = "Tag::Policy")]
impl RolesApi {
    /// List roles
    ///
    /// Those that come with the product first, then the organisation's own, oldest first.
    #[oai(path = "/v1/orgs/:org/roles", method = "get", operation_id = "list_roles")]
    async fn list_roles(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Only roles that can be held there.
        level: Query<Option<RoleLevel>>,
        /// Only roles with permissions of this platform, or of your own application.
        audience: Query<Option<Audience>>,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<List<Role>>, ApiError> {
        let access = access::org::<grant::OrgRead>(&self.0.db, &caller, &org).await?;
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let filter = role::RoleFilter {
            level: level.0.map(Into::into),
            audience: audience.0.map(Into::into),
        };
        let roles = role::list(&self.0.db, &access, filter, page).await?;
        Ok(Json(List::of(roles, Role::from)))
    }

    /// Make a role
    ///
    /// A set of permissions under a name, to be given to people and service accounts. It grants nothing that you do
    /// not hold yourself. With `audience: app` it holds your own application's permissions, which count for nothing
    /// here, whatever they are called.
    #[oai(path = "/v1/orgs/:org/roles", method = "post", operation_id = "create_role")]
    async fn create_role(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        body: Json<NewRole>,
    ) -> Result<RoleCreated, ApiError> {
        let NewRole {
            name,
            display_name,
            level,
            audience,
            permissions,
        } = body.0;
        let tx = self.0.begin_write().await?;
        let access = access::org::<grant::RolesManage>(&*tx, &caller, &org).await?;
        let new = role_change::NewRole {
            name,
            display_name,
            level: level.into(),
            audience: audience.into(),
            permissions,
        };
        let made = role_change::create(&tx, &caller, &access, new).await?;
        tx.commit(RoleCreated::Created(Json(made.into()))).await
    }

    /// Show a role
    ///
    /// One that comes with the product, or one of the organisation's own.
    #[oai(path = "/v1/orgs/:org/roles/:role", method = "get", operation_id = "get_role")]
    async fn get_role(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or name of the role.
        role: Path<String>,
        /// The level in which a name is looked up; `org` if absent.
        level: Query<Option<RoleLevel>>,
    ) -> Result<Json<Role>, ApiError> {
        let access = access::org::<grant::OrgRead>(&self.0.db, &caller, &org).await?;
        let level = level.0.unwrap_or_default().into();
        Ok(Json(role::get(&self.0.db, &access, &role, level).await?.into()))
    }

    /// Change a role
    ///
    /// For everybody who holds it, from the next request on. What is absent stays as it is. Neither what it granted nor
    /// what it will grant may go beyond what you hold yourself.
    #[oai(path = "/v1/orgs/:org/roles/:role", method = "patch", operation_id = "update_role")]
    async fn update_role(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or name of the role.
        role: Path<String>,
        /// The level in which a name is looked up; `org` if absent.
        level: Query<Option<RoleLevel>>,
        body: Json<RolePatch>,
    ) -> Result<Json<Role>, ApiError> {
        let RolePatch {
            name,
            display_name,
            permissions,
        } = body.0;
        let tx = self.0.begin_write().await?;
        let access = access::org::<grant::RolesManage>(&*tx, &caller, &org).await?;
        let patch = role_change::RolePatch {
            name,
            display_name,
            permissions,
        };
        let level = level.0.unwrap_or_default().into();
        let updated = role_change::update(&tx, &caller, &access, &role, level, patch).await?;
        tx.commit(Json(updated.into())).await
    }

    /// Delete a role
    ///
    /// With the access rules about it. One that somebody holds, an invitation would give or a join policy gives is
    /// refused with `in_use`, unless `force` takes it from all of them.
    #[oai(path = "/v1/orgs/:org/roles/:role", method = "delete", operation_id = "delete_role")]
    async fn delete_role(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or name of the role.
        role: Path<String>,
        /// The level in which a name is looked up; `org` if absent.
        level: Query<Option<RoleLevel>>,
        /// Take it from all who hold it, and revoke the invitations that would give it.
        force: Query<Option<bool>>,
    ) -> Result<Done, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::org::<grant::RolesManage>(&*tx, &caller, &org).await?;
        let (level, force) = (level.0.unwrap_or_default().into(), force.0.unwrap_or(false));
        role_change::delete(&tx, &caller, &access, &role, level, force).await?;
        tx.commit(Done::Done).await
    }
}

//! The keys of a template.

use std::sync::Arc;

use domain::access::{self, grant};
use domain::kernel::page::{MAX_LIMIT, PageRequest};
use domain::templates::{self, Outcome, template_key};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::dto::{NewTemplateKey, PutTemplateKey, TemplateKey};
use crate::app::App;
use crate::auth::session::Done;
use crate::http::caller::Caller;
use crate::http::page::List;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct TemplateKeysApi(pub Arc<App>);

#[derive(Clone, ApiResponse)]
pub enum TemplateKeyCreated {
    /// The template has the key.
    #[oai(status = 201)]
    Created(Json<TemplateKey>),
}

#[derive(Clone, ApiResponse)]
pub enum TemplateKeyPut {
    /// The key was there; it says this now.
    #[oai(status = 200)]
    Changed(Json<TemplateKey>),
    /// The template has the key.
    #[oai(status = 201)]
    Created(Json<TemplateKey>),
}

#[OpenApi(tag = "Tag::Templates")]
impl TemplateKeysApi {
    /// List a template's keys
    ///
    /// Of a project, in the order in which they were made.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/template",
        method = "get",
        operation_id = "list_template_keys"
    )]
    async fn list_template_keys(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<List<TemplateKey>>, ApiError> {
        let access = access::project::<grant::TemplatesRead>(&self.0.db, &caller, &org, &project).await?;
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let keys = template_key::list(&self.0.db, &access, page).await?;
        Ok(Json(List::of(keys, TemplateKey::from)))
    }

    /// Add a key to a template
    ///
    /// Secrets that are stored are not held to it before they are written again; validate the template to see how they
    /// stand. A template has at most 1000 keys.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/template",
        method = "post",
        operation_id = "create_template_key"
    )]
    async fn create_template_key(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        body: Json<NewTemplateKey>,
    ) -> Result<TemplateKeyCreated, ApiError> {
        let (key, content) = body.0.into_parts();
        let tx = self.0.begin_write().await?;
        let access = access::project::<grant::TemplatesManage>(&*tx, &caller, &org, &project).await?;
        let made = templates::create(&tx, &caller, &access, &key, content).await?;
        tx.commit(TemplateKeyCreated::Created(Json(made.into()))).await
    }

    /// Set a key of a template
    ///
    /// Adds it, or replaces all that it says: what is absent is as if it had never been said.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/template/:key",
        method = "put",
        operation_id = "put_template_key"
    )]
    async fn put_template_key(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// The key: `[A-Za-z_][A-Za-z0-9_.-]{0,254}`.
        key: Path<String>,
        body: Json<PutTemplateKey>,
    ) -> Result<TemplateKeyPut, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::project::<grant::TemplatesManage>(&*tx, &caller, &org, &project).await?;
        let (put, outcome) = templates::put(&tx, &caller, &access, &key, body.0.into()).await?;
        let put = Json(put.into());
        match outcome {
            Outcome::Created => tx.commit(TemplateKeyPut::Created(put)).await,
            Outcome::Changed => tx.commit(TemplateKeyPut::Changed(put)).await,
        }
    }

    /// Remove a key from a template
    ///
    /// Secrets of that key stay.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/template/:key",
        method = "delete",
        operation_id = "delete_template_key"
    )]
    async fn delete_template_key(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// The key.
        key: Path<String>,
    ) -> Result<Done, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::project::<grant::TemplatesManage>(&*tx, &caller, &org, &project).await?;
        templates::delete(&tx, &caller, &access, &key).await?;
        tx.commit(Done::Done).await
    }
}

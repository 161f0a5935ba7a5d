//! Allow and deny rules.

use std::sync::Arc;

use domain::access::{self, grant};
use domain::kernel::page::{MAX_LIMIT, PageRequest};
use domain::policy::access_rule::{self, RuleFilter};
use domain::policy::put_rule::{self, Outcome};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::rule_dto::{AccessRule, Effect, NewAccessRule};
use crate::app::App;
use crate::auth::session::Done;
use crate::http::caller::Caller;
use crate::http::page::List;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct AccessRulesApi(pub Arc<App>);

#[derive(Clone, ApiResponse)]
pub enum AccessRulePut {
    /// There was a rule about the same subject and place; it says this now.
    #[oai(status = 200)]
    Changed(Json<AccessRule>),
    /// The rule was made.
    #[oai(status = 201)]
    Created(Json<AccessRule>),
}

#[OpenApi(tag = "Tag::Policy")]
impl AccessRulesApi {
    /// List access rules
    ///
    /// Oldest first, those that have expired included.
    #[oai(path = "/v1/orgs/:org/acl", method = "get", operation_id = "list_access_rules")]
    #[expect(clippy::too_many_arguments, reason = "the parameters of the operation")]
    async fn list_access_rules(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Only rules about the user, service account or role of this id.
        subject: Query<Option<String>>,
        /// Only rules that apply to the project of this id or slug, or to something in it.
        project: Query<Option<String>>,
        /// Only allow rules, or only deny rules.
        effect: Query<Option<Effect>>,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<List<AccessRule>>, ApiError> {
        let access = access::org::<grant::AclManage>(&self.0.db, &caller, &org).await?;
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let filter = RuleFilter {
            subject: subject.0,
            project: project.0,
            effect: effect.0.map(Into::into),
        };
        let rules = access_rule::list(&self.0.db, &access, filter, page).await?;
        Ok(Json(List::of(rules, AccessRule::from)))
    }

    /// Make or change an access rule
    ///
    /// A subject has one rule for a place: a second one replaces the first. Deny wins over whatever allows. You can only
    /// allow what you hold yourself, and only deny those who hold no more than you do.
    #[oai(path = "/v1/orgs/:org/acl", method = "post", operation_id = "put_access_rule")]
    async fn put_access_rule(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        body: Json<NewAccessRule>,
    ) -> Result<AccessRulePut, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::org::<grant::AclManage>(&*tx, &caller, &org).await?;
        let (rule, outcome) = put_rule::put(&tx, &caller, &access, body.0.into()).await?;
        let rule = Json(rule.into());
        match outcome {
            Outcome::Created => tx.commit(AccessRulePut::Created(rule)).await,
            Outcome::Changed => tx.commit(AccessRulePut::Changed(rule)).await,
            Outcome::Unchanged => tx.commit_unchanged(AccessRulePut::Changed(rule)).await,
        }
    }

    /// Delete an access rule
    ///
    /// What it allowed ends, and what it denied is given back, with the next request. To give back needs what giving
    /// needs; a rule that restricts yourself only an owner can delete.
    #[oai(
        path = "/v1/orgs/:org/acl/:rule",
        method = "delete",
        operation_id = "delete_access_rule"
    )]
    async fn delete_access_rule(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id of the rule: `acl_…`.
        rule: Path<String>,
    ) -> Result<Done, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::org::<grant::AclManage>(&*tx, &caller, &org).await?;
        put_rule::delete(&tx, &caller, &access, &rule).await?;
        tx.commit(Done::Done).await
    }
}

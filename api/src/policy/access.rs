//! Why somebody may do something, and who may.

use std::sync::Arc;

use domain::access::{self, grant};
use domain::kernel::page::{MAX_LIMIT, PageRequest};
use domain::policy::question::{Place, Question};
use domain::policy::subject::SubjectInput;
use domain::policy::{explain, put_rule, who_can};
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;

use super::access_dto::{AccessExplanation, AccessQuestion, EntitledSubject};
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::page::List;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct AccessApi(pub Arc<App>);

#[OpenApi(tag = "Tag::Policy")]
impl AccessApi {
    /// Explain a decision
    ///
    /// Whether somebody may do something in a place, and why: the very decision that a request would meet, with the
    /// role or rule that settles it and all that was weighed. With `what_if` it is made as if there were one more rule,
    /// before that is saved. It changes nothing. Somebody to whom nothing was given here is answered like nobody:
    /// `invalid_field`. Who may ask in single projects only names a project, and asks about those who have to do with it.
    #[oai(
        path = "/v1/orgs/:org/access/explain",
        method = "post",
        operation_id = "explain_access"
    )]
    async fn explain_access(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        body: Json<AccessQuestion>,
    ) -> Result<Json<AccessExplanation>, ApiError> {
        let (subject, permission, place, what_if) = body.0.into_parts();
        let db = &self.0.db;
        let question = Question::new(&permission, place)?;
        let inquiry = access::inquiry(db, &caller, &question.path(&org)).await?;
        let supposed = match what_if {
            None => None,
            Some(rule) => {
                let access = access::org::<grant::AclManage>(db, &caller, &org).await?;
                let rule = put_rule::suppose(db, &access, rule.into()).await;
                Some(rule.map_err(|error| error.within("what_if.rule"))?)
            }
        };
        let subject = subject.map(SubjectInput::from);
        let explained = explain::explain(db, &caller, &inquiry, &question, subject.as_ref(), supposed).await?;
        Ok(Json(explained.into()))
    }

    /// List who may do something
    ///
    /// Every person and service account for whom `explain_access` finds that roles and rules allow it, people first,
    /// each kind by address or name. Those who are not let in for now are marked. Who may ask in single projects only
    /// names a project.
    #[oai(path = "/v1/orgs/:org/access/who-can", method = "get", operation_id = "who_can")]
    #[expect(clippy::too_many_arguments, reason = "the parameters of the operation")]
    async fn who_can(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// What would be done: a permission such as `secrets:read`, without a class.
        permission: Query<String>,
        /// Where: id or slug of a project. Absent: in the whole organisation.
        project: Query<Option<String>>,
        /// With `project`: id or slug of one of its environments. Permissions on secrets need it.
        environment: Query<Option<String>>,
        /// With `environment`: a key. Absent for a permission on secrets: for at least some key.
        key: Query<Option<String>>,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<List<EntitledSubject>>, ApiError> {
        let place = Place {
            project: project.0,
            environment: environment.0,
            key: key.0,
        };
        let question = Question::new(&permission, place)?;
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let inquiry = access::inquiry(&self.0.db, &caller, &question.path(&org)).await?;
        let entitled = who_can::who_can(&self.0.db, &inquiry, &question, page).await?;
        Ok(Json(List::of(entitled, EntitledSubject::from)))
    }
}

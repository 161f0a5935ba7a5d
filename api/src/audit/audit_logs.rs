//! The audit log of an organisation.

use std::sync::Arc;

use domain::access::{self, grant};
use domain::journal::{self, EventFilter};
use domain::kernel::Problem;
use domain::kernel::id::{EventId, ProjectId, ServiceAccountId, UserId};
use domain::kernel::page::{MAX_LIMIT, PageRequest};
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;

use super::dto::{AuditEvent, AuditVerification};
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::page::List;
use crate::http::problem::ApiError;
use crate::http::time::Time;
use crate::tags::Tag;

pub struct AuditApi(pub Arc<App>);

fn actor(text: &str) -> Result<uuid::Uuid, ApiError> {
    let user = text.parse::<UserId>().map(|id| id.0);
    let id = user.or_else(|_| text.parse::<ServiceAccountId>().map(|id| id.0));
    id.map_err(|_| Problem::field("actor_id", "format", "must be an id such as `usr_…` or `sa_…`").into())
}

#[OpenApi(tag = "Tag::Audit")]
impl AuditApi {
    /// List audit events
    ///
    /// Of an organisation, newest first, as far back as the plan keeps them (`audit_retention_days`). Page with `offset`, or
    /// with `next_cursor` as `after`, which stays fast however far back.
    #[oai(path = "/v1/orgs/:org/audit-logs", method = "get", operation_id = "list_audit_logs")]
    #[expect(clippy::too_many_arguments, reason = "the parameters of the operation")]
    async fn list_audit_logs(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Only this action: `secret.updated`.
        action: Query<Option<String>>,
        /// Only what this account or service account did.
        actor_id: Query<Option<String>>,
        /// Only what happened to this kind of thing: `secret`.
        resource_type: Query<Option<String>>,
        /// Only what happened in the project of this id.
        project: Query<Option<String>>,
        /// Only what happened at or after this instant.
        from: Query<Option<Time>>,
        /// Only what happened before this instant.
        to: Query<Option<Time>>,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
        /// The `next_cursor` of the page before.
        after: Query<Option<String>>,
    ) -> Result<Json<List<AuditEvent>>, ApiError> {
        let access = access::org::<grant::AuditRead>(&self.0.db, &caller, &org).await?;
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let project = project.0.map(|text| text.parse::<ProjectId>()).transpose();
        let before_seq = after.0.map(|text| text.parse::<i64>()).transpose();
        let filter = EventFilter {
            action: action.0,
            actor_id: actor_id.0.as_deref().map(actor).transpose()?,
            resource_type: resource_type.0,
            project: project.map_err(|_| Problem::field("project", "format", "must be an id such as `prj_…`"))?,
            from: from.0.map(|at| at.0),
            to: to.0.map(|at| at.0),
            before_seq: before_seq
                .map_err(|_| Problem::field("after", "format", "must be a `next_cursor` of this list"))?,
        };
        let found = journal::list(&self.0.db, access.org.id.0, filter, page).await?;
        Ok(Json(List::of_cursor(found, AuditEvent::from)))
    }

    /// Check the audit log
    ///
    /// Walks the hash chain from the oldest event to the newest and compares every stored secret with the last write
    /// that the log tells of. Where older events are no longer kept, the chain begins at an anchor, which a later event of
    /// the chain confirms; what they told of secrets still counts. It reads everything: for large organisations it takes a
    /// while.
    #[oai(
        path = "/v1/orgs/:org/audit-logs/verify",
        method = "get",
        operation_id = "verify_audit_log"
    )]
    async fn verify_audit_log(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
    ) -> Result<Json<AuditVerification>, ApiError> {
        let access = access::org::<grant::AuditRead>(&self.0.db, &caller, &org).await?;
        let snapshot = self.0.db.begin_snapshot().await?;
        Ok(Json(journal::verify(&snapshot, access.org.id.0).await?.into()))
    }

    /// Show an audit event
    ///
    /// By its id.
    #[oai(
        path = "/v1/orgs/:org/audit-logs/:event",
        method = "get",
        operation_id = "get_audit_log"
    )]
    async fn get_audit_log(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id of the event: `evt_…`.
        event: Path<String>,
    ) -> Result<Json<AuditEvent>, ApiError> {
        let access = access::org::<grant::AuditRead>(&self.0.db, &caller, &org).await?;
        let id: EventId = event.parse().map_err(|_| Problem::not_found())?;
        Ok(Json(journal::get(&self.0.db, access.org.id.0, id).await?.into()))
    }
}

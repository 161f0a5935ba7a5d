//! Jobs that were given up.

use std::sync::Arc;

use domain::admin::{Superuser, jobs};
use domain::kernel::page::{MAX_LIMIT, PageRequest};
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;

use super::job_dto::{AdminJob, JobKind, JobQueued, JobState};
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::page::List;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct AdminJobsApi(pub Arc<App>);

#[OpenApi(tag = "Tag::Administration")]
impl AdminJobsApi {
    /// List jobs
    ///
    /// Newest first: deliveries, mails and whatever else runs later. For superusers, from a session.
    #[oai(path = "/v1/admin/jobs", method = "get", operation_id = "list_admin_jobs")]
    async fn list_admin_jobs(
        &self,
        caller: Caller,
        /// Only those that stand so; those that were given up if absent.
        state: Query<Option<JobState>>,
        /// Only those of this kind.
        kind: Query<Option<JobKind>>,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<List<AdminJob>>, ApiError> {
        let superuser = Superuser::require(&caller)?;
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let (state, kind) = (state.0.unwrap_or_default(), kind.0.map(Into::into));
        let found = jobs::list(&self.0.db, &superuser, state.into(), kind, page).await?;
        Ok(Json(List::of(found, AdminJob::from)))
    }

    /// Try a job again
    ///
    /// One that was given up, with as many tries as at first. 409 for any other, and for a delivery to a webhook that is
    /// switched off or deleted. It stands in the audit log of the organisation, or in the security log of the account,
    /// that the job is for. For superusers, from a session.
    #[oai(
        path = "/v1/admin/jobs/:job/retry",
        method = "post",
        operation_id = "retry_admin_job"
    )]
    async fn retry_admin_job(
        &self,
        caller: Caller,
        /// Id of the job: `job_…`.
        job: Path<String>,
    ) -> Result<JobQueued, ApiError> {
        let superuser = Superuser::require(&caller)?;
        let tx = self.0.begin_write().await?;
        let queued = jobs::retry(&tx, &superuser, &job).await?;
        tx.commit(JobQueued::Accepted(Json(queued.into()))).await
    }
}

//! Jobs that were given up: of webhooks, mail, and whatever else runs later.

use crate::access::Superuser;
use crate::jobs::overview::{self, JobView};
use crate::jobs::{Job, JobKind, JobState};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::JobId;
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Problem, Reads, Result, WriteTx};
use crate::mail;

/// The jobs of a state, newest first; of one kind, if that is asked for.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn list(
    from: &impl Reads,
    _: &Superuser,
    state: JobState,
    kind: Option<JobKind>,
    page: PageRequest,
) -> Result<Page<JobView>> {
    overview::list(from, state, kind, page).await
}

/// Tries a job again that was given up. It is told to the organisation or the account that it is for.
///
/// # Errors
/// `not_found`, `conflict`.
pub async fn retry(tx: &WriteTx, superuser: &Superuser, id: &str) -> Result<JobView> {
    let id: JobId = id.parse().map_err(|_| Problem::not_found())?;
    let (job, payload) = overview::retry(tx, id).await?;
    let entry = entry(tx, &job, &payload).await?.with("kind", job.kind.clone());
    journal::record(tx, superuser.origin(), entry).await?;
    Ok(job)
}

/// The event, in the ledger of whom the job is for.
async fn entry(from: &impl Reads, job: &JobView, payload: &str) -> Result<Entry> {
    let (action, target) = (Action::JobRetried, Target::Job(job.id));
    if let Some(org) = job.org_id {
        return Ok(Entry::in_org(org, action, target));
    }
    // A payload of a newer version says nothing to this one.
    let Ok(Job::SendMailV1 { mail_id }) = serde_json::from_str(payload) else {
        return Ok(Entry::of_instance(action, target));
    };
    Ok(match mail::whose(from, mail_id).await? {
        mail::Whose::Account(user) => Entry::of_account(user, action, target),
        mail::Whose::Org(org) => Entry::in_org(org, action, target),
        mail::Whose::Nobody => Entry::of_instance(action, target),
    })
}

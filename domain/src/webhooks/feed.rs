//! The feed: the events that webhooks deliver, to be fetched in their order and without a gap.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::followers::Followers;
use super::payload::{self, Event};
use crate::access::grant::{self, EventsRead};
use crate::access::{Caller, OrgAccess};
use crate::auth::authenticate;
use crate::journal::{self, Action};
use crate::kernel::id::OrgId;
use crate::kernel::page::{MAX_LIMIT, PageRequest};
use crate::kernel::{Db, Problem, ProblemCode, Reads, Result};

/// Longest wait for an event, seconds. Source: design of the API, events.
const MAX_WAIT: u64 = 30;

/// What a reader asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedRequest {
    /// The number that it has come to; 0 before the first event that is kept.
    after: i64,
    wanted: Vec<Action>,
    limit: u64,
    wait: Duration,
}

impl FeedRequest {
    /// Checks what the caller sent; all of it may be absent. `types` are separated by commas.
    ///
    /// # Errors
    /// `invalid_field` naming what is wrong.
    pub fn new(after: Option<i64>, types: Option<&str>, limit: Option<i64>, wait: Option<i64>) -> Result<Self> {
        let after = after.unwrap_or(0);
        if after < 0 {
            return Err(Problem::field("after", "range", "must not be negative").into());
        }
        let page = PageRequest::new(Some(limit.unwrap_or(MAX_LIMIT.cast_signed())), None, MAX_LIMIT)?;
        let seconds = u64::try_from(wait.unwrap_or(0))
            .ok()
            .filter(|seconds| *seconds <= MAX_WAIT)
            .ok_or_else(|| Problem::field("wait", "range", format!("must be between 0 and {MAX_WAIT}")))?;
        Ok(Self {
            after,
            wanted: wanted(types.unwrap_or("*"))?,
            limit: page.limit,
            wait: Duration::from_secs(seconds),
        })
    }
}

/// The types of event that a list names: types, families such as `secret.*`, or `*`.
fn wanted(types: &str) -> Result<Vec<Action>> {
    let names: Vec<&str> = types.split(',').map(str::trim).collect();
    let is_named = |name: &str| Action::ALL.iter().any(|action| journal::subscribes(name, *action));
    if names.iter().any(|name| !is_named(name)) {
        let message = "must be event types that are delivered, or families such as `secret.*`, separated by commas";
        return Err(Problem::field("types", "unknown", message).into());
    }
    let is_wanted = |action: &Action| names.iter().any(|name| journal::subscribes(name, *action));
    Ok(Action::ALL.iter().copied().filter(is_wanted).collect())
}

/// A part of the feed.
#[derive(Clone, Debug)]
pub struct FeedPage {
    pub data: Vec<Event>,
    /// Where to go on: everything up to this number was looked at.
    pub next_after: i64,
    /// Whether there are numbers behind it.
    pub has_more: bool,
}

/// What there is now.
async fn look(from: &impl Reads, org: OrgId, request: &FeedRequest) -> Result<FeedPage> {
    let FeedRequest {
        after,
        wanted,
        limit,
        wait: _,
    } = request;
    let stretch = journal::deliverable(from, org.0, wanted, *after, *limit).await?;
    // Somebody else's number, or one from before a backup was restored: waiting for it would leave events out.
    if *after > stretch.head {
        return Err(Problem::field("after", "range", "must not be beyond the newest event").into());
    }
    if let Some(begins_after) = stretch.gone_until {
        let detail = "Events after this number are no longer kept, as the plan has it. Read what you follow anew, then go \
                      on after the number in `begins_after`.";
        return Err(Problem::new(ProblemCode::EventsPurged, detail)
            .with("begins_after", begins_after)
            .into());
    }
    Ok(FeedPage {
        data: stretch.rows.iter().map(payload::of_row).collect::<Result<_>>()?,
        next_after: stretch.looked_at,
        has_more: stretch.looked_at < stretch.head,
    })
}

/// Reads the feed. When there is nothing, it waits for the next event as long as the caller wants, and then asks anew
/// whether the caller may read it: what was recorded after they were sent away is not told.
///
/// # Errors
/// `invalid_field` for a number beyond the newest event; `events_purged` for one whose next event is no longer kept;
/// `unauthenticated`, `not_found`, `forbidden` or its kin for who
/// may not read any more; `rate_limited`, `unavailable` when too many wait.
pub async fn read(
    db: &Db,
    followers: &Arc<Followers>,
    caller: &Caller,
    access: &OrgAccess<EventsRead>,
    mut request: FeedRequest,
) -> Result<FeedPage> {
    let org = access.org.id;
    let mut page = look(db, org, &request).await?;
    if request.wait.is_zero() || !page.data.is_empty() || page.has_more {
        return Ok(page);
    }
    let ends_at = Instant::now() + request.wait;
    let mut place = followers.place(org)?;
    while page.data.is_empty() && !page.has_more {
        request.after = page.next_after;
        match timeout_at(ends_at, place.grown()).await {
            Ok(true) => page = look(db, org, &request).await?,
            // The time is over, or the process is stopping.
            Ok(false) | Err(_) => break,
        }
    }
    // After the look, so that whatever is told was there before the caller was asked about.
    let caller = authenticate::again(db, caller).await?;
    grant::org::<EventsRead>(db, &caller, &org.to_string()).await?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Error;

    fn refused(request: Result<FeedRequest>) -> String {
        Error::into_problem(request.unwrap_err()).errors[0].field.to_string()
    }

    #[test]
    fn a_reader_who_asks_for_nothing_in_particular_gets_everything_from_the_beginning() {
        let request = FeedRequest::new(None, None, None, None).unwrap();
        assert_eq!((request.after, request.limit, request.wait), (0, 100, Duration::ZERO));
        let delivered: Vec<_> = Action::ALL
            .iter()
            .copied()
            .filter(|action| action.is_deliverable())
            .collect();
        assert_eq!(request.wanted, delivered);
    }

    #[test]
    fn types_and_families_add_up() {
        let wanted = wanted("project.created, org.*,project.created").unwrap();
        assert!(wanted.contains(&Action::ProjectCreated) && wanted.contains(&Action::OrgRestored));
        assert!(!wanted.contains(&Action::OrgPurged) && !wanted.contains(&Action::ProjectUpdated));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(refused(FeedRequest::new(Some(-1), None, None, None)), "after");
        for types in ["", ",", "secret.read", "secret.updated,", "SECRET.*", "user.*"] {
            assert_eq!(
                refused(FeedRequest::new(None, Some(types), None, None)),
                "types",
                "{types}"
            );
        }
        for limit in [0, -1, 101, i64::MAX] {
            assert_eq!(refused(FeedRequest::new(None, None, Some(limit), None)), "limit");
        }
        for wait in [-1, 31, i64::MAX, i64::MIN] {
            assert_eq!(refused(FeedRequest::new(None, None, None, Some(wait))), "wait");
        }
    }
}

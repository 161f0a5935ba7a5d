//! Watching an environment.

use std::sync::Arc;

use domain::access::{self, grant};
use domain::kernel::{Problem, ProblemCode};
use domain::secrets::watch::{self, Change, WatchedKey};
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::{ApiResponse, Object, OpenApi};

use super::bulk::ChangedKey;
use super::watch_stream::WatchStream;
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::events::EventStream;
use crate::http::problem::{self, ApiError};
use crate::http::time::Time;
use crate::tags::Tag;

pub struct WatchApi(pub Arc<App>);

/// What an event of a watched environment says. It never holds a value.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct EnvironmentEvent {
    /// The environment's revision: with `revision` the one that is told of, else the newest that was told of.
    pub revision: i64,
    /// What made it, as the audit log calls it: `secret.promoted`. With `revision`.
    pub action: Option<String>,
    /// When it was made. With `revision`.
    pub at: Option<Time>,
    /// The keys that it changed, sorted, as far as the caller may know of them. With `revision`.
    pub keys: Option<Vec<ChangedKey>>,
    /// Always true. With `reset`.
    pub reset: Option<bool>,
    /// Why the caller may not watch any more, as the code of a problem: `unauthenticated`, `forbidden`, `not_found`.
    /// With `end`.
    pub reason: Option<problem::ProblemCode>,
}

impl EnvironmentEvent {
    /// What `current`, `reset` and `end` begin with.
    pub fn at(revision: i64) -> Self {
        Self {
            revision,
            action: None,
            at: None,
            keys: None,
            reset: None,
            reason: None,
        }
    }
}

impl From<Change> for EnvironmentEvent {
    fn from(change: Change) -> Self {
        let Change {
            revision,
            action,
            at,
            keys,
        } = change;
        let entry = |WatchedKey { key, outcome, version }| ChangedKey {
            key,
            status: outcome.into(),
            version,
            reason: None,
        };
        Self {
            action: Some(action),
            at: Some(at.into()),
            keys: Some(keys.into_iter().map(entry).collect()),
            ..Self::at(revision)
        }
    }
}

#[derive(ApiResponse)]
pub enum Watched {
    /// The events, as they come.
    #[oai(status = 200)]
    Ok(EventStream<EnvironmentEvent>),
}

/// The revision that a client knows of, from what it was last sent.
fn position(last_event_id: &str) -> Result<i64, ApiError> {
    let digits = last_event_id.bytes().all(|letter| letter.is_ascii_digit());
    let number = last_event_id.parse().ok().filter(|_| digits);
    let detail = "`Last-Event-ID` takes the id of an event of this stream: a revision.";
    number.ok_or_else(|| Problem::new(ProblemCode::MalformedRequest, detail).into())
}

#[OpenApi(tag = "Tag::Secrets")]
impl WatchApi {
    /// Watch an environment
    ///
    /// Tells of every revision as it is made, as server-sent events: which keys it changed, and never a value.
    ///
    /// - `revision`: a revision, and those of its keys that the caller may know of; one that changed none of them is
    ///   not told of. Its id is its number. A rename deletes the old key.
    /// - `current`: everything up to this revision has been told of. Comes once, when the stream begins.
    /// - `reset`: too much has happened to be told one by one; read the environment as a whole.
    /// - `end`: the caller may not watch any more, for the named reason.
    ///
    /// Come back with `Last-Event-ID` to be told first what was missed: nothing is left out and nothing comes twice.
    /// Whether the caller may still watch is asked before anything is told, so that nobody learns of a change that was
    /// made after access was taken away; without changes it is asked every ten seconds, with a comment line that keeps
    /// the connection alive. The stream ends after an hour at most, and when the server stops: come back then.
    /// A credential has up to 100 streams open at once on one server, an organisation up to 500.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/environments/:env/watch",
        method = "get",
        operation_id = "watch_environment"
    )]
    async fn watch_environment(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// Id or slug of the environment.
        env: Path<String>,
        /// Seconds after which the stream ends, 0 to 3600; 3600 if absent. With 0 it tells what was missed and ends.
        wait: Query<Option<i64>>,
        /// The id of the last event that arrived: a revision. Absent: from now on.
        #[oai(name = "Last-Event-ID")]
        last_event_id: Header<Option<String>>,
    ) -> Result<Watched, ApiError> {
        let access = access::env::<grant::SecretsList>(&self.0.db, &caller, &org, &project, &env).await?;
        let wait = watch::wait(wait.0)?;
        let after = last_event_id.0.as_deref().map(position).transpose()?;
        let seat = self.0.watchers.seat(&access, &caller)?;
        let stream = WatchStream::new(self.0.clone(), &caller, &access, seat, after, wait);
        Ok(Watched::Ok(EventStream::new(stream.texts())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_the_number_of_a_revision() {
        assert_eq!(position("0").ok(), Some(0));
        assert_eq!(position("42").ok(), Some(42));
        for bad in ["", "-1", "+1", " 1", "1.0", "0x1", "abc", "9223372036854775808"] {
            assert!(position(bad).is_err(), "{bad:?}");
        }
    }
}

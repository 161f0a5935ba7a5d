//! One stream of an environment's changes. It keeps no queue: when it is woken it asks the database what there is to
//! tell, so that a client that reads slowly costs nothing but its place.

use std::sync::Arc;
use std::time::Duration;

use domain::access::grant::SecretsList;
use domain::access::{Caller, EnvAccess};
use domain::kernel::{Error, ProblemCode};
use domain::secrets::watch::{self, News, WatchPlace};
use domain::secrets::watchers::Seat;
use futures_util::{Stream, stream};
use tokio::time::{Instant, sleep_until};

use super::watching::EnvironmentEvent;
use crate::app::App;
use crate::http::events::{comment, event, retry};
use crate::http::problem::log_fault;

/// How often the caller is asked about when nothing happens; the connection is never silent for longer.
const RECHECK: Duration = Duration::from_secs(10);
/// Pause before the database is asked again when it did not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// What a stream waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Woken {
    /// It is time to ask about the caller.
    Due,
    /// The time that the caller asked for is over.
    Elapsed,
    /// There is another revision, or the environment is gone.
    Changed,
    /// The process is stopping.
    Stopping,
}

/// An open stream.
pub struct WatchStream {
    app: Arc<App>,
    caller: Caller,
    place: WatchPlace,
    seat: Seat,
    /// Everything up to this revision has been told.
    told: i64,
    /// The newest revision that there is, as far as this stream knows.
    newest: i64,
    ends_at: Instant,
    recheck_at: Instant,
    /// Whether the client knows where it stands.
    is_greeted: bool,
    /// Whether the database was away at the last look.
    is_waiting: bool,
    is_over: bool,
}

impl WatchStream {
    /// `after` is the revision that the client knows of; without it the stream begins with the current one.
    pub fn new(
        app: Arc<App>,
        caller: &Caller,
        access: &EnvAccess<SecretsList>,
        seat: Seat,
        after: Option<i64>,
        wait: Duration,
    ) -> Self {
        let (now, newest) = (Instant::now(), access.env.revision);
        Self {
            app,
            caller: caller.clone(),
            place: access.into(),
            seat,
            told: after.unwrap_or(newest),
            newest,
            ends_at: now + wait,
            recheck_at: now,
            is_greeted: false,
            is_waiting: false,
            is_over: false,
        }
    }

    /// What is sent, piece by piece.
    pub fn texts(self) -> impl Stream<Item = String> + Send + 'static {
        stream::unfold(self, Self::next)
    }

    async fn next(mut self) -> Option<(String, Self)> {
        while !self.is_over {
            let text = match self.woken().await {
                Woken::Due => {
                    self.recheck_at = Instant::now() + RECHECK;
                    let text = self.tell().await;
                    if text.is_empty() { comment("still here") } else { text }
                }
                Woken::Changed => self.tell().await,
                Woken::Elapsed => self.last(comment("the time is over")),
                Woken::Stopping => self.last(comment("the server is stopping")),
            };
            if !text.is_empty() {
                return Some((text, self));
            }
        }
        None
    }

    async fn woken(&mut self) -> Woken {
        tokio::select! {
            // The first look comes before the end, also of a stream that is to end at once; and the end comes however
            // busy the environment is.
            biased;
            () = sleep_until(self.recheck_at) => Woken::Due,
            () = sleep_until(self.ends_at) => Woken::Elapsed,
            is_open = self.seat.changed() => if is_open { Woken::Changed } else { Woken::Stopping },
        }
    }

    fn last(&mut self, text: String) -> String {
        self.is_over = true;
        text
    }

    /// Asks about the caller, then says what there is to say: nothing, often, and when the database is away.
    async fn tell(&mut self) -> String {
        // Read before the caller is asked about, as `watch::look` wants it.
        self.newest = self.seat.newest().unwrap_or(self.newest).max(self.newest);
        let looked = watch::look(&self.app.db, &self.caller, &self.place, self.told, self.newest).await;
        match looked {
            Ok(news) => {
                self.told = self.newest;
                self.is_waiting = false;
                self.said(news)
            }
            Err(Error::Problem(problem)) => self.sent_away(problem.code),
            Err(fault @ (Error::Db(_) | Error::Internal(_))) => {
                if !self.is_waiting {
                    log_fault(&fault, self.caller.origin.request_id.as_deref().unwrap_or_default());
                }
                self.is_waiting = true;
                self.recheck_at = Instant::now() + PAUSE;
                String::new()
            }
        }
    }

    fn said(&mut self, news: News) -> String {
        let told = self.told;
        let mut text = String::new();
        if !self.is_greeted {
            text.push_str(&retry());
        }
        match news {
            News::Changes(changes) => {
                for change in changes {
                    let id = change.revision;
                    text.push_str(&event("revision", Some(id), &EnvironmentEvent::from(change)));
                }
            }
            News::Reset => {
                let reset = EnvironmentEvent {
                    reset: Some(true),
                    ..EnvironmentEvent::at(told)
                };
                text.push_str(&event("reset", Some(told), &reset));
            }
        }
        if !self.is_greeted {
            text.push_str(&event("current", Some(told), &EnvironmentEvent::at(told)));
            self.is_greeted = true;
        }
        text
    }

    fn sent_away(&mut self, code: ProblemCode) -> String {
        let end = EnvironmentEvent {
            reason: Some(code.into()),
            ..EnvironmentEvent::at(self.told)
        };
        self.last(event("end", None, &end))
    }
}

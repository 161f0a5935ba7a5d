//! Seals a project's values anew after a rotation, a stretch at a time: between two stretches others get their turn.

use std::sync::Arc;
use std::time::Duration;

use domain::crypto::key_store::KeyStore;
use domain::jobs::{Claimed, Verdict};
use domain::kernel::Db;
use domain::kernel::id::ProjectId;
use domain::secrets::reencrypt::{Next, Reencryption};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::run::Ending;

/// How long one run goes on, well within what a run may take of its lease.
const STRETCH: Duration = Duration::from_secs(10);

/// Seals values anew.
pub(crate) struct Reencrypt {
    pub(crate) db: Db,
    pub(crate) keys: Arc<KeyStore>,
    /// A stretch ends early at a shutdown.
    pub(crate) shutdown: CancellationToken,
}

impl Reencrypt {
    /// Goes on until everything is done, or the stretch is over.
    pub(crate) async fn run(&self, job: &Claimed, project: ProjectId) -> Ending {
        let end = Instant::now() + STRETCH;
        let mut walk = Reencryption::new(&self.db, &self.keys, project);
        loop {
            match walk.step().await {
                Ok(Next::Step) if Instant::now() < end && !self.shutdown.is_cancelled() => {}
                Ok(Next::Step) => return Ending::new(Verdict::Continue(self.db.queue_now()), "unfinished", None),
                Ok(Next::At(at)) => return Ending::new(Verdict::Continue(at), "waiting", None),
                Ok(Next::Done) => return Ending::new(Verdict::Done, "ok", None),
                Ok(Next::Stuck(left)) => {
                    let why = format!("{left} values do not open; the old key is kept");
                    return Ending::new(Verdict::Done, "stuck", Some(why));
                }
                Ok(Next::Gone) => return Ending::cancelled("the project is gone"),
                Err(error) => {
                    tracing::warn!(%error, %project, "cannot seal values anew");
                    return Ending::failed(&self.db, job, &error);
                }
            }
        }
    }
}

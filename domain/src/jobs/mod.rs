//! The job core. The database is the queue, the bell is only a doorbell: a job that is committed will be run, rung
//! or not, and a job is never run for a change that was not committed.
//!
//! A **lane** is the unit of fairness: one webhook endpoint, the mail of one account, the keys of one project, the
//! recovery of one endpoint, the backups of the instance. Jobs go
//! `ready → running → done`, back to `ready` for a retry or to go on with long work, to `dead` when the tries are used
//! up, or to `cancelled` when what they were for is gone. Every claim has a lease, and the lease id fences: a worker
//! that lost its lease cannot change the job any more.

mod bell;
mod claim;
mod emit;
pub mod entity;
mod finish;
pub mod health;
mod job;
pub mod overview;
mod purge;
mod schedule;
mod sweep;

pub use bell::{Bell, LocalBell};
pub use claim::{Claimed, LEASE, claim, has_open, release, renew};
pub use emit::{NewJob, emit};
pub use finish::{AttemptLog, Finished, Verdict, finish};
pub use health::Health;
pub use job::{Cause, Job, JobKind, JobState, lane_kind};
pub use purge::{cancel_waiting, delete_of_org};
pub use schedule::{MAX_ATTEMPTS, RETRY_DELAYS, next_attempt};
pub use sweep::{MAX_CRASHES, Sweep, sweep};

//! The job core. The database is the queue, the bell is only a doorbell: a job that is committed will be run, rung
//! or not, and a job is never run for a change that was not committed.
//!
//! A **lane** is the unit of fairness: one webhook endpoint, the mail of one account, the keys of one project, the
//! recovery of one endpoint, one customer at Stripe, the backups of the instance. Jobs go
//! `ready → running → done`, back to `ready` for a retry or to go on with long work, to `dead` when the tries are used
//! up, or to `cancelled` when what they were for is gone. A job is `running` while somebody has a lease of it, and the lease
//! id fences: a worker that lost its lease cannot change the job any more.
//!
//! What is due and when a lease ends goes by [`crate::kernel::Db::queue_now`], on which all processes agree. Before a
//! webhook's jobs stand its gates: whether it is on, its breaker, its rate, its order. What a gate holds back uses up no
//! attempt.

mod bell;
mod breaker;
mod claim;
mod depth;
mod emit;
pub mod entity;
mod finish;
mod gate;
pub mod health;
mod job;
mod lease;
pub mod overview;
mod purge;
mod rate;
mod schedule;
mod sweep;

pub use bell::{Bell, LocalBell};
pub use claim::{Claim, Claimed, LaneNews, claim, has_open, has_soon};
pub use depth::{Depth, depths};
pub use emit::{NewJob, Placed, emit, emit_in_order};
pub use finish::{AttemptLog, Finished, Verdict, finish};
pub use gate::AT_ONCE;
pub use health::Health;
pub use job::{Cause, Job, JobKind, JobState, lane_kind};
pub use lease::{LEASE, begin, held, renew};
pub use purge::{cancel_waiting, delete_of_org};
pub use rate::{Per, Rate, RateChange};
pub use schedule::{MAX_ATTEMPTS, RETRY_DELAYS, next_attempt};
pub use sweep::{MAX_CRASHES, Sweep, sweep};

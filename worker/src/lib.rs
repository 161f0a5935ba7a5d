//! The worker: takes jobs from the queue in the database, runs them, and writes down what came of them.
//!
//! | Part | What it does |
//! |---|---|
//! | `ring` | the lanes that have work, served in turn, each at its own pace, and the slots of one kind of job |
//! | `dispatch` | claims the jobs of rung lanes, many at once |
//! | `run` | runs claimed jobs, each within its slot |
//! | `handlers` | what a job does: deliver a webhook, send a mail, seal values anew, ask Stripe, make a backup |
//! | `looks` | finds out what was missed at Stripe |
//! | `backups` | looks every few minutes whether a backup is due |
//! | `finisher` | writes results, many at once |
//! | `sweeper` | looks once a second for lanes that nobody rang and for jobs of dead workers |
//! | `metrics` | what it counts, and [`metrics_page`], where a process of its own shows that |
//! | [`telemetry`], [`traces`] | log lines, and spans for a collector; both can be of the API too |
//! | [`redis_bell`] | the doorbell between processes, and notices of changes that every API hears; both can be absent |
//!
//! The API runs the same [`Worker`] in its own process when it is set to embedded, with `domain::jobs::LocalBell`.

mod backups;
mod dispatch;
mod finisher;
mod handlers;
mod housekeeping;
mod looks;
pub mod mailer;
mod metrics;
pub mod metrics_page;
pub mod redis_bell;
mod ring;
mod run;
pub mod signals;
mod sweeper;
pub mod telemetry;
pub mod traces;
mod worker;

#[cfg(test)]
mod tests;

pub use mailer::Mailer;
pub use redis_bell::{RedisBell, RedisNotices};
pub use traces::Traces;
pub use worker::{Deps, Slots, Worker, process_name};

//! What every area stands on: ids, time, chance, problems, pages, configuration and the database handle.

mod at_once;
pub mod billing;
pub mod clock;
pub mod config;
pub mod db;
mod db_fault;
pub mod id;
pub mod lists;
pub mod page;
mod pool;
pub mod problem;
mod queue_clock;
pub mod rng;
pub mod rows;
pub mod secret;
pub mod text;
pub mod trace;

pub use billing::Billing;
pub use clock::{Clock, Timestamp};
pub use db::{Backend, Db, Reads, WriteTx};
pub use problem::{Error, Problem, ProblemCode, Result};
pub use rng::Rng;
pub use rows::Rows;
pub use secret::Secret;

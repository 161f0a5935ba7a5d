//! Tables of jobs.

pub mod attempt;
pub mod health;
pub mod job;

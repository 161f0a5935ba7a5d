//! Tables of jobs.

pub mod attempt;
pub mod job;

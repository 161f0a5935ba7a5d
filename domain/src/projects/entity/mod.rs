//! Tables of projects.

pub mod environment;
pub mod project;

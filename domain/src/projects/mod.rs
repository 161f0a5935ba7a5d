//! Projects and their environments.

pub mod entity;
pub mod environment;
pub mod lookup;
pub mod project;

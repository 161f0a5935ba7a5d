//! Projects and environments.

mod environments;
mod lifecycle;

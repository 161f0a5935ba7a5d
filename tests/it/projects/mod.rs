//! Projects and environments.

mod environments;
mod projects;

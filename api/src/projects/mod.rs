//! Projects and their environments.

pub mod dto;
pub mod environments;
#[expect(
    clippy::module_inception,
    reason = "the area and its first resource share the name that the API gives them"
)]
pub mod projects;

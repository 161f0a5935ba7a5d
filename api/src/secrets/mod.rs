//! Secrets.

pub mod dto;
#[expect(
    clippy::module_inception,
    reason = "the area and its first resource share the name that the API gives them"
)]
pub mod secrets;

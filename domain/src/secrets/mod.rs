//! Secrets. Every change of an environment is one revision with an immutable change set; every value is a version,
//! sealed for its place and for no other.

mod change;
pub mod entity;
pub mod key;
pub mod list;
pub mod read;
pub mod version;
pub mod write;

pub use change::Precondition;

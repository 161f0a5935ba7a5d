//! Secrets. Every change of an environment is one revision with an immutable change set; every value is a version,
//! sealed for its place and for no other.

pub mod bulk;
mod change;
mod change_set;
mod current;
mod editor;
pub mod entity;
pub mod format;
mod gate;
pub mod key;
pub mod list;
mod lock;
mod past;
mod place;
mod plan;
mod precondition;
pub mod promote;
pub mod read;
pub mod reencrypt;
pub mod retention;
pub mod revision;
pub mod rotation;
pub mod together;
pub mod transfer;
pub mod verify;
pub mod version;
mod warm;
pub mod watch;
pub mod watchers;
pub mod write;

pub use current::count_live;
pub use editor::{NewValue, Stepped};
pub use past::Moment;
pub use precondition::Precondition;
pub use warm::WarmReads;

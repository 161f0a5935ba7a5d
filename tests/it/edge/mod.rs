//! What strangers send: broken, endless, ambiguous and cut-off requests, over real sockets.

mod abort;
mod bodies;
mod fields;
mod good_bodies;
mod hostile;
mod logs;
pub mod raw;
mod slow;
mod spellings;

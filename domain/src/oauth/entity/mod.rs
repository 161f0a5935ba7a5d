//! Tables of this area.

pub mod client;

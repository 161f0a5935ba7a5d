//! How many requests came, how they ended and how long they took, by route and hour. Each process counts in memory and
//! writes its hours down every minute; the hours of all processes add up to those of the instance.

mod recorder;
mod store;
mod summary;
mod times;

pub use recorder::Recorder;
pub use store::{FLUSH_EVERY, prune};
pub use summary::{Figures, Hour, RouteFigures, Summary, hours, summary};
pub use times::Times;

//! Plans and limits: what an organisation is allowed, from three levels; how much it uses, exactly, also when many
//! create at once; what becomes of who has more than a smaller plan allows. Reading never stops for it.

pub mod counter;
pub mod freeze;
pub mod key;
pub mod meter;
pub mod overrides;
pub mod plan;
pub mod plans;
pub mod preview;
pub mod recount;
mod refusal;
pub mod resolve;
pub mod seats;
pub mod usage;
pub mod warnings;

pub use counter::{Scope, adjust_along, begin_with, release, reserve};
pub use key::{Limit, LimitKey, Reach, Source, UNLIMITED};
pub use refusal::frozen;
pub use resolve::Effective;
pub use seats::{Seats, hold};

use crate::kernel::config::Config;

/// Whether plans are sold here.
pub fn billing_enabled(config: &Config) -> bool {
    config.billing().is_enabled
}

//! The published OpenAPI document: made a correct 3.1.0 one from what poem-openapi prints, and linted.
//!
//! Everything here is pure: text or JSON in, JSON or findings out.

mod lint;
mod merge;
mod schema;
mod upgrade;

pub use lint::lint;
pub use upgrade::{UpgradeError, to_pretty, upgrade};

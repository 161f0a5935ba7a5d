//! Tables of the journal.

pub mod anchor;
pub mod event;
pub mod ledger;
pub mod seal;

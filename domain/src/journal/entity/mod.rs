//! Tables of the journal.

pub mod event;
pub mod ledger;

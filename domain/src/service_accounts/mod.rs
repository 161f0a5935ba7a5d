//! Accounts of machines: their keys, where those work from, and the tokens of other issuers that are traded for one.

pub mod account;
pub mod change;
pub mod claim_pattern;
pub mod create;
pub mod entity;
pub mod keys;
pub mod trade;
pub mod trust;

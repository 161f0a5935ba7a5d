//! Accounts of machines: their keys, and where those work from.

pub mod account;
pub mod change;
pub mod create;
pub mod entity;
pub mod keys;

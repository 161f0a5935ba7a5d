//! Accounts of machines: their keys, and where those work from.

pub mod entity;

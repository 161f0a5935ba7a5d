//! The audit log: the journal of an organisation, as its admins see it.

pub mod audit_logs;
pub mod dto;

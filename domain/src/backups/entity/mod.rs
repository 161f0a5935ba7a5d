//! Tables of backups.

pub mod backup;

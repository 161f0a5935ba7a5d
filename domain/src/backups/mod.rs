//! Backups of the whole instance: every row of one instant, compressed, sealed under a key of their own, and proved by
//! being restored. They restore into SQLite and PostgreSQL, whichever they come from, and are kept in a folder or in a
//! bucket of an S3-compatible store.
//!
//! What is in them was sealed before it was stored: a backup alone opens nothing, it takes the root key too.

mod backup;
mod bucket;
mod check;
pub mod entity;
mod fault;
mod file;
mod load;
mod make;
mod offline;
mod plan;
mod run;
mod schedule;
mod settle;
mod store;
mod tables;
mod target;

pub use backup::{Backup, Restoration, State, delete, get, list, request, restore};
pub use check::{Checked, check};
pub use fault::Fault;
pub use file::{Header, Sizes, Table};
pub use load::Restored;
pub use make::Progress;
pub use offline::{open_target, restore_file, restore_from, write_file};
pub use plan::{Plan, StoreHealth, StoreKind, Stored};
pub use run::{Desk, Ended, note_fault, note_progress, note_restore_fault};
pub use schedule::{let_go, make_due};
pub use settle::Tokens;
pub use tables::{Column, Kind, MIGRATIONS, TABLES};

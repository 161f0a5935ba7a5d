//! Everything that happens, once: one append-only table of hash-chained ledgers, seen as the audit log, as the feed
//! of events, and as the source of webhook deliveries. It never holds a secret value.

mod action;
mod anchor;
mod chain;
pub mod entity;
mod fan_out;
mod feed;
mod heads;
mod purge;
mod query;
mod read_batch;
mod record;
mod seals;
mod sum;
mod told;
mod verify;
mod written;

pub use action::{Action, subscribes};
pub use anchor::{Anchor, begins_after};
pub use fan_out::WebhookFilter;
pub use feed::{Stretch, deliverable, heads};
pub use purge::{needed, purge};
pub use query::{EventFilter, get, is_kept, list};
pub use read_batch::{ReadAudit, ReadEntry};
pub use record::{Entry, Event, INSTANCE_LEDGER, KeyChange, Recorded, Target, keys, public_id, record, record_all};
pub use told::{Resealed, pruned_data, resealed_data};
pub use verify::{Fault, FaultKind, Verification, verify};
pub use written::{Mismatch, Share, Written};

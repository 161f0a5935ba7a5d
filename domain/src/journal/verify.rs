//! Checking a ledger from its first row, or its anchor, to its head, and what is stored against what it says.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::anchor::{self, Anchor};
use super::entity::event;
use super::record::head;
use super::seals::Pages;
use super::sum::Sum;
use super::written::{LastWrite, LastWrites, Mismatch};
use super::{Action, chain};
use crate::kernel::db::Snapshot;
use crate::kernel::id::SecretId;
use crate::kernel::lists::{id_param, is_one_of};
use crate::kernel::{Reads, Result};

/// Rows read at once.
const CHUNK: u64 = 1000;
/// Faults listed at most; more are counted.
const MAX_FAULTS: usize = 100;

/// What is wrong with a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The row's content does not give its hash.
    Altered,
    /// The row does not stand on the one before it.
    Unlinked,
    /// Numbers are missing before this row.
    Missing,
    /// The chain ends before its recorded head.
    Truncated,
    /// Where the chain begins, or what events that are gone told of secrets, is not what the chain says.
    AnchorAltered,
    /// A stored secret is not the version that was last written.
    SecretRolledBack,
    /// A stored secret's sealed value is not what was written.
    SecretAltered,
    /// A secret that was written and not deleted is gone.
    SecretMissing,
}

impl From<Mismatch> for FaultKind {
    fn from(mismatch: Mismatch) -> Self {
        match mismatch {
            Mismatch::RolledBack => Self::SecretRolledBack,
            Mismatch::Altered => Self::SecretAltered,
            Mismatch::Missing => Self::SecretMissing,
        }
    }
}

impl FaultKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Altered => "altered",
            Self::Unlinked => "unlinked",
            Self::Missing => "missing",
            Self::Truncated => "truncated",
            Self::AnchorAltered => "anchor_altered",
            Self::SecretRolledBack => "secret_rolled_back",
            Self::SecretAltered => "secret_altered",
            Self::SecretMissing => "secret_missing",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Fault {
    pub kind: FaultKind,
    /// The row where it shows.
    pub seq: i64,
    pub secret: Option<SecretId>,
}

/// The result of a check.
#[derive(Clone, Debug, Default)]
pub struct Verification {
    /// Rows checked.
    pub checked: u64,
    /// Stored secrets compared with the journal.
    pub secrets_checked: u64,
    /// Where the chain begins; `None` for a ledger that is whole.
    pub anchor: Option<Anchor>,
    pub head_seq: i64,
    pub head_hash: Vec<u8>,
    /// The first hundred faults.
    pub faults: Vec<Fault>,
    pub fault_count: u64,
}

impl Verification {
    fn fault(&mut self, kind: FaultKind, seq: i64, secret: Option<SecretId>) {
        self.fault_count += 1;
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(Fault { kind, seq, secret });
        }
    }
}

#[derive(FromQueryResult)]
struct Stored {
    id: SecretId,
    version: i64,
    is_deleted: i64,
    sealed_value: Option<Vec<u8>>,
}

/// Walks the whole ledger. In a snapshot nothing is written meanwhile: whatever differs from the journal is a fault.
///
/// # Errors
/// [`crate::kernel::Error::Db`]; faults of the ledger are not errors but findings.
pub async fn verify(from: &Snapshot, ledger: Uuid) -> Result<Verification> {
    let head = head(from, ledger).await?;
    let (head_seq, head_hash) = head.map_or((0, chain::GENESIS.to_vec()), |head| (head.seq, head.hash));
    let anchor = anchor::of(from, ledger).await?;
    let mut found = Verification {
        anchor: anchor.clone(),
        head_seq,
        head_hash: head_hash.clone(),
        ..Default::default()
    };
    let (mut writes, sum) = recall(from, ledger).await?;
    let begin = anchor.as_ref().map(|anchor| (anchor.seq, anchor.hash.clone()));
    let (mut last_seq, mut last_hash) = begin.unwrap_or((0, chain::GENESIS.to_vec()));
    let (mut removal, mut is_purged) = (None, false);
    loop {
        let rows = chunk(from, ledger, last_seq, head_seq).await?;
        if rows.is_empty() {
            break;
        }
        for row in &rows {
            check_row(&mut found, row, last_seq, &last_hash);
            writes.note(row);
            removal = anchor::told(row).or(removal);
            is_purged |= row.action == Action::OrgPurged.as_str();
            (last_seq, last_hash) = (row.seq, row.hash.clone());
        }
    }
    if last_seq != head_seq || last_hash != head_hash {
        found.fault(FaultKind::Truncated, head_seq, None);
    }
    let seals = anchor.as_ref().map_or_else(Sum::default, |anchor| anchor.seals);
    if removal != anchor.as_ref().map(anchor::as_told) || sum != seals {
        let begins_after = anchor.map_or(0, |anchor| anchor.seq);
        found.fault(FaultKind::AnchorAltered, begins_after, None);
    }
    // Nothing is left of an organisation that was removed for good.
    if !is_purged {
        check_secrets(from, ledger, &writes, &mut found).await?;
    }
    Ok(found)
}

/// What events that are gone told of secrets, and the sum over it.
async fn recall(from: &impl Reads, ledger: Uuid) -> Result<(LastWrites, Sum)> {
    let (mut writes, mut sum) = (LastWrites::default(), Sum::default());
    let mut pages = Pages::of_ledger(ledger);
    while let Some(page) = pages.next(from).await? {
        for row in &page {
            writes.recall(row);
            sum.put(row);
        }
    }
    Ok((writes, sum))
}

async fn chunk(from: &impl Reads, ledger: Uuid, after: i64, up_to: i64) -> Result<Vec<event::Model>> {
    Ok(event::Entity::find()
        .filter(event::Column::LedgerId.eq(ledger))
        .filter(event::Column::Seq.gt(after))
        .filter(event::Column::Seq.lte(up_to))
        .order_by_asc(event::Column::Seq)
        .limit(CHUNK)
        .all(from.conn())
        .await?)
}

fn check_row(found: &mut Verification, row: &event::Model, last_seq: i64, last_hash: &[u8]) {
    found.checked += 1;
    if row.seq != last_seq + 1 {
        found.fault(FaultKind::Missing, row.seq, None);
    } else if row.prev_hash != last_hash {
        found.fault(FaultKind::Unlinked, row.seq, None);
    }
    if chain::hash(row).as_slice() != row.hash {
        found.fault(FaultKind::Altered, row.seq, None);
    }
}

async fn check_secrets(from: &impl Reads, org: Uuid, writes: &LastWrites, found: &mut Verification) -> Result<()> {
    for ids in writes.secrets().chunks(500) {
        let is_one = is_one_of(from.backend(), "s.id", "$2");
        let sql = format!(
            "SELECT s.id, s.version, v.sealed_value,
                    CAST(CASE WHEN s.deleted_at IS NULL THEN 0 ELSE 1 END AS BIGINT) AS is_deleted
             FROM secrets s LEFT JOIN secret_versions v ON v.secret_id = s.id AND v.version = s.version
             WHERE s.org_id = $1 AND {is_one}"
        );
        let values = [org.into(), id_param(ids.iter().map(|secret| secret.0))];
        let stored = Stored::find_by_statement(from.sql(&sql, values))
            .all(from.conn())
            .await?;
        let stored: HashMap<SecretId, Stored> = stored.into_iter().map(|row| (row.id, row)).collect();
        for id in ids {
            let Some(write) = writes.get(*id) else { continue };
            found.secrets_checked += 1;
            if let Some(mismatch) = compare(write, stored.get(id)) {
                found.fault(mismatch.into(), write.seq, Some(*id));
            }
        }
    }
    Ok(())
}

fn compare(write: &LastWrite, stored: Option<&Stored>) -> Option<Mismatch> {
    match stored {
        Some(stored) => write.compare(stored.version, stored.is_deleted == 1, stored.sealed_value.as_deref()),
        None => Some(Mismatch::Missing),
    }
}

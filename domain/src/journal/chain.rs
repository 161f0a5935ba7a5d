//! The hash chain of a ledger: each row's hash covers every column of the row and the hash before it.

use sha2::{Digest, Sha256};

use super::entity::event;

/// What the first row of a ledger stands on.
pub const GENESIS: [u8; 32] = [0; 32];

/// Label and version of the row format, so that a later format cannot be taken for this one.
const FORMAT: &[u8] = b"strongroom journal row v1";

/// The hash of a row, given everything in it but `hash` itself.
pub fn hash(row: &event::Model) -> [u8; 32] {
    // No `..`: a new column must be hashed before this compiles.
    let event::Model {
        ledger_id,
        seq,
        id,
        at,
        action,
        actor_type,
        actor_id,
        actor_label,
        credential_id,
        target_type,
        target_id,
        project_id,
        environment_id,
        revision,
        data,
        ip,
        user_agent,
        request_id,
        prev_hash,
        hash: _,
    } = row;
    let mut hasher = Fields::new(FORMAT);
    hasher.part(Some(ledger_id.as_bytes()));
    hasher.part(Some(&seq.to_be_bytes()));
    hasher.part(Some(id.0.as_bytes()));
    hasher.part(Some(&at.micros().to_be_bytes()));
    hasher.part(Some(action.as_bytes()));
    hasher.part(Some(actor_type.as_bytes()));
    hasher.part(actor_id.as_ref().map(|id| id.as_bytes().as_slice()));
    hasher.part(actor_label.as_deref().map(str::as_bytes));
    hasher.part(credential_id.as_ref().map(|id| id.0.as_bytes().as_slice()));
    hasher.part(Some(target_type.as_bytes()));
    hasher.part(target_id.as_ref().map(|id| id.as_bytes().as_slice()));
    hasher.part(project_id.as_ref().map(|id| id.0.as_bytes().as_slice()));
    hasher.part(environment_id.as_ref().map(|id| id.0.as_bytes().as_slice()));
    hasher.part(revision.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice));
    hasher.part(Some(data.as_bytes()));
    hasher.part(ip.as_deref().map(str::as_bytes));
    hasher.part(user_agent.as_deref().map(str::as_bytes));
    hasher.part(request_id.as_deref().map(str::as_bytes));
    hasher.part(Some(prev_hash));
    hasher.hash()
}

/// Each part goes in with its length, and absence differs from emptiness: no two rows feed the same bytes.
pub(super) struct Fields(Sha256);

impl Fields {
    /// Begins with the label of what is hashed.
    pub(super) fn new(format: &[u8]) -> Self {
        let mut fields = Self(Sha256::new());
        fields.part(Some(format));
        fields
    }

    pub(super) fn hash(self) -> [u8; 32] {
        self.0.finalize().into()
    }

    pub(super) fn part(&mut self, part: Option<&[u8]>) {
        match part {
            None => self.0.update([0]),
            Some(bytes) => {
                self.0.update([1]);
                self.0.update((bytes.len() as u64).to_be_bytes());
                self.0.update(bytes);
            }
        }
    }
}

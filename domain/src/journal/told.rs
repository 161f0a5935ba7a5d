//! What a single event says of stored secrets: read from its data, and written into it.

use serde_json::{Value, json};

use super::Action;
use super::entity::event;
use crate::kernel::id::SecretId;

/// The member of an event's data that lists what was sealed anew.
const RESEALED: &str = "resealed";
/// The member of an event's data that lists versions whose values were destroyed together.
const PRUNED: &str = "pruned";

/// SHA-256 of a sealed value.
pub(super) type Digest = [u8; 32];

/// A version that was sealed anew, under another key: nothing else about it changed.
#[derive(Clone, Copy, Debug)]
pub struct Resealed {
    pub secret: SecretId,
    pub version: i64,
    pub digest: Digest,
}

/// The data of an event that tells of versions sealed anew.
pub fn resealed_data(versions: &[Resealed]) -> (&'static str, Value) {
    let line = |resealed: &Resealed| {
        let Resealed {
            secret,
            version,
            digest,
        } = resealed;
        json!({ "secret_id": secret, "version": version, "digest": hex::encode(digest) })
    };
    (RESEALED, versions.iter().map(line).collect())
}

/// The data of an event that tells of versions whose values were destroyed.
pub fn pruned_data(versions: &[(SecretId, i64)]) -> (&'static str, Value) {
    let line = |(secret, version): &(SecretId, i64)| json!({ "secret_id": secret, "version": version });
    (PRUNED, versions.iter().map(line).collect())
}

/// What an event says of one version of a secret.
pub(super) enum Told {
    /// It is what is there now.
    Current {
        secret: SecretId,
        version: i64,
        /// Of the sealed value; `None` when nothing was sealed.
        digest: Option<Digest>,
        is_deleted: bool,
    },
    Resealed(Resealed),
    Destroyed {
        secret: SecretId,
        version: i64,
    },
}

impl Told {
    pub(super) fn secret(&self) -> SecretId {
        match self {
            Self::Current { secret, .. } | Self::Resealed(Resealed { secret, .. }) | Self::Destroyed { secret, .. } => {
                *secret
            }
        }
    }
}

/// Everything that an event says of secrets.
pub(super) fn told(row: &event::Model) -> Vec<Told> {
    if row.action == Action::SecretRead.as_str() {
        return Vec::new();
    }
    let data: Value = serde_json::from_str(&row.data).unwrap_or_default();
    if row.action == Action::SecretVersionDestroyed.as_str() {
        let destroyed = row.target_id.zip(data.get("version").and_then(Value::as_i64));
        let told = destroyed.map(|(id, version)| Told::Destroyed {
            secret: SecretId(id),
            version,
        });
        return told.into_iter().collect();
    }
    let list = |name: &str| data.get(name).and_then(Value::as_array).map(Vec::as_slice);
    let current = list("keys").unwrap_or_default().iter().filter_map(current);
    let resealed = list(RESEALED).unwrap_or_default().iter().filter_map(resealed);
    let pruned = list(PRUNED).unwrap_or_default().iter().filter_map(pruned);
    current.chain(resealed).chain(pruned).collect()
}

fn pruned(line: &Value) -> Option<Told> {
    Some(Told::Destroyed {
        secret: secret_id(line)?,
        version: line.get("version")?.as_i64()?,
    })
}

fn current(change: &Value) -> Option<Told> {
    let digest = digest(change);
    let keeps_version = change.get("keeps_version") == Some(&Value::Bool(true));
    Some(Told::Current {
        secret: secret_id(change)?,
        version: change.get("version")?.as_i64()?,
        is_deleted: digest.is_none() && !keeps_version,
        digest,
    })
}

fn resealed(line: &Value) -> Option<Told> {
    Some(Told::Resealed(Resealed {
        secret: secret_id(line)?,
        version: line.get("version")?.as_i64()?,
        digest: digest(line)?,
    }))
}

fn secret_id(line: &Value) -> Option<SecretId> {
    line.get("secret_id")?.as_str()?.parse().ok()
}

/// A digest that cannot be read is one that nothing has.
fn digest(line: &Value) -> Option<Digest> {
    let mut digest = Digest::default();
    let text = line.get("digest")?.as_str()?;
    if hex::decode_to_slice(text, &mut digest).is_err() {
        digest = Digest::default();
    }
    Some(digest)
}

/// The secrets that an event tells of.
pub(super) fn secrets_of(row: &event::Model) -> Vec<SecretId> {
    told(row).iter().map(Told::secret).collect()
}

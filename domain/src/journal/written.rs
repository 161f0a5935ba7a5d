//! What the journal tells of stored secrets: the last write of each, and the seal of every version. Stored rows are
//! held against it, so that one that was put back or exchanged does not go unnoticed.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::Action;
use super::entity::{event, seal};
use super::seals;
use super::told::{Digest, Resealed, Told, told};
use crate::crypto::envelope::blob_digest;
use crate::kernel::id::{OrgId, ProjectId, SecretId};
use crate::kernel::{Reads, Result};

/// Rows read at once. An event of a thousand keys is long.
const CHUNK: u64 = 200;

/// How a stored secret is not what the journal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// A state of before is there again.
    RolledBack,
    /// It is not what was written, or nobody wrote it.
    Altered,
    /// It was written and is gone.
    Missing,
}

/// The last thing that the journal says of a secret.
pub(super) struct LastWrite {
    /// The event that says it.
    pub(super) seq: i64,
    version: i64,
    is_deleted: bool,
    /// Of the value of that version.
    digest: Option<Digest>,
}

impl LastWrite {
    /// Compares the number of the current version, and whether there is one.
    fn differs(&self, version: i64, is_deleted: bool) -> Option<Mismatch> {
        // A version that nobody wrote.
        if version > self.version {
            return Some(Mismatch::Altered);
        }
        if version < self.version {
            return Some(Mismatch::RolledBack);
        }
        match (self.is_deleted, is_deleted) {
            (true, false) => Some(Mismatch::RolledBack),
            (false, true) => Some(Mismatch::Missing),
            (true, true) | (false, false) => None,
        }
    }

    /// Compares the current version of a stored secret.
    pub(super) fn compare(&self, version: i64, is_deleted: bool, sealed: Option<&[u8]>) -> Option<Mismatch> {
        let differs = self.differs(version, is_deleted);
        if differs.is_some() || is_deleted {
            return differs;
        }
        match (self.digest, sealed) {
            (Some(digest), Some(sealed)) if blob_digest(sealed) == digest => None,
            (Some(_) | None, _) => Some(Mismatch::Altered),
        }
    }
}

/// A digest as it was taken over from events that are gone. One that cannot be read is one that nothing has.
fn stored(digest: &[u8]) -> Digest {
    digest.try_into().unwrap_or_default()
}

/// The last write of every secret.
#[derive(Default)]
pub(super) struct LastWrites(HashMap<SecretId, LastWrite>);

impl LastWrites {
    /// Takes in what events that are gone told, before any that is there.
    pub(super) fn recall(&mut self, row: &seal::Model) {
        if row.is_last {
            let write = LastWrite {
                seq: row.seq,
                version: row.version,
                is_deleted: row.is_deleted,
                digest: row.digest.as_deref().map(stored),
            };
            self.0.insert(row.secret_id, write);
        }
    }

    /// Takes in the next event.
    pub(super) fn note(&mut self, row: &event::Model) {
        for told in told(row) {
            self.note_told(row.seq, &told);
        }
    }

    fn note_told(&mut self, seq: i64, told: &Told) {
        match told {
            Told::Current {
                secret,
                version,
                digest,
                is_deleted,
            } => {
                let before = self.0.remove(secret);
                let write = LastWrite {
                    seq,
                    version: *version,
                    is_deleted: *is_deleted,
                    digest: digest.or_else(|| before.and_then(|write| write.digest)),
                };
                self.0.insert(*secret, write);
            }
            Told::Resealed(Resealed {
                secret,
                version,
                digest,
            }) => {
                let current = self.0.get_mut(secret).filter(|write| write.version == *version);
                if let Some(write) = current {
                    write.seq = seq;
                    write.digest = Some(*digest);
                }
            }
            Told::Destroyed { secret: _, version: _ } => {}
        }
    }

    pub(super) fn get(&self, secret: SecretId) -> Option<&LastWrite> {
        self.0.get(&secret)
    }

    /// Every secret that was written, sorted.
    pub(super) fn secrets(&self) -> Vec<SecretId> {
        let mut ids: Vec<_> = self.0.keys().copied().collect();
        ids.sort_unstable();
        ids
    }
}

/// A share of all secrets, so that what is held of them at once stays small however many there are.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// From 0.
    pub number: u64,
    pub of: u64,
}

impl Share {
    /// All of them.
    pub(super) const ALL: Self = Self { number: 0, of: 1 };

    pub fn holds(self, secret: SecretId) -> bool {
        secret.0.as_u128() % u128::from(self.of.max(1)) == u128::from(self.number)
    }
}

/// What the journal says is stored of a share of a project's secrets. What is checked is taken off it.
#[derive(Default)]
pub struct Written {
    last: LastWrites,
    /// The seal of each version; `None` when its value was destroyed.
    versions: HashMap<(SecretId, i64), Option<Digest>>,
}

impl Written {
    /// Walks the events of a project.
    ///
    /// # Errors
    /// [`crate::kernel::Error::Db`].
    pub async fn read(from: &impl Reads, org: OrgId, project: ProjectId, share: Share) -> Result<Self> {
        let mut written = Self::default();
        let mut pages = seals::Pages::of_project(org.0, project);
        while let Some(page) = pages.next(from).await? {
            for row in page.iter().filter(|row| share.holds(row.secret_id)) {
                written.recall(row);
            }
        }
        let mut after = 0;
        loop {
            let rows = event::Entity::find()
                .filter(event::Column::LedgerId.eq(org.0))
                .filter(event::Column::ProjectId.eq(project))
                .filter(event::Column::Seq.gt(after))
                .filter(event::Column::Action.ne(Action::SecretRead.as_str()))
                .order_by_asc(event::Column::Seq)
                .limit(CHUNK)
                .all(from.conn())
                .await?;
            let Some(newest) = rows.last().map(|row| row.seq) else {
                return Ok(written);
            };
            after = newest;
            for row in &rows {
                written.note(row, share);
            }
        }
    }

    /// Takes in what events that are gone told, before any that is there.
    pub(super) fn recall(&mut self, row: &seal::Model) {
        let digest = row.digest.as_deref().map(stored);
        self.versions.insert((row.secret_id, row.version), digest);
        self.last.recall(row);
    }

    /// How many versions it knows of.
    pub(super) fn count(&self) -> usize {
        self.versions.len()
    }

    /// All of it as rows that outlast the events which told it. `projects` are those of the secrets.
    pub(super) fn into_seals(self, ledger: Uuid, projects: &HashMap<SecretId, ProjectId>) -> Vec<seal::Model> {
        let Self { last, mut versions } = self;
        for (secret, write) in &last.0 {
            versions.entry((*secret, write.version)).or_insert(write.digest);
        }
        let row = |((secret, version), digest): ((SecretId, i64), Option<Digest>)| {
            let last = last.get(secret).filter(|write| write.version == version);
            seal::Model {
                ledger_id: ledger,
                secret_id: secret,
                version,
                project_id: projects.get(&secret).copied().unwrap_or(ProjectId(Uuid::nil())),
                digest: digest.map(|digest| digest.to_vec()),
                seq: last.map_or(0, |write| write.seq),
                is_last: last.is_some(),
                is_deleted: last.is_some_and(|write| write.is_deleted),
            }
        };
        versions.into_iter().map(row).collect()
    }

    pub(super) fn note(&mut self, row: &event::Model, share: Share) {
        for told in told(row).iter().filter(|told| share.holds(told.secret())) {
            match told {
                Told::Current {
                    secret,
                    version,
                    digest: Some(digest),
                    is_deleted: _,
                } => {
                    self.versions.insert((*secret, *version), Some(*digest));
                }
                // Nothing was sealed: deleted, renamed, restored.
                Told::Current { digest: None, .. } => {}
                // What was destroyed, or never written, does not come into being by being sealed anew.
                Told::Resealed(resealed) => {
                    if let Some(Some(seal)) = self.versions.get_mut(&(resealed.secret, resealed.version)) {
                        *seal = resealed.digest;
                    }
                }
                Told::Destroyed { secret, version } => {
                    self.versions.insert((*secret, *version), None);
                }
            }
            self.last.note_told(row.seq, told);
        }
    }

    /// Compares a stored secret: the number of its current version, and whether it is deleted.
    pub fn check_secret(&mut self, secret: SecretId, version: i64, is_deleted: bool) -> Option<Mismatch> {
        match self.last.0.remove(&secret) {
            Some(write) => write.differs(version, is_deleted),
            None => Some(Mismatch::Altered),
        }
    }

    /// Compares a stored version, current or not; `sealed` is `None` when its value is not there.
    pub fn check_version(&mut self, secret: SecretId, version: i64, sealed: Option<&[u8]>) -> Option<Mismatch> {
        match (self.versions.remove(&(secret, version)), sealed) {
            (Some(Some(digest)), Some(sealed)) if blob_digest(sealed) == digest => None,
            (Some(None), None) => None,
            // Its value was destroyed, and is there again.
            (Some(None), Some(_)) => Some(Mismatch::RolledBack),
            (Some(Some(_)), None) => Some(Mismatch::Missing),
            (Some(Some(_)) | None, _) => Some(Mismatch::Altered),
        }
    }

    /// What was written and never checked, because it is not stored any more: whole secrets under their last version,
    /// then versions of secrets that are there.
    pub fn unseen(self) -> Vec<(SecretId, i64)> {
        let Self { last, versions } = self;
        let is_gone = |secret: &SecretId| last.0.contains_key(secret);
        let mut unseen: Vec<_> = versions.into_keys().filter(|(secret, _)| !is_gone(secret)).collect();
        unseen.extend(last.0.iter().map(|(secret, write)| (*secret, write.version)));
        unseen.sort_unstable();
        unseen
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::told::resealed_data;
    use super::*;
    use crate::kernel::Timestamp;
    use crate::kernel::id::EventId;

    const SECRET: SecretId = SecretId(Uuid::from_u128(7));
    const ALL: Share = Share::ALL;

    fn row(seq: i64, action: Action, data: &Value) -> event::Model {
        event::Model {
            ledger_id: Uuid::nil(),
            seq,
            id: EventId(Uuid::nil()),
            at: Timestamp(0),
            action: action.as_str().to_owned(),
            actor_type: "user".to_owned(),
            actor_id: None,
            actor_label: None,
            credential_id: None,
            target_type: "secret".to_owned(),
            target_id: Some(SECRET.0),
            project_id: None,
            environment_id: None,
            revision: None,
            data: data.to_string(),
            ip: None,
            user_agent: None,
            request_id: None,
            prev_hash: Vec::new(),
            hash: Vec::new(),
        }
    }

    fn write(seq: i64, version: i64, blob: &[u8]) -> event::Model {
        let digest = hex::encode(blob_digest(blob));
        let change = json!({ "key": "A", "secret_id": SECRET, "version": version, "digest": digest });
        row(seq, Action::SecretUpdated, &json!({ "keys": [change] }))
    }

    fn reseal(seq: i64, version: i64, blob: &[u8]) -> event::Model {
        let resealed = Resealed {
            secret: SECRET,
            version,
            digest: blob_digest(blob),
        };
        let (name, list) = resealed_data(&[resealed]);
        row(seq, Action::ProjectKeyReencrypted, &json!({ name: list }))
    }

    fn destroy(seq: i64, version: i64) -> event::Model {
        let data = json!({ "key": "A", "version": version });
        row(seq, Action::SecretVersionDestroyed, &data)
    }

    fn written(rows: &[event::Model]) -> Written {
        let mut written = Written::default();
        for row in rows {
            written.note(row, ALL);
        }
        written
    }

    #[test]
    fn what_was_sealed_anew_is_what_is_to_be_there() {
        let rows = [
            write(1, 1, b"one"),
            write(2, 2, b"two"),
            reseal(3, 1, b"1"),
            reseal(4, 2, b"2"),
        ];
        let mut told = written(&rows);
        assert_eq!(told.check_version(SECRET, 1, Some(b"1")), None);
        assert_eq!(told.check_version(SECRET, 2, Some(b"two")), Some(Mismatch::Altered));
        assert_eq!(told.check_secret(SECRET, 2, false), None);
        let mut last = LastWrites::default();
        for row in &rows {
            last.note(row);
        }
        let current = last.get(SECRET).unwrap();
        assert_eq!((current.seq, current.compare(2, false, Some(b"2"))), (4, None));
        assert_eq!(current.compare(2, false, Some(b"two")), Some(Mismatch::Altered));
        assert_eq!(current.compare(1, false, Some(b"1")), Some(Mismatch::RolledBack));
    }

    #[test]
    fn what_was_destroyed_does_not_come_back_by_being_sealed_anew() {
        let mut told = written(&[
            write(1, 1, b"one"),
            destroy(2, 1),
            reseal(3, 1, b"1"),
            reseal(4, 9, b"9"),
        ]);
        assert_eq!(told.check_version(SECRET, 1, Some(b"1")), Some(Mismatch::RolledBack));
        assert_eq!(told.check_version(SECRET, 9, Some(b"9")), Some(Mismatch::Altered));
        assert_eq!(told.unseen(), [(SECRET, 1)], "the secret was not looked at");
    }

    /// What is told by events of which the first so many are gone.
    fn outlasted(rows: &[event::Model], gone: usize) -> Written {
        let seals = written(&rows[..gone]).into_seals(Uuid::nil(), &HashMap::new());
        let mut written = Written::default();
        for seal in &seals {
            written.recall(seal);
        }
        for row in &rows[gone..] {
            written.note(row, ALL);
        }
        written
    }

    #[test]
    fn what_is_told_outlasts_the_events() {
        let change = |keeps_version: bool| {
            let change = json!({ "key": "A", "secret_id": SECRET, "version": 3, "keeps_version": keeps_version });
            json!({ "keys": [change] })
        };
        let rows = [
            write(1, 1, b"one"),
            write(2, 2, b"two"),
            destroy(3, 1),
            write(4, 3, b"three"),
            row(5, Action::SecretDeleted, &change(false)),
            reseal(6, 2, b"2"),
            row(7, Action::SecretRestored, &change(true)),
            reseal(8, 3, b"3"),
        ];
        for gone in 0..=rows.len() {
            let mut told = outlasted(&rows, gone);
            assert_eq!(
                told.last.get(SECRET).unwrap().compare(3, false, Some(b"3")),
                None,
                "{gone}"
            );
            assert_eq!(told.check_version(SECRET, 1, None), None, "{gone}");
            assert_eq!(told.check_version(SECRET, 2, Some(b"2")), None, "{gone}");
            assert_eq!(told.check_version(SECRET, 3, Some(b"3")), None, "{gone}");
            assert_eq!(told.check_secret(SECRET, 3, false), None, "{gone}");
            assert_eq!(told.unseen(), [], "{gone}");
        }
        let mut told = outlasted(&rows, 6);
        assert_eq!(told.check_version(SECRET, 1, Some(b"one")), Some(Mismatch::RolledBack));
        assert_eq!(told.check_version(SECRET, 2, Some(b"two")), Some(Mismatch::Altered));
        assert_eq!(told.check_version(SECRET, 4, Some(b"4")), Some(Mismatch::Altered));
        assert_eq!(told.check_secret(SECRET, 2, false), Some(Mismatch::RolledBack));
        let mut deleted = outlasted(&rows[..5], 5);
        assert_eq!(deleted.check_secret(SECRET, 3, false), Some(Mismatch::RolledBack));
    }

    #[test]
    fn every_secret_is_in_one_share() {
        for n in 0..50 {
            let shares = (0..4).filter(|number| Share { number: *number, of: 4 }.holds(SecretId(Uuid::from_u128(n))));
            assert_eq!(shares.count(), 1);
        }
    }
}

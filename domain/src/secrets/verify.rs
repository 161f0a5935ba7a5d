//! Proving a project's stored values: each version opens in its place, no nonce was used twice, and all of it is what
//! the journal says. Everything is read, in small pieces and from one snapshot.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sea_orm::FromQueryResult;
use uuid::Uuid;

use super::read::open_with;
use crate::access::grant::KeysVerify;
use crate::access::{Caller, ProjectAccess};
use crate::crypto::envelope::{self, DataKey, SecretField, SecretPlace};
use crate::crypto::fingerprint::{self, FingerprintKey};
use crate::crypto::key_store::{KeyScope, KeyStore};
use crate::journal::{self, Action, Entry, Mismatch, Share, Target, Written};
use crate::kernel::db::Snapshot;
use crate::kernel::id::{EnvId, KeyId, OrgId, ProjectId, SecretId};
use crate::kernel::lists::{id_param, is_one_of};
use crate::kernel::{Error, Reads, Result, WriteTx};

/// Secrets looked at in one go.
const SECRETS: usize = 200;
/// Versions read at once.
const VERSIONS: usize = 100;
/// Versions of which the journal's word is held in memory at once. Beyond it the journal is walked once more for each
/// such share.
const HELD: u64 = 200_000;
/// Nonces used twice that are told apart; of a sound project there is none.
const REUSED: u64 = 10_000;
/// Faults listed at most; more are counted.
const MAX_FAULTS: usize = 100;

/// What is wrong with something stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It does not open: damaged, or in another place than it was sealed for.
    Unopenable,
    /// It names a key that the project does not have, or not any more; or the key of its fingerprint is not there.
    UnknownKey,
    /// Two different texts were sealed under one key with one nonce.
    ReusedNonce,
    /// It is not what was written, or nobody wrote it.
    Altered,
    /// A state of before is there again.
    RolledBack,
    /// It was written and is gone.
    Missing,
}

impl FaultKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unopenable => "unopenable",
            Self::UnknownKey => "unknown_key",
            Self::ReusedNonce => "reused_nonce",
            Self::Altered => "altered",
            Self::RolledBack => "rolled_back",
            Self::Missing => "missing",
        }
    }
}

impl From<Mismatch> for FaultKind {
    fn from(mismatch: Mismatch) -> Self {
        match mismatch {
            Mismatch::RolledBack => Self::RolledBack,
            Mismatch::Altered => Self::Altered,
            Mismatch::Missing => Self::Missing,
        }
    }
}

/// One fault, and where it is.
#[derive(Clone, Debug)]
pub struct Fault {
    pub kind: FaultKind,
    /// Slug of the environment; `None` when the whole secret is gone.
    pub environment: Option<String>,
    pub key: Option<String>,
    pub secret: SecretId,
    pub version: i64,
}

/// The result of a check.
#[derive(Clone, Debug, Default)]
pub struct Verification {
    /// Versions checked.
    pub versions: u64,
    /// Secrets checked, deleted ones too.
    pub secrets: u64,
    /// The first hundred faults.
    pub faults: Vec<Fault>,
    pub fault_count: u64,
}

impl Verification {
    fn fault(&mut self, fault: Fault) {
        self.fault_count += 1;
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(fault);
        }
    }
}

/// Checks everything that is stored of a project, deleted secrets and environments too.
///
/// # Errors
/// [`crate::kernel::Error::Db`]; faults of what is stored are not errors but findings.
pub async fn verify(from: &Snapshot, store: &KeyStore, access: &ProjectAccess<KeysVerify>) -> Result<Verification> {
    let (org, project) = (access.org.id, access.project.id);
    let of = versions(from, project).await? / HELD + 1;
    let mut sweep = Sweep {
        from,
        org,
        project,
        keys: store.opened(from, KeyScope::Project(project)).await?,
        prints: match store.fingerprint(from, project).await {
            Ok(key) => Some(key),
            Err(Error::Internal(_)) => None,
            Err(other) => return Err(other),
        },
        reused: reused(from, project).await?,
        found: Verification::default(),
    };
    for number in 0..of {
        sweep.share(Share { number, of }).await?;
    }
    Ok(sweep.found)
}

/// Records that a project was checked.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn record(
    tx: &WriteTx,
    caller: &Caller,
    access: &ProjectAccess<KeysVerify>,
    found: &Verification,
) -> Result<()> {
    let project = access.project.id;
    let entry = Entry::in_org(access.org.id, Action::ProjectVerified, Target::Project(project))
        .project(project)
        .with("versions", found.versions)
        .with("secrets", found.secrets)
        .with("faults", found.fault_count);
    journal::record(tx, &caller.origin, entry).await?;
    Ok(())
}

#[derive(FromQueryResult)]
struct Count {
    n: i64,
}

async fn versions(from: &impl Reads, project: ProjectId) -> Result<u64> {
    let sql = "SELECT COUNT(*) AS n FROM environments e JOIN secrets s ON s.environment_id = e.id
               JOIN secret_versions v ON v.secret_id = s.id WHERE e.project_id = $1";
    let count = Count::find_by_statement(from.sql(sql, [project.into()]))
        .one(from.conn())
        .await?;
    Ok(count.and_then(|count| u64::try_from(count.n).ok()).unwrap_or(0))
}

#[derive(FromQueryResult)]
struct Used {
    used: Vec<u8>,
}

/// Key and nonce, as they stand in blobs, of texts that were sealed with one nonce and are not the same: a blob that
/// was copied has the tag of the other.
async fn reused(from: &impl Reads, project: ProjectId) -> Result<HashSet<Vec<u8>>> {
    let texts = |column: &str| {
        format!(
            "SELECT substr(v.{column}, 2, 28) AS used, substr(v.{column}, length(v.{column}) - 15) AS tag
             FROM environments e JOIN secrets s ON s.environment_id = e.id JOIN secret_versions v ON v.secret_id = s.id
             WHERE e.project_id = $1 AND v.{column} IS NOT NULL"
        )
    };
    let sql = format!(
        "SELECT used FROM ({} UNION ALL {}) texts GROUP BY used HAVING COUNT(DISTINCT tag) > 1 LIMIT {REUSED}",
        texts("sealed_value"),
        texts("sealed_comment")
    );
    let rows = Used::find_by_statement(from.sql(&sql, [project.into()]))
        .all(from.conn())
        .await?;
    Ok(rows.into_iter().map(|row| row.used).collect())
}

#[derive(FromQueryResult)]
struct EnvRow {
    id: EnvId,
    slug: String,
}

#[derive(FromQueryResult)]
struct SecretRow {
    id: SecretId,
    key: String,
    version: i64,
    is_deleted: i64,
    fingerprint: Vec<u8>,
    has_comment: bool,
}

impl SecretRow {
    /// Whether it tells of its newest version what that is. Of one that was destroyed the comment is gone.
    fn tells(&self, newest: &VersionRow) -> bool {
        let has_comment = newest.sealed_value.is_none() || self.has_comment == newest.sealed_comment.is_some();
        has_comment && fingerprint::same(&self.fingerprint, &newest.fingerprint)
    }
}

#[derive(FromQueryResult)]
struct VersionRow {
    secret_id: SecretId,
    version: i64,
    sealed_value: Option<Vec<u8>>,
    sealed_comment: Option<Vec<u8>>,
    fingerprint: Vec<u8>,
}

/// A check under way.
struct Sweep<'a> {
    from: &'a Snapshot,
    org: OrgId,
    project: ProjectId,
    keys: HashMap<KeyId, DataKey>,
    /// `None` when it is not there or does not open: nothing can be stored then either.
    prints: Option<Arc<FingerprintKey>>,
    reused: HashSet<Vec<u8>>,
    found: Verification,
}

impl Sweep<'_> {
    async fn share(&mut self, share: Share) -> Result<()> {
        let mut written = Written::read(self.from, self.org, self.project, share).await?;
        let sql = "SELECT id, slug FROM environments WHERE project_id = $1 ORDER BY id";
        let environments = EnvRow::find_by_statement(self.from.sql(sql, [self.project.into()]))
            .all(self.from.conn())
            .await?;
        for env in environments {
            self.environment(&env, share, &mut written).await?;
        }
        for (secret, version) in written.unseen() {
            self.found.fault(Fault {
                kind: FaultKind::Missing,
                environment: None,
                key: None,
                secret,
                version,
            });
        }
        Ok(())
    }

    async fn environment(&mut self, env: &EnvRow, share: Share, written: &mut Written) -> Result<()> {
        let mut after = (String::new(), SecretId(Uuid::nil()));
        loop {
            let mut secrets = self.secrets(env.id, &after).await?;
            let Some(last) = secrets.last() else {
                return Ok(());
            };
            after = (last.key.clone(), last.id);
            secrets.retain(|secret| share.holds(secret.id));
            let mut sound = HashSet::new();
            for secret in &secrets {
                self.found.secrets += 1;
                match written.check_secret(secret.id, secret.version, secret.is_deleted == 1) {
                    Some(mismatch) => self.found.fault(fault(mismatch.into(), env, secret, secret.version)),
                    None => _ = sound.insert(secret.id),
                }
            }
            self.versions(env, &secrets, &sound, written).await?;
        }
    }

    /// The next secrets of an environment, in the order of its index.
    async fn secrets(&self, env: EnvId, after: &(String, SecretId)) -> Result<Vec<SecretRow>> {
        let sql = format!(
            "SELECT id, key, version, CAST(CASE WHEN deleted_at IS NULL THEN 0 ELSE 1 END AS BIGINT) AS is_deleted,
                fingerprint, has_comment
             FROM secrets WHERE environment_id = $1 AND (key, id) > ($2, $3) ORDER BY key, id LIMIT {SECRETS}"
        );
        let values = [env.into(), after.0.as_str().into(), after.1.into()];
        Ok(SecretRow::find_by_statement(self.from.sql(&sql, values))
            .all(self.from.conn())
            .await?)
    }

    /// Checks every version of some secrets: those of many together, those of one that has many by themselves.
    /// `sound` are those whose own rows are what was written.
    async fn versions(
        &mut self,
        env: &EnvRow,
        secrets: &[SecretRow],
        sound: &HashSet<SecretId>,
        written: &mut Written,
    ) -> Result<()> {
        let by_id: HashMap<SecretId, &SecretRow> = secrets.iter().map(|secret| (secret.id, secret)).collect();
        let mut waiting: Vec<SecretId> = by_id.keys().copied().collect();
        waiting.sort_unstable();
        while !waiting.is_empty() {
            let mut rows = self.first_versions(&waiting).await?;
            let Some(last) = rows.last().map(|row| row.secret_id) else {
                return Ok(());
            };
            waiting.retain(|secret| *secret > last);
            while !rows.is_empty() {
                let is_full = rows.len() == VERSIONS;
                let newest = rows.last().map_or(0, |row| row.version);
                for row in rows {
                    if let Some(secret) = by_id.get(&row.secret_id) {
                        let is_newest = row.version == secret.version && sound.contains(&secret.id);
                        self.version(env, secret, &row, is_newest, written);
                    }
                }
                rows = if is_full {
                    self.further_versions(last, newest).await?
                } else {
                    Vec::new()
                };
            }
        }
        Ok(())
    }

    async fn first_versions(&self, secrets: &[SecretId]) -> Result<Vec<VersionRow>> {
        let is_one = is_one_of(self.from.backend(), "secret_id", "$1");
        let sql = format!(
            "SELECT secret_id, version, sealed_value, sealed_comment, fingerprint FROM secret_versions
             WHERE {is_one} ORDER BY secret_id, version LIMIT {VERSIONS}"
        );
        let ids = id_param(secrets.iter().map(|secret| secret.0));
        Ok(VersionRow::find_by_statement(self.from.sql(&sql, [ids]))
            .all(self.from.conn())
            .await?)
    }

    async fn further_versions(&self, secret: SecretId, after: i64) -> Result<Vec<VersionRow>> {
        let sql = format!(
            "SELECT secret_id, version, sealed_value, sealed_comment, fingerprint FROM secret_versions
             WHERE secret_id = $1 AND version > $2 ORDER BY version LIMIT {VERSIONS}"
        );
        Ok(
            VersionRow::find_by_statement(self.from.sql(&sql, [secret.into(), after.into()]))
                .all(self.from.conn())
                .await?,
        )
    }

    /// One fault a version at most: what does not open says more than what its digest says.
    fn version(&mut self, env: &EnvRow, secret: &SecretRow, row: &VersionRow, is_newest: bool, written: &mut Written) {
        self.found.versions += 1;
        let mismatch = written.check_version(row.secret_id, row.version, row.sealed_value.as_deref());
        let kind = self
            .text(env, row, row.sealed_value.as_deref(), SecretField::Value)
            .or_else(|| self.text(env, row, row.sealed_comment.as_deref(), SecretField::Comment))
            .or(mismatch.map(FaultKind::from))
            .or((is_newest && !secret.tells(row)).then_some(FaultKind::Altered))
            .or((self.prints.is_none() && row.sealed_value.is_some()).then_some(FaultKind::UnknownKey));
        if let Some(kind) = kind {
            self.found.fault(fault(kind, env, secret, row.version));
        }
    }

    /// What is wrong with a sealed text. It is opened in the place where it lies, and forgotten at once.
    fn text(&self, env: &EnvRow, row: &VersionRow, blob: Option<&[u8]>, field: SecretField) -> Option<FaultKind> {
        let blob = blob?;
        let Some(id) = envelope::key_id_of(blob) else {
            return Some(FaultKind::Unopenable);
        };
        let Some(key) = self.keys.get(&id) else {
            return Some(FaultKind::UnknownKey);
        };
        let place = SecretPlace {
            org: self.org,
            project: self.project,
            env: env.id,
            secret: row.secret_id,
            version: row.version,
            field,
        };
        let Ok(text) = open_with(key, blob, &place.aad()) else {
            return Some(FaultKind::Unopenable);
        };
        let used = blob.get(1..29).unwrap_or_default();
        if self.reused.contains(used) {
            return Some(FaultKind::ReusedNonce);
        }
        match (field, &self.prints) {
            (SecretField::Comment, _) | (SecretField::Value, None) => None,
            (SecretField::Value, Some(key)) => {
                let is_other = !key.matches(text.expose().as_bytes(), &row.fingerprint);
                is_other.then_some(FaultKind::Altered)
            }
        }
    }
}

fn fault(kind: FaultKind, env: &EnvRow, secret: &SecretRow, version: i64) -> Fault {
    Fault {
        kind,
        environment: Some(env.slug.clone()),
        key: Some(secret.key.clone()),
        secret: secret.id,
        version,
    }
}

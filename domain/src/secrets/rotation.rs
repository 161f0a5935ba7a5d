//! Replacing a project's data key: the new one seals from the commit on, the old one retires until its values are
//! sealed anew. The fingerprint key stays, so that values can be compared with those of before.

use std::collections::HashMap;

use sea_orm::FromQueryResult;

use crate::access::grant::KeysRotate;
use crate::access::{Caller, Origin, ProjectAccess};
use crate::crypto::key_store::generations::{self, Generation, KeyState};
use crate::crypto::key_store::{KeyScope, KeyStore};
use crate::jobs::{self, Cause, Job, JobKind, NewJob};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{KeyId, OrgId, ProjectId};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Db, Reads, Result, WriteTx};
use crate::projects::lookup;

/// A rotation as it begins.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The new key.
    pub key: Generation,
    /// Versions that are to be sealed anew.
    pub remaining: i64,
}

/// A data key, and how far its retirement has come.
#[derive(Clone, Debug)]
pub struct KeyInfo {
    pub key: Generation,
    /// Versions that are yet to be sealed anew; 0 for a key that is not retiring.
    pub remaining: i64,
}

/// Replaces the data key of a project. Another rotation may still be under way: its values go to the newest key too.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn rotate(
    tx: &WriteTx,
    store: &KeyStore,
    caller: &Caller,
    access: &ProjectAccess<KeysRotate>,
) -> Result<Rotation> {
    replace(tx, store, access.org.id, access.project.id, &caller.origin).await
}

/// The data keys of a project, newest first. Those that were destroyed are among them.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn list(from: &impl Reads, access: &ProjectAccess<KeysRotate>, page: PageRequest) -> Result<Page<KeyInfo>> {
    let all = generations::all(from, KeyScope::Project(access.project.id)).await?;
    let page = Page::of(all, page);
    let retiring = page.data.iter().filter(|key| key.state == KeyState::Retiring);
    let retiring: Vec<KeyId> = retiring.map(|key| key.id).collect();
    let left = sealed_under(from, &retiring).await?;
    Ok(page.map(|key| KeyInfo {
        remaining: left.get(&key.id).copied().unwrap_or(0),
        key,
    }))
}

/// Replaces every key that has sealed as much as one key should. Returns how many.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn rotate_overdue(db: &Db, store: &KeyStore) -> Result<u64> {
    let mut rotated = 0;
    for (project, generation) in generations::projects_overdue(db).await? {
        let Some(org) = lookup::org_of(db, project).await? else {
            continue;
        };
        let tx = db.begin_write().await?;
        let rotation = replace(&tx, store, org, project, &Origin::system()).await?;
        // Otherwise another process, or a person, came first.
        if rotation.key.generation == generation + 1 {
            tx.commit().await?;
            rotated += 1;
        } else {
            tx.rollback().await?;
        }
    }
    Ok(rotated)
}

/// Makes the jobs again of retirements that nobody works at: theirs were given up, or left values behind that did not
/// open. Returns how many.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn resume(db: &Db) -> Result<u64> {
    let mut resumed = 0;
    for project in generations::projects_retiring(db).await? {
        let Some(org) = lookup::org_of(db, project).await? else {
            continue;
        };
        let tx = db.begin_write().await?;
        if jobs::has_open(&tx, JobKind::Keys, &lane(project)).await? {
            tx.rollback().await?;
            continue;
        }
        let again = format!("{}:{}", project.0.simple(), tx.now().micros());
        emit(&tx, org, project, again).await?;
        tx.commit_bookkeeping().await?;
        resumed += 1;
    }
    Ok(resumed)
}

async fn replace(tx: &WriteTx, store: &KeyStore, org: OrgId, project: ProjectId, origin: &Origin) -> Result<Rotation> {
    let scope = KeyScope::Project(project);
    // Counted before the keys are held alone, which keeps writers waiting.
    let old = generations::all(tx, scope).await?.into_iter();
    let old: Vec<KeyId> = old
        .filter(|key| key.state != KeyState::Destroyed)
        .map(|key| key.id)
        .collect();
    let remaining: i64 = sealed_under(tx, &old).await?.values().sum();
    let key = store.rotate(tx, project).await?;
    emit(tx, org, project, key.id.0.simple().to_string()).await?;
    let entry = Entry::in_org(org, Action::ProjectKeyRotated, Target::Project(project))
        .project(project)
        .with("key_id", key.id.to_string())
        .with("generation", key.generation)
        .with("remaining", remaining);
    journal::record(tx, origin, entry).await?;
    Ok(Rotation { key, remaining })
}

fn lane(project: ProjectId) -> String {
    project.0.simple().to_string()
}

async fn emit(tx: &WriteTx, org: OrgId, project: ProjectId, idempotency_key: String) -> Result<()> {
    let job = NewJob {
        job: Job::ReencryptV1 { project_id: project },
        lane: lane(project),
        org_id: Some(org),
        webhook_id: None,
        event_id: None,
        cause: Cause::Event,
        idempotency_key,
    };
    jobs::emit(tx, vec![job]).await?;
    Ok(())
}

/// The bytes of a blob that name its key, as SQL: they are indexed under this very text.
pub(super) const KEY_OF_VALUE: &str = "substr(sealed_value, 2, 16)";

#[derive(FromQueryResult)]
struct Sealed {
    key: Vec<u8>,
    n: i64,
}

/// How many versions are sealed under each of these keys; keys that seal nothing are left out.
pub(super) async fn sealed_under(from: &impl Reads, keys: &[KeyId]) -> Result<HashMap<KeyId, i64>> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let marks: Vec<_> = (1..=keys.len()).map(|n| format!("${n}")).collect();
    let sql = format!(
        "SELECT {KEY_OF_VALUE} AS key, COUNT(*) AS n FROM secret_versions WHERE {KEY_OF_VALUE} IN ({}) GROUP BY 1",
        marks.join(", ")
    );
    let values = keys.iter().map(|key| key.0.as_bytes().to_vec().into());
    let rows = Sealed::find_by_statement(from.sql(&sql, values))
        .all(from.conn())
        .await?;
    let counted = rows.into_iter().filter_map(|row| {
        let id = uuid::Uuid::from_slice(&row.key).ok()?;
        Some((KeyId(id), row.n))
    });
    Ok(counted.collect())
}

//! Old versions, of which a plan keeps so many. The value of any older one is destroyed, its place in the history
//! stays. A revision that needs such a value says that it was destroyed; it never shows another one in its place. What
//! is never destroyed so: the newest version of a secret, deleted ones too, and whatever a pinned revision shows.

use std::time::Duration;

use sea_orm::{ConnectionTrait, FromQueryResult, Value};

use super::version;
use crate::access::Origin;
use crate::journal::{self, Action, Entry, Target, pruned_data};
use crate::kernel::id::{EnvId, OrgId, ProjectId, SecretId};
use crate::kernel::lists::value_marks;
use crate::kernel::{Db, Reads, Result, WriteTx};
use crate::limits::{LimitKey, resolve};

/// A smaller limit counts after this long: nobody loses history by the plan of a day.
const PATIENCE: Duration = Duration::from_hours(30 * 24);
/// Versions of one event at most.
const STEP: usize = 1_000;

/// Old versions of an organisation, `$1`, beyond so many, `$2`; no pinned revision shows them.
const OLD: &str = "FROM secret_versions v JOIN secrets s ON s.id = v.secret_id
    WHERE s.org_id = $1 AND v.version <= s.version - $2 AND v.destroyed_at IS NULL
      AND NOT EXISTS (SELECT 1 FROM revision_pins p
        JOIN secret_keys k ON k.secret_id = v.secret_id AND k.revision = (SELECT x.revision FROM secret_keys x
            WHERE x.secret_id = v.secret_id AND x.revision <= p.revision ORDER BY x.revision DESC LIMIT 1)
        WHERE p.environment_id = s.environment_id AND k.key IS NOT NULL AND v.revision <= p.revision
          AND NOT EXISTS (SELECT 1 FROM secret_versions x
              WHERE x.secret_id = v.secret_id AND x.version = v.version + 1 AND x.revision <= p.revision))";

#[derive(FromQueryResult)]
struct Place {
    environment_id: EnvId,
    project_id: ProjectId,
}

#[derive(FromQueryResult)]
struct Version {
    secret_id: SecretId,
    version: i64,
}

/// Destroys what plans do not keep, one environment after the other; returns how many versions.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn prune(db: &Db) -> Result<u64> {
    let mut pruned = 0;
    for org in resolve::limited(db).await? {
        let Some(kept) = resolve::settled(db, org, LimitKey::VersionsRetained, PATIENCE).await? else {
            continue;
        };
        let kept = i64::try_from(kept.max(1)).unwrap_or(i64::MAX);
        let sql = format!("SELECT DISTINCT s.environment_id, s.project_id {OLD}");
        let places = Place::find_by_statement(db.sql(&sql, [org.into(), kept.into()]))
            .all(db.conn())
            .await?;
        for place in places {
            loop {
                let tx = db.begin_write().await?;
                let step = step(&tx, org, &place, kept).await?;
                if step == 0 {
                    tx.rollback().await?;
                    break;
                }
                tx.commit().await?;
                pruned += step;
            }
        }
    }
    Ok(pruned)
}

async fn step(tx: &WriteTx, org: OrgId, place: &Place, kept: i64) -> Result<u64> {
    version::lock(tx, place.environment_id).await?;
    let sql = format!(
        "SELECT v.secret_id, v.version {OLD} AND s.environment_id = $3 ORDER BY v.secret_id, v.version LIMIT {STEP}"
    );
    let values = [org.into(), kept.into(), place.environment_id.into()];
    let old = Version::find_by_statement(tx.sql(&sql, values)).all(tx.conn()).await?;
    if old.is_empty() {
        return Ok(0);
    }
    let mut values: Vec<Value> = Vec::with_capacity(2 * old.len() + 1);
    for Version { secret_id, version } in &old {
        values.extend([Value::from(*secret_id), Value::from(*version)]);
    }
    values.push(tx.now().into());
    let sql = format!(
        "UPDATE secret_versions SET sealed_value = NULL, sealed_comment = NULL, destroyed_at = ${}
         WHERE (secret_id, version) IN (VALUES {})",
        values.len(),
        value_marks(tx.backend(), old.len(), 2)
    );
    tx.conn().execute_raw(tx.sql(&sql, values)).await?;
    let versions: Vec<_> = old.iter().map(|old| (old.secret_id, old.version)).collect();
    let (name, list) = pruned_data(&versions);
    let mut entry = Entry::in_org(
        org,
        Action::SecretVersionsPruned,
        Target::Environment(place.environment_id),
    )
    .project(place.project_id)
    .with(name, list)
    .with("kept", kept);
    entry.environment = Some(place.environment_id);
    journal::record(tx, &Origin::system(), entry).await?;
    Ok(old.len() as u64)
}

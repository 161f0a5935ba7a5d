//! Whether a restored database is what it should be: whole, its values open, its journal is what was written.

use sea_orm::{ConnectionTrait, FromQueryResult};
use uuid::Uuid;

use super::fault::Fault;
use super::file::{Header, Table};
use super::settle::EMPTIED;
use super::tables::{self, TABLES};
use crate::crypto::key_store::{KeyScope, KeyStore};
use crate::crypto::{SecretField, SecretPlace, envelope};
use crate::journal;
use crate::kernel::db::Snapshot;
use crate::kernel::id::{EnvId, OrgId, ProjectId, SecretId};
use crate::kernel::{Backend, Db, Error, Reads, Result};

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Rows of all tables of the header that there are still, as many as it says.
    pub rows: u64,
    /// Projects of which a value was opened.
    pub values: u64,
    pub ledgers: u64,
    /// Rows of those ledgers.
    pub events: u64,
}

#[derive(FromQueryResult)]
struct Text {
    text: String,
}

#[derive(FromQueryResult)]
struct Id {
    id: Uuid,
}

#[derive(FromQueryResult)]
struct OneValue {
    org_id: OrgId,
    project_id: ProjectId,
    environment_id: EnvId,
    secret_id: SecretId,
    version: i64,
    sealed_value: Vec<u8>,
}

/// Checks a restored database against the header of its backup.
///
/// # Errors
/// [`Fault::Refused`] that names what is wrong.
pub async fn check(restored: &Db, header: &Header, keys: &KeyStore) -> Result<Checked, Fault> {
    let snapshot = restored.begin_snapshot().await?;
    let mut checked = Checked::default();
    // What an older schema kept in other tables went into those of today.
    let is_kept = |table: &&Table| TABLES.contains(&table.name.as_str());
    for table in header.tables.iter().filter(is_kept) {
        let rows = tables::count(&snapshot, &table.name).await?;
        // A key store that opens the database may have noted another root key.
        if rows < table.rows && !EMPTIED.contains(&table.name.as_str()) {
            let (name, wanted) = (&table.name, table.rows);
            return Err(Fault::refused(format!("{name} has {rows} rows of {wanted}.")));
        }
        checked.rows += rows;
    }
    match snapshot.backend() {
        Backend::Sqlite => check_file(&snapshot).await?,
        Backend::Postgres => {}
    }
    checked.values = open_values(&snapshot, keys).await?;
    for Id { id } in ids(&snapshot, "SELECT id FROM ledgers ORDER BY id").await? {
        let verification = journal::verify(&snapshot, id).await?;
        if verification.fault_count > 0 {
            let count = verification.fault_count;
            return Err(Fault::refused(format!(
                "The journal has {count} faults in the ledger {id}."
            )));
        }
        checked.ledgers += 1;
        checked.events += verification.checked;
    }
    Ok(checked)
}

async fn ids(from: &Snapshot, sql: &str) -> Result<Vec<Id>> {
    Ok(Id::find_by_statement(from.sql(sql, [])).all(from.conn()).await?)
}

/// What SQLite says of its own file.
async fn check_file(from: &Snapshot) -> Result<(), Fault> {
    let sql = "SELECT integrity_check AS text FROM pragma_integrity_check";
    let found = Text::find_by_statement(from.sql(sql, [])).all(from.conn()).await?;
    if found.iter().any(|line| line.text != "ok") {
        return Err(Fault::refused("SQLite finds the restored file damaged."));
    }
    let sql = "SELECT 1 FROM pragma_foreign_key_check";
    if from.conn().query_one_raw(from.sql(sql, [])).await?.is_some() {
        return Err(Fault::refused("Rows refer to others that are not there."));
    }
    Ok(())
}

/// Opens one value of each project that has any. Returns how many.
async fn open_values(from: &Snapshot, keys: &KeyStore) -> Result<u64, Fault> {
    let sql = "SELECT s.org_id, s.project_id, s.environment_id, s.id AS secret_id, v.version, v.sealed_value
         FROM environments e JOIN secrets s ON s.environment_id = e.id JOIN secret_versions v ON v.secret_id = s.id
         WHERE e.project_id = $1 AND v.sealed_value IS NOT NULL LIMIT 1";
    let mut opened = 0;
    for Id { id } in ids(from, "SELECT id FROM projects ORDER BY id").await? {
        let found = OneValue::find_by_statement(from.sql(sql, [id.into()]));
        let Some(sealed) = found.one(from.conn()).await? else {
            continue;
        };
        open(from, keys, &sealed).await?;
        opened += 1;
    }
    Ok(opened)
}

async fn open(from: &Snapshot, keys: &KeyStore, sealed: &OneValue) -> Result<(), Fault> {
    let OneValue {
        org_id,
        project_id,
        environment_id,
        secret_id,
        version,
        sealed_value,
    } = sealed;
    let place = SecretPlace {
        org: *org_id,
        project: *project_id,
        env: *environment_id,
        secret: *secret_id,
        version: *version,
        field: SecretField::Value,
    };
    let wrong = || Fault::refused(format!("A value of the project {project_id} does not open."));
    let keys = match keys.opened(from, KeyScope::Project(*project_id)).await {
        Ok(keys) => keys,
        Err(Error::Internal(_)) => return Err(wrong()),
        Err(other @ (Error::Db(_) | Error::Problem(_))) => return Err(other.into()),
    };
    let key = envelope::key_id_of(sealed_value).and_then(|id| keys.get(&id));
    let key = key.ok_or_else(wrong)?;
    key.open(&place.aad(), sealed_value).map_err(|_| wrong())?;
    Ok(())
}

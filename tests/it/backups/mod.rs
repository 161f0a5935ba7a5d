//! Backups: made while everything goes on, proved, restored into either database, and refused when they are not whole.

mod crossing;
mod lifecycle;
mod older;
mod refusing;
mod restoring;
mod s3;
mod schedule;
mod schema;
mod silence;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use domain::backups::{self, Header, Restored, TABLES, Tokens};
use domain::crypto::RootKeyring;
use domain::kernel::id::BackupId;
use domain::kernel::{Clock, Db, Reads, Rng, Secret};
use harness::app::eventually;
use harness::{Answer, Backend, Client, Person, TestApp};
use sea_orm::ConnectionTrait;
use serde_json::json;
use tempfile::TempDir;

pub const BACKUPS: &str = "/v1/admin/backups";

/// Somebody who looks after the instance.
pub async fn root(t: &TestApp) -> Person {
    let person = t.person("root").await;
    t.sql("UPDATE users SET is_superuser = TRUE WHERE first_name = 'root'")
        .await;
    person
}

/// Waits until a backup has ended and returns how it is shown.
pub async fn ended(by: &Client, id: &str) -> Answer {
    let path = format!("{BACKUPS}/{id}");
    eventually("the backup has ended", || async {
        let shown = by.get(&path).await.expect(200);
        let is_proved = shown.at("/state") == "completed" && !shown.at("/last_verified_at").is_empty();
        is_proved || !shown.at("/problem").is_empty()
    })
    .await;
    by.get(&path).await.expect(200)
}

/// Makes a backup by call and waits until it is proved; returns its id.
pub async fn made(by: &Client) -> String {
    let id = by.post(BACKUPS, json!({})).await.expect(202).at("/id");
    let shown = ended(by, &id).await;
    assert_eq!(shown.at("/state"), "completed", "{}", shown.text());
    assert_eq!(shown.at("/problem"), "", "{}", shown.text());
    id
}

/// The keys of one text, as `STRONGROOM_BACKUP_KEY` takes it.
pub fn keyring(key: &str) -> RootKeyring {
    RootKeyring::parse(&Secret::new(key.to_owned())).expect("keys")
}

/// Writes a database into a file of a folder.
pub async fn write(db: &Db, key: &str, folder: &TempDir, name: &str) -> (PathBuf, Header) {
    let path = folder.path().join(name);
    let id = BackupId(uuid::Uuid::new_v4());
    let (header, _) = backups::write_file(db, keyring(key), &path, id)
        .await
        .expect("a backup");
    (path, header)
}

/// Opens a database that is there, or an empty one.
pub async fn open(url: &str) -> Db {
    backups::open_target(url, Clock::system(), Rng::system())
        .await
        .expect("open a database")
}

/// Restores a file into an empty database.
pub async fn restored(file: &Path, key: &str, into: &Db) -> Restored {
    backups::restore_file(file, keyring(key), into, Tokens::Keep)
        .await
        .expect("it is restored")
}

/// An empty database of a kind; a file of it is in the folder.
pub async fn empty(backend: Backend, folder: &TempDir, name: &str) -> (String, Db) {
    let url = match backend {
        Backend::Sqlite => Db::sqlite_url(&folder.path().join(name)),
        Backend::Postgres => harness::app::empty_postgres_database().await,
    };
    let db = open(&url).await;
    (url, db)
}

/// Every row of every table as text that is the same on both databases, sorted.
pub async fn contents(db: &Db, header: &Header) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::new();
    for table in &header.tables {
        let shown: Vec<_> = table.columns.iter().map(|column| shown(db, &column.name)).collect();
        let sql = format!("SELECT {} AS line FROM \"{}\"", shown.join(" || '|' || "), table.name);
        let rows = db.conn().query_all_raw(db.sql(&sql, [])).await.expect("read a table");
        let mut lines: Vec<String> = rows
            .iter()
            .map(|row| row.try_get_by_index(0).expect("a line"))
            .collect();
        lines.sort_unstable();
        all.insert(table.name.clone(), lines);
    }
    assert_eq!(all.len(), TABLES.len());
    all
}

/// A column as text: ids and bytes in hex, truth as a digit.
fn shown(db: &Db, column: &str) -> String {
    let text = match db.backend() {
        domain::kernel::Backend::Sqlite => format!(
            "CASE typeof(\"{column}\") WHEN 'blob' THEN lower(hex(\"{column}\")) ELSE CAST(\"{column}\" AS TEXT) END"
        ),
        // PostgreSQL writes bytes as `\xc0de`. Its NULL is no boolean that could be false.
        domain::kernel::Backend::Postgres => format!(
            "CASE pg_typeof(\"{column}\")::text
                WHEN 'bytea' THEN substr(\"{column}\"::text, 3)
                WHEN 'uuid' THEN replace(\"{column}\"::text, '-', '')
                WHEN 'boolean' THEN CASE \"{column}\"::text WHEN 'true' THEN '1' WHEN 'false' THEN '0' END
                ELSE \"{column}\"::text END"
        ),
    };
    format!("COALESCE({text}, '(none)')")
}

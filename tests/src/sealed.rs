//! What is stored of secrets, read and altered behind the application's back.
#![expect(clippy::expect_used, reason = "harness: a failure ends the test")]

use domain::crypto::SecretPlace;
use domain::crypto::key_store::KeyScope;
use domain::kernel::{Db, Reads, Rng};
use domain::secrets::entity::{secret, version};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};

use crate::app::TestApp;

/// Every stored version, by secret and number.
///
/// # Panics
/// When the database refuses.
pub async fn all(t: &TestApp) -> Vec<version::Model> {
    version::Entity::find()
        .order_by_asc(version::Column::SecretId)
        .order_by_asc(version::Column::Version)
        .all(t.db().conn())
        .await
        .expect("read the versions")
}

/// One stored version of the secret that has this key; the key must be in one environment only.
///
/// # Panics
/// When there is none.
pub async fn version(t: &TestApp, key: &str, number: i64) -> version::Model {
    version_in(t.db(), key, number).await
}

/// The same, of a database.
///
/// # Panics
/// When there is none.
pub async fn version_in(db: &Db, key: &str, number: i64) -> version::Model {
    let secret = secret::Entity::find()
        .filter(secret::Column::Key.eq(key))
        .one(db.conn())
        .await
        .expect("read the secret")
        .expect("a secret of this key");
    version::Entity::find_by_id((secret.id, number))
        .one(db.conn())
        .await
        .expect("read the version")
        .expect("a version of this number")
}

/// Writes a stored version back with another sealed value.
///
/// # Panics
/// When the database refuses.
pub async fn put_value(t: &TestApp, row: &version::Model, sealed: &[u8]) {
    put_value_in(t.db(), row, sealed).await;
}

/// The same, in a database.
///
/// # Panics
/// When the database refuses.
pub async fn put_value_in(db: &Db, row: &version::Model, sealed: &[u8]) {
    let tx = db.begin_write().await.expect("open a transaction");
    let sql = "UPDATE secret_versions SET sealed_value = $3 WHERE secret_id = $1 AND version = $2";
    let values = [row.secret_id.into(), row.version.into(), sealed.to_vec().into()];
    let written = tx.execute_raw(tx.sql(sql, values)).await.expect("write the version");
    assert_eq!(written.rows_affected(), 1);
    tx.commit_bookkeeping().await.expect("commit");
}

/// Seals a text for a place under the active key of its project, as somebody could who has the key.
///
/// # Panics
/// When the project has no key.
pub async fn seal(t: &TestApp, place: &SecretPlace, rng: &Rng, text: &str) -> Vec<u8> {
    let scope = KeyScope::Project(place.project);
    let key = t.app().keys.active(t.db(), scope).await.expect("an active key");
    key.seal(rng, &place.aad(), text.as_bytes()).expect("a sealed text")
}

/// The key that a blob names.
///
/// # Panics
/// When it is no blob.
pub fn key_of(blob: &[u8]) -> String {
    let id = domain::crypto::envelope::key_id_of(blob);
    id.expect("a blob that names a key").to_string()
}

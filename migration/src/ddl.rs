//! One spelling of the schema for both databases.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend, DbErr};

/// Runs statements in which `{uuid}`, `{bytes}` and `{ascii}` (text that sorts by bytes) stand for the database's own types. Instants are BIGINT
/// microseconds, JSON is TEXT: both because the two databases disagree about anything richer.
pub async fn run(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    let (uuid, bytes, ascii) = match manager.get_database_backend() {
        DbBackend::Postgres => ("uuid", "bytea", "text COLLATE \"C\""),
        _ => ("BLOB", "BLOB", "TEXT"),
    };
    for statement in statements {
        let sql = statement
            .replace("{uuid}", uuid)
            .replace("{bytes}", bytes)
            .replace("{ascii}", ascii);
        manager.get_connection().execute_unprepared(&sql).await?;
    }
    Ok(())
}

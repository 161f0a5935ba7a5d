//! What a backup holds: every table of the schema, in an order in which no row comes before one that it refers to.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sea_orm::{FromQueryResult, QueryResult};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use uuid::Uuid;

use super::fault::Fault;
use crate::kernel::{Backend, Error, Reads, Result};

/// Every table but that of the migrations, which the header tells of. A test compares it with the schema.
pub const TABLES: &[&str] = &[
    "users",
    "user_emails",
    "orgs",
    "projects",
    "environments",
    "roles",
    "memberships",
    "acl_rules",
    "service_accounts",
    "credentials",
    "challenges",
    "idempotent_responses",
    "root_keys",
    "data_keys",
    "secrets",
    "secret_versions",
    "secret_keys",
    "environment_revisions",
    "revision_pins",
    "template_keys",
    "ledgers",
    "journal",
    "journal_anchors",
    "journal_seals",
    "webhooks",
    "webhook_secrets",
    "webhook_health",
    "webhook_recoveries",
    "invites",
    "mails",
    "second_factors",
    "throttles",
    "jobs",
    "job_leases",
    "job_attempts",
    "backups",
    "plan_limits",
    "limit_overrides",
    "usage_counters",
    "api_usage",
    "limit_notices",
    "plan_prices",
    "billing_customers",
    "billing_subscriptions",
    "billing_runs",
    "billing_drift",
    "stripe_events",
    "request_metrics",
    "signing_keys",
    "oauth_clients",
    "oauth_grants",
    "oauth_codes",
    "oauth_devices",
    "sso_providers",
    "sso_identities",
    "sso_attempts",
    "sso_sessions",
    "federated_identities",
    "used_assertions",
    "realm_users",
    "realm_user_roles",
    // Filled last: rows of the others advance it.
    "access_epochs",
];

/// The table that a migrator keeps.
pub const MIGRATIONS: &str = "seaql_migrations";

/// How a column's values are written. The two databases have different types; these are neither's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Text with hyphens. SQLite has no such type: there ids are bytes.
    Uuid,
    /// Base64.
    Bytes,
    Text,
    Int,
    Bool,
}

impl Kind {
    /// Reads a declared type of either database.
    fn of(declared: &str) -> Option<Self> {
        match declared.to_ascii_lowercase().as_str() {
            "uuid" => Some(Self::Uuid),
            "bytea" | "blob" => Some(Self::Bytes),
            "text" => Some(Self::Text),
            "bigint" | "integer" => Some(Self::Int),
            "boolean" => Some(Self::Bool),
            _ => None,
        }
    }
}

/// A column and how its values are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
}

#[derive(FromQueryResult)]
struct Named {
    name: String,
}

#[derive(FromQueryResult)]
struct Declared {
    name: String,
    declared: String,
}

#[derive(FromQueryResult)]
struct Count {
    n: i64,
}

/// Names of all tables that there are.
pub(super) async fn names(from: &impl Reads) -> Result<Vec<String>> {
    let sql = match from.backend() {
        Backend::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'",
        Backend::Postgres => {
            "SELECT table_name::text AS name FROM information_schema.tables
             WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'"
        }
    };
    let found = Named::find_by_statement(from.sql(sql, [])).all(from.conn()).await?;
    Ok(found.into_iter().map(|table| table.name).collect())
}

/// The columns of a table, in the table's own order; none when there is no such table.
pub(super) async fn columns(from: &impl Reads, table: &str) -> Result<Vec<Column>> {
    let sql = match from.backend() {
        Backend::Sqlite => "SELECT name, type AS declared FROM pragma_table_info($1) ORDER BY cid",
        Backend::Postgres => {
            "SELECT column_name::text AS name, data_type::text AS declared FROM information_schema.columns
             WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position"
        }
    };
    let found = Declared::find_by_statement(from.sql(sql, [table.into()]))
        .all(from.conn())
        .await?;
    let column = |declared: Declared| -> Result<Column> {
        let kind = Kind::of(&declared.declared)
            .ok_or_else(|| Error::internal(format!("{table}.{} has a type that no backup can hold", declared.name)))?;
        Ok(Column {
            name: declared.name,
            kind,
        })
    };
    found.into_iter().map(column).collect()
}

/// How many rows a table has.
pub(super) async fn count(from: &impl Reads, table: &str) -> Result<u64> {
    let sql = format!("SELECT COUNT(*) AS n FROM {}", quoted(table));
    let count = Count::find_by_statement(from.sql(&sql, [])).one(from.conn()).await?;
    Ok(count.and_then(|count| u64::try_from(count.n).ok()).unwrap_or(0))
}

/// The migrations that made the schema, by name.
pub(super) async fn migrations(from: &impl Reads) -> Result<Vec<String>> {
    let sql = format!("SELECT version AS name FROM {MIGRATIONS} ORDER BY version");
    let found = Named::find_by_statement(from.sql(&sql, [])).all(from.conn()).await?;
    Ok(found.into_iter().map(|migration| migration.name).collect())
}

/// A name of ours as both databases take any name.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn quoted_list(columns: &[Column]) -> String {
    let names: Vec<_> = columns.iter().map(|column| quoted(&column.name)).collect();
    names.join(", ")
}

/// Which columns of a table its rows are told apart by, in order, as places in `columns`.
pub(super) async fn key(from: &impl Reads, table: &str, columns: &[Column]) -> Result<Vec<usize>> {
    let sql = match from.backend() {
        Backend::Sqlite => "SELECT name FROM pragma_table_info($1) WHERE pk > 0 ORDER BY pk",
        Backend::Postgres => {
            "SELECT a.attname::text AS name FROM pg_index i
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
             WHERE i.indrelid = to_regclass($1) AND i.indisprimary
             ORDER BY array_position(i.indkey::int2[], a.attnum)"
        }
    };
    let found = Named::find_by_statement(from.sql(sql, [table.into()]))
        .all(from.conn())
        .await?;
    let place = |named: &Named| columns.iter().position(|column| column.name == named.name);
    let places: Vec<usize> = found.iter().filter_map(place).collect();
    if places.is_empty() || places.len() != found.len() {
        return Err(Error::internal(format!("{table} has no key to read it by")));
    }
    Ok(places)
}

/// Reads so many rows of a table in the order of its key: the first ones, or those behind a row whose key is bound.
pub(super) fn select(
    backend: Backend,
    table: &str,
    columns: &[Column],
    key: &[usize],
    is_first: bool,
    rows: usize,
) -> String {
    // PostgreSQL's integers have several lengths.
    let is_cast = |column: &Column| backend == Backend::Postgres && column.kind == Kind::Int;
    let shown = |column: &Column| {
        let cast = if is_cast(column) { "::bigint" } else { "" };
        format!("{}{cast}", quoted(&column.name))
    };
    let shown: Vec<_> = columns.iter().map(shown).collect();
    let key: Vec<_> = key.iter().filter_map(|place| columns.get(*place)).collect();
    let key: Vec<_> = key.iter().map(|column| quoted(&column.name)).collect();
    let marks: Vec<_> = (1..=key.len()).map(|n| format!("${n}")).collect();
    let (shown, key) = (shown.join(", "), key.join(", "));
    let behind = if is_first {
        String::new()
    } else {
        format!(" WHERE ({key}) > ({})", marks.join(", "))
    };
    format!(
        "SELECT {shown} FROM {}{behind} ORDER BY {key} LIMIT {rows}",
        quoted(table)
    )
}

/// Empties a table: a migration or a trigger may have put rows into it.
pub(super) fn delete(table: &str) -> String {
    format!("DELETE FROM {}", quoted(table))
}

/// Begins the statement that writes rows; `VALUES` and marks follow.
pub(super) fn insert(table: &str, columns: &[Column]) -> String {
    format!("INSERT INTO {} ({}) VALUES ", quoted(table), quoted_list(columns))
}

/// A row as it was read, to be written down.
pub(super) fn written(row: &QueryResult, columns: &[Column]) -> Result<Vec<Json>> {
    let mut values = Vec::with_capacity(columns.len());
    for (index, column) in columns.iter().enumerate() {
        let value: Option<Json> = match column.kind {
            Kind::Uuid => row
                .try_get_by_index::<Option<Uuid>>(index)?
                .map(|id| id.to_string().into()),
            Kind::Bytes => row
                .try_get_by_index::<Option<Vec<u8>>>(index)?
                .map(|bytes| STANDARD.encode(bytes).into()),
            Kind::Text => row.try_get_by_index::<Option<String>>(index)?.map(Json::from),
            Kind::Int => row.try_get_by_index::<Option<i64>>(index)?.map(Json::from),
            Kind::Bool => row.try_get_by_index::<Option<bool>>(index)?.map(Json::from),
        };
        values.push(value.unwrap_or(Json::Null));
    }
    Ok(values)
}

/// A value that was written down, for a column that may belong to the other database.
pub(super) fn read(value: Json, as_written: Kind, column: Kind) -> Result<sea_orm::Value, Fault> {
    match column {
        Kind::Uuid => {
            let bytes = bytes_of(value, as_written)?;
            let id = bytes.map(|bytes| Uuid::from_slice(&bytes)).transpose();
            Ok(id.map_err(|_| Fault::damaged())?.into())
        }
        Kind::Bytes => Ok(bytes_of(value, as_written)?.into()),
        Kind::Text => match value {
            Json::Null => Ok(None::<String>.into()),
            Json::String(text) => Ok(text.into()),
            Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => Err(Fault::damaged()),
        },
        Kind::Int => match value {
            Json::Null => Ok(None::<i64>.into()),
            number => Ok(number.as_i64().ok_or_else(Fault::damaged)?.into()),
        },
        Kind::Bool => match value {
            Json::Null => Ok(None::<bool>.into()),
            other => Ok(other.as_bool().ok_or_else(Fault::damaged)?.into()),
        },
    }
}

/// Bytes, whether written as such or as an id.
fn bytes_of(value: Json, as_written: Kind) -> Result<Option<Vec<u8>>, Fault> {
    let text = match value {
        Json::Null => return Ok(None),
        Json::String(text) => text,
        Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => return Err(Fault::damaged()),
    };
    let bytes = match as_written {
        Kind::Uuid => Uuid::parse_str(&text).ok().map(|id| id.as_bytes().to_vec()),
        Kind::Bytes => STANDARD.decode(text).ok(),
        Kind::Text | Kind::Int | Kind::Bool => None,
    };
    bytes.map(Some).ok_or_else(Fault::damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_whichever_database_wrote_them() {
        let id = Uuid::from_u128(7);
        let text = Json::from(id.to_string());
        let bytes = Json::from(STANDARD.encode(id.as_bytes()));
        for (written, kind) in [(text, Kind::Uuid), (bytes, Kind::Bytes)] {
            let as_id = read(written.clone(), kind, Kind::Uuid).unwrap();
            assert_eq!(as_id, sea_orm::Value::from(id));
            let as_bytes = read(written, kind, Kind::Bytes).unwrap();
            assert_eq!(as_bytes, sea_orm::Value::from(id.as_bytes().to_vec()));
        }
        assert!(read(Json::from("AAAA"), Kind::Bytes, Kind::Uuid).is_err());
        assert!(read(Json::from(1), Kind::Int, Kind::Text).is_err());
        assert!(read(Json::from("1"), Kind::Text, Kind::Int).is_err());
        let nothing = read(Json::Null, Kind::Bytes, Kind::Uuid).unwrap();
        assert_eq!(nothing, sea_orm::Value::from(None::<Uuid>));
    }

    #[test]
    fn pages_follow_each_other_by_the_key() {
        let column = |name: &str, kind| Column {
            name: name.to_owned(),
            kind,
        };
        let columns = [
            column("at", Kind::Int),
            column("id", Kind::Uuid),
            column("n", Kind::Int),
        ];
        assert_eq!(
            select(Backend::Sqlite, "t", &columns, &[1], true, 5),
            r#"SELECT "at", "id", "n" FROM "t" ORDER BY "id" LIMIT 5"#
        );
        assert_eq!(
            select(Backend::Postgres, "t", &columns, &[1, 2], false, 5),
            r#"SELECT "at"::bigint, "id", "n"::bigint FROM "t" WHERE ("id", "n") > ($1, $2) ORDER BY "id", "n" LIMIT 5"#
        );
    }

    #[test]
    fn no_table_is_named_twice() {
        let distinct: std::collections::BTreeSet<_> = TABLES.iter().collect();
        assert_eq!(distinct.len(), TABLES.len());
    }
}

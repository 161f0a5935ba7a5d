//! A realm as whoever signs in to it names it.

use sea_orm::{FromQueryResult, Value};

use crate::kernel::id::OrgId;
use crate::kernel::{Problem, Reads, Result};

/// An organisation whose realm is switched on.
#[derive(Clone, Debug, FromQueryResult)]
pub struct Realm {
    pub id: OrgId,
    pub slug: String,
}

impl Realm {
    /// The `iss` of its tokens. By its id: a new slug does not make another issuer.
    pub fn issuer(instance: &str, id: OrgId) -> String {
        format!("{instance}/v1/orgs/{id}")
    }
}

/// The realm of an id or slug. An organisation that is deleted, or whose realm is off, is answered like none.
///
/// # Errors
/// `not_found`.
pub async fn named(from: &impl Reads, reference: &str) -> Result<Realm> {
    let found = match reference.parse::<OrgId>() {
        Ok(id) => by("id", from, id.into()).await?,
        Err(_) => by("slug", from, reference.into()).await?,
    };
    Ok(found.ok_or_else(Problem::not_found)?)
}

/// The realm of an organisation; `None` when it is deleted or its realm is off.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn find(from: &impl Reads, id: OrgId) -> Result<Option<Realm>> {
    by("id", from, id.into()).await
}

async fn by(column: &'static str, from: &impl Reads, value: Value) -> Result<Option<Realm>> {
    let sql = format!("SELECT id, slug FROM orgs WHERE {column} = $1 AND deleted_at IS NULL AND realm_enabled");
    Ok(Realm::find_by_statement(from.sql(&sql, [value]))
        .one(from.conn())
        .await?)
}

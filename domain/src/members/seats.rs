//! How many people an organisation has: what a plan with a price for each is billed by.

use sea_orm::FromQueryResult;

use crate::kernel::id::OrgId;
use crate::kernel::{Reads, Result};

#[derive(FromQueryResult)]
struct Count {
    n: i64,
}

/// The people with a role in the organisation or in one of its projects; at least one.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn count(from: &impl Reads, org: OrgId) -> Result<i64> {
    let sql = "SELECT COUNT(DISTINCT subject_id) AS n FROM memberships
        WHERE org_id = $1 AND subject_type = 'user' AND (expires_at IS NULL OR expires_at > $2)";
    let values = [org.into(), from.now().into()];
    let count = Count::find_by_statement(from.sql(sql, values)).one(from.conn()).await?;
    Ok(count.map_or(1, |count| count.n.max(1)))
}

//! What a plan adds to the limits of its organisation's credentials.

use sea_orm::FromQueryResult;

use crate::access::{Caller, Principal};
use crate::kernel::{Reads, Result};

/// By how much the limits of a class are multiplied, by the name of the plan. Stands in for the plan's own
/// `rate_limit_rpm`; whoever resolves that replaces [`factor_of`] alone.
const FACTORS: &[(&str, u32)] = &[("free", 1), ("team", 2), ("business", 5), ("self_hosted", 10)];

/// The factor of a plan; a plan that is not known has the smallest.
fn factor(plan: &str) -> u32 {
    let known = FACTORS.iter().find(|(name, _)| *name == plan);
    known.map_or(1, |(_, factor)| *factor)
}

#[derive(FromQueryResult)]
struct Row {
    plan: String,
}

/// The factor of a caller: that of the organisation which the credential is bound to, else the largest among the
/// organisations that the caller belongs to.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn factor_of(from: &impl Reads, caller: &Caller) -> Result<u32> {
    let plans = match (caller.actor.ceiling.org, caller.actor.principal) {
        (Some(org), _) => from.sql("SELECT plan FROM orgs WHERE id = $1", [org.into()]),
        (None, Principal::User(user)) => from.sql(
            "SELECT DISTINCT o.plan FROM memberships m JOIN orgs o ON o.id = m.org_id
             WHERE m.subject_type = 'user' AND m.subject_id = $1 AND o.deleted_at IS NULL
               AND (m.expires_at IS NULL OR m.expires_at > $2)",
            [user.into(), from.now().into()],
        ),
        // A service account's credential is bound to its organisation.
        (None, Principal::ServiceAccount(_)) => return Ok(1),
    };
    let rows = Row::find_by_statement(plans).all(from.conn()).await?;
    Ok(rows.iter().map(|row| factor(&row.plan)).max().unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn larger_plans_have_more_and_unknown_ones_the_least() {
        let factors: Vec<_> = ["free", "team", "business", "self_hosted", "gold"].map(factor).into();
        assert_eq!(factors, [1, 2, 5, 10, 1]);
    }
}

//! Finding people, without telling strangers who is here: somebody is found by their exact verified address, or by a
//! part of name or address among those who share an organisation with the caller.

use sea_orm::FromQueryResult;
use uuid::Uuid;

use crate::access::Caller;
use crate::access::grant::{self, OrgRead};
use crate::kernel::id::{OrgId, UserId};
use crate::kernel::{Problem, Reads, Result, text};

/// People found at most.
pub const MAX_FOUND: usize = 10;
/// Shortest part of a name or address that is searched for, characters.
const MIN_PART: usize = 2;
/// Longest text that is searched for, characters.
const MAX_QUERY: usize = 254;

/// Somebody who was found.
#[derive(Clone, Debug, FromQueryResult)]
pub struct Found {
    pub id: UserId,
    pub email: String,
    pub first_name: String,
    pub last_name: String,
}

/// Whom the caller shares a place with: an organisation where the caller has a role for the whole of it, or a project.
const SHARED: &str = "EXISTS (SELECT 1 FROM memberships mine
        JOIN memberships theirs ON theirs.org_id = mine.org_id AND (mine.project_id IS NULL OR theirs.scope_id = mine.scope_id)
        JOIN orgs o ON o.id = mine.org_id AND o.deleted_at IS NULL
        LEFT JOIN roles r ON r.id = mine.role_id
        WHERE mine.subject_id = $1 AND mine.subject_type = 'user' AND (mine.expires_at IS NULL OR mine.expires_at > $5)
          AND theirs.subject_id = u.id AND theirs.subject_type = 'user' AND (theirs.expires_at IS NULL OR theirs.expires_at > $5)
          AND (r.id IS NULL OR r.audience = 'platform') AND ($6 IS NULL OR mine.org_id = $6))";

const PART: &str = "(e.canonical LIKE $2 ESCAPE '\\' OR LOWER(u.first_name || ' ' || u.last_name) LIKE $2 ESCAPE '\\')";

const WHOLE: &str =
    "EXISTS (SELECT 1 FROM user_emails x WHERE x.user_id = u.id AND x.canonical = $3 AND x.verified_at IS NOT NULL)";

/// At most ten people, by address. `org` leaves only people of that organisation.
///
/// # Errors
/// `session_required`; `invalid_field` for an empty or overlong query, and for an organisation that is none of the
/// caller's.
pub async fn search(from: &impl Reads, caller: &Caller, query: &str, org: Option<&str>) -> Result<Vec<Found>> {
    let user = caller.session_user()?;
    let query = text::short("q", query.trim(), MAX_QUERY)?.to_lowercase();
    if query.chars().count() < MIN_PART {
        return Err(Problem::field("q", "too_short", "must have at least 2 characters").into());
    }
    let org: Option<OrgId> = match org {
        None => None,
        Some(org) => Some(
            grant::visible_org::<OrgRead>(from, caller, org)
                .await
                .map_err(|_| Problem::field("org", "unknown", "is no organisation of yours"))?
                .org
                .id,
        ),
    };
    // Whoever knows an address whole learns nothing by finding it; so it is shown, and not the default one.
    let sql = format!(
        "SELECT u.id, COALESCE((SELECT x.address FROM user_emails x
                WHERE x.user_id = u.id AND x.canonical = $3 AND x.verified_at IS NOT NULL), e.address) AS email,
            u.first_name, u.last_name
         FROM users u JOIN user_emails e ON e.user_id = u.id AND e.is_primary
         WHERE u.realm_id = $4 AND u.disabled_at IS NULL AND u.id <> $1
           AND (({PART} AND {SHARED}) OR ({WHOLE} AND ($6 IS NULL OR {SHARED})))
         ORDER BY e.canonical LIMIT {MAX_FOUND}"
    );
    let values = [
        user.into(),
        format!("%{}%", escaped(&query)).into(),
        query.clone().into(),
        Uuid::nil().into(),
        from.now().into(),
        org.into(),
    ];
    Ok(Found::find_by_statement(from.sql(&sql, values))
        .all(from.conn())
        .await?)
}

/// The text for `LIKE`, in which `%` and `_` mean themselves.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

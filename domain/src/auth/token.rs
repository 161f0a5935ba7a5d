//! Personal tokens: a person's key for programs. A token can only narrow what its owner may do.

use std::time::Duration;

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};

use super::entity::credential;
use super::personal_token::{self, PersonalToken};
use crate::access::grant::TokensManage;
use crate::access::pattern::{Pattern, PatternText};
use crate::access::{self, Caller, GrantSet, OrgAccess};
use crate::crypto::token::{Token, TokenKind, TokenMacKey};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{CredentialId, OrgId, UserId};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Error, Problem, ProblemCode, Reads, Result, WriteTx, text};
use crate::limits::{self, LimitKey};
use crate::projects::lookup;

const DAY: u64 = 24 * 3600;
/// Longest life of a token, days. Source: design of the API, auth.
pub const MAX_EXPIRES_DAYS: i64 = 3650;
/// Patterns of one token at most.
const MAX_PATTERNS: usize = 50;

/// What a new token is to be.
pub struct NewToken {
    pub name: String,
    /// `None` = it does not expire.
    pub expires_days: Option<i64>,
    /// `None` = all that the owner may.
    pub scopes: Option<Vec<String>>,
    /// Empty = everywhere. Needs `org`.
    pub patterns: Vec<String>,
    /// Id or slug of the one organisation that it works in.
    pub org: Option<String>,
}

/// A new token, shown this once.
pub struct CreatedToken {
    pub shown: PersonalToken,
    pub token: Token,
}

/// Makes a token for the signed-in person.
///
/// # Errors
/// `invalid_field` naming the field; `session_required` for an API token.
pub async fn create(tx: &WriteTx, macs: &TokenMacKey, caller: &Caller, new: NewToken) -> Result<CreatedToken> {
    let user = caller.session_user()?;
    let NewToken {
        name,
        expires_days,
        scopes,
        patterns,
        org,
    } = new;
    let name = text::name("name", &name)?;
    let lifetime = expires_days.map(lifetime).transpose()?;
    let scopes = scopes.as_deref().map(checked_scopes).transpose()?;
    let org = match org {
        None => None,
        Some(org) => Some(own_org(tx, caller, &org).await?),
    };
    let patterns = resolved_patterns(tx, org.as_ref(), &patterns).await?;
    let seats = match &org {
        None => None,
        Some(access) => Some(limits::hold(tx, access.org.id, LimitKey::Tokens).await?),
    };
    let token = Token::generate(tx.rng(), TokenKind::Personal)?;
    let row = credential::ActiveModel {
        id: Set(tx.new_id()?),
        kind: Set("personal".to_owned()),
        principal_type: Set("user".to_owned()),
        principal_id: Set(user.0),
        secret_mac: Set(macs.mac(&token).to_vec()),
        prefix: Set(token.prefix().to_owned()),
        last_four: Set(token.last_four().to_owned()),
        name: Set(name),
        scopes: Set(scopes.map(|list| json(&list)).transpose()?),
        patterns: Set(if patterns.is_empty() {
            None
        } else {
            Some(json(&patterns)?)
        }),
        org_id: Set(org.map(|access| access.org.id)),
        family_id: Set(None),
        replaced_by: Set(None),
        auth_time: Set(None),
        amr: Set(None),
        ip: Set(caller.origin.ip.clone()),
        user_agent: Set(caller.origin.user_agent.clone()),
        created_at: Set(tx.now()),
        expires_at: Set(lifetime.map(|lifetime| tx.now() + lifetime)),
        idle_expires_at: Set(None),
        last_used_at: Set(None),
        revoked_at: Set(None),
    };
    let row = credential::Entity::insert(row).exec_with_returning(tx.conn()).await?;
    if let Some(seats) = seats {
        seats.settle(tx).await?;
    }
    let entry = Entry::of_account(user, Action::TokenCreated, Target::Token(row.id.0)).with("name", row.name.clone());
    journal::record(tx, &caller.origin, entry).await?;
    let shown = personal_token::shown(tx, caller, vec![row]).await?.into_iter().next();
    let shown = shown.ok_or_else(|| Error::internal("a token was not shown"))?;
    Ok(CreatedToken { shown, token })
}

/// An organisation that the owner may know of, to bind a token to.
async fn own_org(tx: &WriteTx, caller: &Caller, org: &str) -> Result<OrgAccess<TokensManage>> {
    let found = access::grant::visible_org::<TokensManage>(tx, caller, org).await;
    found.map_err(|error| match error.code() {
        Some(ProblemCode::NotFound) => Problem::field("org", "unknown", "is no organisation of yours").into(),
        Some(_) | None => error,
    })
}

/// A JSON column.
fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::internal(format!("token columns: {e}")))
}

/// # Errors
/// `invalid_field` naming `expires_days`.
pub(super) fn lifetime(days: i64) -> Result<Duration> {
    match u64::try_from(days) {
        Ok(days @ 1..=3650) => Ok(Duration::from_secs(days * DAY)),
        _ => Err(Problem::field(
            "expires_days",
            "range",
            format!("must be between 1 and {MAX_EXPIRES_DAYS}, or absent"),
        )
        .into()),
    }
}

fn checked_scopes(scopes: &[String]) -> Result<Vec<String>> {
    if scopes.is_empty() {
        return Err(Problem::field(
            "scopes",
            "required",
            "must name at least one permission, or be absent for all",
        )
        .into());
    }
    let grants = GrantSet::parse(scopes).map_err(|e| Problem::field("scopes", "unknown", e.to_string()))?;
    Ok(grants.to_list())
}

/// Patterns by ids. Only what the owner may know of can be named: to be told of anything else would be to learn of it.
async fn resolved_patterns(
    tx: &WriteTx,
    org: Option<&OrgAccess<TokensManage>>,
    patterns: &[String],
) -> Result<Vec<Pattern>> {
    if patterns.is_empty() {
        return Ok(Vec::new());
    }
    let access = org.ok_or_else(|| {
        Problem::field(
            "patterns",
            "conflict",
            "need `org`: a pattern names projects of one organisation",
        )
    })?;
    if patterns.len() > MAX_PATTERNS {
        return Err(Problem::field("patterns", "too_many", format!("must be at most {MAX_PATTERNS}")).into());
    }
    let places = lookup::all(tx, access.org.id).await?;
    let project = |slug: &str| places.project(slug).filter(|project| access.sees_project(*project));
    let mut resolved = Vec::with_capacity(patterns.len());
    for (index, pattern) in patterns.iter().enumerate() {
        let field = || format!("patterns[{index}]");
        let parsed = PatternText::parse(pattern).map_err(|e| Problem::field(field(), "format", e.to_string()))?;
        let env = |id, slug: &str| {
            let project = places.names().project(id)?;
            let env = places.environment(id, slug)?;
            access.sees_env(project, env).then_some(env.id)
        };
        let pattern = parsed
            .resolve(|slug| project(slug).map(|project| project.id), env)
            .map_err(|e| Problem::field(field(), "unknown", e.to_string()))?;
        resolved.push(pattern);
    }
    Ok(resolved)
}

/// The caller's tokens that are not revoked, newest first.
///
/// # Errors
/// `forbidden` for a service account.
pub async fn list(from: &impl Reads, caller: &Caller, page: PageRequest) -> Result<Page<PersonalToken>> {
    let user = caller.user()?;
    let query = credential::Entity::find()
        .filter(credential::Column::PrincipalId.eq(user.0))
        .filter(credential::Column::Kind.eq("personal"))
        .filter(credential::Column::RevokedAt.is_null());
    let total = query.clone().count(from.conn()).await?;
    let newest = query
        .order_by_desc(credential::Column::CreatedAt)
        .order_by_desc(credential::Column::Id);
    let rows = newest.offset(page.offset).limit(page.limit).all(from.conn()).await?;
    Ok(Page {
        data: personal_token::shown(from, caller, rows).await?,
        request: page,
        total,
    })
}

/// Revokes one of the caller's tokens. It is refused from the next request on.
///
/// # Errors
/// `not_found`, `session_required`.
pub async fn revoke(tx: &WriteTx, caller: &Caller, id: &str) -> Result<()> {
    let user = caller.session_user()?;
    let id: CredentialId = id.parse().map_err(|_| Problem::not_found())?;
    let sql = "UPDATE credentials SET revoked_at = $3 WHERE id = $1 AND principal_id = $2 AND kind = 'personal' AND revoked_at IS NULL";
    let revoked = tx
        .conn()
        .execute_raw(tx.sql(sql, [id.into(), user.0.into(), tx.now().into()]))
        .await?;
    if revoked.rows_affected() == 0 {
        return Err(Problem::not_found().into());
    }
    journal::record(
        tx,
        &caller.origin,
        Entry::of_account(user, Action::TokenRevoked, Target::Token(id.0)),
    )
    .await?;
    Ok(())
}

/// Revokes a person's tokens that work in one organisation alone: they no longer belong to it.
///
/// # Errors
/// [`Error::Db`].
pub async fn revoke_bound(tx: &WriteTx, user: UserId, org: OrgId) -> Result<()> {
    let sql = "UPDATE credentials SET revoked_at = $3
        WHERE principal_id = $1 AND principal_type = 'user' AND org_id = $2 AND kind = 'personal' AND revoked_at IS NULL";
    tx.conn()
        .execute_raw(tx.sql(sql, [user.into(), org.into(), tx.now().into()]))
        .await?;
    Ok(())
}

/// Deletes the credentials that work in one organisation alone, which is gone for good: its people's tokens and the
/// keys of its service accounts.
///
/// # Errors
/// [`Error::Db`].
pub async fn delete_of_org(tx: &WriteTx, org: OrgId) -> Result<()> {
    let sql = "DELETE FROM credentials WHERE org_id = $1 OR (principal_type = 'service_account'
        AND principal_id IN (SELECT id FROM service_accounts WHERE org_id = $1))";
    tx.conn().execute_raw(tx.sql(sql, [org.into()])).await?;
    Ok(())
}

//! Trading a token of another issuer, such as GitHub, GitLab or a Kubernetes cluster, for a short-lived token of a
//! service account. Whatever is wrong with it, the answer is the same; the log tells why.

use std::time::Duration;

use sea_orm::{ConnectionTrait, FromQueryResult};
use sha2::{Digest, Sha256};

use super::trust::{self, FederatedIdentity};
use crate::access::{ActorKind, Origin};
use crate::auth::service_key;
use crate::crypto::{Token, TokenMacKey};
use crate::foreign::{Expected, Failure, Issuers};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{OrgId, ProjectId, ServiceAccountId};
use crate::kernel::{Db, Error, Problem, ProblemCode, Reads, Result, Timestamp, WriteTx};
use crate::signing::Claims;

/// How long the token of a service account lives.
pub const TTL: Duration = Duration::from_mins(15);
/// How old a traded token may be, if it says how old it is.
const MAX_AGE: Duration = Duration::from_hours(1);

/// A token that was taken, and for which rule.
pub struct Taken {
    account: Standing,
    rule: FederatedIdentity,
    claims: Claims,
    digest: Vec<u8>,
    ends_at: Timestamp,
}

/// A token of a service account, shown this once.
pub struct Traded {
    pub account: ServiceAccountId,
    pub org: OrgId,
    pub token: Token,
    pub expires_at: Timestamp,
}

#[derive(FromQueryResult)]
struct Standing {
    id: ServiceAccountId,
    org_id: OrgId,
    project_id: Option<ProjectId>,
    name: String,
}

fn refused() -> Error {
    let detail = "The token is not taken for this service account. Its issuer, audience, claims, age or signature do not \
                  fit, or it was traded before.";
    Problem::new(ProblemCode::InvalidCredentials, detail).into()
}

async fn standing(from: &impl Reads, account: &str) -> Result<Standing> {
    let id: ServiceAccountId = account.parse().map_err(|_| refused())?;
    let sql = "SELECT s.id, s.org_id, s.project_id, s.name FROM service_accounts s JOIN orgs o ON o.id = s.org_id
        LEFT JOIN projects p ON p.id = s.project_id
        WHERE s.id = $1 AND s.disabled_at IS NULL AND o.deleted_at IS NULL AND p.deleted_at IS NULL";
    let found = Standing::find_by_statement(from.sql(sql, [id.into()]));
    found.one(from.conn()).await?.ok_or_else(refused)
}

/// Checks a token against the rules of a service account. Only issuers that a rule names are ever asked for keys.
///
/// # Errors
/// `invalid_credentials`; `unavailable` when no rule fits and an issuer did not answer.
pub async fn check(db: &Db, issuers: &Issuers, account: &str, token: &str) -> Result<Taken> {
    let account = standing(db, account).await?;
    let now = db.now();
    let mut unreachable = false;
    for rule in trust::all(db, account.id).await? {
        match fits(issuers, &rule, token, now).await {
            Ok((claims, ends_at)) => {
                return Ok(Taken {
                    digest: digest(&rule.issuer, &claims, token),
                    account,
                    rule,
                    claims,
                    ends_at,
                });
            }
            Err(failure) => {
                unreachable |= matches!(failure, Failure::Unreachable(_));
                tracing::info!(
                    service_account = %account.id,
                    rule = %rule.id,
                    reason = failure.reason(),
                    "a token of another issuer does not fit"
                );
            }
        }
    }
    if unreachable {
        let detail = "The issuer's keys cannot be fetched. Try again.";
        return Err(Problem::new(ProblemCode::Unavailable, detail).into());
    }
    Err(refused())
}

async fn fits(
    issuers: &Issuers,
    rule: &FederatedIdentity,
    token: &str,
    now: Timestamp,
) -> Result<(Claims, Timestamp), Failure> {
    let jwks_uri = if let Some(uri) = &rule.jwks_uri {
        uri.clone()
    } else {
        let said = issuers.metadata(&rule.issuer, now).await?;
        said.jwks_uri.ok_or(Failure::Refused("its issuer publishes no keys"))?
    };
    let expected = Expected {
        issuer: &rule.issuer,
        audience: &rule.audience,
        jwks_uri: &jwks_uri,
    };
    let claims = issuers.check(token, &expected, now).await?;
    let is_old = claims.instant("iat").is_none_or(|at| now.since(at) > MAX_AGE);
    if is_old {
        return Err(Failure::Refused("it is too old, or does not say how old it is"));
    }
    if !rule.claims.fit(&claims) {
        return Err(Failure::Refused("its claims do not fit"));
    }
    let ends_at = claims.instant("exp").ok_or(Failure::Refused("it has no end"))?;
    Ok((claims, ends_at))
}

/// What of a token is good once: its id with its issuer; without an id all that was signed. A signature could be
/// written differently.
fn digest(issuer: &str, claims: &Claims, token: &str) -> Vec<u8> {
    let signed = token.rsplit_once('.').map_or(token, |(signed, _)| signed);
    let (kind, id) = match claims.text("jti").filter(|id| !id.is_empty()) {
        Some(id) => ("jti", id),
        None => ("jws", signed),
    };
    Sha256::digest(format!("{kind}\n{issuer}\n{id}")).to_vec()
}

impl Taken {
    /// Trades it; the token is good for this once.
    ///
    /// # Errors
    /// `invalid_credentials` when it was traded before, or the account or the rule is gone meanwhile.
    pub async fn trade(self, tx: &WriteTx, macs: &TokenMacKey, origin: &Origin) -> Result<Traded> {
        let Self {
            account,
            rule,
            claims,
            digest,
            ends_at,
        } = self;
        let sql = "INSERT INTO used_assertions (digest, expires_at) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING";
        let used = tx
            .conn()
            .execute_raw(tx.sql(sql, [digest.into(), ends_at.into()]))
            .await?;
        let sql = "UPDATE federated_identities SET last_used_at = $2 WHERE id = $1";
        let touched = tx
            .conn()
            .execute_raw(tx.sql(sql, [rule.id.into(), tx.now().into()]))
            .await?;
        if used.rows_affected() != 1 || touched.rows_affected() != 1 {
            return Err(refused());
        }
        let expires_at = tx.now() + TTL;
        let name = format!("{} {}", rule.issuer, claims.text("sub").unwrap_or_default());
        let name: String = name.chars().filter(|c| !c.is_control()).take(200).collect();
        let (id, token) = service_key::insert_traded(tx, macs, account.id, rule.id, &name, expires_at, origin).await?;
        let origin = Origin {
            actor: ActorKind::ServiceAccount,
            actor_id: Some(account.id.0),
            actor_label: Some(account.name),
            credential: Some(id),
            ..origin.clone()
        };
        let entry = Entry::in_org(
            account.org_id,
            Action::ServiceAccountTokenIssued,
            Target::ServiceAccount(account.id),
        );
        let entry = Entry {
            project: account.project_id,
            ..entry
        };
        let entry = entry
            .with("federated_identity_id", rule.id.to_string())
            .with("issuer", rule.issuer)
            .with("subject", claims.text("sub").unwrap_or_default());
        journal::record(tx, &origin, entry).await?;
        Ok(Traded {
            account: account.id,
            org: account.org_id,
            token,
            expires_at,
        })
    }
}

/// Forgets traded tokens that have ended, and their tokens of ours; returns how many.
///
/// # Errors
/// [`Error::Db`].
pub async fn prune(tx: &WriteTx) -> Result<u64> {
    let sql = "DELETE FROM used_assertions WHERE expires_at < $1";
    let before = tx.now() - MAX_AGE;
    let deleted = tx.conn().execute_raw(tx.sql(sql, [before.into()])).await?;
    Ok(deleted.rows_affected() + service_key::prune_traded(tx).await?)
}

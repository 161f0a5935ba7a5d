//! From the text of a credential to a caller: one query.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::ConnectionTrait;

use super::amr::Amr;
use super::ip_allow::IpAllow;
use super::lookup::{self, Lookups, Row, Sought};
use super::oauth_token;
use super::service_key;
use crate::access::pattern::Pattern;
use crate::access::recall::{Recall, Wanted};
use crate::access::{Actor, ActorKind, Caller, Ceiling, CredentialKind, GrantSet, Origin, Principal};
use crate::crypto::token::{Token, TokenKind, TokenMacKey};
use crate::kernel::id::{CredentialId, ServiceAccountId, UserId};
use crate::kernel::{Db, Error, Problem, ProblemCode, Reads, Result, Timestamp};
use crate::signing::{self, Expectation, Typ};

/// `last_used_at` is this much behind at most; writing it at every request would turn each read into a write.
const TOUCH_EVERY: Duration = Duration::from_mins(1);

/// How long a cookie session lives without being used. Source: ASVS 5.0, 7.3.
pub const IDLE_TTL: Duration = Duration::from_hours(24);

/// Where a credential was shown: each place takes its own kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    Bearer,
    ApiKeyHeader,
    Cookie,
}

impl Shown {
    const fn takes(self, kind: TokenKind) -> bool {
        match self {
            Self::Bearer => matches!(kind, TokenKind::Session | TokenKind::Personal),
            Self::ApiKeyHeader => matches!(kind, TokenKind::ServiceKey),
            Self::Cookie => matches!(kind, TokenKind::Session),
        }
    }
}

pub(super) fn refused() -> Error {
    Problem::new(
        ProblemCode::Unauthenticated,
        "The credential is unknown, expired or revoked. Sign in again, or use another token.",
    )
    .into()
}

/// Turns a credential into a caller. `origin` brings address, agent and request id.
///
/// # Errors
/// `unauthenticated` whatever is wrong with the credential; [`Error::Db`] when the database cannot be asked, which
/// is never an answer about the credential.
pub async fn authenticate(db: &Db, macs: &TokenMacKey, text: &str, shown: Shown, origin: Origin) -> Result<Caller> {
    let mac = mac_of(macs, text, shown)?;
    let row = lookup::one(db, Sought { mac, place: None }).await?;
    admitted(db, row, origin)
}

/// The same for a request, whose credential is looked up together with those of others that come at the same time. `wanted`
/// is the environment that the request reads, if it does.
///
/// # Errors
/// As [`authenticate`].
pub async fn authenticate_request(
    lookups: &Lookups,
    macs: &TokenMacKey,
    text: &str,
    shown: Shown,
    origin: Origin,
    wanted: Option<Wanted<'_>>,
) -> Result<Caller> {
    let mac = mac_of(macs, text, shown)?;
    let recall = wanted.map(|wanted| wanted.by(mac));
    let known = recall.as_ref().and_then(Recall::known);
    let place = known.map(|known| (known.org(), known.env()));
    let row = lookups.find(Sought { mac, place }).await?;
    let (epoch, revision) = row
        .as_ref()
        .map_or((None, None), |row| (row.access_epoch, row.env_revision));
    let mut caller = admitted(lookups.db(), row, origin)?;
    caller.recall = recall.map(|recall| recall.at(caller.actor.principal, epoch, revision));
    Ok(caller)
}

/// Shape and checksum first: a mistyped token costs no query.
fn mac_of(macs: &TokenMacKey, text: &str, shown: Shown) -> Result<[u8; 32]> {
    let token = Token::parse(text).ok().filter(|token| shown.takes(token.kind()));
    Ok(macs.mac(&token.ok_or_else(refused)?))
}

/// The caller of a credential that is good now, whose use is noted.
fn admitted(db: &Db, row: Option<Row>, origin: Origin) -> Result<Caller> {
    let row = row.ok_or_else(refused)?;
    let now = db.now();
    if !is_live(&row, now) {
        return Err(refused());
    }
    check_address(&row, &origin)?;
    touch(db, &row, now);
    caller(row, origin)
}

/// Looks again at the credential of a caller who was let in before, for what goes on after the request. That is no use
/// of it: a session does not live longer for it.
///
/// # Errors
/// As [`authenticate`].
pub async fn again(from: &impl Reads, known: &Caller) -> Result<Caller> {
    let row = lookup::by_id(from, known.credential).await?.ok_or_else(refused)?;
    if !is_live(&row, from.now()) {
        return Err(refused());
    }
    check_address(&row, &known.origin)?;
    caller(row, known.origin.clone())
}

/// Whether a credential is in force, with all that it comes of and whoever's it is. To look is no use of it.
///
/// # Errors
/// [`Error::Db`].
pub async fn is_in_force(from: &impl Reads, id: CredentialId) -> Result<bool> {
    let row = lookup::by_id(from, id).await?;
    Ok(row.is_some_and(|row| is_live(&row, from.now())))
}

/// Turns a signed access token into a caller: of the person who let an application act, or of a service account. The
/// signature alone opens nothing: the credential behind it must live too, so that it can be revoked like any other.
/// `issuer` is this instance, which signs for itself.
///
/// # Errors
/// As [`authenticate`].
pub async fn by_access_token(db: &Db, issuer: &str, text: &str, origin: Origin) -> Result<Caller> {
    let expected = Expectation {
        iss: issuer,
        aud: issuer,
        typ: Typ::AccessToken,
    };
    let claims = signing::verify(db, text, &expected).await?.ok_or_else(refused)?;
    let id: CredentialId = claims.text("jti").and_then(|id| id.parse().ok()).ok_or_else(refused)?;
    let row = lookup::by_id(db, id).await?;
    admitted(db, row.filter(|row| row.kind == oauth_token::ACCESS), origin)
}

fn is_live(row: &Row, now: Timestamp) -> bool {
    let past = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
    let has_principal = row.email.is_some() || row.account_name.is_some();
    row.revoked_at.is_none()
        && row.sources > 0
        && !past(row.expires_at)
        && !past(row.idle_expires_at)
        && row.user_disabled_at.is_none()
        && row.account_disabled_at.is_none()
        && row.account_project_deleted_at.is_none()
        && has_principal
}

/// A key that is shown from an address outside its account's list is refused like any bad credential; only the log
/// tells the operator why.
fn check_address(row: &Row, origin: &Origin) -> Result<()> {
    let Some(stored) = &row.account_ip_allow else {
        return Ok(());
    };
    let allow = IpAllow::from_stored(stored).ok_or_else(|| Error::internal("an address list is stored wrongly"))?;
    let ip = origin.ip.as_deref().and_then(|ip| ip.parse().ok());
    if allow.admits(ip) {
        return Ok(());
    }
    tracing::warn!(
        service_account = %ServiceAccountId(row.principal_id),
        credential = %row.id,
        ip = origin.ip,
        "a key was refused: its service account does not allow this address"
    );
    Err(refused())
}

fn caller(row: Row, mut origin: Origin) -> Result<Caller> {
    let broken = || Error::internal("a credential is stored wrongly");
    let (principal, actor, label, own_org) = match row.principal_type.as_str() {
        "user" => (
            Principal::User(UserId(row.principal_id)),
            ActorKind::User,
            row.email,
            None,
        ),
        "service_account" => (
            Principal::ServiceAccount(ServiceAccountId(row.principal_id)),
            ActorKind::ServiceAccount,
            row.account_name,
            row.account_org,
        ),
        _ => return Err(broken()),
    };
    let kind = match row.kind.as_str() {
        "session" => CredentialKind::Session,
        "personal" => CredentialKind::PersonalToken,
        "service_key" | service_key::TRADED => CredentialKind::ServiceKey,
        oauth_token::ACCESS => CredentialKind::OAuthToken,
        _ => return Err(refused()),
    };
    let scopes: Option<Vec<String>> = row
        .scopes
        .as_deref()
        .map(serde_json::from_str)
        .transpose()
        .map_err(|_| broken())?;
    let grants = scopes
        .map(|list| GrantSet::parse(&list))
        .transpose()
        .map_err(|_| broken())?;
    let patterns: Vec<Pattern> = row
        .patterns
        .as_deref()
        .map(serde_json::from_str)
        .transpose()
        .map_err(|_| broken())?
        .unwrap_or_default();
    let patterns = match row.account_project {
        None => patterns,
        // Patterns widen each other, so a key's own could lead out of its account's project.
        Some(_) if !patterns.is_empty() => return Err(broken()),
        Some(project) => vec![Pattern::in_project(project)],
    };
    let has_second_factor = match kind {
        CredentialKind::OAuthToken if matches!(principal, Principal::ServiceAccount(_)) => true,
        CredentialKind::Session => Amr::from_column(row.amr.as_deref())?.has_second_factor(),
        // Of an application's token what counts is how its person was signed in when they consented, while they have
        // the factor.
        CredentialKind::OAuthToken => {
            row.owner_factors > 0 && Amr::from_column(row.amr.as_deref())?.has_second_factor()
        }
        CredentialKind::PersonalToken => row.owner_factors > 0,
        CredentialKind::ServiceKey => true,
    };
    origin.actor = actor;
    origin.actor_id = Some(row.principal_id);
    origin.actor_label = label;
    origin.credential = Some(row.id);
    Ok(Caller {
        actor: Actor {
            principal,
            ceiling: Ceiling {
                grants,
                patterns,
                org: row.org_id.or(own_org),
            },
        },
        kind,
        credential: row.id,
        auth_time: row.auth_time,
        has_second_factor,
        is_superuser: row.is_superuser.unwrap_or(false),
        origin,
        recall: None,
        decided: Arc::default(),
    })
}

/// Notes the use, once a minute, and off the request's path.
fn touch(db: &Db, row: &Row, now: Timestamp) {
    if row.last_used_at.is_some_and(|at| now.since(at) < TOUCH_EVERY) {
        return;
    }
    let (db, id) = (db.clone(), row.id);
    let idle = row.idle_expires_at.map(|_| now + IDLE_TTL);
    tokio::spawn(async move {
        let write = async {
            let tx = db.begin_write().await?;
            let sql =
                "UPDATE credentials SET last_used_at = $2, idle_expires_at = $3 WHERE id = $1 AND revoked_at IS NULL";
            tx.conn()
                .execute_raw(tx.sql(sql, [id.into(), now.into(), idle.into()]))
                .await?;
            tx.commit_bookkeeping().await
        };
        if let Err(error) = write.await {
            tracing::warn!(%error, "last use of a credential not noted");
        }
    });
}

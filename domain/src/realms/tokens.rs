//! Giving tokens: signed ones that say who somebody is to the application and what it may do there, and for users an
//! opaque one that renews them.

use std::time::Duration;

use sea_orm::ConnectionTrait;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::password::wrong_details;
use super::realm::{self, Realm};
use super::refresh;
use super::roles::{self, AppRole};
use super::sign_in::{Proved, User, wrong_client};
use super::user;
use crate::access::{Caller, Origin};
use crate::auth::realm_token::{self, Holder, NewToken};
use crate::auth::service_key::{self, Tradable};
use crate::crypto::token::{Token, TokenKind};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{CredentialId, RealmUserId, ServiceAccountId, SessionId};
use crate::kernel::{Problem, Reads, Result, Timestamp, WriteTx};
use crate::oauth::Minter;
use crate::signing::{Alg, Typ};

/// How long an access token lives. Whoever checks it without us believes it for this long. Source: heimdall's reference.
pub const ACCESS_TTL: Duration = Duration::from_hours(1);
/// However often its tokens are renewed, a sign-in ends after this long. Source: ASVS 5.0, 10.4.8.
const REFRESH_TTL: Duration = Duration::from_hours(90 * 24);
/// Room for the names of roles in a token, and for permissions, bytes: a token has to fit into a header.
const ROLES_ROOM: usize = 2048;
const PERMISSIONS_ROOM: usize = 2560;

/// Tokens, shown once.
pub struct RealmTokens {
    pub access_token: String,
    /// Seconds.
    pub expires_in: u64,
    /// A service account has its key for that.
    pub refresh_token: Option<Token>,
}

/// What a request for tokens came to. Both are to be committed.
pub enum Given {
    Tokens(RealmTokens),
    /// A refresh token had been used before, so all that came of its sign-in was ended.
    ReuseDetected,
}

/// A sign-in of a user, as its tokens carry it on.
#[derive(Clone, Copy)]
pub(super) struct SignIn {
    pub(super) user: RealmUserId,
    pub(super) family: Uuid,
    pub(super) auth_time: Option<Timestamp>,
    pub(super) ends_at: Timestamp,
}

/// Gives tokens for what was proved.
///
/// # Errors
/// `not_found` when the realm was switched off meanwhile; `invalid_credentials` when the user was, or has another password
/// now, and for a token of a service account that is no key; `unauthenticated` for a refresh token that is none.
pub async fn give(tx: &WriteTx, minter: &Minter<'_>, realm: &Realm, proved: Proved, origin: &Origin) -> Result<Given> {
    let realm = realm::find(tx, realm.id).await?.ok_or_else(Problem::not_found)?;
    match proved {
        Proved::User(user) => Box::pin(to_user(tx, minter, &realm, user, origin)).await,
        Proved::Account(id, caller) => Box::pin(to_account(tx, minter, &realm, id, &caller)).await,
        Proved::RefreshToken(text) => Box::pin(refresh::trade(tx, minter, &realm, &text, origin)).await,
    }
}

async fn to_user(
    tx: &WriteTx,
    minter: &Minter<'_>,
    realm: &Realm,
    User(before): User,
    origin: &Origin,
) -> Result<Given> {
    let now = user::lock(tx, realm.id, before.id).await?;
    let now = now.filter(|now| now.disabled_at.is_none() && now.auth_epoch == before.auth_epoch);
    let now = now.ok_or_else(wrong_details)?;
    let origin = origin.clone().by_realm_user(now.id, &now.address);
    let sign_in = SignIn {
        user: now.id,
        family: tx.new_id()?,
        auth_time: Some(tx.now()),
        ends_at: tx.now() + REFRESH_TTL,
    };
    let refresh = Token::generate(tx.rng(), TokenKind::RealmRefresh)?;
    sign_in.keep(tx, minter, realm, &refresh, &origin).await?;
    let tokens = of_sign_in(tx, minter, realm, &sign_in, refresh, &origin).await?;
    let sql = "UPDATE realm_users SET last_login_at = $2 WHERE id = $1";
    tx.conn()
        .execute_raw(tx.sql(sql, [now.id.into(), tx.now().into()]))
        .await?;
    let entry = Entry::in_org(realm.id, Action::RealmTokensIssued, Target::RealmUser(now.id))
        .with("grant_type", "password")
        .with("session_id", SessionId(sign_in.family).to_string());
    journal::record(tx, &origin, entry).await?;
    Ok(Given::Tokens(tokens))
}

async fn to_account(
    tx: &WriteTx,
    minter: &Minter<'_>,
    realm: &Realm,
    id: ServiceAccountId,
    caller: &Caller,
) -> Result<Given> {
    let key = service_key::tradable(tx, caller.credential).await?;
    let source = Source::Key(id, key.ok_or_else(wrong_client)?);
    let access = access(tx, minter, realm, source, &caller.origin).await?;
    let entry = Entry::in_org(realm.id, Action::RealmTokensIssued, Target::ServiceAccount(id))
        .with("grant_type", "client_credentials");
    journal::record(tx, &caller.origin, entry).await?;
    Ok(Given::Tokens(access.with(None)))
}

impl SignIn {
    /// Stores a refresh token of the sign-in; answers its credential. The caller journals.
    pub(super) async fn keep(
        &self,
        tx: &WriteTx,
        minter: &Minter<'_>,
        realm: &Realm,
        token: &Token,
        origin: &Origin,
    ) -> Result<CredentialId> {
        let new = NewToken {
            holder: Holder::User(self.user),
            org: realm.id,
            family: Some(self.family),
            auth_time: self.auth_time,
            ends_at: self.ends_at,
        };
        realm_token::insert_refresh(tx, minter.keys.token_mac(), token, &new, origin).await
    }
}

/// Makes the tokens of a sign-in, to go with the one that renews them, which is stored already. The caller journals.
pub(super) async fn of_sign_in(
    tx: &WriteTx,
    minter: &Minter<'_>,
    realm: &Realm,
    sign_in: &SignIn,
    refresh: Token,
    origin: &Origin,
) -> Result<RealmTokens> {
    let access = access(tx, minter, realm, Source::SignIn(*sign_in), origin).await?;
    Ok(access.with(Some(refresh)))
}

/// What a token comes of: it ends with it at the latest, and is refused once it was revoked.
#[derive(Clone, Copy)]
enum Source {
    SignIn(SignIn),
    Key(ServiceAccountId, Tradable),
}

impl Source {
    fn new_token(self, realm: &Realm, now: Timestamp) -> NewToken {
        let alone = now + ACCESS_TTL;
        let (holder, family, auth_time, ends_at) = match self {
            Self::SignIn(of) => (Holder::User(of.user), of.family, of.auth_time, of.ends_at.min(alone)),
            Self::Key(id, key) => (Holder::ServiceAccount(id), key.id.0, None, key.end(alone)),
        };
        NewToken {
            holder,
            org: realm.id,
            family: Some(family),
            auth_time,
            ends_at,
        }
    }
}

/// A signed access token.
struct Access {
    token: String,
    /// Seconds.
    expires_in: u64,
}

impl Access {
    fn with(self, refresh_token: Option<Token>) -> RealmTokens {
        RealmTokens {
            access_token: self.token,
            expires_in: self.expires_in,
            refresh_token,
        }
    }
}

/// Makes an access token after RFC 9068, with the roles and permissions of this instant.
async fn access(tx: &WriteTx, minter: &Minter<'_>, realm: &Realm, source: Source, origin: &Origin) -> Result<Access> {
    let new = source.new_token(realm, tx.now());
    let (holder, ends_at) = (new.holder, new.ends_at);
    let id = realm_token::insert_access(tx, &new, origin).await?;
    let roles = roles::held(tx, realm.id, holder.into()).await?;
    let mut claims = Map::new();
    let mut claim = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    claim("iss", Realm::issuer(minter.issuer, realm.id).into());
    claim("aud", realm.id.to_string().into());
    claim("sub", holder.subject().into());
    claim("client_id", client(realm, holder).into());
    claim("jti", id.to_string().into());
    claim("iat", tx.now().secs().into());
    claim("exp", ends_at.secs().into());
    claim("org", realm.slug.as_str().into());
    claim("org_id", realm.id.to_string().into());
    if let Source::SignIn(sign_in) = source {
        claim("sid", SessionId(sign_in.family).to_string().into());
    }
    if let Some(at) = new.auth_time {
        claim("auth_time", at.secs().into());
    }
    claims.extend(holdings(&roles));
    let signer = minter.signer;
    let token = signer.sign(tx, minter.keys, &claims, Typ::AccessToken, Alg::Rs256);
    Ok(Access {
        token: token.await?,
        expires_in: ends_at.since(tx.now()).as_secs(),
    })
}

/// To whom the token was given: a service account itself, and for a user the realm's own application.
fn client(realm: &Realm, holder: Holder) -> String {
    match holder {
        Holder::User(_) => realm.id.to_string(),
        Holder::ServiceAccount(id) => id.to_string(),
    }
}

/// `roles` and `permissions`. What there is no room for is left out as a whole, and `incomplete` says so: whoever only
/// reads the token then believes too little, and whoever asks `/v1/authorize` misses nothing.
fn holdings(roles: &[AppRole]) -> Map<String, Value> {
    let names: Vec<String> = roles.iter().map(|role| role.name.clone()).collect();
    let mut claims = Map::new();
    let mut is_whole = true;
    for (name, list, room) in [
        ("roles", names, ROLES_ROOM),
        ("permissions", roles::permissions(roles), PERMISSIONS_ROOM),
    ] {
        // Quotes and a comma each.
        let size: usize = list.iter().map(|text| text.len() + 3).sum();
        let fits = size <= room;
        is_whole &= fits;
        let shown = if fits { list } else { Vec::new() };
        claims.insert(name.to_owned(), shown.into());
    }
    if !is_whole {
        claims.insert("incomplete".to_owned(), true.into());
    }
    claims
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kernel::id::RoleId;

    fn role(name: &str, permissions: Vec<String>) -> AppRole {
        AppRole {
            id: RoleId(Uuid::nil()),
            name: name.to_owned(),
            permissions,
        }
    }

    #[test]
    fn a_token_says_what_its_holder_may() {
        let roles = [role("editor", vec!["comments:write".to_owned()])];
        let shown = json!({ "roles": ["editor"], "permissions": ["comments:write"] });
        assert_eq!(Value::from(holdings(&roles)), shown);
        assert_eq!(Value::from(holdings(&[])), json!({ "roles": [], "permissions": [] }));
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_said_to_be() {
        let many = (0..100).map(|n| format!("{}:{n}", "x".repeat(90))).collect();
        let shown = json!({ "roles": ["editor"], "permissions": [], "incomplete": true });
        assert_eq!(Value::from(holdings(&[role("editor", many)])), shown);
    }
}

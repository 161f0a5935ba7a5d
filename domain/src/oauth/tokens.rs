//! Making the tokens of a consent, and those that a service account or a client gets for itself.

use std::time::Duration;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::grant::Grant;
use super::scopes::Word;
use super::{Client, GrantType, Scopes, userinfo};
use crate::access::{GrantSet, Origin};
use crate::auth::account;
use crate::auth::amr::Amr;
use crate::auth::oauth_token::{self, Holder, NewToken};
use crate::auth::service_key::Tradable;
use crate::crypto::key_store::KeyStore;
use crate::crypto::token::Token;
use crate::kernel::id::{CredentialId, OrgId};
use crate::kernel::{Reads, Result, Timestamp, WriteTx};
use crate::signing::{Alg, Signer, Typ};

/// How long an access token lives. Whoever checks it without us believes it for this long.
pub const ACCESS_TTL: Duration = Duration::from_mins(15);
/// How long an ID token can be used to sign in.
const ID_TTL: Duration = Duration::from_hours(1);

/// What making tokens takes.
#[derive(Clone, Copy)]
pub struct Minter<'a> {
    pub keys: &'a KeyStore,
    pub signer: &'a Signer,
    /// This instance, as tokens name it.
    pub issuer: &'a str,
}

/// Tokens for a client, shown once.
pub struct Issued {
    pub access_token: String,
    /// Seconds.
    pub expires_in: u64,
    pub refresh_token: Option<Token>,
    pub id_token: Option<String>,
    pub scope: String,
    /// The one organisation that they are for.
    pub org: Option<OrgId>,
}

/// Whose access token it is and what for.
pub(super) struct NewAccess<'a> {
    pub(super) holder: Holder,
    pub(super) client_id: &'a str,
    pub(super) alg: Alg,
    pub(super) grants: Option<&'a GrantSet>,
    pub(super) scope: String,
    pub(super) org: Option<OrgId>,
    pub(super) source: Source<'a>,
}

/// What a token comes of: it ends with it at the latest, and is refused once it was revoked.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    Consent(&'a Grant),
    /// Of a service account.
    Key(Tradable),
    /// A client's own secret, which it shows each time.
    Client,
}

impl<'a> Source<'a> {
    fn grant(self) -> Option<&'a Grant> {
        match self {
            Self::Consent(grant) => Some(grant),
            Self::Key(_) | Self::Client => None,
        }
    }

    fn family(self) -> Option<Uuid> {
        match self {
            Self::Consent(grant) => Some(grant.id.0),
            Self::Key(key) => Some(key.id.0),
            Self::Client => None,
        }
    }

    /// When a token ends that would live for so long by itself.
    fn end(self, alone: Timestamp) -> Timestamp {
        match self {
            Self::Consent(grant) => grant.ends_at.min(alone),
            Self::Key(key) => key.end(alone),
            Self::Client => alone,
        }
    }
}

/// A signed access token.
pub(super) struct Access {
    pub(super) token: String,
    /// Seconds.
    pub(super) expires_in: u64,
}

/// Whether a consent goes on without its person, by refresh tokens.
pub(super) fn goes_on(client: &Client, grant: &Grant) -> bool {
    client.may(GrantType::RefreshToken) && (grant.scopes.has(Word::OfflineAccess) || client.owner.is_none())
}

impl Minter<'_> {
    /// Makes an access token after RFC 9068. The caller journals.
    pub(super) async fn access(&self, tx: &WriteTx, new: &NewAccess<'_>, origin: &Origin) -> Result<Access> {
        let ends_at = new.source.end(tx.now() + ACCESS_TTL);
        let grant = new.source.grant();
        let stored = NewToken {
            holder: new.holder,
            client: new.client_id,
            grants: new.grants,
            org: new.org,
            family: new.source.family(),
            auth_time: grant.and_then(|grant| grant.auth_time),
            amr: grant.and_then(|grant| grant.amr.as_deref()),
            ends_at,
        };
        let id = oauth_token::insert_access(tx, &stored, origin).await?;
        let mut claims = Map::new();
        let mut claim = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        claim("iss", self.issuer.into());
        claim("aud", self.issuer.into());
        claim("sub", new.holder.subject().into());
        claim("client_id", new.client_id.into());
        claim("jti", id.to_string().into());
        claim("iat", tx.now().secs().into());
        claim("exp", ends_at.secs().into());
        // A service account whose token narrows nothing asked for no scope, and there is no empty one.
        if !new.scope.is_empty() {
            claim("scope", new.scope.clone().into());
        }
        if let Some(at) = grant.and_then(|grant| grant.auth_time) {
            claim("auth_time", at.secs().into());
        }
        if let Some(org) = new.org {
            claim("org_id", org.to_string().into());
        }
        let token = self.signer.sign(tx, self.keys, &claims, Typ::AccessToken, new.alg);
        Ok(Access {
            token: token.await?,
            expires_in: ends_at.since(tx.now()).as_secs(),
        })
    }

    /// Stores a refresh token of a consent; answers its credential. The caller journals.
    pub(super) async fn refresh(
        &self,
        tx: &WriteTx,
        client: &Client,
        grant: &Grant,
        token: &Token,
        origin: &Origin,
    ) -> Result<CredentialId> {
        let client_id = client.client_id();
        let stored = NewToken {
            holder: Holder::User(grant.user),
            client: &client_id,
            grants: grant.scopes.grants(),
            org: grant.org,
            family: Some(grant.id.0),
            auth_time: grant.auth_time,
            amr: grant.amr.as_deref(),
            ends_at: grant.ends_at,
        };
        oauth_token::insert_refresh(tx, self.keys.token_mac(), token, &stored, origin).await
    }

    /// Makes the tokens that a consent is good for, for `scopes`, which are among its own, to go with a refresh token that
    /// is stored already. The caller journals.
    pub(super) async fn of_grant(
        &self,
        tx: &WriteTx,
        client: &Client,
        grant: &Grant,
        scopes: &Scopes,
        refresh_token: Option<Token>,
        origin: &Origin,
    ) -> Result<Issued> {
        let client_id = client.client_id();
        let access = NewAccess {
            holder: Holder::User(grant.user),
            client_id: &client_id,
            alg: client.signing_alg,
            grants: scopes.grants(),
            scope: scopes.to_string(),
            org: grant.org,
            source: Source::Consent(grant),
        };
        let Access { token, expires_in } = self.access(tx, &access, origin).await?;
        let id_token = if scopes.has(Word::OpenId) {
            Some(self.id_token(tx, client, grant, scopes).await?)
        } else {
            None
        };
        Ok(Issued {
            access_token: token,
            expires_in,
            refresh_token,
            id_token,
            scope: access.scope,
            org: grant.org,
        })
    }

    /// Who the person is, for the client alone: OpenID Connect Core §2.
    async fn id_token(&self, tx: &WriteTx, client: &Client, grant: &Grant, scopes: &Scopes) -> Result<String> {
        let account = account::get(tx, grant.user).await?;
        let mut claims = Map::new();
        claims.insert("iss".to_owned(), self.issuer.into());
        claims.insert("aud".to_owned(), client.client_id().into());
        claims.insert("iat".to_owned(), tx.now().secs().into());
        claims.insert("exp".to_owned(), (tx.now() + ID_TTL).secs().into());
        if let Some(at) = grant.auth_time {
            claims.insert("auth_time".to_owned(), at.secs().into());
        }
        if let Some(nonce) = &grant.nonce {
            claims.insert("nonce".to_owned(), nonce.clone().into());
        }
        claims.insert("amr".to_owned(), Amr::from_column(grant.amr.as_deref())?.names().into());
        if let Some(org) = grant.org {
            claims.insert("org_id".to_owned(), org.to_string().into());
        }
        claims.extend(userinfo::claims(&account, scopes));
        self.signer
            .sign(tx, self.keys, &claims, Typ::IdToken, client.signing_alg)
            .await
    }
}

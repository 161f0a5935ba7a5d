//! Making the tokens of a consent, and those that a service account or a client gets for itself.

use std::time::Duration;

use serde_json::{Map, Value};

use super::grant::Grant;
use super::scopes::Word;
use super::{Client, GrantType, Scopes, userinfo};
use crate::access::{GrantSet, Origin};
use crate::auth::account;
use crate::auth::amr::Amr;
use crate::auth::oauth_token::{self, Holder, NewToken};
use crate::crypto::key_store::KeyStore;
use crate::crypto::token::Token;
use crate::kernel::id::{CredentialId, OrgId};
use crate::kernel::{Reads, Result, WriteTx};
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

/// Tokens with what replaces a refresh token.
pub(super) struct Made {
    pub(super) issued: Issued,
    /// The credential of the refresh token.
    pub(super) refresh: Option<CredentialId>,
}

/// Whose access token it is and what for.
pub(super) struct NewAccess<'a> {
    pub(super) holder: Holder,
    pub(super) client_id: &'a str,
    pub(super) alg: Alg,
    pub(super) grants: Option<&'a GrantSet>,
    pub(super) scope: String,
    pub(super) org: Option<OrgId>,
    pub(super) grant: Option<&'a Grant>,
}

impl Minter<'_> {
    /// Makes an access token after RFC 9068. The caller journals.
    pub(super) async fn access(&self, tx: &WriteTx, new: &NewAccess<'_>, origin: &Origin) -> Result<String> {
        let ends_at = tx.now() + ACCESS_TTL;
        let stored = NewToken {
            holder: new.holder,
            client: new.client_id,
            grants: new.grants,
            org: new.org,
            family: new.grant.map(|grant| grant.id.0),
            auth_time: new.grant.and_then(|grant| grant.auth_time),
            amr: new.grant.and_then(|grant| grant.amr.as_deref()),
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
        claim("scope", new.scope.clone().into());
        if let Some(at) = new.grant.and_then(|grant| grant.auth_time) {
            claim("auth_time", at.secs().into());
        }
        if let Some(org) = new.org {
            claim("org_id", org.to_string().into());
        }
        self.signer
            .sign(tx, self.keys, &claims, Typ::AccessToken, new.alg)
            .await
    }

    /// Makes the tokens that a consent is good for, those of now for `scopes`, which are among its own. The caller
    /// journals.
    pub(super) async fn of_grant(
        &self,
        tx: &WriteTx,
        client: &Client,
        grant: &Grant,
        scopes: &Scopes,
        origin: &Origin,
    ) -> Result<Made> {
        let client_id = client.client_id();
        let access = NewAccess {
            holder: Holder::User(grant.user),
            client_id: &client_id,
            alg: client.signing_alg,
            grants: scopes.grants(),
            scope: scopes.to_string(),
            org: grant.org,
            grant: Some(grant),
        };
        let access_token = self.access(tx, &access, origin).await?;
        let goes_on =
            client.may(GrantType::RefreshToken) && (grant.scopes.has(Word::OfflineAccess) || client.owner.is_none());
        let refresh = if goes_on {
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
            Some(oauth_token::insert_refresh(tx, self.keys.token_mac(), &stored, origin).await?)
        } else {
            None
        };
        let (refresh, refresh_token) = refresh.unzip();
        let id_token = if scopes.has(Word::OpenId) {
            Some(self.id_token(tx, client, grant, scopes).await?)
        } else {
            None
        };
        Ok(Made {
            issued: Issued {
                access_token,
                expires_in: ACCESS_TTL.as_secs(),
                refresh_token,
                id_token,
                scope: access.scope,
                org: grant.org,
            },
            refresh,
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

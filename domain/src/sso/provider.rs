//! Providers, as they are set up.

use sea_orm::{ConnectionTrait, EntityTrait, FromQueryResult};
use uuid::Uuid;

use super::entity::provider::{self, Model};
use super::refusal;
use crate::crypto::key_store::{KeyScope, KeyStore};
use crate::crypto::{Aad, Purpose};
use crate::kernel::id::OrgId;
use crate::kernel::{Error, Reads, Result, Secret, Timestamp, WriteTx};

/// How the instance's provider is named in paths.
const INSTANCE: &str = "instance";

/// Whose provider it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Instance,
    Org(OrgId),
}

impl Place {
    /// Reads the name of a provider: `instance`, or the id of an organisation.
    pub fn parse(text: &str) -> Option<Self> {
        if text == INSTANCE {
            return Some(Self::Instance);
        }
        text.parse().ok().map(Self::Org)
    }

    /// How the provider is named in paths.
    pub fn name(self) -> String {
        match self {
            Self::Instance => INSTANCE.to_owned(),
            Self::Org(id) => id.to_string(),
        }
    }

    /// The id of its row.
    pub fn id(self) -> Uuid {
        match self {
            Self::Instance => Uuid::nil(),
            Self::Org(id) => id.0,
        }
    }

    pub fn org(self) -> Option<OrgId> {
        match self {
            Self::Instance => None,
            Self::Org(id) => Some(id),
        }
    }

    /// Whose row it is.
    pub(super) fn of_id(id: Uuid) -> Self {
        if id.is_nil() {
            Self::Instance
        } else {
            Self::Org(OrgId(id))
        }
    }

    fn aad(self) -> Vec<u8> {
        Aad::new(Purpose::SsoSecret).uuid(self.id()).finish()
    }

    /// Seals a client secret.
    pub(super) async fn seal(self, tx: &WriteTx, keys: &KeyStore, secret: &Secret<String>) -> Result<Vec<u8>> {
        let plain = secret.expose().as_bytes();
        match self {
            Self::Instance => keys.instance().seal(tx.rng(), &self.aad(), plain),
            Self::Org(id) => {
                let key = keys.active(tx, KeyScope::Org(id)).await?;
                key.seal(tx.rng(), &self.aad(), plain)
            }
        }
    }

    async fn open(self, from: &impl Reads, keys: &KeyStore, sealed: &[u8]) -> Result<Secret<String>> {
        let opened = match self {
            Self::Instance => keys.instance().open(&self.aad(), sealed),
            Self::Org(_) => keys.of_blob(from, sealed).await?.open(&self.aad(), sealed),
        };
        let broken = || Error::internal("the secret of an identity provider does not open");
        let opened = opened.map_err(|_| broken())?;
        String::from_utf8(opened.expose().clone())
            .map(Secret::new)
            .map_err(|_| broken())
    }
}

/// A provider.
#[derive(Clone, Debug)]
pub struct Provider {
    pub place: Place,
    pub name: String,
    pub enabled: bool,
    pub issuer: String,
    pub client_id: String,
    pub(super) sealed_secret: Option<Vec<u8>>,
    /// Whether its endpoints are asked of it; those that are named here come first.
    pub discovery: bool,
    pub authorization_endpoint: Option<String>,
    pub token_endpoint: Option<String>,
    pub userinfo_endpoint: Option<String>,
    pub jwks_uri: Option<String>,
    pub end_session_endpoint: Option<String>,
    pub scopes: String,
    pub create_unknown_user: bool,
    /// Whom it lets in, by the domains of their addresses; empty = everybody.
    pub allowed_domains: Vec<String>,
    /// `None` = it was never set up.
    pub updated_at: Option<Timestamp>,
}

impl Provider {
    /// What stands before anybody has set it up.
    pub fn unset(place: Place) -> Self {
        Self {
            place,
            name: String::new(),
            enabled: false,
            issuer: String::new(),
            client_id: String::new(),
            sealed_secret: None,
            discovery: true,
            authorization_endpoint: None,
            token_endpoint: None,
            userinfo_endpoint: None,
            jwks_uri: None,
            end_session_endpoint: None,
            scopes: "openid email profile".to_owned(),
            create_unknown_user: true,
            allowed_domains: Vec::new(),
            updated_at: None,
        }
    }

    fn read(row: Model) -> Result<Self> {
        let Model {
            id,
            org_id: _,
            name,
            enabled,
            issuer,
            client_id,
            sealed_secret,
            discovery,
            authorization_endpoint,
            token_endpoint,
            userinfo_endpoint,
            jwks_uri,
            end_session_endpoint,
            scopes,
            create_unknown_user,
            allowed_domains,
            created_at: _,
            updated_at,
        } = row;
        Ok(Self {
            place: Place::of_id(id),
            name,
            enabled,
            issuer,
            client_id,
            sealed_secret,
            discovery,
            authorization_endpoint,
            token_endpoint,
            userinfo_endpoint,
            jwks_uri,
            end_session_endpoint,
            scopes,
            create_unknown_user,
            allowed_domains: serde_json::from_str(&allowed_domains)
                .map_err(|_| Error::internal("an identity provider is stored wrongly"))?,
            updated_at: Some(updated_at),
        })
    }

    /// Whether it has a client secret.
    pub fn has_secret(&self) -> bool {
        self.sealed_secret.is_some()
    }

    /// Its client secret, if it has one.
    pub(super) async fn secret(&self, from: &impl Reads, keys: &KeyStore) -> Result<Option<Secret<String>>> {
        match &self.sealed_secret {
            None => Ok(None),
            Some(sealed) => self.place.open(from, keys, sealed).await.map(Some),
        }
    }

    /// Whether its word on addresses counts: the superusers of the instance chose it. An organisation's provider could
    /// say of any address that it is its own.
    pub fn vouches_for_mail(&self) -> bool {
        self.place == Place::Instance
    }
}

/// The provider of a place, switched on or not.
///
/// # Errors
/// [`Error::Db`].
pub async fn find(from: &impl Reads, place: Place) -> Result<Option<Provider>> {
    let row = provider::Entity::find_by_id(place.id()).one(from.conn()).await?;
    row.map(Provider::read).transpose()
}

#[derive(FromQueryResult)]
struct Live {
    id: Uuid,
}

/// The provider of a name in a path, if people may sign in with it now.
///
/// # Errors
/// `unavailable` when it is not set up, switched off, or its organisation is gone.
pub async fn enabled(from: &impl Reads, name: &str) -> Result<Provider> {
    let place = Place::parse(name).ok_or_else(refusal::not_configured)?;
    Ok(enabled_at(from, place).await?.ok_or_else(refusal::not_configured)?)
}

/// The provider of a place, if people may sign in with it now.
///
/// # Errors
/// [`Error::Db`].
pub async fn enabled_at(from: &impl Reads, place: Place) -> Result<Option<Provider>> {
    if let Place::Org(id) = place {
        let sql = "SELECT id FROM orgs WHERE id = $1 AND deleted_at IS NULL";
        let live = Live::find_by_statement(from.sql(sql, [id.into()]));
        if live.one(from.conn()).await?.is_none_or(|live| live.id != id.0) {
            return Ok(None);
        }
    }
    Ok(find(from, place).await?.filter(|provider| provider.enabled))
}

/// That a provider is still as it was when somebody was sent there: what it said of them came by those settings.
///
/// # Errors
/// `forbidden` when it was set up differently, switched off or removed meanwhile.
pub(super) async fn require_unchanged(tx: &WriteTx, provider: &Provider) -> Result<()> {
    let now = enabled_at(tx, provider.place).await?;
    if now.is_some_and(|now| now.updated_at == provider.updated_at) {
        return Ok(());
    }
    Err(refusal::lost().into())
}

/// Whether the instance offers single sign-on.
///
/// # Errors
/// [`Error::Db`].
pub async fn is_offered(from: &impl Reads) -> Result<bool> {
    Ok(enabled_at(from, Place::Instance).await?.is_some())
}

/// What somebody can sign in with: the instance's provider, and that of an organisation that they name by id or slug.
///
/// # Errors
/// [`Error::Db`].
pub async fn offered(from: &impl Reads, org: Option<&str>) -> Result<Vec<Provider>> {
    let mut offered: Vec<_> = enabled_at(from, Place::Instance).await?.into_iter().collect();
    if let Some(org) = org {
        let id: Option<OrgId> = org.parse().ok();
        let sql = "SELECT id FROM orgs WHERE (id = $1 OR slug = $2) AND deleted_at IS NULL";
        let found = Live::find_by_statement(from.sql(sql, [id.map(|id| id.0).into(), org.into()]));
        if let Some(Live { id }) = found.one(from.conn()).await? {
            offered.extend(enabled_at(from, Place::Org(OrgId(id))).await?);
        }
    }
    Ok(offered)
}

/// Deletes the provider of a place, with the identities that came of it; tells whether there was one. The caller
/// journals.
pub(super) async fn delete(tx: &WriteTx, place: Place) -> Result<bool> {
    let sql = "DELETE FROM sso_providers WHERE id = $1";
    let deleted = tx.conn().execute_raw(tx.sql(sql, [place.id().into()])).await?;
    Ok(deleted.rows_affected() == 1)
}

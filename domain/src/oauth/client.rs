//! OAuth clients: the applications of partners, and our own command line.

use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::Scopes;
use super::entity::client;
use crate::access::Caller;
use crate::kernel::id::{OAuthClientId, UserId};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Error, Problem, Reads, Result, Timestamp};
use crate::signing::Alg;

/// The `client_id` of our own command line, which every instance knows.
pub const CLI: &str = "strongroom-cli";
/// Its id.
const CLI_ID: OAuthClientId = OAuthClientId(Uuid::nil());

/// A way to tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GrantType {
    AuthorizationCode,
    RefreshToken,
    ClientCredentials,
    DeviceCode,
}

impl GrantType {
    pub const ALL: [Self; 4] = [
        Self::AuthorizationCode,
        Self::RefreshToken,
        Self::ClientCredentials,
        Self::DeviceCode,
    ];

    /// The `grant_type` of a token request.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
            Self::ClientCredentials => "client_credentials",
            Self::DeviceCode => "urn:ietf:params:oauth:grant-type:device_code",
        }
    }

    /// Reads it.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.as_str() == text)
    }
}

/// A client.
#[derive(Clone, Debug)]
pub struct Client {
    pub id: OAuthClientId,
    /// Whose it is; `None` for our own command line.
    pub owner: Option<UserId>,
    pub name: String,
    pub homepage: Option<String>,
    /// Whether it can keep a secret.
    pub is_confidential: bool,
    pub redirect_uris: Vec<String>,
    pub grant_types: Vec<GrantType>,
    /// What it may ask for.
    pub scopes: Scopes,
    /// What its tokens are signed with.
    pub signing_alg: Alg,
    pub is_enabled: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Client {
    /// Our own command line: public, and only for devices.
    pub(super) fn cli() -> Self {
        Self {
            id: CLI_ID,
            owner: None,
            name: "Strongroom CLI".to_owned(),
            homepage: None,
            is_confidential: false,
            redirect_uris: Vec::new(),
            grant_types: vec![GrantType::DeviceCode, GrantType::RefreshToken],
            scopes: Scopes::everything(),
            signing_alg: Alg::Es256,
            is_enabled: true,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
        }
    }

    /// The `client_id` that it goes by.
    pub fn client_id(&self) -> String {
        match self.owner {
            Some(_) => self.id.to_string(),
            None => CLI.to_owned(),
        }
    }

    /// Whether it may come by tokens in this way.
    pub fn may(&self, grant: GrantType) -> bool {
        self.grant_types.contains(&grant)
    }
}

pub(super) fn read(row: client::Model) -> Result<Client> {
    let broken = || Error::internal("an OAuth client is stored wrongly");
    let client::Model {
        id,
        owner_id,
        name,
        homepage,
        confidential,
        redirect_uris,
        grant_types,
        scopes,
        signing_alg,
        disabled_at,
        created_at,
        updated_at,
    } = row;
    let grants: Vec<String> = serde_json::from_str(&grant_types).map_err(|_| broken())?;
    let grants: Option<_> = grants.iter().map(|grant| GrantType::parse(grant)).collect();
    Ok(Client {
        id,
        owner: Some(owner_id),
        name,
        homepage,
        is_confidential: confidential,
        redirect_uris: serde_json::from_str(&redirect_uris).map_err(|_| broken())?,
        grant_types: grants.ok_or_else(broken)?,
        scopes: Scopes::from_stored(&scopes).ok_or_else(broken)?,
        signing_alg: Alg::parse(&signing_alg).ok_or_else(broken)?,
        is_enabled: disabled_at.is_none(),
        created_at,
        updated_at,
    })
}

/// The client of a `client_id`, if it may be used.
///
/// # Errors
/// [`Error::Db`].
pub async fn find(from: &impl Reads, client_id: &str) -> Result<Option<Client>> {
    match id_of(client_id) {
        Some(id) => by_id(from, id).await,
        None => Ok(None),
    }
}

/// The id of a `client_id`. That of our own command line goes by its name alone.
pub(super) fn id_of(client_id: &str) -> Option<OAuthClientId> {
    if client_id == CLI {
        return Some(CLI_ID);
    }
    client_id.parse::<OAuthClientId>().ok().filter(|id| *id != CLI_ID)
}

/// The client of an id, if it may be used.
///
/// # Errors
/// [`Error::Db`].
pub(super) async fn by_id(from: &impl Reads, id: OAuthClientId) -> Result<Option<Client>> {
    if id == CLI_ID {
        return Ok(Some(Client::cli()));
    }
    let row = client::Entity::find_by_id(id).one(from.conn()).await?;
    let found = row.map(read).transpose()?;
    Ok(found.filter(|client| client.is_enabled))
}

/// The caller's clients, newest first.
///
/// # Errors
/// `session_required`.
pub async fn list(from: &impl Reads, caller: &Caller, page: PageRequest) -> Result<Page<Client>> {
    let owner = caller.session_user()?;
    let mine = client::Entity::find().filter(client::Column::OwnerId.eq(owner));
    let total = mine.clone().count(from.conn()).await?;
    let newest = mine
        .order_by_desc(client::Column::CreatedAt)
        .order_by_desc(client::Column::Id);
    let rows = newest.offset(page.offset).limit(page.limit).all(from.conn()).await?;
    Ok(Page {
        data: rows.into_iter().map(read).collect::<Result<_>>()?,
        request: page,
        total,
    })
}

/// One of the caller's clients, in use or switched off.
///
/// # Errors
/// `not_found`, `session_required`.
pub async fn get(from: &impl Reads, caller: &Caller, id: &str) -> Result<Client> {
    let owner = caller.session_user()?;
    let id: OAuthClientId = id.parse().map_err(|_| Problem::not_found())?;
    let row = client::Entity::find_by_id(id)
        .filter(client::Column::OwnerId.eq(owner))
        .one(from.conn())
        .await?;
    read(row.ok_or_else(Problem::not_found)?)
}

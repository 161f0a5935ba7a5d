//! Making, changing and deleting clients. They are their maker's own.

use std::time::Duration;

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use url::Url;

use super::client::{self, Client, GrantType};
use super::entity::client as table;
use super::{Scopes, grant, redirect};
use crate::access::Caller;
use crate::auth::{client_secret, oauth_token};
use crate::crypto::token::{Token, TokenMacKey};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{OAuthClientId, UserId};
use crate::kernel::{Error, Problem, ProblemCode, Reads, Result, WriteTx, text};
use crate::signing::Alg;

/// Clients of one person at most.
const MAX_CLIENTS: u64 = 100;
/// Longest overlap of two secrets, hours.
const MAX_OVERLAP_HOURS: i64 = 7 * 24;
/// Longest homepage, characters.
const MAX_HOMEPAGE: usize = 500;

/// A new client.
pub struct NewClient {
    pub name: String,
    pub homepage: Option<String>,
    pub is_confidential: bool,
    pub redirect_uris: Vec<String>,
    /// `None`: codes and refresh tokens.
    pub grant_types: Option<Vec<String>>,
    /// `None`: the words of OpenID Connect.
    pub scopes: Option<Vec<String>>,
    /// `None`: RS256.
    pub signing_alg: Option<String>,
}

/// Changes to a client; what is absent stays.
#[derive(Default)]
pub struct ClientPatch {
    pub name: Option<String>,
    /// An empty text takes it away.
    pub homepage: Option<String>,
    pub redirect_uris: Option<Vec<String>>,
    pub grant_types: Option<Vec<String>>,
    pub scopes: Option<Vec<String>>,
    pub signing_alg: Option<String>,
    pub enabled: Option<bool>,
}

/// A new client, its secret shown this once; a public one has none.
pub struct CreatedClient {
    pub client: Client,
    pub secret: Option<Token>,
}

fn homepage(text: Option<String>) -> Result<Option<String>> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let is_web = Url::parse(&text).is_ok_and(|url| url.scheme() == "https" && url.username().is_empty());
    if is_web && text.len() <= MAX_HOMEPAGE && text.is_ascii() {
        return Ok(Some(text));
    }
    Err(Problem::field(
        "homepage",
        "format",
        "must be an https address of at most 500 characters",
    )
    .into())
}

fn grant_types(texts: &[String], is_confidential: bool) -> Result<Vec<GrantType>> {
    let mut grants = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let field = format!("grant_types[{index}]");
        let Some(grant) = GrantType::parse(text) else {
            let known: Vec<_> = GrantType::ALL.iter().map(|grant| grant.as_str()).collect();
            return Err(Problem::field(field, "unknown", format!("must be one of {}", known.join(", "))).into());
        };
        if grant == GrantType::ClientCredentials && !is_confidential {
            return Err(Problem::field(field, "conflict", "needs a confidential client").into());
        }
        if !grants.contains(&grant) {
            grants.push(grant);
        }
    }
    if grants.is_empty() {
        return Err(Problem::field("grant_types", "required", "must name at least one").into());
    }
    Ok(grants)
}

fn scopes(texts: &[String]) -> Result<Scopes> {
    let wrong = |index: usize| Problem::field(format!("scopes[{index}]"), "unknown", "is no scope");
    for (index, text) in texts.iter().enumerate() {
        let is_one = !text.contains(' ') && Scopes::parse(text).is_ok_and(|scopes| !scopes.is_empty());
        if !is_one {
            return Err(wrong(index).into());
        }
    }
    Scopes::parse(&texts.join(" ")).map_err(|_| wrong(0).into())
}

fn signing_alg(text: &str) -> Result<Alg> {
    let unknown = || Problem::field("signing_alg", "unknown", "must be RS256, ES256 or EdDSA");
    Ok(Alg::parse(text).ok_or_else(unknown)?)
}

/// A client that comes by codes must say where they go.
fn check_whole(client: &Client) -> Result<()> {
    redirect::check_all(&client.redirect_uris, client.is_confidential)?;
    if client.may(GrantType::AuthorizationCode) && client.redirect_uris.is_empty() {
        let message = "must have an entry: codes are sent nowhere else";
        return Err(Problem::field("redirect_uris", "required", message).into());
    }
    Ok(())
}

fn list(texts: &[impl serde::Serialize]) -> Result<String> {
    serde_json::to_string(texts).map_err(|e| Error::internal(format!("an OAuth client: {e}")))
}

fn columns(client: &Client, owner: UserId) -> Result<table::ActiveModel> {
    let grants: Vec<_> = client.grant_types.iter().map(|grant| grant.as_str()).collect();
    Ok(table::ActiveModel {
        id: Set(client.id),
        owner_id: Set(owner),
        name: Set(client.name.clone()),
        homepage: Set(client.homepage.clone()),
        confidential: Set(client.is_confidential),
        redirect_uris: Set(list(&client.redirect_uris)?),
        grant_types: Set(list(&grants)?),
        scopes: Set(client.scopes.to_string()),
        signing_alg: Set(client.signing_alg.as_str().to_owned()),
        disabled_at: Set((!client.is_enabled).then_some(client.updated_at)),
        created_at: Set(client.created_at),
        updated_at: Set(client.updated_at),
    })
}

fn entry(owner: UserId, client: OAuthClientId, action: Action) -> Entry {
    Entry::of_account(owner, action, Target::OAuthClient(client))
}

/// Makes a client of the caller's.
///
/// # Errors
/// `invalid_field`; `conflict` at a hundred; `session_required`.
pub async fn create(tx: &WriteTx, macs: &TokenMacKey, caller: &Caller, new: NewClient) -> Result<CreatedClient> {
    let owner = caller.session_user()?;
    let mine = table::Entity::find().filter(table::Column::OwnerId.eq(owner));
    if mine.count(tx.conn()).await? >= MAX_CLIENTS {
        let detail = format!("A person has at most {MAX_CLIENTS} OAuth clients. Delete one first.");
        return Err(Problem::new(ProblemCode::Conflict, detail).into());
    }
    let is_confidential = new.is_confidential;
    let usual = || [GrantType::AuthorizationCode, GrantType::RefreshToken].map(|grant| grant.as_str().to_owned());
    let client = Client {
        id: tx.new_id()?,
        owner: Some(owner),
        name: text::name("name", &new.name)?,
        homepage: homepage(new.homepage)?,
        is_confidential,
        redirect_uris: new.redirect_uris,
        grant_types: grant_types(&new.grant_types.unwrap_or_else(|| usual().into()), is_confidential)?,
        scopes: new.scopes.as_deref().map_or_else(|| Ok(Scopes::of_words()), scopes)?,
        signing_alg: new.signing_alg.as_deref().map_or(Ok(Alg::Rs256), signing_alg)?,
        is_enabled: true,
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    check_whole(&client)?;
    table::Entity::insert(columns(&client, owner)?)
        .exec_without_returning(tx.conn())
        .await?;
    let secret = if is_confidential {
        Some(client_secret::replace(tx, macs, client.id, Duration::ZERO, &caller.origin).await?)
    } else {
        None
    };
    let entry = entry(owner, client.id, Action::OAuthClientCreated).with("name", client.name.clone());
    journal::record(tx, &caller.origin, entry).await?;
    Ok(CreatedClient { client, secret })
}

/// Changes a client of the caller's. Switched off, it is refused, and all that it was given ends for good.
///
/// # Errors
/// `not_found`, `invalid_field`, `session_required`.
pub async fn update(tx: &WriteTx, caller: &Caller, id: &str, patch: ClientPatch) -> Result<Client> {
    let owner = caller.session_user()?;
    let mut client = client::get(tx, caller, id).await?;
    let mut changed = Vec::new();
    if let Some(name) = patch.name {
        client.name = text::name("name", &name)?;
        changed.push("name");
    }
    if let Some(text) = patch.homepage {
        client.homepage = homepage(Some(text))?;
        changed.push("homepage");
    }
    if let Some(uris) = patch.redirect_uris {
        client.redirect_uris = uris;
        changed.push("redirect_uris");
    }
    if let Some(texts) = patch.grant_types {
        client.grant_types = grant_types(&texts, client.is_confidential)?;
        changed.push("grant_types");
    }
    if let Some(texts) = patch.scopes {
        client.scopes = scopes(&texts)?;
        changed.push("scopes");
    }
    if let Some(text) = patch.signing_alg {
        client.signing_alg = signing_alg(&text)?;
        changed.push("signing_alg");
    }
    if let Some(enabled) = patch.enabled {
        client.is_enabled = enabled;
        changed.push("enabled");
    }
    client.updated_at = tx.now();
    check_whole(&client)?;
    table::Entity::update(columns(&client, owner)?).exec(tx.conn()).await?;
    if !client.is_enabled {
        end_tokens(tx, &client).await?;
    }
    let entry = entry(owner, client.id, Action::OAuthClientUpdated).with("changed", changed);
    journal::record(tx, &caller.origin, entry).await?;
    Ok(client)
}

/// Ends what people and the client itself hold through it.
async fn end_tokens(tx: &WriteTx, client: &Client) -> Result<()> {
    oauth_token::revoke_of_client(tx, &client.client_id()).await?;
    grant::revoke_of_client(tx, client.id).await
}

/// Gives a client a new secret; the old one ends after `overlap_hours`.
///
/// # Errors
/// `not_found`, `invalid_field`; `conflict` for a public client; `session_required`.
pub async fn rotate_secret(
    tx: &WriteTx,
    macs: &TokenMacKey,
    caller: &Caller,
    id: &str,
    overlap_hours: i64,
) -> Result<CreatedClient> {
    let owner = caller.session_user()?;
    let client = client::get(tx, caller, id).await?;
    if !client.is_confidential {
        return Err(Problem::new(ProblemCode::Conflict, "A public client has no secret.").into());
    }
    let hours = u64::try_from(overlap_hours)
        .ok()
        .filter(|_| overlap_hours <= MAX_OVERLAP_HOURS)
        .ok_or_else(|| Problem::field("overlap_hours", "range", "must be between 0 and 168"))?;
    let overlap = Duration::from_secs(hours * 3600);
    let secret = client_secret::replace(tx, macs, client.id, overlap, &caller.origin).await?;
    let entry = entry(owner, client.id, Action::OAuthClientSecretRotated).with("overlap_hours", overlap_hours);
    journal::record(tx, &caller.origin, entry).await?;
    Ok(CreatedClient {
        client,
        secret: Some(secret),
    })
}

/// Deletes a client of the caller's. Everything that it was given is refused from the next request on.
///
/// # Errors
/// `not_found`, `session_required`.
pub async fn delete(tx: &WriteTx, caller: &Caller, id: &str) -> Result<()> {
    let owner = caller.session_user()?;
    let client = client::get(tx, caller, id).await?;
    end_tokens(tx, &client).await?;
    client_secret::end_all(tx, client.id).await?;
    table::Entity::delete_by_id(client.id).exec(tx.conn()).await?;
    let entry = entry(owner, client.id, Action::OAuthClientDeleted).with("name", client.name.clone());
    journal::record(tx, &caller.origin, entry).await?;
    Ok(())
}

/// Ends everything that the clients of somebody were given, whose account goes and takes them along. The caller journals.
///
/// # Errors
/// [`Error::Db`].
pub async fn end_of_owner(tx: &WriteTx, owner: UserId) -> Result<()> {
    let rows = table::Entity::find()
        .filter(table::Column::OwnerId.eq(owner))
        .all(tx.conn())
        .await?;
    for row in rows {
        let client = client::read(row)?;
        end_tokens(tx, &client).await?;
        client_secret::end_all(tx, client.id).await?;
    }
    Ok(())
}

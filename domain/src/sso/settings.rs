//! Setting a provider up. What is changed counts from the next sign-in on, in every process: settings are read from the
//! database each time.

use sea_orm::{ActiveValue::Set, EntityTrait};

use super::entity::provider as table;
use super::provider::{self, Place, Provider};
use crate::access::grant::{self, OrgUpdate};
use crate::access::{Caller, OrgAccess, Origin, Superuser};
use crate::crypto::key_store::KeyStore;
use crate::egress::EgressPolicy;
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::{Error, Problem, Reads, Result, Secret, WriteTx, text};

/// Longest client id, client secret and list of scopes, characters.
const MAX_TEXT: usize = 500;
/// Domains of one provider at most.
const MAX_DOMAINS: usize = 50;

/// Changes to a provider; absent fields stay. An empty text takes an endpoint or the secret away.
#[derive(Default)]
pub struct ProviderPatch {
    pub name: Option<String>,
    pub enabled: Option<bool>,
    pub issuer: Option<String>,
    pub client_id: Option<String>,
    pub client_secret: Option<Secret<String>>,
    pub discovery: Option<bool>,
    pub authorization_endpoint: Option<String>,
    pub token_endpoint: Option<String>,
    pub userinfo_endpoint: Option<String>,
    pub jwks_uri: Option<String>,
    pub end_session_endpoint: Option<String>,
    pub scopes: Option<String>,
    pub create_unknown_user: Option<bool>,
    pub allowed_domains: Option<Vec<String>>,
}

/// The instance's provider, set up or not.
///
/// # Errors
/// [`Error::Db`].
pub async fn of_instance(from: &impl Reads, _superuser: &Superuser) -> Result<Provider> {
    or_unset(from, Place::Instance).await
}

/// An organisation's provider, set up or not.
///
/// # Errors
/// [`Error::Db`].
pub async fn of_org(from: &impl Reads, access: &OrgAccess<OrgUpdate>) -> Result<Provider> {
    or_unset(from, Place::Org(access.org.id)).await
}

async fn or_unset(from: &impl Reads, place: Place) -> Result<Provider> {
    let found = provider::find(from, place).await?;
    Ok(found.unwrap_or_else(|| Provider::unset(place)))
}

/// Changes the instance's provider.
///
/// # Errors
/// `invalid_field`; `step_up_required`: whoever sets it up decides who can sign in as whom.
pub async fn update_instance(
    tx: &WriteTx,
    keys: &KeyStore,
    egress: &EgressPolicy,
    superuser: &Superuser,
    patch: ProviderPatch,
) -> Result<Provider> {
    superuser.again(tx).await?;
    grant::require_recent_sign_in(tx, superuser.caller())?;
    update(tx, keys, egress, Place::Instance, superuser.origin(), patch).await
}

/// Changes an organisation's provider.
///
/// # Errors
/// `invalid_field`; `step_up_required`.
pub async fn update_org(
    tx: &WriteTx,
    keys: &KeyStore,
    egress: &EgressPolicy,
    caller: &Caller,
    access: &OrgAccess<OrgUpdate>,
    patch: ProviderPatch,
) -> Result<Provider> {
    grant::require_recent_sign_in(tx, caller)?;
    update(tx, keys, egress, Place::Org(access.org.id), &caller.origin, patch).await
}

/// Removes an organisation's provider. Who signed in with it signs in in another way.
///
/// # Errors
/// `not_found` when there is none; `step_up_required`.
pub async fn delete_of_org(tx: &WriteTx, caller: &Caller, access: &OrgAccess<OrgUpdate>) -> Result<()> {
    grant::require_recent_sign_in(tx, caller)?;
    let place = Place::Org(access.org.id);
    if !provider::delete(tx, place).await? {
        return Err(Problem::not_found().into());
    }
    journal::record(tx, &caller.origin, entry(place, Action::SsoDeleted)).await?;
    Ok(())
}

/// An event about a provider.
pub(super) fn entry(place: Place, action: Action) -> Entry {
    let target = Target::SsoProvider(place.id());
    match place {
        Place::Instance => Entry::of_instance(action, target),
        Place::Org(id) => Entry::in_org(id, action, target),
    }
}

async fn update(
    tx: &WriteTx,
    keys: &KeyStore,
    egress: &EgressPolicy,
    place: Place,
    origin: &Origin,
    patch: ProviderPatch,
) -> Result<Provider> {
    let before = or_unset(tx, place).await?;
    let (after, secret) = changed(egress, &before, patch)?;
    check_whole(&after, &before, secret.as_ref())?;
    let sealed = match secret {
        None => before.sealed_secret.clone(),
        Some(secret) if secret.expose().is_empty() => None,
        Some(secret) => Some(place.seal(tx, keys, &secret).await?),
    };
    let after = Provider {
        sealed_secret: sealed,
        updated_at: Some(tx.now()),
        ..after
    };
    store(tx, &after, before.updated_at.is_none()).await?;
    let entry = entry(place, Action::SsoUpdated)
        .with("enabled", after.enabled)
        .with("issuer", after.issuer.clone())
        .with("changed", differences(&before, &after));
    journal::record(tx, origin, entry).await?;
    Ok(after)
}

/// What of a provider is another now. That of the secret is told and never the secret.
fn differences(before: &Provider, after: &Provider) -> Vec<&'static str> {
    let all = [
        ("name", before.name != after.name),
        ("enabled", before.enabled != after.enabled),
        ("issuer", before.issuer != after.issuer),
        ("client_id", before.client_id != after.client_id),
        ("client_secret", before.sealed_secret != after.sealed_secret),
        ("endpoints", before.endpoints() != after.endpoints()),
        ("scopes", before.scopes != after.scopes),
        (
            "create_unknown_user",
            before.create_unknown_user != after.create_unknown_user,
        ),
        ("allowed_domains", before.allowed_domains != after.allowed_domains),
    ];
    all.into_iter()
        .filter_map(|(name, differs)| differs.then_some(name))
        .collect()
}

impl Provider {
    fn endpoints(&self) -> (bool, [Option<&str>; 5]) {
        let named = [
            self.authorization_endpoint.as_deref(),
            self.token_endpoint.as_deref(),
            self.userinfo_endpoint.as_deref(),
            self.jwks_uri.as_deref(),
            self.end_session_endpoint.as_deref(),
        ];
        (self.discovery, named)
    }
}

fn url(egress: &EgressPolicy, field: &'static str, text: &str) -> Result<String> {
    egress
        .check_url(text)
        .map_err(|refused| Problem::field(field, refused.as_str(), refused.to_string()))?;
    // Kept as it was written: an issuer is compared letter by letter.
    Ok(text.to_owned())
}

/// An endpoint after a change.
fn endpoint(
    egress: &EgressPolicy,
    field: &'static str,
    before: Option<&String>,
    to: Option<String>,
) -> Result<Option<String>> {
    match to {
        None => Ok(before.cloned()),
        Some(text) if text.is_empty() => Ok(None),
        Some(text) => url(egress, field, &text).map(Some),
    }
}

fn changed(
    egress: &EgressPolicy,
    before: &Provider,
    patch: ProviderPatch,
) -> Result<(Provider, Option<Secret<String>>)> {
    let ProviderPatch {
        name,
        enabled,
        issuer,
        client_id,
        client_secret,
        discovery,
        authorization_endpoint,
        token_endpoint,
        userinfo_endpoint,
        jwks_uri,
        end_session_endpoint,
        scopes,
        create_unknown_user,
        allowed_domains,
    } = patch;
    let mut after = before.clone();
    if let Some(name) = name {
        after.name = text::short("name", name.trim(), text::MAX_NAME_LEN)?;
    }
    if let Some(issuer) = issuer {
        after.issuer = if issuer.is_empty() {
            issuer
        } else {
            url(egress, "issuer", &issuer)?
        };
    }
    if let Some(id) = client_id {
        after.client_id = text::short("client_id", &id, MAX_TEXT)?;
    }
    if let Some(secret) = &client_secret {
        text::short("client_secret", secret.expose(), MAX_TEXT)?;
    }
    let new = |field, before: &Option<String>, to| endpoint(egress, field, before.as_ref(), to);
    after.authorization_endpoint = new(
        "authorization_endpoint",
        &before.authorization_endpoint,
        authorization_endpoint,
    )?;
    after.token_endpoint = new("token_endpoint", &before.token_endpoint, token_endpoint)?;
    after.userinfo_endpoint = new("userinfo_endpoint", &before.userinfo_endpoint, userinfo_endpoint)?;
    after.jwks_uri = new("jwks_uri", &before.jwks_uri, jwks_uri)?;
    after.end_session_endpoint = new(
        "end_session_endpoint",
        &before.end_session_endpoint,
        end_session_endpoint,
    )?;
    if let Some(scopes) = scopes {
        after.scopes = checked_scopes(&scopes)?;
    }
    if let Some(domains) = allowed_domains {
        after.allowed_domains = checked_domains(&domains)?;
    }
    after.enabled = enabled.unwrap_or(before.enabled);
    after.discovery = discovery.unwrap_or(before.discovery);
    after.create_unknown_user = create_unknown_user.unwrap_or(before.create_unknown_user);
    Ok((after, client_secret))
}

fn checked_scopes(scopes: &str) -> Result<String> {
    let scopes = text::short("scopes", scopes.trim(), MAX_TEXT)?;
    let words: Vec<_> = scopes.split_whitespace().collect();
    if words.contains(&"openid") {
        return Ok(words.join(" "));
    }
    Err(Problem::field("scopes", "required", "must have the word openid").into())
}

fn checked_domains(list: &[String]) -> Result<Vec<String>> {
    if list.len() > MAX_DOMAINS {
        let message = format!("must be at most {MAX_DOMAINS}");
        return Err(Problem::field("allowed_domains", "too_many", message).into());
    }
    let mut domains = Vec::with_capacity(list.len());
    for (index, domain) in list.iter().enumerate() {
        let domain = domain.trim().to_ascii_lowercase();
        if text::email("domain", &format!("x@{domain}")).is_err() {
            let field = format!("allowed_domains[{index}]");
            return Err(Problem::field(field, "format", "must be a domain such as example.com").into());
        }
        if !domains.contains(&domain) {
            domains.push(domain);
        }
    }
    Ok(domains)
}

/// A provider that is on must be whole. A secret goes to no other place than the one that it was given for: whoever may
/// change where it is sent need not be who may know it.
fn check_whole(after: &Provider, before: &Provider, secret: Option<&Secret<String>>) -> Result<()> {
    let goes_elsewhere = before.issuer != after.issuer || before.endpoints() != after.endpoints();
    if goes_elsewhere && before.has_secret() && secret.is_none() {
        let message = "must be sent again, or emptied, when the issuer or an endpoint changes";
        return Err(Problem::field("client_secret", "required", message).into());
    }
    if !after.enabled {
        return Ok(());
    }
    let wanted = [
        ("issuer", after.issuer.is_empty(), true),
        ("client_id", after.client_id.is_empty(), true),
        (
            "authorization_endpoint",
            after.authorization_endpoint.is_none(),
            !after.discovery,
        ),
        ("token_endpoint", after.token_endpoint.is_none(), !after.discovery),
        ("jwks_uri", after.jwks_uri.is_none(), !after.discovery),
    ];
    match wanted
        .into_iter()
        .find(|(_, is_missing, is_wanted)| *is_missing && *is_wanted)
    {
        None => Ok(()),
        Some((field, _, _)) => Err(Problem::field(field, "required", "is needed before it can be switched on").into()),
    }
}

async fn store(tx: &WriteTx, provider: &Provider, is_new: bool) -> Result<()> {
    let Provider {
        place,
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
        updated_at: _,
    } = provider.clone();
    let domains = serde_json::to_string(&allowed_domains).map_err(|e| Error::internal(format!("domains: {e}")))?;
    let mut row = table::ActiveModel {
        id: Set(place.id()),
        org_id: Set(place.org()),
        name: Set(name),
        enabled: Set(enabled),
        issuer: Set(issuer),
        client_id: Set(client_id),
        sealed_secret: Set(sealed_secret),
        discovery: Set(discovery),
        authorization_endpoint: Set(authorization_endpoint),
        token_endpoint: Set(token_endpoint),
        userinfo_endpoint: Set(userinfo_endpoint),
        jwks_uri: Set(jwks_uri),
        end_session_endpoint: Set(end_session_endpoint),
        scopes: Set(scopes),
        create_unknown_user: Set(create_unknown_user),
        allowed_domains: Set(domains),
        updated_at: Set(tx.now()),
        ..Default::default()
    };
    if is_new {
        row.created_at = Set(tx.now());
        table::Entity::insert(row).exec_without_returning(tx.conn()).await?;
    } else {
        table::Entity::update(row).exec(tx.conn()).await?;
    }
    Ok(())
}

//! The token endpoint: one grant for tokens. There is no password grant, and there will be none.

use super::code::Used;
use super::party::Party;
use super::refusal::{Outcome, Refusal, RefusalCode};
use super::scopes::Word;
use super::tokens::{self, Access, NewAccess, Source};
use super::{Client, GrantType, Issued, Minter, Scopes, code, device, grant, pkce, refresh};
use crate::access::{Caller, GrantSet, Origin};
use crate::auth::oauth_token::Holder;
use crate::auth::{account, service_key};
use crate::crypto::token::{Token, TokenKind};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{OrgId, ServiceAccountId};
use crate::kernel::{Error, WriteTx};
use crate::signing::Alg;

/// A token request.
#[derive(Default)]
pub struct TokenForm {
    pub grant_type: Option<String>,
    pub code: Option<String>,
    pub redirect_uri: Option<String>,
    pub code_verifier: Option<String>,
    pub refresh_token: Option<String>,
    pub device_code: Option<String>,
    pub scope: Option<String>,
    pub resource: Option<String>,
}

/// What a token request came to. All three are to be committed.
pub enum Exchanged {
    Tokens(Box<Issued>),
    /// Refused, and something was ended for it, which is journaled.
    Ended(Refusal),
    /// Refused, and that was noted; it is no event.
    Noted(Refusal),
}

fn missing(description: &'static str) -> Refusal {
    Refusal::request(description)
}

/// Trades what the request shows for tokens.
///
/// # Errors
/// Refusals of RFC 6749 §5.2; nothing is to be committed then.
pub async fn exchange(
    tx: &WriteTx,
    minter: &Minter<'_>,
    party: &Party,
    form: &TokenForm,
    origin: &Origin,
) -> Outcome<Exchanged> {
    let text = form
        .grant_type
        .as_deref()
        .ok_or_else(|| missing("grant_type is missing."))?;
    let wanted = GrantType::parse(text).ok_or_else(|| {
        let detail = "grant_type must be authorization_code, refresh_token, client_credentials or \
                      urn:ietf:params:oauth:grant-type:device_code.";
        Refusal::new(RefusalCode::UnsupportedGrantType, detail)
    })?;
    let is_elsewhere = |resource: &str| resource.trim_end_matches('/') != minter.issuer;
    if form.resource.as_deref().is_some_and(is_elsewhere) {
        return Err(Refusal::new(RefusalCode::InvalidTarget, "The only resource is this instance.").into());
    }
    if let (GrantType::ClientCredentials, Party::Account(id, caller)) = (wanted, party) {
        return Box::pin(of_account(tx, minter, *id, caller, form, origin)).await;
    }
    let client = party.client()?;
    if !client.may(wanted) {
        let detail = "The client was not registered for this grant.";
        return Err(Refusal::new(RefusalCode::UnauthorizedClient, detail).into());
    }
    match wanted {
        GrantType::AuthorizationCode => Box::pin(of_code(tx, minter, client, form, origin)).await,
        GrantType::RefreshToken => {
            let token = form.refresh_token.as_deref();
            let token = token.ok_or_else(|| missing("refresh_token is missing."))?;
            Box::pin(refresh::trade(tx, minter, client, token, form.scope.as_deref(), origin)).await
        }
        GrantType::ClientCredentials => Box::pin(of_client(tx, minter, client, form, origin)).await,
        GrantType::DeviceCode => {
            let code = form.device_code.as_deref();
            let code = code.ok_or_else(|| missing("device_code is missing."))?;
            Box::pin(device::trade(tx, minter, client, code, origin)).await
        }
    }
}

async fn of_code(
    tx: &WriteTx,
    minter: &Minter<'_>,
    client: &Client,
    form: &TokenForm,
    origin: &Origin,
) -> Outcome<Exchanged> {
    let refused =
        || Refusal::grant("The code is unknown, expired or used, or redirect_uri or code_verifier do not fit it.");
    let text = form.code.as_deref().ok_or_else(|| missing("code is missing."))?;
    let verifier = form.code_verifier.as_deref();
    let verifier = verifier.ok_or_else(|| missing("code_verifier is missing."))?;
    let used = code::consume(tx, minter.keys.token_mac(), text).await?;
    let shown = match used.ok_or_else(refused)? {
        Used::Now(shown) => shown,
        Used::Before(shown) => {
            let grant = grant::hold(tx, shown.grant_id).await?;
            let grant = grant.filter(|_| shown.client_id == client.id).ok_or_else(refused)?;
            return refresh::end(tx, &grant, client, origin).await;
        }
    };
    // From here on the code is used up, whatever else is wrong: nobody tries twice.
    let fits = shown.client_id == client.id
        && form.redirect_uri.as_deref() == Some(shown.redirect_uri.as_str())
        && pkce::fits(verifier, &shown.code_challenge);
    let grant = grant::hold(tx, shown.grant_id).await?;
    let (true, Some(grant)) = (fits, grant) else {
        return Ok(Exchanged::Noted(refused()));
    };
    issue(tx, minter, client, &grant, origin).await
}

/// The first tokens of a consent, which is held: see [`grant::hold`].
pub(super) async fn issue(
    tx: &WriteTx,
    minter: &Minter<'_>,
    client: &Client,
    grant: &grant::Grant,
    origin: &Origin,
) -> Outcome<Exchanged> {
    let account = account::get(tx, grant.user).await?;
    let origin = origin.clone().by_user(account.id, &account.email);
    let refresh = if tokens::goes_on(client, grant) {
        let token = Token::generate(tx.rng(), TokenKind::ClientRefresh)?;
        minter.refresh(tx, client, grant, &token, &origin).await?;
        Some(token)
    } else {
        None
    };
    let issued = minter.of_grant(tx, client, grant, &grant.scopes, refresh, &origin);
    let issued = issued.await?;
    let entry = Entry::of_account(grant.user, Action::OAuthTokensIssued, Target::OAuthGrant(grant.id))
        .with("client_id", client.client_id())
        .with("scopes", grant.scopes.to_list());
    journal::record(tx, &origin, entry).await?;
    Ok(Exchanged::Tokens(Box::new(issued)))
}

/// The permissions that are asked for without a person: words of OpenID Connect are about one.
fn permissions(form: &TokenForm) -> Result<Option<Scopes>, Refusal> {
    let Some(text) = form.scope.as_deref().filter(|text| !text.trim().is_empty()) else {
        return Ok(None);
    };
    let scopes = Scopes::parse(text)?;
    if Word::ALL.into_iter().any(|word| scopes.has(word)) {
        let detail = "Without a person there are no scopes of OpenID Connect: ask for permissions.";
        return Err(Refusal::new(RefusalCode::InvalidScope, detail));
    }
    Ok(Some(scopes))
}

fn alone(access: Access, scope: String, org: Option<OrgId>) -> Exchanged {
    let Access { token, expires_in } = access;
    Exchanged::Tokens(Box::new(Issued {
        access_token: token,
        expires_in,
        refresh_token: None,
        id_token: None,
        scope,
        org,
    }))
}

/// A service account gets a token that lives for minutes instead of its key, and not longer than that. It narrows further if
/// it is asked to.
async fn of_account(
    tx: &WriteTx,
    minter: &Minter<'_>,
    id: ServiceAccountId,
    caller: &Caller,
    form: &TokenForm,
    origin: &Origin,
) -> Outcome<Exchanged> {
    let scopes = permissions(form)?;
    let org = caller.actor.ceiling.org;
    let org = org.ok_or_else(|| Error::internal("a service account without an organisation"))?;
    let key = service_key::tradable(tx, caller.credential).await?.ok_or_else(|| {
        let detail = "This is no key but a token that was traded for something. Use it as it is.";
        Refusal::new(RefusalCode::UnauthorizedClient, detail)
    })?;
    let client_id = id.to_string();
    let access = NewAccess {
        holder: Holder::ServiceAccount(id),
        client_id: &client_id,
        alg: Alg::Rs256,
        grants: scopes.as_ref().and_then(Scopes::grants),
        scope: scopes.as_ref().map(ToString::to_string).unwrap_or_default(),
        org: Some(org),
        source: Source::Key(key),
    };
    let token = minter.access(tx, &access, origin).await?;
    let entry = Entry::in_org(org, Action::OAuthTokensIssued, Target::ServiceAccount(id))
        .with("scopes", scopes.as_ref().map(Scopes::to_list));
    journal::record(tx, &caller.origin, entry).await?;
    Ok(alone(token, access.scope, Some(org)))
}

/// A client gets a token that says who it is. Here it opens nothing.
async fn of_client(
    tx: &WriteTx,
    minter: &Minter<'_>,
    client: &Client,
    form: &TokenForm,
    origin: &Origin,
) -> Outcome<Exchanged> {
    let scopes = permissions(form)?.unwrap_or_default();
    if !scopes.are_within(&client.scopes) {
        let detail = "The client was not registered for all of these scopes.";
        return Err(Refusal::new(RefusalCode::InvalidScope, detail).into());
    }
    let owner = client.owner.ok_or_else(|| Error::internal("a client of nobody's"))?;
    let client_id = client.client_id();
    let access = NewAccess {
        holder: Holder::Client(client.id),
        client_id: &client_id,
        alg: client.signing_alg,
        grants: Some(&GrantSet::EMPTY),
        scope: scopes.to_string(),
        org: None,
        source: Source::Client,
    };
    let token = minter.access(tx, &access, origin).await?;
    let entry = Entry::of_account(owner, Action::OAuthTokensIssued, Target::OAuthClient(client.id))
        .with("client_id", client_id.clone())
        .with("scopes", scopes.to_list());
    journal::record(tx, origin, entry).await?;
    Ok(alone(token, access.scope, None))
}

//! A client sends a person's browser to be asked, and gets a code back.
//!
//! Whatever is wrong with client or address is told to the person and nobody else: an answer that went to an address
//! that was not registered would be a gift to whoever wrote the link. Everything else goes back to the client.

use std::time::Duration;

use super::grant::{self, Grant};
use super::refusal::{Failure, Outcome, Refusal, RefusalCode};
use super::scopes::Word;
use super::{Client, GrantType, Scopes, client, code, pkce, redirect};
use crate::access::Caller;
use crate::auth::account::{self, OwnOrg};
use crate::auth::sessions;
use crate::crypto::token::{Token, TokenMacKey};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::OrgId;
use crate::kernel::{Error, Reads, Timestamp, WriteTx};

/// Longest state and nonce, bytes: they are the client's, and are stored or sent back.
const MAX_OPAQUE: usize = 2000;

/// A sign-in is fresh for this long, whatever `max_age` says: with `max_age=0` nobody would ever come through.
const SIGN_IN_GRACE: Duration = Duration::from_secs(30);

/// What a client asks, as it came.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub client_id: Option<String>,
    pub redirect_uri: Option<String>,
    pub response_type: Option<String>,
    pub response_mode: Option<String>,
    pub scope: Option<String>,
    pub state: Option<String>,
    pub code_challenge: Option<String>,
    pub code_challenge_method: Option<String>,
    pub nonce: Option<String>,
    pub prompt: Option<String>,
    pub max_age: Option<String>,
    pub resource: Option<String>,
    /// Id or slug of the organisation to begin with in the choice.
    pub organization: Option<String>,
    pub has_request: bool,
    pub has_request_uri: bool,
}

/// What the client wants done about the person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// Nothing may be shown.
    pub is_none: bool,
    /// The person must sign in again.
    pub wants_login: bool,
    /// The person must be asked, also if they were before.
    pub wants_consent: bool,
}

/// A request that can be put to a person.
#[derive(Clone, Debug)]
pub struct Request {
    pub client: Client,
    pub redirect_uri: String,
    pub state: Option<String>,
    pub scopes: Scopes,
    pub challenge: String,
    pub nonce: Option<String>,
    pub prompt: Prompt,
    pub max_age: Option<Duration>,
    pub organization: Option<String>,
}

/// Why a request is not put to anybody.
#[derive(Debug)]
pub enum Rejected {
    /// Tell the person: nothing may be sent anywhere.
    Shown(Refusal),
    /// Tell the client, there.
    Sent {
        redirect_uri: String,
        state: Option<String>,
        refusal: Refusal,
    },
    Fault(Error),
}

impl From<Error> for Rejected {
    fn from(error: Error) -> Self {
        Self::Fault(error)
    }
}

fn shown(description: &'static str) -> Rejected {
    Rejected::Shown(Refusal::request(description))
}

/// Looks at a request.
///
/// # Errors
/// [`Rejected`], which says whom to tell.
pub async fn check(from: &impl Reads, issuer: &str, asked: Asked) -> Result<Request, Rejected> {
    let client_id = asked.client_id.as_deref().unwrap_or_default();
    let client = client::find(from, client_id).await?;
    let client = client.ok_or_else(|| shown("The application is not known here, or was switched off."))?;
    let Some(redirect_uri) = asked.redirect_uri.clone() else {
        return Err(shown("The application did not say where to go back to."));
    };
    if !redirect::is_registered(&client.redirect_uris, &redirect_uri, client.is_confidential) {
        return Err(shown(
            "The application wants to go back to an address that was not registered for it. Somebody may be trying to \
             mislead you.",
        ));
    }
    let state = asked.state.clone().filter(|state| state.len() <= MAX_OPAQUE);
    match rest(issuer, client, &redirect_uri, asked) {
        Ok(request) => Ok(request),
        Err(refusal) => Err(Rejected::Sent {
            redirect_uri,
            state,
            refusal,
        }),
    }
}

/// All that client and address have nothing to do with.
fn rest(issuer: &str, client: Client, redirect_uri: &str, asked: Asked) -> Result<Request, Refusal> {
    use RefusalCode::{
        InvalidScope, InvalidTarget, RequestNotSupported, RequestUriNotSupported, UnauthorizedClient,
        UnsupportedResponseType,
    };
    if asked.has_request {
        return Err(Refusal::new(RequestNotSupported, "Send the parameters themselves."));
    }
    if asked.has_request_uri {
        return Err(Refusal::new(RequestUriNotSupported, "Send the parameters themselves."));
    }
    match asked.response_type.as_deref() {
        Some("code") => {}
        Some(_) => return Err(Refusal::new(UnsupportedResponseType, "response_type must be `code`.")),
        None => return Err(Refusal::request("response_type is missing: it must be `code`.")),
    }
    if asked.response_mode.as_deref().is_some_and(|mode| mode != "query") {
        return Err(Refusal::request("response_mode must be `query`."));
    }
    if !client.may(GrantType::AuthorizationCode) {
        return Err(Refusal::new(
            UnauthorizedClient,
            "The client may not use the authorization code grant.",
        ));
    }
    // A client that asks for a code without PKCE is answered alike, whatever it is.
    let challenge = asked.code_challenge.unwrap_or_default();
    if asked.code_challenge_method.as_deref() != Some("S256") || !pkce::is_challenge(&challenge) {
        return Err(Refusal::request(
            "Every client must use PKCE: send code_challenge with code_challenge_method S256.",
        ));
    }
    let is_long = |text: &Option<String>| text.as_ref().is_some_and(|text| text.len() > MAX_OPAQUE);
    if is_long(&asked.state) || is_long(&asked.nonce) {
        return Err(Refusal::request("state and nonce have at most 2000 bytes."));
    }
    if asked
        .resource
        .as_deref()
        .is_some_and(|resource| resource.trim_end_matches('/') != issuer)
    {
        return Err(Refusal::new(InvalidTarget, "The only resource is this instance."));
    }
    let scopes = Scopes::parse(asked.scope.as_deref().unwrap_or_default())?;
    if scopes.is_empty() {
        return Err(Refusal::new(
            InvalidScope,
            "Ask for at least one scope, such as openid.",
        ));
    }
    if !scopes.are_within(&client.scopes) {
        return Err(Refusal::new(
            InvalidScope,
            "The client was not registered for all of these scopes.",
        ));
    }
    Ok(Request {
        prompt: prompt(asked.prompt.as_deref().unwrap_or_default())?,
        max_age: asked.max_age.as_deref().map(max_age).transpose()?,
        client,
        redirect_uri: redirect_uri.to_owned(),
        state: asked.state,
        scopes,
        challenge,
        nonce: asked.nonce,
        organization: asked.organization,
    })
}

fn prompt(text: &str) -> Result<Prompt, Refusal> {
    let mut prompt = Prompt::default();
    let words: Vec<_> = text.split(' ').filter(|word| !word.is_empty()).collect();
    for word in &words {
        match *word {
            "none" => prompt.is_none = true,
            "login" => prompt.wants_login = true,
            "consent" => prompt.wants_consent = true,
            // Whoever is signed in is shown with a way to be somebody else.
            "select_account" => {}
            _ => {
                return Err(Refusal::request(
                    "prompt must be none, login, consent or select_account.",
                ));
            }
        }
    }
    if prompt.is_none && words.len() > 1 {
        return Err(Refusal::request("prompt `none` goes with no other."));
    }
    Ok(prompt)
}

fn max_age(text: &str) -> Result<Duration, Refusal> {
    let seconds: u32 = text
        .parse()
        .map_err(|_| Refusal::request("max_age must be a number of seconds."))?;
    Ok(Duration::from_secs(seconds.into()))
}

impl Request {
    /// Whether the sign-in of that time will do.
    pub fn takes_sign_in_of(&self, auth_time: Option<Timestamp>, now: Timestamp) -> bool {
        self.max_age
            .is_none_or(|age| auth_time.is_some_and(|at| now.since(at) <= age.max(SIGN_IN_GRACE)))
    }

    /// The refusal of this request, as it goes back to its client.
    pub fn refused(&self, code: RefusalCode, description: &'static str) -> Rejected {
        Rejected::Sent {
            redirect_uri: self.redirect_uri.clone(),
            state: self.state.clone(),
            refusal: Refusal::new(code, description),
        }
    }

    /// The organisations to choose from, the one that the client named first; empty when nothing of any is asked for.
    ///
    /// # Errors
    /// [`Error::Db`].
    pub async fn organisations(&self, from: &impl Reads, caller: &Caller) -> Result<Vec<OwnOrg>, Error> {
        if !self.scopes.reaches_organisations() {
            return Ok(Vec::new());
        }
        let mut orgs = account::orgs(from, caller.session_user()?).await?;
        let is_named = |org: &OwnOrg| self.organization.as_deref().is_some_and(|name| is_called(org, name));
        orgs.sort_by_key(|org| !is_named(org));
        Ok(orgs)
    }

    /// The consent to all this that the person has given before, if it holds.
    ///
    /// # Errors
    /// [`Error::Db`].
    pub async fn known_consent(
        &self,
        from: &impl Reads,
        caller: &Caller,
        orgs: &[OwnOrg],
    ) -> Result<Option<Consent>, Error> {
        let user = caller.session_user()?;
        // Any program on the machine can pose as a client without a secret. Source: RFC 8252, 8.6.
        if !self.client.is_confidential && !self.redirect_uri.starts_with("https://") {
            return Ok(None);
        }
        // A choice of several is made anew each time, unless the client has made it.
        let org = match orgs {
            [] => None,
            [first, ..] if self.organization.as_deref().is_some_and(|name| is_called(first, name)) => Some(first.id),
            [_, ..] => return Ok(None),
        };
        let is_known = grant::is_known(from, &self.client, user, org, &self.scopes).await?;
        Ok(is_known.then_some(Consent { org }))
    }
}

/// What a person agreed to, beside the scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consent {
    /// The one organisation that it is for; `None` = all of theirs.
    pub org: Option<OrgId>,
}

fn is_called(org: &OwnOrg, name: &str) -> bool {
    name.parse::<OrgId>().map_or(org.slug == name, |id| org.id == id)
}

/// The organisation that a person chose; `None` for all of theirs.
///
/// # Errors
/// A refusal for one that they are not in.
pub async fn chosen(from: &impl Reads, caller: &Caller, name: Option<&str>) -> Outcome<Option<OrgId>> {
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    let orgs = account::orgs(from, caller.session_user()?).await?;
    let org = orgs.iter().find(|org| is_called(org, name));
    match org {
        Some(org) => Ok(Some(org.id)),
        None => Err(Failure::Refused(Refusal::request("That is no organisation of yours."))),
    }
}

/// Stores that the caller agreed, and makes the code.
///
/// # Errors
/// [`Error::Db`]; `unauthenticated` when the session has ended meanwhile; `session_required`.
pub async fn approve(
    tx: &WriteTx,
    macs: &TokenMacKey,
    caller: &Caller,
    request: &Request,
    org: Option<OrgId>,
) -> crate::kernel::Result<Token> {
    let caller = &sessions::hold(tx, caller).await?;
    let grant = of_session(tx, caller, &request.client, &request.scopes, org, request.nonce.clone()).await?;
    grant::insert(tx, &grant).await?;
    let client = request.client.id;
    let code = code::issue(tx, macs, grant.id, client, &request.redirect_uri, &request.challenge).await?;
    journal::record(tx, &caller.origin, granted(&grant, &request.client)).await?;
    Ok(code)
}

/// A consent of the caller's, given now, in a session that is held: see [`sessions::hold`].
pub(super) async fn of_session(
    tx: &WriteTx,
    caller: &Caller,
    client: &Client,
    scopes: &Scopes,
    org: Option<OrgId>,
    nonce: Option<String>,
) -> crate::kernel::Result<Grant> {
    Ok(Grant {
        id: tx.new_id()?,
        client: client.id,
        user: caller.session_user()?,
        org,
        scopes: scopes.clone(),
        nonce: nonce.filter(|_| scopes.has(Word::OpenId)),
        auth_time: caller.auth_time,
        amr: Some(sessions::methods(tx, caller).await?.to_column()?),
        created_at: tx.now(),
        ends_at: tx.now() + grant::TTL,
        revoked_at: None,
    })
}

pub(super) fn granted(grant: &Grant, client: &Client) -> Entry {
    let org = grant.org.map(|org| org.to_string());
    Entry::of_account(grant.user, Action::OAuthGranted, Target::OAuthGrant(grant.id))
        .with("client_id", client.client_id())
        .with("client", client.name.clone())
        .with("scopes", grant.scopes.to_list())
        .with("org_id", org)
}

/// Stores that the caller refused.
///
/// # Errors
/// [`Error::Db`], `session_required`.
pub async fn deny(tx: &WriteTx, caller: &Caller, client: &Client) -> crate::kernel::Result<()> {
    let user = caller.session_user()?;
    let entry = Entry::of_account(user, Action::OAuthDenied, Target::OAuthClient(client.id))
        .with("client_id", client.client_id())
        .with("client", client.name.clone());
    journal::record(tx, &caller.origin, entry).await?;
    Ok(())
}

//! Identity providers as the API shows them.

use domain::kernel::Secret;
use domain::sso::attempt::callback;
use domain::sso::identity::Own;
use domain::sso::probe::{Report, Trial};
use domain::sso::provider::Provider;
use domain::sso::settings::ProviderPatch;
use poem_openapi::{Enum, Object};

use crate::http::time::Time;

/// What stands for a secret that is there. Sent back it changes nothing.
const MASK: &str = "********";

/// How single sign-on is set up.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct SsoSettings {
    /// How the provider is named in paths: `instance`, or the id of its organisation.
    pub provider: String,
    /// Whether people can sign in with it.
    pub enabled: bool,
    /// Its name for people; may be empty.
    pub name: String,
    /// Who it is: an address, letter by letter as its tokens say it. Empty while nothing is set up.
    pub issuer: String,
    /// Who we are to it.
    pub client_id: String,
    /// `********` if there is one. The secret itself is never shown.
    pub client_secret: Option<String>,
    /// Whether it is asked where its endpoints are.
    pub discovery: bool,
    /// Instead of what it says itself.
    pub authorization_endpoint: Option<String>,
    /// Instead of what it says itself.
    pub token_endpoint: Option<String>,
    /// Instead of what it says itself.
    pub userinfo_endpoint: Option<String>,
    /// Where its keys are, instead of what it says itself.
    pub jwks_uri: Option<String>,
    /// Where its own session is ended, instead of what it says itself.
    pub end_session_endpoint: Option<String>,
    /// Words with blanks between.
    pub scopes: String,
    /// Whether people without an account get one.
    pub create_unknown_user: bool,
    /// Domains of the verified addresses that may sign in; empty: all.
    pub allowed_domains: Vec<String>,
    /// The address that the provider must send people back to; register it there.
    pub redirect_uri: String,
    /// When it last changed; absent if it was never set up.
    pub updated_at: Option<Time>,
}

impl SsoSettings {
    pub fn new(provider: &Provider, base: &str) -> Self {
        Self {
            provider: provider.place.name(),
            enabled: provider.enabled,
            name: provider.name.clone(),
            issuer: provider.issuer.clone(),
            client_id: provider.client_id.clone(),
            client_secret: provider.has_secret().then(|| MASK.to_owned()),
            discovery: provider.discovery,
            authorization_endpoint: provider.authorization_endpoint.clone(),
            token_endpoint: provider.token_endpoint.clone(),
            userinfo_endpoint: provider.userinfo_endpoint.clone(),
            jwks_uri: provider.jwks_uri.clone(),
            end_session_endpoint: provider.end_session_endpoint.clone(),
            scopes: provider.scopes.clone(),
            create_unknown_user: provider.create_unknown_user,
            allowed_domains: provider.allowed_domains.clone(),
            redirect_uri: callback(base, provider.place),
            updated_at: provider.updated_at.map(Into::into),
        }
    }
}

/// Changes to how single sign-on is set up; what is absent stays. An empty text takes an endpoint or the secret away.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct SsoSettingsPatch {
    /// Its name for people, up to 200 characters.
    pub name: Option<String>,
    /// Whether people can sign in with it; needs an issuer and a client id, and without discovery the endpoints.
    pub enabled: Option<bool>,
    /// Who it is: an address, letter by letter as its tokens say it.
    pub issuer: Option<String>,
    /// Who we are to it, up to 500 characters.
    pub client_id: Option<String>,
    /// What we prove it with, up to 500 characters; `********` leaves it. Send it again whenever the issuer or an
    /// endpoint changes.
    #[oai(write_only)]
    pub client_secret: Option<String>,
    /// Whether it is asked where its endpoints are.
    pub discovery: Option<bool>,
    /// Instead of what it says itself.
    pub authorization_endpoint: Option<String>,
    /// Instead of what it says itself.
    pub token_endpoint: Option<String>,
    /// Instead of what it says itself.
    pub userinfo_endpoint: Option<String>,
    /// Where its keys are, instead of what it says itself.
    pub jwks_uri: Option<String>,
    /// Where its own session is ended, instead of what it says itself.
    pub end_session_endpoint: Option<String>,
    /// Words with blanks between, `openid` among them.
    pub scopes: Option<String>,
    /// Whether people without an account get one.
    pub create_unknown_user: Option<bool>,
    /// Domains of the verified addresses that may sign in, at most 50; empty: all.
    pub allowed_domains: Option<Vec<String>>,
}

impl From<SsoSettingsPatch> for ProviderPatch {
    fn from(patch: SsoSettingsPatch) -> Self {
        let SsoSettingsPatch {
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
        Self {
            name,
            enabled,
            issuer,
            client_id,
            client_secret: client_secret.filter(|secret| secret != MASK).map(Secret::new),
            discovery,
            authorization_endpoint,
            token_endpoint,
            userinfo_endpoint,
            jwks_uri,
            end_session_endpoint,
            scopes,
            create_unknown_user,
            allowed_domains,
        }
    }
}

/// What to look at.
#[derive(Object, Default)]
#[oai(deny_unknown_fields)]
pub struct SsoTest {
    /// Whether to begin a sign-in too. Nobody is signed in by it: open its `login_url` in the same browser, and where you
    /// come back to tells what would have happened.
    #[oai(default)]
    pub login: bool,
}

/// What of a provider can be reached.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what the API shows, each a question of its own"
)]
pub struct SsoReport {
    /// Whether all is well.
    pub reachable: bool,
    /// Where the provider says what it is like, if it is asked.
    pub discovery_url: Option<String>,
    /// Whether it answers.
    pub authorization_endpoint: bool,
    /// Whether it answers.
    pub token_endpoint: bool,
    /// Whether it answers; absent if there is none.
    pub userinfo_endpoint: Option<bool>,
    /// Whether it publishes keys of RS256, ES256 or EdDSA.
    pub keys: bool,
    /// For people: what is wrong.
    pub errors: Vec<String>,
    /// Where a test of a sign-in begins, if one was asked for and all is well.
    pub login_url: Option<String>,
}

impl SsoReport {
    pub fn new(report: &Report, login_url: Option<String>) -> Self {
        Self {
            reachable: report.is_reachable(),
            discovery_url: report.discovery_url.clone(),
            authorization_endpoint: report.authorization_endpoint,
            token_endpoint: report.token_endpoint,
            userinfo_endpoint: report.userinfo_endpoint,
            keys: report.keys,
            errors: report.errors.clone(),
            login_url,
        }
    }
}

/// What a sign-in would come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum SsoOutcome {
    /// It would sign in to the account that the identity belongs to.
    Known,
    /// It would be joined with an account that is there.
    Joins,
    /// An account would be made.
    Makes,
    /// Nobody would be let in.
    Refused,
}

/// What the test of a sign-in came to. Nobody was signed in.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct SsoTrial {
    /// Whether it would sign in.
    pub ok: bool,
    /// Who the provider says it is.
    pub subject: Option<String>,
    /// The address that the provider gives.
    pub email: Option<String>,
    /// Whether the provider says that it has verified that address.
    pub email_verified: bool,
    /// Absent when what the provider said is not taken.
    pub outcome: Option<SsoOutcome>,
    /// For people: why not.
    pub error: Option<String>,
}

impl From<Trial> for SsoTrial {
    fn from(trial: Trial) -> Self {
        let Trial {
            is_ok,
            subject,
            email,
            email_verified,
            outcome,
            error,
        } = trial;
        let outcome = outcome.map(|word| match word {
            "known" => SsoOutcome::Known,
            "joins" => SsoOutcome::Joins,
            "makes" => SsoOutcome::Makes,
            _ => SsoOutcome::Refused,
        });
        Self {
            ok: is_ok,
            subject,
            email,
            email_verified,
            outcome,
            error,
        }
    }
}

/// A provider that people can sign in with.
#[derive(Clone, Debug, Object)]
pub struct SsoProvider {
    /// How it is named in paths: `instance`, or the id of its organisation.
    pub provider: String,
    /// Its name for people; may be empty.
    pub name: String,
    /// Where a browser begins: a path of this instance.
    pub start_path: String,
}

impl From<Provider> for SsoProvider {
    fn from(provider: Provider) -> Self {
        let place = provider.place.name();
        Self {
            start_path: format!("/v1/auth/sso/{place}/start"),
            provider: place,
            name: provider.name,
        }
    }
}

/// What people can sign in with.
#[derive(Clone, Debug, Object)]
pub struct SsoProviders {
    /// Whether there is any.
    pub enabled: bool,
    /// The instance's first, then that of the organisation that was named.
    pub providers: Vec<SsoProvider>,
}

/// Where a browser goes.
#[derive(Clone, Debug, Object)]
pub struct SsoWay {
    /// The provider's address, for this browser alone: it was given a cookie that goes with it.
    pub authorization_url: String,
}

/// Where a browser goes after signing out.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct SsoLogout {
    /// Where the provider's own session is ended; absent if the session came from none, or the provider has no such
    /// place.
    pub logout_url: Option<String>,
}

/// Who an account is to an identity provider.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct SsoIdentity {
    /// Id of the identity: `idn_…`.
    pub id: String,
    /// The provider as paths name it: `instance`, or the id of its organisation.
    pub provider: String,
    /// Who the provider is.
    pub issuer: String,
    /// The address that the provider gave when the two were joined.
    pub email: Option<String>,
    /// When they were joined.
    pub created_at: Time,
    /// When it last signed in.
    pub last_used_at: Time,
}

impl From<Own> for SsoIdentity {
    fn from(own: Own) -> Self {
        let Own {
            id,
            place,
            issuer,
            email,
            created_at,
            last_used_at,
        } = own;
        Self {
            id: id.to_string(),
            provider: place.name(),
            issuer,
            email,
            created_at: created_at.into(),
            last_used_at: last_used_at.into(),
        }
    }
}

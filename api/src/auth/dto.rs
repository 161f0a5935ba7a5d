//! Accounts and tokens as the API shows them.

use domain::auth::account::{Account, OwnOrg};
use domain::auth::session::{SessionTokens, Transport as DomainTransport};
use domain::kernel::Timestamp;
use domain::orgs::organisation::Organisation;
use poem_openapi::{Enum, Object};

use crate::http::time::Time;

/// How the client carries its session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum Transport {
    /// In a cookie that scripts cannot read; for browsers.
    #[default]
    Cookie,
    /// In an access token with a refresh token; for programs.
    Bearer,
}

impl From<Transport> for DomainTransport {
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Cookie => Self::Cookie,
            Transport::Bearer => Self::Bearer,
        }
    }
}

impl From<DomainTransport> for Transport {
    fn from(transport: DomainTransport) -> Self {
        match transport {
            DomainTransport::Cookie => Self::Cookie,
            DomainTransport::Bearer => Self::Bearer,
        }
    }
}

/// Name and password.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct Credentials {
    /// The e-mail address or username.
    pub email: String,
    /// The password.
    #[oai(write_only)]
    pub password: String,
    /// How the client will carry its session.
    #[oai(default)]
    pub transport: Transport,
}

/// A person's account.
#[derive(Clone, Debug, Object)]
pub struct User {
    /// Id of the account: `usr_…`.
    pub id: String,
    /// The default address.
    pub email: String,
    /// Whether the address was proved to be the person's own.
    pub email_verified: bool,
    /// Empty if none was given.
    pub first_name: String,
    /// Empty if none was given.
    pub last_name: String,
    /// Whether the account administers this instance.
    pub is_superuser: bool,
    /// Whether it can sign in with a password.
    pub has_password: bool,
    /// When it was made.
    pub created_at: Time,
}

impl From<&Account> for User {
    fn from(account: &Account) -> Self {
        Self {
            id: account.id.to_string(),
            email: account.email.clone(),
            email_verified: account.email_verified_at.is_some(),
            first_name: account.first_name.clone(),
            last_name: account.last_name.clone(),
            is_superuser: account.is_superuser,
            has_password: account.has_password(),
            created_at: account.created_at.into(),
        }
    }
}

/// An organisation, in short.
#[derive(Clone, Debug, Object)]
pub struct OrgReference {
    /// Id of the organisation: `org_…`.
    pub id: String,
    /// Its name in paths.
    pub slug: String,
}

impl From<&Organisation> for OrgReference {
    fn from(org: &Organisation) -> Self {
        Self {
            id: org.id.to_string(),
            slug: org.slug.clone(),
        }
    }
}

/// A new session.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Session {
    /// Who signed in.
    pub user: User,
    /// The personal organisation, at registration.
    pub org: Option<OrgReference>,
    /// Bearer transport: send it as `Authorization: Bearer`.
    pub access_token: Option<String>,
    /// Bearer transport: always `Bearer`.
    pub token_type: Option<String>,
    /// Bearer transport: life of the access token, seconds.
    pub expires_in: Option<i64>,
    /// Bearer transport: trade it for new tokens before the access token ends. Each is good for one use.
    pub refresh_token: Option<String>,
}

impl Session {
    pub fn new(account: &Account, org: Option<&Organisation>, tokens: &SessionTokens, now: Timestamp) -> Self {
        let bearer = tokens.refresh.as_ref();
        Self {
            user: account.into(),
            org: org.map(Into::into),
            access_token: bearer.map(|_| tokens.access.expose().to_owned()),
            token_type: bearer.map(|_| "Bearer".to_owned()),
            expires_in: bearer.map(|_| tokens.expires_at.secs() - now.secs()),
            refresh_token: bearer.map(|token| token.expose().to_owned()),
        }
    }
}

/// A refresh token.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct RefreshRequest {
    /// The token of the last answer: `srm_ref_…`.
    #[oai(write_only)]
    pub refresh_token: String,
}

/// An organisation that the account belongs to.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct OwnOrganisation {
    /// Id of the organisation: `org_…`.
    pub id: String,
    /// Its name in paths.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// The account's role in it; absent for somebody who is in single projects only.
    pub role: Option<String>,
}

impl From<OwnOrg> for OwnOrganisation {
    fn from(org: OwnOrg) -> Self {
        let OwnOrg { id, slug, name, role } = org;
        Self {
            id: id.to_string(),
            slug,
            name,
            role,
        }
    }
}

/// The signed-in account.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what the API shows, each a question of its own"
)]
pub struct Me {
    /// Id of the account: `usr_…`.
    pub id: String,
    /// The default address.
    pub email: String,
    /// Whether the address was proved to be the person's own.
    pub email_verified: bool,
    /// Empty if none was given.
    pub first_name: String,
    /// Empty if none was given.
    pub last_name: String,
    /// A name to sign in with besides the address.
    pub username: Option<String>,
    /// Whether the account administers this instance.
    pub is_superuser: bool,
    /// Whether it can sign in with a password.
    pub has_password: bool,
    /// Whether this instance offers single sign-on.
    pub sso_enabled: bool,
    /// The organisations that the account belongs to.
    pub orgs: Vec<OwnOrganisation>,
    /// When it was made.
    pub created_at: Time,
}

impl Me {
    pub fn new(account: &Account, orgs: Vec<OwnOrg>, sso_enabled: bool) -> Self {
        let User {
            id,
            email,
            email_verified,
            first_name,
            last_name,
            is_superuser,
            has_password,
            created_at,
        } = account.into();
        let orgs = orgs.into_iter().map(Into::into).collect();
        Self {
            id,
            email,
            email_verified,
            first_name,
            last_name,
            username: account.username.clone(),
            is_superuser,
            has_password,
            sso_enabled,
            orgs,
            created_at,
        }
    }
}

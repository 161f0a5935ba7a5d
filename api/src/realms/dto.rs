//! Users of realms and their tokens as the API shows them.

use std::collections::BTreeMap;

use domain::kernel::problem::FieldProblem;
use domain::kernel::{Error, Problem, Secret};
use domain::realms::change::{NewRealmUser as DomainNew, RealmUserPatch as DomainPatch};
use domain::realms::sign_in::Grant;
use domain::realms::tokens::RealmTokens as DomainTokens;
use domain::realms::{self, Status};
use poem_openapi::{Enum, Object};
use serde_json::Value;

use crate::http::time::Time;

/// Whether a user of a realm is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum RealmUserStatus {
    /// It signs in.
    Active,
    /// Switched off: it signs in no more, and its tokens have ended.
    Disabled,
}

impl From<Status> for RealmUserStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Active => Self::Active,
            Status::Disabled => Self::Disabled,
        }
    }
}

impl From<RealmUserStatus> for Status {
    fn from(status: RealmUserStatus) -> Self {
        match status {
            RealmUserStatus::Active => Self::Active,
            RealmUserStatus::Disabled => Self::Disabled,
        }
    }
}

/// A new user of a realm.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct NewRealmUser {
    /// Its address, unique in the realm. Somebody of this address may be in other realms and have an account here; they
    /// have nothing to do with each other.
    pub email: String,
    /// Its password: 8 to 1024 bytes, and hard to guess. Absent: it cannot sign in before it is given one.
    #[oai(write_only)]
    pub password: Option<String>,
    /// Its name for people, up to 200 characters.
    pub display_name: Option<String>,
    /// Name or id of a role of your application that it gets.
    pub role: Option<String>,
    /// Anything that you want to keep with it, up to 16 KiB.
    pub metadata: Option<BTreeMap<String, Value>>,
}

impl From<NewRealmUser> for DomainNew {
    fn from(new: NewRealmUser) -> Self {
        let NewRealmUser {
            email,
            password,
            display_name,
            role,
            metadata,
        } = new;
        Self {
            email,
            password: password.map(Secret::new),
            display_name,
            role,
            metadata: metadata.unwrap_or_default().into_iter().collect(),
        }
    }
}

/// Changes to a user of a realm; what is absent stays.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct RealmUserPatch {
    /// Its address, unique in the realm.
    pub email: Option<String>,
    /// A new password. Its tokens end.
    #[oai(write_only)]
    pub password: Option<String>,
    /// Its name for people, up to 200 characters.
    pub display_name: Option<String>,
    /// Whether it is let in. Switched off, its tokens end.
    pub status: Option<RealmUserStatus>,
    /// What you keep with it, up to 16 KiB; replaced as a whole.
    pub metadata: Option<BTreeMap<String, Value>>,
}

impl From<RealmUserPatch> for DomainPatch {
    fn from(patch: RealmUserPatch) -> Self {
        let RealmUserPatch {
            email,
            password,
            display_name,
            status,
            metadata,
        } = patch;
        Self {
            email,
            password: password.map(Secret::new),
            display_name,
            status: status.map(Into::into),
            metadata: metadata.map(|map| map.into_iter().collect()),
        }
    }
}

/// A user of a realm.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct RealmUser {
    /// Id of the user: `usr_…`. It is no account of this platform's.
    pub id: String,
    /// Id of the organisation whose realm it is in: `org_…`.
    pub org_id: String,
    /// Its address.
    pub email: String,
    /// Its name for people; may be empty.
    pub display_name: String,
    /// Names of the roles of your application that it holds.
    pub roles: Vec<String>,
    /// Whether it is let in.
    pub status: RealmUserStatus,
    /// Whether it has a password.
    pub has_password: bool,
    /// What you keep with it.
    pub metadata: BTreeMap<String, Value>,
    /// When it last signed in.
    pub last_login_at: Option<Time>,
    /// When it was made.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
}

impl From<realms::RealmUser> for RealmUser {
    fn from(user: realms::RealmUser) -> Self {
        let realms::RealmUser {
            id,
            org,
            email,
            display_name,
            roles,
            status,
            has_password,
            metadata,
            last_login_at,
            created_at,
            updated_at,
        } = user;
        Self {
            id: id.to_string(),
            org_id: org.to_string(),
            email,
            display_name,
            roles,
            status: status.into(),
            has_password,
            metadata: metadata.into_iter().collect(),
            last_login_at: last_login_at.map(Into::into),
            created_at: created_at.into(),
            updated_at: updated_at.into(),
        }
    }
}

/// A role to be given to a user of a realm.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct RealmRole {
    /// Name or id of a role of your application: one of the organisation's with `audience: app`.
    pub role: String,
}

/// What is traded for tokens of a realm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum RealmGrantType {
    /// `email` and `password` of a user of the realm; never of an account of this platform.
    Password,
    /// `client_id` and `client_secret`: id and key of a service account of the organisation.
    ClientCredentials,
    /// `refresh_token`.
    RefreshToken,
}

/// A request for tokens of a realm.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct RealmTokenRequest {
    /// What is traded; the fields that it takes are required then.
    pub grant_type: RealmGrantType,
    /// With `password`: the user's address.
    pub email: Option<String>,
    /// With `password`: the user's password.
    #[oai(write_only)]
    pub password: Option<String>,
    /// With `client_credentials`: id of the service account, `sa_…`.
    pub client_id: Option<String>,
    /// With `client_credentials`: a key of it, `srm_sak_…`.
    #[oai(write_only)]
    pub client_secret: Option<String>,
    /// With `refresh_token`: the token, `srm_rrt_…`. It is good for one trade.
    #[oai(write_only)]
    pub refresh_token: Option<String>,
}

fn missing(field: &'static str) -> FieldProblem {
    FieldProblem {
        field: field.into(),
        reason: "required".into(),
        message: "is what this grant_type takes".into(),
    }
}

/// Two fields that are there; else the problem that names those that are not.
fn both(
    (one, first): (&'static str, Option<String>),
    (other, second): (&'static str, Option<String>),
) -> Result<(String, String), Error> {
    match (first, second) {
        (Some(first), Some(second)) => Ok((first, second)),
        (None, Some(_)) => Err(Problem::fields(vec![missing(one)]).into()),
        (Some(_), None) => Err(Problem::fields(vec![missing(other)]).into()),
        (None, None) => Err(Problem::fields(vec![missing(one), missing(other)]).into()),
    }
}

impl TryFrom<RealmTokenRequest> for Grant {
    type Error = Error;

    fn try_from(request: RealmTokenRequest) -> Result<Self, Error> {
        let RealmTokenRequest {
            grant_type,
            email,
            password,
            client_id,
            client_secret,
            refresh_token,
        } = request;
        match grant_type {
            RealmGrantType::Password => {
                let (email, password) = both(("email", email), ("password", password))?;
                let password = Secret::new(password);
                Ok(Self::Password { email, password })
            }
            RealmGrantType::ClientCredentials => {
                let (client_id, secret) = both(("client_id", client_id), ("client_secret", client_secret))?;
                let client_secret = Secret::new(secret);
                Ok(Self::ClientCredentials {
                    client_id,
                    client_secret,
                })
            }
            RealmGrantType::RefreshToken => {
                let token = refresh_token.ok_or_else(|| Problem::fields(vec![missing("refresh_token")]))?;
                Ok(Self::RefreshToken(token))
            }
        }
    }
}

/// Tokens of a realm.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct RealmTokens {
    /// A JWT after RFC 9068, signed with a key of `/.well-known/jwks.json`: `iss` is the realm, `aud` and `org_id` the
    /// organisation's id, `org` its slug, `sub` the user or service account, and `roles` and `permissions` what it held
    /// when the token was made. It opens nothing on this platform.
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// Life of the access token, seconds.
    pub expires_in: u64,
    /// Of a user: trade it for new tokens before the access token ends. Each is good for one trade.
    pub refresh_token: Option<String>,
}

impl From<DomainTokens> for RealmTokens {
    fn from(tokens: DomainTokens) -> Self {
        let DomainTokens {
            access_token,
            expires_in,
            refresh_token,
        } = tokens;
        Self {
            access_token,
            token_type: "Bearer".to_owned(),
            expires_in,
            refresh_token: refresh_token.map(|token| token.expose().to_owned()),
        }
    }
}

/// A token of a realm that is given up.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct RealmRevocation {
    /// A refresh token, which ends all that came of the same sign-in, or an access token, which ends it alone.
    #[oai(write_only)]
    pub token: String,
}

//! OAuth clients as the API shows them.

use domain::oauth::Client;
use domain::oauth::client_change::{self as change, CreatedClient};
use poem_openapi::Object;

use crate::http::time::Time;

/// A new OAuth client.
#[derive(Object)]
#[oai(deny_unknown_fields, rename = "NewOAuthClient")]
pub struct NewClient {
    /// What people are shown when they are asked, up to 200 characters.
    pub name: String,
    /// Where people can read about it: an https address of up to 500 characters.
    pub homepage: Option<String>,
    /// Whether it runs where it can keep a secret. An application on people's devices or in their browsers cannot.
    pub confidential: bool,
    /// Where answers may go, compared letter by letter; at most 20. With https, or on the own machine; a public client may
    /// have a scheme of its own, and whatever port of `127.0.0.1` and `[::1]`.
    #[oai(default)]
    pub redirect_uris: Vec<String>,
    /// `authorization_code`, `refresh_token`, `client_credentials`, `urn:ietf:params:oauth:grant-type:device_code`.
    /// Absent: the first two.
    pub grant_types: Option<Vec<String>>,
    /// What it may ask for: `openid`, `profile`, `email`, `offline_access`, and permissions such as `secrets:read@dev`.
    /// Absent: those four.
    pub scopes: Option<Vec<String>>,
    /// What its tokens are signed with: `RS256`, `ES256` or `EdDSA`. Absent: `RS256`.
    pub signing_alg: Option<String>,
}

impl From<NewClient> for change::NewClient {
    fn from(new: NewClient) -> Self {
        let NewClient {
            name,
            homepage,
            confidential,
            redirect_uris,
            grant_types,
            scopes,
            signing_alg,
        } = new;
        Self {
            name,
            homepage,
            is_confidential: confidential,
            redirect_uris,
            grant_types,
            scopes,
            signing_alg,
        }
    }
}

/// Changes to an OAuth client; what is absent stays.
#[derive(Object)]
#[oai(deny_unknown_fields, rename = "OAuthClientPatch")]
pub struct ClientPatch {
    /// What people are shown when they are asked, up to 200 characters.
    pub name: Option<String>,
    /// Where people can read about it; empty takes it away.
    pub homepage: Option<String>,
    /// Where answers may go; replaced as a whole.
    pub redirect_uris: Option<Vec<String>>,
    /// How it may come by tokens; replaced as a whole.
    pub grant_types: Option<Vec<String>>,
    /// What it may ask for; replaced as a whole. What it was given stays as it is.
    pub scopes: Option<Vec<String>>,
    /// `RS256`, `ES256` or `EdDSA`.
    pub signing_alg: Option<String>,
    /// Whether it may be used. Switched off, everything that it was given ends for good.
    pub enabled: Option<bool>,
}

impl From<ClientPatch> for change::ClientPatch {
    fn from(patch: ClientPatch) -> Self {
        let ClientPatch {
            name,
            homepage,
            redirect_uris,
            grant_types,
            scopes,
            signing_alg,
            enabled,
        } = patch;
        Self {
            name,
            homepage,
            redirect_uris,
            grant_types,
            scopes,
            signing_alg,
            enabled,
        }
    }
}

/// How a secret is replaced.
#[derive(Object)]
#[oai(deny_unknown_fields, rename = "RotateOAuthClientSecret")]
pub struct RotateSecret {
    /// Hours for which the old secret goes on working, 0 to 168; 0 if absent.
    pub overlap_hours: Option<i64>,
}

/// An OAuth client, without its secret.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none, rename = "OAuthClient")]
pub struct OAuthClient {
    /// Its id, which is its `client_id` too: `cli_…`.
    pub id: String,
    /// What people are shown when they are asked.
    pub name: String,
    /// Where people can read about it.
    pub homepage: Option<String>,
    /// Whether it has a secret.
    pub confidential: bool,
    /// Where answers may go.
    pub redirect_uris: Vec<String>,
    /// How it may come by tokens.
    pub grant_types: Vec<String>,
    /// What it may ask for.
    pub scopes: Vec<String>,
    /// What its tokens are signed with.
    pub signing_alg: String,
    /// Whether it may be used.
    pub enabled: bool,
    /// When it was made.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
}

impl From<Client> for OAuthClient {
    fn from(client: Client) -> Self {
        let Client {
            id,
            owner: _,
            name,
            homepage,
            is_confidential,
            redirect_uris,
            grant_types,
            scopes,
            signing_alg,
            is_enabled,
            created_at,
            updated_at,
        } = client;
        Self {
            id: id.to_string(),
            name,
            homepage,
            confidential: is_confidential,
            redirect_uris,
            grant_types: grant_types.iter().map(|grant| grant.as_str().to_owned()).collect(),
            scopes: scopes.to_list(),
            signing_alg: signing_alg.as_str().to_owned(),
            enabled: is_enabled,
            created_at: created_at.into(),
            updated_at: updated_at.into(),
        }
    }
}

/// An OAuth client, its secret shown this once.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none, rename = "CreatedOAuthClient")]
pub struct CreatedOAuthClient {
    /// Its id, which is its `client_id` too: `cli_…`.
    pub id: String,
    /// The id again, under the name that OAuth libraries want.
    pub client_id: String,
    /// Its secret: `srm_cs_…`. It is not stored and cannot be shown again. Absent for a public client.
    pub client_secret: Option<String>,
    /// What people are shown when they are asked.
    pub name: String,
    /// Where people can read about it.
    pub homepage: Option<String>,
    /// Whether it has a secret.
    pub confidential: bool,
    /// Where answers may go.
    pub redirect_uris: Vec<String>,
    /// How it may come by tokens.
    pub grant_types: Vec<String>,
    /// What it may ask for.
    pub scopes: Vec<String>,
    /// What its tokens are signed with.
    pub signing_alg: String,
    /// Whether it may be used.
    pub enabled: bool,
    /// When it was made.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
}

impl From<CreatedClient> for CreatedOAuthClient {
    fn from(created: CreatedClient) -> Self {
        let CreatedClient { client, secret } = created;
        let OAuthClient {
            id,
            name,
            homepage,
            confidential,
            redirect_uris,
            grant_types,
            scopes,
            signing_alg,
            enabled,
            created_at,
            updated_at,
        } = client.into();
        Self {
            client_id: id.clone(),
            id,
            client_secret: secret.map(|secret| secret.expose().to_owned()),
            name,
            homepage,
            confidential,
            redirect_uris,
            grant_types,
            scopes,
            signing_alg,
            enabled,
            created_at,
            updated_at,
        }
    }
}

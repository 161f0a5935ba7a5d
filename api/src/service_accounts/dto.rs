//! Service accounts and their keys as the API shows them.

use domain::auth::service_key::{self, CreatedKey};
use domain::service_accounts::account;
use domain::service_accounts::change::ServiceAccountPatch as DomainPatch;
use domain::service_accounts::create::{Created, NewServiceAccount as DomainNew};
use poem_openapi::Object;

use crate::http::time::Time;

/// A new service account.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct NewServiceAccount {
    /// Its name, unique in the organisation; up to 200 characters.
    pub name: String,
    /// What it is for, up to 2000 characters.
    #[oai(default)]
    pub description: String,
    /// Id or slug of the one project that it can act in. Absent: it acts wherever it is given a role.
    pub project: Option<String>,
    /// Addresses and ranges such as `192.0.2.7` or `192.0.2.0/24` that its keys work from, at most 50. Absent or
    /// empty: anywhere.
    #[oai(default)]
    pub ip_allow: Vec<String>,
    /// Name or id of the role that it gets: a role of the project if it is bound to one, else of the organisation.
    /// Never above your own. Absent: none yet.
    pub role: Option<String>,
    /// Whether it gets a key at once; yes if absent.
    pub with_key: Option<bool>,
    /// Days until that key ends, 1 to 3650. Absent: it does not end.
    pub expires_days: Option<i64>,
}

impl From<NewServiceAccount> for DomainNew {
    fn from(new: NewServiceAccount) -> Self {
        let NewServiceAccount {
            name,
            description,
            project,
            ip_allow,
            role,
            with_key,
            expires_days,
        } = new;
        Self {
            name,
            description,
            project,
            ip_allow,
            role,
            first_key: with_key.unwrap_or(true).then(|| service_key::NewKey {
                name: String::new(),
                expires_days,
            }),
        }
    }
}

/// Changes to a service account; what is absent stays.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct ServiceAccountPatch {
    /// Its name, unique in the organisation; up to 200 characters.
    pub name: Option<String>,
    /// What it is for, up to 2000 characters.
    pub description: Option<String>,
    /// Addresses and ranges that its keys work from; replaced as a whole, empty for anywhere.
    pub ip_allow: Option<Vec<String>>,
    /// Whether its keys work. Switched off, they are refused from the next request on.
    pub enabled: Option<bool>,
}

impl From<ServiceAccountPatch> for DomainPatch {
    fn from(patch: ServiceAccountPatch) -> Self {
        let ServiceAccountPatch {
            name,
            description,
            ip_allow,
            enabled,
        } = patch;
        Self {
            name,
            description,
            ip_allow,
            enabled,
        }
    }
}

/// A service account.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct ServiceAccount {
    /// Id of the service account: `sa_…`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it is for; may be empty.
    pub description: String,
    /// Id of the one project that it can act in: `prj_…`; absent if it is bound to none.
    pub project_id: Option<String>,
    /// That project's name in paths.
    pub project: Option<String>,
    /// Addresses and ranges that its keys work from; empty: anywhere.
    pub ip_allow: Vec<String>,
    /// Whether its keys work.
    pub enabled: bool,
    /// When one of its keys was last used, to the minute.
    pub last_used_at: Option<Time>,
    /// When it was made.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
}

impl From<account::ServiceAccount> for ServiceAccount {
    fn from(account: account::ServiceAccount) -> Self {
        let account::ServiceAccount {
            id,
            org_id: _,
            project,
            name,
            description,
            ip_allow,
            enabled,
            last_used_at,
            created_at,
            updated_at,
        } = account;
        let (project_id, project) = project.map(|(id, slug)| (id.to_string(), slug)).unzip();
        Self {
            id: id.to_string(),
            name,
            description,
            project_id,
            project,
            ip_allow: ip_allow.to_list(),
            enabled,
            last_used_at: last_used_at.map(Into::into),
            created_at: created_at.into(),
            updated_at: updated_at.into(),
        }
    }
}

/// A new service account, its first key shown this once.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct CreatedServiceAccount {
    /// Id of the service account: `sa_…`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it is for; may be empty.
    pub description: String,
    /// Id of the one project that it can act in: `prj_…`; absent if it is bound to none.
    pub project_id: Option<String>,
    /// That project's name in paths.
    pub project: Option<String>,
    /// Addresses and ranges that its keys work from; empty: anywhere.
    pub ip_allow: Vec<String>,
    /// Whether its keys work.
    pub enabled: bool,
    /// When it was made.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
    /// Its first key, for `X-API-Key`: `srm_sak_…`. It is not stored and cannot be shown again.
    pub key: Option<String>,
    /// Id of that key: `tok_…`.
    pub key_id: Option<String>,
    /// When that key ends; absent: never.
    pub key_expires_at: Option<Time>,
    /// For the client credentials grant of OAuth: the account's id again.
    pub client_id: String,
    /// For the client credentials grant of OAuth: the key again.
    pub client_secret: Option<String>,
}

impl From<Created> for CreatedServiceAccount {
    fn from(created: Created) -> Self {
        let Created { account, key } = created;
        let ServiceAccount {
            id,
            name,
            description,
            project_id,
            project,
            ip_allow,
            enabled,
            last_used_at: _,
            created_at,
            updated_at,
        } = account.into();
        let secret = key.as_ref().map(|made| made.token.expose().to_owned());
        Self {
            client_id: id.clone(),
            id,
            name,
            description,
            project_id,
            project,
            ip_allow,
            enabled,
            created_at,
            updated_at,
            key: secret.clone(),
            key_id: key.as_ref().map(|made| made.key.id.to_string()),
            key_expires_at: key.and_then(|made| made.key.expires_at).map(Into::into),
            client_secret: secret,
        }
    }
}

/// A new key.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct NewServiceKey {
    /// What it is for, up to 200 characters.
    #[oai(default)]
    pub name: String,
    /// Days until it ends, 1 to 3650. Absent: it does not end.
    pub expires_days: Option<i64>,
}

impl From<NewServiceKey> for service_key::NewKey {
    fn from(new: NewServiceKey) -> Self {
        let NewServiceKey { name, expires_days } = new;
        Self { name, expires_days }
    }
}

/// A key of a service account, without the key itself.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct ServiceKey {
    /// Id of the key: `tok_…`.
    pub id: String,
    /// What it is for; may be empty.
    pub name: String,
    /// What every such key begins with.
    pub prefix: String,
    /// Its last four characters.
    pub last_four: String,
    /// When it was made.
    pub created_at: Time,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Time>,
    /// When it ends; absent: never.
    pub expires_at: Option<Time>,
}

impl From<service_key::ServiceKey> for ServiceKey {
    fn from(key: service_key::ServiceKey) -> Self {
        let service_key::ServiceKey {
            id,
            name,
            prefix,
            last_four,
            created_at,
            last_used_at,
            expires_at,
        } = key;
        Self {
            id: id.to_string(),
            name,
            prefix,
            last_four,
            created_at: created_at.into(),
            last_used_at: last_used_at.map(Into::into),
            expires_at: expires_at.map(Into::into),
        }
    }
}

/// A new key, shown this once.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct CreatedServiceKey {
    /// The key, for `X-API-Key`: `srm_sak_…`. It is not stored and cannot be shown again.
    pub key: String,
    /// Id of the key: `tok_…`.
    pub id: String,
    /// What it is for; may be empty.
    pub name: String,
    /// What every such key begins with.
    pub prefix: String,
    /// Its last four characters.
    pub last_four: String,
    /// When it was made.
    pub created_at: Time,
    /// When it ends; absent: never.
    pub expires_at: Option<Time>,
}

impl From<CreatedKey> for CreatedServiceKey {
    fn from(created: CreatedKey) -> Self {
        let CreatedKey { key, token } = created;
        let ServiceKey {
            id,
            name,
            prefix,
            last_four,
            created_at,
            last_used_at: _,
            expires_at,
        } = key.into();
        Self {
            key: token.expose().to_owned(),
            id,
            name,
            prefix,
            last_four,
            created_at,
            expires_at,
        }
    }
}

//! Personal tokens as the API shows them.

use domain::auth::personal_token::{BoundTo, PersonalToken};
use poem_openapi::Object;

use crate::http::time::Time;

/// A new personal token.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct NewToken {
    /// What it is for, up to 200 characters.
    pub name: String,
    /// Days until it ends, 1 to 3650. Absent: it does not end.
    pub expires_days: Option<i64>,
    /// The permissions that it may use, such as `secrets:read@dev`. Absent: all that its owner has.
    pub scopes: Option<Vec<String>>,
    /// Where it works: `project/environment/key`, each a name, `*`, a beginning with `*`, or `@class` for
    /// environments. Needs `org`, and names only what you may know of. Absent: everywhere.
    #[oai(default)]
    pub patterns: Vec<String>,
    /// Id or slug of the one organisation that it works in. Absent: in all of its owner's.
    pub org: Option<String>,
}

/// A personal token, without the token itself.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Token {
    /// Id of the token: `tok_…`.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// What every such token begins with.
    pub prefix: String,
    /// Its last four characters.
    pub last_four: String,
    /// The permissions that it may use; absent: all that its owner has.
    pub scopes: Option<Vec<String>>,
    /// Where it works: `project/environment/key` in the names of today; empty: everywhere. What is deleted, or hidden
    /// from you, shows its id.
    pub patterns: Vec<String>,
    /// Id of the one organisation that it works in; absent: in all of its owner's.
    pub org_id: Option<String>,
    /// That organisation's name in paths; absent when it is deleted or hidden from you.
    pub org: Option<String>,
    /// When it was made.
    pub created_at: Time,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Time>,
    /// When it ends; absent: never.
    pub expires_at: Option<Time>,
}

impl From<PersonalToken> for Token {
    fn from(token: PersonalToken) -> Self {
        let PersonalToken {
            id,
            name,
            prefix,
            last_four,
            scopes,
            patterns,
            org,
            created_at,
            last_used_at,
            expires_at,
        } = token;
        let (org_id, org) = match org {
            None => (None, None),
            Some(BoundTo { id, slug }) => (Some(id.to_string()), slug),
        };
        Self {
            id: id.to_string(),
            name,
            prefix,
            last_four,
            scopes,
            patterns,
            org_id,
            org,
            created_at: created_at.into(),
            last_used_at: last_used_at.map(Into::into),
            expires_at: expires_at.map(Into::into),
        }
    }
}

/// A new personal token, shown this once.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct CreatedToken {
    /// The token: `srm_pat_…`. It is not stored and cannot be shown again.
    pub token: String,
    /// Id of the token: `tok_…`.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// What every such token begins with.
    pub prefix: String,
    /// Its last four characters.
    pub last_four: String,
    /// The permissions that it may use; absent: all that its owner has.
    pub scopes: Option<Vec<String>>,
    /// Where it works: `project/environment/key` in the names of today; empty: everywhere. What is deleted, or hidden
    /// from you, shows its id.
    pub patterns: Vec<String>,
    /// Id of the one organisation that it works in; absent: in all of its owner's.
    pub org_id: Option<String>,
    /// That organisation's name in paths; absent when it is deleted or hidden from you.
    pub org: Option<String>,
    /// When it was made.
    pub created_at: Time,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Time>,
    /// When it ends; absent: never.
    pub expires_at: Option<Time>,
}

impl CreatedToken {
    pub fn new(token: &domain::crypto::token::Token, shown: PersonalToken) -> Self {
        let Token {
            id,
            name,
            prefix,
            last_four,
            scopes,
            patterns,
            org_id,
            org,
            created_at,
            last_used_at,
            expires_at,
        } = shown.into();
        let token = token.expose().to_owned();
        Self {
            token,
            id,
            name,
            prefix,
            last_four,
            scopes,
            patterns,
            org_id,
            org,
            created_at,
            last_used_at,
            expires_at,
        }
    }
}

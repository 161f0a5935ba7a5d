//! Questions about tokens that were shown, and their answers.

use domain::access::decide::Reason;
use domain::realms::authorize::{Resource as DomainResource, Settled, Verdict, Whose, Why};
use domain::realms::roles::Subject;
use poem_openapi::{Enum, Object};

/// Where on this platform something would be done.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct AuthorizeResource {
    /// Id or slug of the organisation. Absent: the one that the token is bound to.
    pub org: Option<String>,
    /// Id or slug of a project.
    pub project: Option<String>,
    /// With `project`: id or slug of one of its environments. Permissions on secrets need it.
    pub environment: Option<String>,
    /// With `environment`: a key. Absent for a permission on secrets: whether it is allowed for at least some key.
    pub key: Option<String>,
}

impl From<AuthorizeResource> for DomainResource {
    fn from(resource: AuthorizeResource) -> Self {
        let AuthorizeResource {
            org,
            project,
            environment,
            key,
        } = resource;
        Self {
            org,
            project,
            environment,
            key,
        }
    }
}

/// A question about a token.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct AuthorizeRequest {
    /// The token that you were shown: an access token of a realm, or any credential of this platform's.
    #[oai(write_only)]
    pub token: String,
    /// What would be done. Without `resource` a permission of your application's, such as `comments:write`; with it one of
    /// this platform's, such as `secrets:read`.
    pub permission: String,
    /// Where on this platform it would be done. Absent: in your application.
    pub resource: Option<AuthorizeResource>,
}

/// Why the answer is what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum AuthorizeReason {
    /// The token is none, has ended, or is of an organisation that you may not know of.
    InvalidToken,
    /// The organisation wants a second factor, and none stands behind the token.
    SecondFactorRequired,
    /// A role grants it.
    Role,
    /// An allow rule grants it.
    AclAllow,
    /// A deny rule denies it, whatever grants it.
    AclDeny,
    /// Nothing grants it.
    NoGrant,
    /// The token works in another organisation only.
    TokenOrg,
    /// The token's scopes do not cover it.
    InsufficientScope,
    /// None of the places that the token works in is this one.
    TokenPattern,
}

impl From<Why> for AuthorizeReason {
    fn from(why: Why) -> Self {
        match why {
            Why::InvalidToken => Self::InvalidToken,
            Why::SecondFactorRequired => Self::SecondFactorRequired,
            Why::Decided(Reason::Role) => Self::Role,
            Why::Decided(Reason::AclAllow) => Self::AclAllow,
            Why::Decided(Reason::AclDeny) => Self::AclDeny,
            Why::Decided(Reason::NoGrant) => Self::NoGrant,
            Why::Decided(Reason::TokenOrg) => Self::TokenOrg,
            Why::Decided(Reason::InsufficientScope) => Self::InsufficientScope,
            Why::Decided(Reason::TokenPattern) => Self::TokenPattern,
        }
    }
}

/// Kinds of those whose tokens there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum TokenHolderType {
    /// A user of the organisation's own realm.
    RealmUser,
    /// A person's account of this platform's.
    User,
    /// A machine's account.
    ServiceAccount,
}

/// Whose token it is.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct TokenHolder {
    /// What it is.
    #[oai(rename = "type")]
    pub kind: TokenHolderType,
    /// Id of the user (`usr_…`) or service account (`sa_…`).
    pub id: String,
    /// Address of a user.
    pub email: Option<String>,
    /// Name of a service account.
    pub name: Option<String>,
}

impl From<Whose> for TokenHolder {
    fn from(whose: Whose) -> Self {
        let Whose { subject, label } = whose;
        let (kind, id, email, name) = match subject {
            Subject::RealmUser(id) => (TokenHolderType::RealmUser, id.to_string(), Some(label), None),
            Subject::User(id) => (TokenHolderType::User, id.to_string(), Some(label), None),
            Subject::ServiceAccount(id) => (TokenHolderType::ServiceAccount, id.to_string(), None, Some(label)),
        };
        Self { kind, id, email, name }
    }
}

/// What can settle a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum SettledByType {
    /// A role that the holder has.
    Role,
    /// An access rule.
    Rule,
}

/// The role or rule that settled it.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct SettledBy {
    /// What it is.
    #[oai(rename = "type")]
    pub kind: SettledByType,
    /// Id of the role (`rol_…`) or rule (`acl_…`).
    pub id: String,
    /// Name of a role.
    pub name: Option<String>,
}

impl From<Settled> for SettledBy {
    fn from(settled: Settled) -> Self {
        match settled {
            Settled::Role { id, name } => Self {
                kind: SettledByType::Role,
                id: id.to_string(),
                name: Some(name),
            },
            Settled::Rule(id) => Self {
                kind: SettledByType::Rule,
                id: id.to_string(),
                name: None,
            },
        }
    }
}

/// Whether a token is good for something, from what is so now.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Authorization {
    /// Whether it is.
    pub allowed: bool,
    /// Why.
    pub reason: AuthorizeReason,
    /// Whose token it is; absent for one that is none.
    pub subject: Option<TokenHolder>,
    /// The role or rule that settled it; absent when nothing grants it, and when the token was too narrow.
    pub matched: Option<SettledBy>,
}

impl From<Verdict> for Authorization {
    fn from(verdict: Verdict) -> Self {
        let Verdict {
            allowed,
            why,
            whose,
            settled,
        } = verdict;
        Self {
            allowed,
            reason: why.into(),
            subject: whose.map(Into::into),
            matched: settled.map(Into::into),
        }
    }
}

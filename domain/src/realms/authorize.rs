//! Whether a token that somebody was shown is good for something, from what is so now: what the token itself says of roles
//! is not looked at.

use super::roles::{self, AppRole, Subject};
use super::token::{self, Live};
use crate::access::decide::{Matched, Reason, takes_in};
use crate::access::door::door;
use crate::access::grant::require_scope;
use crate::access::trial::trial;
use crate::access::{self, Caller, Permission, Principal};
use crate::auth::authenticate::{self, Shown};
use crate::auth::realm_token::Holder;
use crate::crypto::token::{Token, TokenKind, TokenMacKey};
use crate::kernel::id::{AclRuleId, OrgId, RoleId};
use crate::kernel::text;
use crate::kernel::{Db, Problem, ProblemCode, Result, Secret};
use crate::policy::question::{Place, Question};

/// Longest permission, and longest name of a place, characters.
const MAX_PERMISSION_LEN: usize = 100;
const MAX_NAME_LEN: usize = 300;

/// Where on this platform something would be done, in the caller's words.
#[derive(Clone, Debug, Default)]
pub struct Resource {
    /// Id or slug; `None` = the one that the token is bound to.
    pub org: Option<String>,
    pub project: Option<String>,
    pub environment: Option<String>,
    pub key: Option<String>,
}

/// What is asked.
pub struct Asked {
    token: Secret<String>,
    about: About,
}

enum About {
    /// A permission of the application's own.
    App(String),
    /// A permission of this platform's, in a place.
    Platform {
        org: Option<String>,
        key: Option<String>,
        question: Box<Question>,
    },
}

impl Asked {
    /// Without a resource the question is about a permission of the application's own; with one, about this platform.
    ///
    /// # Errors
    /// `invalid_field`.
    pub fn new(token: Secret<String>, permission: String, resource: Option<Resource>) -> Result<Self> {
        token::require_short(token.expose())?;
        text::short("permission", &permission, MAX_PERMISSION_LEN)?;
        if permission.is_empty() {
            return Err(Problem::field("permission", "required", "must not be empty").into());
        }
        let about = match resource {
            None => About::App(permission),
            Some(resource) => About::platform(&permission, resource)?,
        };
        Ok(Self { token, about })
    }
}

impl About {
    fn platform(permission: &str, resource: Resource) -> Result<Self> {
        let Resource {
            org,
            project,
            environment,
            key,
        } = resource;
        for (field, name) in [
            ("org", &org),
            ("project", &project),
            ("environment", &environment),
            ("key", &key),
        ] {
            let name = name.as_deref().unwrap_or_default();
            text::short(field, name, MAX_NAME_LEN).map_err(|error| error.within("resource"))?;
        }
        // Before the rest, so that it is named by its own place.
        let message = "is no permission of this platform's, as a resource wants: name one such as `secrets:read`";
        let known = permission.parse::<Permission>();
        known.map_err(|_| Problem::field("permission", "unknown", message))?;
        let place = Place {
            project,
            environment,
            key: key.clone(),
        };
        let question = Question::new(permission, place).map_err(|error| error.within("resource"))?;
        Ok(Self::Platform {
            org,
            key,
            question: Box::new(question),
        })
    }
}

/// Why the answer is what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The token is none, is not in force any more, or is none of the caller's business.
    InvalidToken,
    /// The organisation wants a second factor, and none stands behind the token.
    SecondFactorRequired,
    Decided(Reason),
}

/// What settled it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    Role { id: RoleId, name: String },
    Rule(AclRuleId),
}

/// Whose token it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whose {
    pub subject: Subject,
    /// Address of a person or user, name of a service account.
    pub label: String,
}

/// The answer.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub allowed: bool,
    pub why: Why,
    /// `None` for a token that is none.
    pub whose: Option<Whose>,
    pub settled: Option<Settled>,
}

impl Verdict {
    const NO_TOKEN: Self = Self {
        allowed: false,
        why: Why::InvalidToken,
        whose: None,
        settled: None,
    };

    fn new(whose: Whose, reason: Reason, settled: Option<Settled>) -> Self {
        Self {
            allowed: reason.allows(),
            why: Why::Decided(reason),
            whose: Some(whose),
            settled,
        }
    }

    fn without_second_factor(whose: Whose) -> Self {
        Self {
            allowed: false,
            why: Why::SecondFactorRequired,
            whose: Some(whose),
            settled: None,
        }
    }
}

/// Answers somebody who was shown a token: a user's of a realm, a service account's, a person's. It takes somebody who may
/// know of the organisation that it is about, or whose own token it is; to others every token is unknown.
///
/// What narrows the asking credential narrows what it may ask: its scopes must hold `access:read`, as for any question
/// about access, and of a place beyond its organisation and patterns it is told as much as of a place that there is not.
/// The roles of an application are of the whole organisation, so a credential that is bound to places does not reach them.
///
/// # Errors
/// `insufficient_scope`; `invalid_field` when the token is bound to no organisation and the question names none.
pub async fn authorize(db: &Db, macs: &TokenMacKey, instance: &str, caller: &Caller, asked: &Asked) -> Result<Verdict> {
    caller.mark_decided();
    require_scope(caller, Permission::AccessRead)?;
    let text = asked.token.expose();
    if let Some(live) = token::live(db, instance, text).await? {
        return of_realm(db, caller, live, &asked.about).await;
    }
    match shown(db, macs, instance, caller, text).await? {
        Some(shown) => of_platform(db, caller, &shown, &asked.about).await,
        None => Ok(Verdict::NO_TOKEN),
    }
}

/// Whose credential of the platform's it is, if it is one.
async fn shown(db: &Db, macs: &TokenMacKey, instance: &str, caller: &Caller, text: &str) -> Result<Option<Caller>> {
    let origin = caller.origin.clone();
    let found = if text.contains('.') {
        authenticate::by_access_token(db, instance, text, origin).await
    } else {
        let is_key = Token::parse(text).is_ok_and(|token| token.kind() == TokenKind::ServiceKey);
        let place = if is_key { Shown::ApiKeyHeader } else { Shown::Bearer };
        authenticate::authenticate(db, macs, text, place, origin).await
    };
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.code() == Some(ProblemCode::Unauthenticated) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the caller may be told about tokens of an organisation, and its credential takes in the whole of it.
async fn may_ask_all(db: &Db, caller: &Caller, org: OrgId) -> Result<bool> {
    // As for a permission on the organisation itself.
    let is_within = takes_in(&caller.actor, Permission::OrgRead, &access::Resource::org(org));
    Ok(is_within && may_ask(db, caller, org).await?)
}

/// Whether the caller may be told about tokens of an organisation.
async fn may_ask(db: &Db, caller: &Caller, org: OrgId) -> Result<bool> {
    let is_its_machine = matches!(caller.actor.principal, Principal::ServiceAccount(_));
    if is_its_machine && caller.actor.ceiling.org == Some(org) {
        return Ok(true);
    }
    match door(db, caller, &[&org.to_string()]).await {
        Ok(door) => Ok(door.is_visible()),
        Err(error) if error.code() == Some(ProblemCode::NotFound) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn of_realm(db: &Db, caller: &Caller, live: Live, about: &About) -> Result<Verdict> {
    let Live { realm, holder, label } = live;
    if !is_own(caller, holder) && !may_ask_all(db, caller, realm.id).await? {
        return Ok(Verdict::NO_TOKEN);
    }
    let subject = Subject::from(holder);
    let whose = Whose { subject, label };
    match about {
        About::App(permission) => of_app(db, realm.id, whose, permission).await,
        // Whatever its application calls its permissions, here they open nothing.
        About::Platform { .. } => Ok(Verdict::new(whose, Reason::NoGrant, None)),
    }
}

fn is_own(caller: &Caller, holder: Holder) -> bool {
    match holder {
        Holder::User(_) => false,
        Holder::ServiceAccount(id) => caller.actor.principal == Principal::ServiceAccount(id),
    }
}

/// Asks the roles of the application that somebody holds now.
async fn of_app(db: &Db, org: OrgId, whose: Whose, permission: &str) -> Result<Verdict> {
    let held = roles::held(db, org, whose.subject).await?;
    let grants = |role: &&AppRole| {
        role.permissions
            .iter()
            .any(|granted| roles::covers(granted, permission))
    };
    let settled = held.iter().find(grants).map(|role| Settled::Role {
        id: role.id,
        name: role.name.clone(),
    });
    let reason = if settled.is_some() {
        Reason::Role
    } else {
        Reason::NoGrant
    };
    Ok(Verdict::new(whose, reason, settled))
}

fn required(field: &'static str) -> Problem {
    let message = "must say which organisation is meant: the token works in several";
    Problem::field(field, "required", message)
}

async fn of_platform(db: &Db, caller: &Caller, shown: &Caller, about: &About) -> Result<Verdict> {
    let whose = Whose {
        subject: shown.actor.principal.into(),
        label: shown.origin.actor_label.clone().unwrap_or_default(),
    };
    let bound = shown.actor.ceiling.org;
    match about {
        About::App(permission) => {
            let org = bound.ok_or_else(|| required("resource"))?;
            let tried = trial(db, caller, shown, Permission::OrgRead, &[&org.to_string()], None).await?;
            let Some(tried) = tried.filter(|tried| tried.org.id == org) else {
                return Ok(Verdict::NO_TOKEN);
            };
            if !tried.is_within {
                return Ok(beyond(caller, shown, whose));
            }
            if !knows(db, caller, shown, org).await? {
                return Ok(Verdict::NO_TOKEN);
            }
            if tried.lacks_second_factor {
                return Ok(Verdict::without_second_factor(whose));
            }
            // What narrows a token is said in permissions and places of the platform's: none is the application's.
            let ceiling = &shown.actor.ceiling;
            if ceiling.grants.is_some() {
                return Ok(Verdict::new(whose, Reason::InsufficientScope, None));
            }
            if !ceiling.patterns.is_empty() {
                return Ok(Verdict::new(whose, Reason::TokenPattern, None));
            }
            of_app(db, org, whose, permission).await
        }
        About::Platform { org, key, question } => {
            let org = match (org, bound) {
                (Some(org), _) => org.clone(),
                (None, Some(bound)) => bound.to_string(),
                (None, None) => return Err(required("resource.org").into()),
            };
            let path = question.path(&org);
            let tried = trial(db, caller, shown, question.permission, &path, key.as_deref()).await?;
            let Some(tried) = tried else {
                return Ok(unknown_place(caller, shown, whose));
            };
            if !tried.is_within {
                return Ok(beyond(caller, shown, whose));
            }
            if !knows(db, caller, shown, tried.org.id).await? {
                return Ok(Verdict::NO_TOKEN);
            }
            let Some(decision) = tried.decision else {
                return Ok(Verdict::new(whose, Reason::NoGrant, None));
            };
            if tried.lacks_second_factor && decision.allow {
                return Ok(Verdict::without_second_factor(whose));
            }
            let settled = decision.matched.map(|matched| match matched {
                Matched::Role { project: _, role } => Settled::Role {
                    id: role,
                    name: tried.role_name(matched).unwrap_or_default().to_owned(),
                },
                Matched::Rule(id) => Settled::Rule(id),
            });
            Ok(Verdict::new(whose, decision.reason, settled))
        }
    }
}

/// Beyond what the asking credential is bound to. Of itself it is told that it may not, and of others nothing.
fn beyond(caller: &Caller, shown: &Caller, whose: Whose) -> Verdict {
    if caller.credential == shown.credential {
        return Verdict::new(whose, Reason::NoGrant, None);
    }
    Verdict::NO_TOKEN
}

/// Where there is no such organisation, whoever asks about somebody else is told what they are told of one that is hidden
/// from them, and a credential that is bound to a place what it is told of others.
fn unknown_place(caller: &Caller, shown: &Caller, whose: Whose) -> Verdict {
    let ceiling = &caller.actor.ceiling;
    if ceiling.org.is_some() || !ceiling.patterns.is_empty() {
        return beyond(caller, shown, whose);
    }
    if caller.actor.principal == shown.actor.principal {
        return Verdict::new(whose, Reason::NoGrant, None);
    }
    Verdict::NO_TOKEN
}

async fn knows(db: &Db, caller: &Caller, shown: &Caller, org: OrgId) -> Result<bool> {
    Ok(caller.actor.principal == shown.actor.principal || may_ask(db, caller, org).await?)
}

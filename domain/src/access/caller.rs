//! Who is calling, with which credential, from where.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use uuid::Uuid;

use super::facts::{Actor, Principal};
use super::recall::Recall;
use crate::kernel::id::{CredentialId, OrgId, RealmUserId, UserId};
use crate::kernel::{Problem, ProblemCode, Result, Timestamp};

/// The kinds of principal as the journal names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActorKind {
    User,
    ServiceAccount,
    /// A user of an organisation's own realm.
    RealmUser,
    /// A person who looks after the instance, and acts as that.
    Superuser,
    /// Strongroom itself: the worker, the command line.
    System,
}

impl ActorKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::ServiceAccount => "service_account",
            Self::RealmUser => "realm_user",
            Self::Superuser => "superuser",
            Self::System => "system",
        }
    }
}

/// Where a change comes from, as the journal keeps it.
#[derive(Clone, Debug)]
pub struct Origin {
    pub actor: ActorKind,
    pub actor_id: Option<Uuid>,
    /// E-mail of a person, name of a service account: what a reader of the audit log wants to see, as it was then.
    pub actor_label: Option<String>,
    pub credential: Option<CredentialId>,
    pub ip: Option<String>,
    pub user_agent: Option<String>,
    pub request_id: Option<String>,
}

impl Origin {
    /// What Strongroom does by itself.
    pub const fn system() -> Self {
        Self {
            actor: ActorKind::System,
            actor_id: None,
            actor_label: None,
            credential: None,
            ip: None,
            user_agent: None,
            request_id: None,
        }
    }

    /// An act of nobody who has signed in yet: registration, sign-in, a link from a mail.
    #[must_use]
    pub fn by_user(mut self, id: UserId, email: &str) -> Self {
        self.actor = ActorKind::User;
        self.actor_id = Some(id.0);
        self.actor_label = Some(email.to_owned());
        self
    }

    /// An act of a user of a realm.
    #[must_use]
    pub fn by_realm_user(mut self, id: RealmUserId, email: &str) -> Self {
        self.actor = ActorKind::RealmUser;
        self.actor_id = Some(id.0);
        self.actor_label = Some(email.to_owned());
        self
    }
}

/// How the caller proved who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// A sign-in: cookie or bearer.
    Session,
    PersonalToken,
    ServiceKey,
    /// An access token that an OAuth client holds: of a person who consented, or of a service account.
    OAuthToken,
}

/// What the decisions about a request leave behind for whoever answers it.
#[derive(Debug, Default)]
pub struct Mark {
    decided: AtomicBool,
    /// The organisation that the request came to.
    org: OnceLock<OrgId>,
}

impl Mark {
    /// Notes that the access decision was asked, whatever it said.
    pub fn decide(&self) {
        self.decided.store(true, Ordering::Release);
    }

    /// Whether the access decision was asked.
    pub fn is_decided(&self) -> bool {
        self.decided.load(Ordering::Acquire)
    }

    /// The organisation that the request came to, if it came to one.
    pub fn org(&self) -> Option<OrgId> {
        self.org.get().copied()
    }
}

/// An authenticated caller.
#[derive(Clone, Debug)]
pub struct Caller {
    pub actor: Actor,
    pub kind: CredentialKind,
    pub credential: CredentialId,
    /// When a person last proved who they are; sessions only.
    pub auth_time: Option<Timestamp>,
    /// Whether a second factor stands behind it: shown in this session, or owned by the person whose token it is. A
    /// service account has no factors, and needs none.
    pub has_second_factor: bool,
    pub is_superuser: bool,
    pub origin: Origin,
    /// What may be known already of the environment that the request reads. A change looks anew, in its transaction.
    pub recall: Option<Recall>,
    /// Set by every access decision; a response to a non-public operation without one is withheld.
    pub decided: Arc<Mark>,
}

impl Caller {
    /// Notes that somebody decided about this request.
    pub fn mark_decided(&self) {
        self.decided.decide();
    }

    /// Notes the organisation that this request comes to: the first one counts.
    pub(super) fn mark_org(&self, org: OrgId) {
        let _ = self.decided.org.set(org);
    }

    /// Whether the credential works in an organisation at all.
    pub fn reaches(&self, org: OrgId) -> bool {
        self.actor.ceiling.org.is_none_or(|bound| bound == org)
    }

    /// The signed-in person, for operations about the caller's own account. Reading one's own account is the
    /// decision here.
    ///
    /// # Errors
    /// `forbidden` for a service account; `insufficient_scope` for a partner's application: what it may know of an
    /// account is what `/oauth/userinfo` tells it.
    pub fn user(&self) -> Result<UserId> {
        if self.kind == CredentialKind::OAuthToken && self.actor.ceiling.grants.is_some() {
            let detail = "An application's token does not reach the account itself. Ask /oauth/userinfo.";
            return Err(Problem::new(ProblemCode::InsufficientScope, detail).into());
        }
        self.person()
    }

    /// The person behind the credential, for operations that look at its scopes themselves.
    ///
    /// # Errors
    /// `forbidden` for a service account.
    pub fn person(&self) -> Result<UserId> {
        match self.actor.principal {
            Principal::User(id) => {
                self.mark_decided();
                Ok(id)
            }
            Principal::ServiceAccount(_) => {
                Err(Problem::forbidden("A service account has no account of a person's.").into())
            }
        }
    }

    /// The signed-in person, for operations that no API token may do.
    ///
    /// # Errors
    /// `session_required` for any other credential than a session.
    pub fn session_user(&self) -> Result<UserId> {
        match self.kind {
            CredentialKind::Session => self.user(),
            CredentialKind::PersonalToken | CredentialKind::ServiceKey | CredentialKind::OAuthToken => {
                let detail = "Sign in with a password for this; an API token cannot do it.";
                Err(Problem::new(ProblemCode::SessionRequired, detail).into())
            }
        }
    }
}

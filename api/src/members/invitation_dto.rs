//! Invitations as those who are invited see them.

use domain::auth::register::Registered;
use domain::kernel::Timestamp;
use domain::members::accepting::Shown;
use domain::members::invite::{self, PlaceName};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object};

use super::invite_dto::{InviteStatus, Inviter};
use crate::auth::dto::{OrgReference, Session, Transport, User};
use crate::http::time::Time;
use crate::realms::dto::RealmUser;

/// Where an invitation leads.
#[derive(Clone, Debug, Object)]
pub struct InvitedTo {
    /// Id of the organisation or project: `org_…`, `prj_…`.
    pub id: String,
    /// Its name in paths.
    pub slug: String,
    /// Its name for people.
    pub name: String,
}

impl<T: ToString> From<PlaceName<T>> for InvitedTo {
    fn from(place: PlaceName<T>) -> Self {
        let PlaceName { id, slug, name } = place;
        Self {
            id: id.to_string(),
            slug,
            name,
        }
    }
}

/// An invitation, as whoever has its token sees it.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Invitation {
    /// The organisation that it leads into.
    pub org: InvitedTo,
    /// The project that it leads to; absent for the whole organisation.
    pub project: Option<InvitedTo>,
    /// The address that was invited; absent for an open link.
    pub email: Option<String>,
    /// Name of the role that it gives.
    pub role: String,
    /// Whether whoever accepts becomes a user of the organisation's own application, and makes no account here.
    pub realm: bool,
    /// How it stands. An invitation that nobody who may invite stands behind any more is revoked.
    pub status: InviteStatus,
    /// Who invites; absent when that account is gone.
    pub invited_by: Option<Inviter>,
    /// When it was made.
    pub created_at: Time,
    /// When it ends.
    pub expires_at: Time,
    /// Whether that lies in the past.
    pub is_expired: bool,
    /// Whether the invited address has an account, so that its person signs in to accept, or is a user of the realm already;
    /// absent for an open link.
    pub account_exists: Option<bool>,
}

impl From<Shown> for Invitation {
    fn from(shown: Shown) -> Self {
        let Shown {
            invite,
            is_expired,
            account_exists,
        } = shown;
        let role = invite.role_name();
        let invite::Invite {
            id: _,
            org,
            project,
            email,
            canonical: _,
            role_id: _,
            role: _,
            env_classes: _,
            for_realm,
            max_uses: _,
            uses: _,
            invited_by: _,
            inviter,
            status,
            token_mac: _,
            created_at,
            given_at: _,
            expires_at,
        } = invite;
        Self {
            org: org.into(),
            project: project.map(Into::into),
            email,
            role,
            realm: for_realm,
            status: status.into(),
            invited_by: inviter.map(Into::into),
            created_at: created_at.into(),
            expires_at: expires_at.into(),
            is_expired,
            account_exists,
        }
    }
}

/// What accepting takes of somebody who has no account yet. Whoever is signed in sends nothing.
#[derive(Default, Object)]
#[oai(deny_unknown_fields)]
pub struct InviteAcceptance {
    /// The address of whoever accepts an open link into a realm.
    pub email: Option<String>,
    /// The password of the new account: 8 to 1024 bytes, and hard to guess.
    #[oai(write_only)]
    pub password: Option<String>,
    /// Up to 100 characters.
    #[oai(default)]
    pub first_name: String,
    /// Up to 100 characters.
    #[oai(default)]
    pub last_name: String,
    /// How the client will carry its session.
    #[oai(default)]
    pub transport: Transport,
}

/// An invitation that was accepted.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct AcceptedInvite {
    /// Always true.
    pub accepted: bool,
    /// Whether an account was made and signed in.
    pub created_account: bool,
    /// The organisation that it led into.
    pub org: InvitedTo,
    /// The project that it led to; absent for the whole organisation.
    pub project: Option<InvitedTo>,
    /// Name of the role that it gave.
    pub role: String,
    /// The new account.
    pub user: Option<User>,
    /// The new user of the realm. It signs in at `/v1/orgs/{org}/tokens`.
    pub realm_user: Option<RealmUser>,
    /// The personal organisation of the new account.
    pub personal_org: Option<OrgReference>,
    /// New account, bearer transport: send it as `Authorization: Bearer`.
    pub access_token: Option<String>,
    /// New account, bearer transport: always `Bearer`.
    pub token_type: Option<String>,
    /// New account, bearer transport: life of the access token, seconds.
    pub expires_in: Option<i64>,
    /// New account, bearer transport: trade it for new tokens before the access token ends. Each is good for one use.
    pub refresh_token: Option<String>,
}

impl AcceptedInvite {
    /// By somebody who has an account.
    pub fn of_member(invite: invite::Invite) -> Self {
        Self {
            accepted: true,
            created_account: false,
            role: invite.role_name(),
            org: invite.org.into(),
            project: invite.project.map(Into::into),
            user: None,
            realm_user: None,
            personal_org: None,
            access_token: None,
            token_type: None,
            expires_in: None,
            refresh_token: None,
        }
    }

    /// By somebody who is a user of the realm now.
    pub fn of_realm(invite: invite::Invite, user: RealmUser) -> Self {
        Self {
            realm_user: Some(user),
            ..Self::of_member(invite)
        }
    }

    /// By somebody who made one.
    pub fn of_newcomer(invite: invite::Invite, made: &Registered, now: Timestamp) -> Self {
        let Session {
            user,
            org,
            access_token,
            token_type,
            expires_in,
            refresh_token,
        } = Session::new(&made.account, Some(&made.org), &made.tokens, now);
        Self {
            created_account: true,
            user: Some(user),
            personal_org: org,
            access_token,
            token_type,
            expires_in,
            refresh_token,
            ..Self::of_member(invite)
        }
    }
}

#[derive(Clone, ApiResponse)]
pub enum InviteAccepted {
    /// The caller, or the new account, is a member now; or there is a new user of the realm.
    #[oai(status = 201)]
    Accepted(Json<AcceptedInvite>, #[oai(header = "Set-Cookie")] Option<String>),
}

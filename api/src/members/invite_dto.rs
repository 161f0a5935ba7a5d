//! Invitations as those who invite see them.

use domain::access::EnvClass as DomainClass;
use domain::mail::letters;
use domain::members::invite;
use domain::members::inviting::{self, Issued};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Enum, Object};
use url::Url;

use super::dto::listed;
use crate::http::time::Time;
use crate::projects::dto::EnvClass;

/// How an invitation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum InviteStatus {
    /// It can be accepted.
    Pending,
    /// It was accepted as often as it could be.
    Accepted,
    /// It is too old. Sent again, it is pending.
    Expired,
    /// It was taken back.
    Revoked,
}

impl From<invite::InviteStatus> for InviteStatus {
    fn from(status: invite::InviteStatus) -> Self {
        match status {
            invite::InviteStatus::Pending => Self::Pending,
            invite::InviteStatus::Accepted => Self::Accepted,
            invite::InviteStatus::Expired => Self::Expired,
            invite::InviteStatus::Revoked => Self::Revoked,
        }
    }
}

/// Which invitations are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum InviteFilter {
    /// Those that can be accepted.
    #[default]
    Pending,
    /// Those that were accepted as often as they could be.
    Accepted,
    /// Those that are too old.
    Expired,
    /// Those that were taken back.
    Revoked,
    /// All that there ever were.
    Any,
}

impl InviteFilter {
    /// `None` = however they stand.
    pub fn status(self) -> Option<invite::InviteStatus> {
        match self {
            Self::Pending => Some(invite::InviteStatus::Pending),
            Self::Accepted => Some(invite::InviteStatus::Accepted),
            Self::Expired => Some(invite::InviteStatus::Expired),
            Self::Revoked => Some(invite::InviteStatus::Revoked),
            Self::Any => None,
        }
    }
}

/// Who invites.
#[derive(Clone, Debug, Object)]
pub struct Inviter {
    /// Id of the account: `usr_…`.
    pub id: String,
    /// The default address.
    pub email: String,
    /// Empty if none was given.
    pub first_name: String,
    /// Empty if none was given.
    pub last_name: String,
}

impl From<invite::Inviter> for Inviter {
    fn from(inviter: invite::Inviter) -> Self {
        let invite::Inviter {
            id,
            email,
            first_name,
            last_name,
        } = inviter;
        Self {
            id: id.to_string(),
            email,
            first_name,
            last_name,
        }
    }
}

/// Somebody to be invited to an organisation, or to one of its projects.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct NewInvite {
    /// The address that is invited, by a mail with a link. Absent: an open link, for whoever has it.
    pub email: Option<String>,
    /// Name or id of the role: of a project's if `project` is given, else of the organisation's. Absent: `member`, in a
    /// project `developer`. An open link gives no ownership.
    pub role: Option<String>,
    /// Id or slug of a project, for an invitation to that alone.
    pub project: Option<String>,
    /// The classes of environment in which the role is to read secrets. Absent: those of the role.
    pub env_classes: Option<Vec<EnvClass>>,
    /// Whether whoever accepts becomes a user of the organisation's realm, and no member. Then `role` is needed, a role of
    /// your application. No if absent.
    pub realm: Option<bool>,
    /// Hours until it ends, 1 to 720. Absent: a week.
    pub expires_in_hours: Option<i64>,
    /// How often an open link can be accepted, 1 to 1000. Absent: once, like every invitation to an address.
    pub max_uses: Option<i64>,
}

impl NewInvite {
    /// The project that it names, and the rest.
    pub fn into_parts(self) -> (Option<String>, inviting::NewInvite) {
        let Self {
            email,
            role,
            project,
            env_classes,
            realm,
            expires_in_hours,
            max_uses,
        } = self;
        let in_place = NewProjectInvite {
            email,
            role,
            env_classes,
            expires_in_hours,
            max_uses,
        };
        let new = inviting::NewInvite {
            for_realm: realm.unwrap_or(false),
            ..in_place.into()
        };
        (project, new)
    }
}

/// Somebody to be invited to a project.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct NewProjectInvite {
    /// The address that is invited, by a mail with a link. Absent: an open link, for whoever has it.
    pub email: Option<String>,
    /// Name or id of the role. Absent: `developer`. An open link gives no ownership.
    pub role: Option<String>,
    /// The classes of environment in which the role is to read secrets. Absent: those of the role.
    pub env_classes: Option<Vec<EnvClass>>,
    /// Hours until it ends, 1 to 720. Absent: a week.
    pub expires_in_hours: Option<i64>,
    /// How often an open link can be accepted, 1 to 1000. Absent: once, like every invitation to an address.
    pub max_uses: Option<i64>,
}

impl From<NewProjectInvite> for inviting::NewInvite {
    fn from(new: NewProjectInvite) -> Self {
        let NewProjectInvite {
            email,
            role,
            env_classes,
            expires_in_hours,
            max_uses,
        } = new;
        Self {
            email,
            role,
            env_classes: env_classes.map(|list| list.into_iter().map(DomainClass::from).collect()),
            for_realm: false,
            expires_in_hours,
            max_uses,
        }
    }
}

/// An invitation, without its token.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Invite {
    /// Id of the invitation: `inv_…`.
    pub id: String,
    /// The address that was invited; absent for an open link.
    pub email: Option<String>,
    /// Id of the project that it leads to: `prj_…`; absent for the whole organisation.
    pub project_id: Option<String>,
    /// That project's name in paths.
    pub project: Option<String>,
    /// Name of the role that it gives.
    pub role: String,
    /// Id of that role: `rol_…`.
    pub role_id: String,
    /// The classes of environment in which the role will read secrets; absent: those of the role.
    pub env_classes: Option<Vec<EnvClass>>,
    /// Whether whoever accepts becomes a user of the organisation's realm, and no member.
    pub realm: bool,
    /// How it stands.
    pub status: InviteStatus,
    /// How often it was accepted.
    pub uses: i32,
    /// How often it can be accepted.
    pub max_uses: i32,
    /// Who made it, or sent it again last; absent when that account is gone, and nobody can accept then.
    pub invited_by: Option<Inviter>,
    /// When it was made.
    pub created_at: Time,
    /// When it ends.
    pub expires_at: Time,
}

impl From<invite::Invite> for Invite {
    fn from(invite: invite::Invite) -> Self {
        let role = invite.role_name();
        let invite::Invite {
            id,
            org: _,
            project,
            email,
            canonical: _,
            role_id,
            role: _,
            env_classes,
            for_realm,
            max_uses,
            uses,
            invited_by: _,
            inviter,
            status,
            token_mac: _,
            created_at,
            given_at: _,
            expires_at,
        } = invite;
        let (project_id, project) = project.map(|place| (place.id.to_string(), place.slug)).unzip();
        Self {
            id: id.to_string(),
            email,
            project_id,
            project,
            role,
            role_id: role_id.to_string(),
            env_classes: env_classes.map(listed),
            realm: for_realm,
            status: status.into(),
            uses,
            max_uses,
            invited_by: inviter.map(Into::into),
            created_at: created_at.into(),
            expires_at: expires_at.into(),
        }
    }
}

/// An invitation with its token, shown this once.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct CreatedInvite {
    /// The token: `srm_inv_…`. It is not stored and cannot be shown again. It proves no address: of an invitation to an
    /// address it is good for somebody signed in who has verified that address.
    pub token: String,
    /// A page that shows the invitation of this token and accepts it.
    pub invite_url: String,
    /// Id of the invitation: `inv_…`.
    pub id: String,
    /// The address that was invited; absent for an open link.
    pub email: Option<String>,
    /// Id of the project that it leads to: `prj_…`; absent for the whole organisation.
    pub project_id: Option<String>,
    /// That project's name in paths.
    pub project: Option<String>,
    /// Name of the role that it gives.
    pub role: String,
    /// Id of that role: `rol_…`.
    pub role_id: String,
    /// The classes of environment in which the role will read secrets; absent: those of the role.
    pub env_classes: Option<Vec<EnvClass>>,
    /// Whether whoever accepts becomes a user of the organisation's realm, and no member.
    pub realm: bool,
    /// How it stands.
    pub status: InviteStatus,
    /// How often it was accepted.
    pub uses: i32,
    /// How often it can be accepted.
    pub max_uses: i32,
    /// Who made it, or sent it again last.
    pub invited_by: Option<Inviter>,
    /// When it was made.
    pub created_at: Time,
    /// When it ends.
    pub expires_at: Time,
}

impl CreatedInvite {
    pub fn new(base_url: &Url, issued: Issued) -> Self {
        let Issued { invite, token } = issued;
        let Invite {
            id,
            email,
            project_id,
            project,
            role,
            role_id,
            env_classes,
            realm,
            status,
            uses,
            max_uses,
            invited_by,
            created_at,
            expires_at,
        } = invite.into();
        Self {
            token: token.expose().to_owned(),
            invite_url: letters::invite_link(base_url, &token),
            id,
            email,
            project_id,
            project,
            role,
            role_id,
            env_classes,
            realm,
            status,
            uses,
            max_uses,
            invited_by,
            created_at,
            expires_at,
        }
    }
}

#[derive(Clone, ApiResponse)]
pub enum InviteCreated {
    /// The invitation was made, and its mail is on its way if it is to an address.
    #[oai(status = 201)]
    Created(Json<CreatedInvite>),
}

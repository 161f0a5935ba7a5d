//! Members as the API shows them.

use domain::access::{ClassSet, EnvClass as DomainClass};
use domain::members::assignment::RoleRequest;
use domain::members::change::Change;
use domain::members::member::{self, MemberId};
use domain::members::membership;
use domain::members::subject::Named;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Enum, Object};

use crate::http::time::Time;
use crate::projects::dto::EnvClass;

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum MemberType {
    /// A person with an account.
    User,
    /// A machine.
    ServiceAccount,
    /// Somebody who was invited and has not come yet.
    Invite,
}

/// Whether a member is in already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum MemberStatus {
    /// In.
    Active,
    /// Invited.
    Pending,
}

/// A role that a member holds, or is invited to.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct MemberRole {
    /// Id of the role: `rol_…`.
    pub id: String,
    /// Name of the role.
    pub name: String,
    /// The classes of environment in which it reads secrets; absent: those of the role.
    pub env_classes: Option<Vec<EnvClass>>,
    /// When it ends by itself; absent: never.
    pub expires_at: Option<Time>,
}

pub(super) fn listed(classes: ClassSet) -> Vec<EnvClass> {
    classes.iter().map(EnvClass::from).collect()
}

impl From<membership::HeldRole> for MemberRole {
    fn from(held: membership::HeldRole) -> Self {
        let membership::HeldRole {
            at: _,
            role,
            env_classes,
            expires_at,
        } = held;
        Self {
            id: role.id.to_string(),
            name: role.name,
            env_classes: env_classes.map(listed),
            expires_at: expires_at.map(Into::into),
        }
    }
}

/// Somebody who belongs to an organisation or a project, or is invited to.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Member {
    /// Id of the account, service account or invitation: `usr_…`, `sa_…`, `inv_…`.
    pub id: String,
    /// What it is.
    #[oai(rename = "type")]
    pub kind: MemberType,
    /// Primary address of a person, or the one that was invited; absent for a service account and for an open link.
    pub email: Option<String>,
    /// First name of a person.
    pub first_name: Option<String>,
    /// Last name of a person.
    pub last_name: Option<String>,
    /// Name of a service account.
    pub name: Option<String>,
    /// Name of the highest role.
    pub role: Option<String>,
    /// Every role that is held here now, the highest first.
    pub roles: Vec<MemberRole>,
    /// Whether they are in already.
    pub status: MemberStatus,
    /// Since when.
    pub created_at: Time,
}

impl From<member::Member> for Member {
    fn from(member: member::Member) -> Self {
        let member::Member {
            id,
            email,
            first_name,
            last_name,
            name,
            roles,
            created_at,
        } = member;
        let (id, kind, status) = match id {
            MemberId::User(id) => (id.to_string(), MemberType::User, MemberStatus::Active),
            MemberId::ServiceAccount(id) => (id.to_string(), MemberType::ServiceAccount, MemberStatus::Active),
            MemberId::Invite(id) => (id.to_string(), MemberType::Invite, MemberStatus::Pending),
        };
        Self {
            id,
            kind,
            email,
            first_name,
            last_name,
            name,
            role: roles.first().map(|held| held.role.name.clone()),
            roles: roles.into_iter().map(Into::into).collect(),
            status,
            created_at: created_at.into(),
        }
    }
}

/// Somebody to be added. Either `email` or `user_id` says who.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct NewMember {
    /// An address that somebody with an account has verified.
    pub email: Option<String>,
    /// Id of an account, `usr_…`, or of a service account of this organisation, `sa_…`.
    pub user_id: Option<String>,
    /// Name or id of the role.
    pub role: String,
    /// The classes of environment in which the role is to read secrets. Absent: those of the role.
    pub env_classes: Option<Vec<EnvClass>>,
    /// When the role ends by itself. Absent: never.
    pub expires_at: Option<Time>,
}

impl NewMember {
    /// Who, and what they get.
    pub fn into_parts(self) -> (Named, RoleRequest) {
        let Self {
            email,
            user_id,
            role,
            env_classes,
            expires_at,
        } = self;
        (Named { email, user_id }, request(role, env_classes, expires_at))
    }
}

/// A role to be held.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct RoleAssignment {
    /// Name or id of the role.
    pub role: String,
    /// The classes of environment in which the role is to read secrets. Absent: those of the role.
    pub env_classes: Option<Vec<EnvClass>>,
    /// When the role ends by itself. Absent: never.
    pub expires_at: Option<Time>,
}

impl From<RoleAssignment> for RoleRequest {
    fn from(assignment: RoleAssignment) -> Self {
        let RoleAssignment {
            role,
            env_classes,
            expires_at,
        } = assignment;
        request(role, env_classes, expires_at)
    }
}

fn request(role: String, env_classes: Option<Vec<EnvClass>>, expires_at: Option<Time>) -> RoleRequest {
    RoleRequest {
        role,
        env_classes: env_classes.map(|list| list.into_iter().map(DomainClass::from).collect()),
        expires_at: expires_at.map(|Time(at)| at),
    }
}

/// Who is to own it.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct Heir {
    /// Id of a person who is a member already: `usr_…`.
    pub member: String,
}

#[derive(Clone, ApiResponse)]
pub enum Assigned {
    /// They hold the role now and did not before.
    #[oai(status = 201)]
    Made(Json<Member>),
    /// They held it before; it is held as asked for now.
    #[oai(status = 200)]
    Changed(Json<Member>),
}

impl Assigned {
    pub fn new(change: Change, member: member::Member) -> Self {
        let member = Json(member.into());
        match change {
            Change::Made => Self::Made(member),
            Change::Changed | Change::Same => Self::Changed(member),
        }
    }
}

#[derive(Clone, ApiResponse)]
pub enum Joined {
    /// The caller is a member now.
    #[oai(status = 201)]
    Joined(Json<Member>),
}

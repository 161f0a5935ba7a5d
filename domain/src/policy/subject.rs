//! Whom a rule or a question is about, as callers name them.

use sea_orm::FromQueryResult;

use super::role::{Audience, find};
use crate::access::facts::{Actor, Ceiling, Principal, Subject};
use crate::access::role::RoleLevel;
use crate::auth::account;
use crate::kernel::id::{OrgId, ProjectId, ServiceAccountId, UserId};
use crate::kernel::{Error, Problem, ProblemCode, Reads, Result, Timestamp, text};

/// The kinds of subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectKind {
    User,
    ServiceAccount,
    Role,
}

impl SubjectKind {
    /// The kind as stored and published: `service_account`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::ServiceAccount => "service_account",
            Self::Role => "role",
        }
    }

    /// Reads the stored form.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::User, Self::ServiceAccount, Self::Role]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }

    /// A subject of this kind.
    pub(super) fn of(self, id: uuid::Uuid) -> Subject {
        match self {
            Self::User => Subject::User(id.into()),
            Self::ServiceAccount => Subject::ServiceAccount(id.into()),
            Self::Role => Subject::Role(id.into()),
        }
    }
}

/// Kind and id of a subject, as the tables keep them.
pub(super) fn columns(subject: Subject) -> (SubjectKind, uuid::Uuid) {
    match subject {
        Subject::User(id) => (SubjectKind::User, id.0),
        Subject::ServiceAccount(id) => (SubjectKind::ServiceAccount, id.0),
        Subject::Role(id) => (SubjectKind::Role, id.0),
    }
}

/// A subject in the caller's words: by its id, or by what it is called.
#[derive(Clone, Debug)]
pub struct SubjectInput {
    pub kind: SubjectKind,
    pub id: Option<String>,
    /// Of a user.
    pub email: Option<String>,
    /// Of a service account or a role.
    pub name: Option<String>,
    /// Of a role that is named: where it can be held.
    pub level: RoleLevel,
}

/// A subject that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedSubject {
    pub subject: Subject,
    /// E-mail of a user, name of a service account or role.
    pub label: String,
}

/// Somebody who can act.
#[derive(Clone, Debug)]
pub struct NamedActor {
    /// As with a credential that narrows nothing; a service account lives in its organisation and project.
    pub actor: Actor,
    pub label: String,
    /// Nobody gets in with it.
    pub is_disabled: bool,
    /// A service account of a deleted project: it is gone with the project, until that is restored.
    pub is_gone: bool,
}

/// Why somebody is let in nowhere, whatever they were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inactive {
    /// The account is switched off.
    Disabled,
    /// The organisation wants a second factor of people, and they have none.
    NoSecondFactor,
}

impl Inactive {
    pub(super) fn of(is_disabled: bool, lacks_second_factor: bool) -> Option<Self> {
        if is_disabled {
            return Some(Self::Disabled);
        }
        lacks_second_factor.then_some(Self::NoSecondFactor)
    }
}

pub(super) fn unknown(field: &'static str, message: &'static str) -> Error {
    Problem::field(field, "unknown", message).into()
}

/// Finds whom a rule is to be about.
///
/// # Errors
/// `invalid_field` naming what does not lead to anybody.
pub async fn resolve(from: &impl Reads, org: OrgId, input: &SubjectInput) -> Result<NamedSubject> {
    match input.kind {
        SubjectKind::User | SubjectKind::ServiceAccount => {
            let NamedActor { actor, label, .. } = resolve_actor(from, org, input).await?;
            let subject = actor.principal.into();
            Ok(NamedSubject { subject, label })
        }
        SubjectKind::Role => {
            let (field, name) = named(input)?;
            let found = find(from, org, name, input.level).await?;
            let found = found.ok_or_else(|| unknown(field, "is no role of this organisation and level"))?;
            if found.audience == Audience::App {
                let message = "is a role of your application, which counts for nothing here";
                return Err(Problem::field(field, "audience", message).into());
            }
            Ok(NamedSubject {
                subject: Subject::Role(found.id),
                label: found.name,
            })
        }
    }
}

/// Finds somebody who can act.
///
/// # Errors
/// `invalid_field` naming what does not lead to anybody.
async fn resolve_actor(from: &impl Reads, org: OrgId, input: &SubjectInput) -> Result<NamedActor> {
    let (field, _) = named(input)?;
    let message = match input.kind {
        SubjectKind::User if field == "subject.email" => "is no address that an account has proved",
        SubjectKind::User => "is nobody's account",
        SubjectKind::ServiceAccount | SubjectKind::Role => "is no service account of this organisation",
    };
    let found = find_actor(from, org, input).await?;
    found.ok_or_else(|| unknown(field, message))
}

/// Finds somebody who can act, if there is anybody of that name.
///
/// # Errors
/// `invalid_field` when it is no name at all, or that of a role.
pub(super) async fn find_actor(from: &impl Reads, org: OrgId, input: &SubjectInput) -> Result<Option<NamedActor>> {
    let (field, name) = named(input)?;
    match input.kind {
        SubjectKind::User => user(from, field, name).await,
        SubjectKind::ServiceAccount => service_account(from, org, field, name).await,
        SubjectKind::Role => Err(Problem::field("subject.type", "conflict", "a role does not act by itself").into()),
    }
}

/// The one field that names the subject, and what it says.
pub(super) fn named(input: &SubjectInput) -> Result<(&'static str, &str)> {
    let SubjectInput {
        kind,
        id,
        email,
        name,
        level: _,
    } = input;
    let (other, own, foreign) = match kind {
        SubjectKind::User => ("subject.email", email, ("subject.name", name)),
        SubjectKind::ServiceAccount | SubjectKind::Role => ("subject.name", name, ("subject.email", email)),
    };
    if foreign.1.is_some() {
        return Err(Problem::field(foreign.0, "conflict", "is not what such a subject is named by").into());
    }
    match (id, own) {
        (Some(id), None) => Ok(("subject.id", id)),
        (None, Some(name)) => Ok((other, name)),
        (Some(_), Some(_)) => {
            Err(Problem::field(other, "conflict", "goes instead of `subject.id`, not with it").into())
        }
        (None, None) => {
            let message = format!("is needed, or `subject.id`, for a subject of type `{}`", kind.as_str());
            Err(Problem::field(other, "required", message).into())
        }
    }
}

async fn user(from: &impl Reads, field: &'static str, name: &str) -> Result<Option<NamedActor>> {
    let found = if field == "subject.id" {
        match name.parse::<UserId>() {
            Err(_) => None,
            Ok(id) => match account::get(from, id).await {
                Ok(account) => Some(account),
                Err(error) if error.code() == Some(ProblemCode::NotFound) => None,
                Err(error) => return Err(error),
            },
        }
    } else {
        account::find_by_proved_address(from, &text::email(field, name)?.canonical).await?
    };
    Ok(found.map(|found| NamedActor {
        actor: Actor::unlimited(Principal::User(found.id)),
        label: found.email,
        is_disabled: found.disabled_at.is_some(),
        is_gone: false,
    }))
}

#[derive(FromQueryResult)]
struct AccountRow {
    id: ServiceAccountId,
    name: String,
    project_id: Option<ProjectId>,
    disabled_at: Option<Timestamp>,
    project_deleted_at: Option<Timestamp>,
}

async fn service_account(from: &impl Reads, org: OrgId, field: &'static str, name: &str) -> Result<Option<NamedActor>> {
    let (column, value) = if field == "subject.id" {
        let Ok(id) = name.parse::<ServiceAccountId>() else {
            return Ok(None);
        };
        ("id", sea_orm::Value::from(id))
    } else {
        ("name", name.into())
    };
    let sql = format!(
        "SELECT s.id, s.name, s.project_id, s.disabled_at, p.deleted_at AS project_deleted_at
         FROM service_accounts s LEFT JOIN projects p ON p.id = s.project_id WHERE s.org_id = $1 AND s.{column} = $2"
    );
    let row = AccountRow::find_by_statement(from.sql(&sql, [org.into(), value]))
        .one(from.conn())
        .await?;
    Ok(row.map(|row| {
        let AccountRow {
            id,
            name,
            project_id,
            disabled_at,
            project_deleted_at,
        } = row;
        NamedActor {
            actor: Actor {
                principal: Principal::ServiceAccount(id),
                ceiling: Ceiling::of_service_account(org, project_id),
            },
            label: name,
            is_disabled: disabled_at.is_some(),
            is_gone: project_deleted_at.is_some(),
        }
    }))
}

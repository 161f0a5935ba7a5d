//! Allow and deny rules: what is stored, and how it is shown.

use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter};
use uuid::Uuid;

use super::entity::access_rule;
use super::subject::{NamedSubject, SubjectKind, columns};
use crate::access::facts::{AclRule, Effect, ProjectRef, Resource, Subject};
use crate::access::grant::AclManage;
use crate::access::pattern::Pattern;
use crate::access::{BuiltinRole, GrantSet, OrgAccess, Principal};
use crate::kernel::id::{AclRuleId, OrgId, RoleId, ServiceAccountId, UserId};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Error, Problem, Reads, Result, Timestamp, WriteTx};
use crate::projects::lookup::{self, Places};

/// A rule as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRule {
    pub id: AclRuleId,
    pub subject: NamedSubject,
    /// With the slugs of today: `web/@prod/*`.
    pub pattern: String,
    /// It names a project or environment that is deleted, by its id, and so applies nowhere until that is back.
    pub is_stale: bool,
    pub permissions: Vec<String>,
    pub effect: Effect,
    /// From this instant on it counts as absent.
    pub expires_at: Option<Timestamp>,
    /// `None` when its maker is not known any more.
    pub created_by: Option<Principal>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A stored rule with the names of those in it.
#[derive(FromQueryResult)]
pub(super) struct Row {
    pub(super) id: AclRuleId,
    subject_type: String,
    subject_id: Uuid,
    pattern: String,
    permissions: String,
    effect: String,
    created_by: Option<Uuid>,
    expires_at: Option<Timestamp>,
    pub(super) created_at: Timestamp,
    updated_at: Timestamp,
    email: Option<String>,
    account_name: Option<String>,
    role_name: Option<String>,
    maker_account: Option<Uuid>,
}

const SELECT: &str = "SELECT a.id, a.subject_type, a.subject_id, a.pattern, a.permissions, a.effect, a.created_by,
        a.expires_at, a.created_at, a.updated_at, e.address AS email, s.name AS account_name, r.name AS role_name,
        m.id AS maker_account
    FROM acl_rules a
    LEFT JOIN user_emails e ON e.user_id = a.subject_id AND e.is_primary
    LEFT JOIN service_accounts s ON s.id = a.subject_id
    LEFT JOIN roles r ON r.id = a.subject_id
    LEFT JOIN service_accounts m ON m.id = a.created_by
    WHERE a.org_id = $1";

fn broken(id: AclRuleId) -> Error {
    Error::internal(format!("access rule {id} is stored wrongly"))
}

impl Row {
    /// What it says, as a decision reads it.
    pub(super) fn said(&self, org: OrgId) -> Result<AclRule> {
        let broken = || broken(self.id);
        let kind = SubjectKind::parse(&self.subject_type).ok_or_else(broken)?;
        let permissions: Vec<String> = serde_json::from_str(&self.permissions).map_err(|_| broken())?;
        Ok(AclRule {
            id: self.id,
            org,
            subject: kind.of(self.subject_id),
            pattern: serde_json::from_str(&self.pattern).map_err(|_| broken())?,
            grants: GrantSet::parse(&permissions).map_err(|_| broken())?,
            effect: Effect::parse(&self.effect).ok_or_else(broken)?,
            expires_at: self.expires_at,
        })
    }

    fn shown(self, org: OrgId, places: &Places) -> Result<AccessRule> {
        let AclRule {
            id,
            org: _,
            subject,
            pattern,
            grants,
            effect,
            expires_at,
        } = self.said(org)?;
        let label = match subject {
            Subject::User(_) => self.email,
            Subject::ServiceAccount(_) => self.account_name,
            Subject::Role(role) => BuiltinRole::by_id(role)
                .map(|role| role.name.to_owned())
                .or(self.role_name),
        };
        let created_by = match (self.created_by, self.maker_account) {
            (None, _) => None,
            (Some(_), Some(account)) => Some(Principal::ServiceAccount(ServiceAccountId(account))),
            (Some(user), None) => Some(Principal::User(UserId(user))),
        };
        Ok(AccessRule {
            id,
            subject: NamedSubject {
                subject,
                label: label.unwrap_or_default(),
            },
            pattern: places.names().text_of(&pattern),
            is_stale: !places.names().has_all_of(&pattern),
            permissions: grants.to_list(),
            effect,
            expires_at,
            created_by,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

/// Which rules are wanted.
#[derive(Clone, Debug, Default)]
pub struct RuleFilter {
    /// Id of a user, service account or role.
    pub subject: Option<String>,
    /// Id or slug of a project: rules that apply to it or to something in it.
    pub project: Option<String>,
    pub effect: Option<Effect>,
}

/// The rules of an organisation, oldest first.
///
/// # Errors
/// `invalid_field` naming a filter that names nothing.
pub async fn list(
    from: &impl Reads,
    access: &OrgAccess<AclManage>,
    filter: RuleFilter,
    page: PageRequest,
) -> Result<Page<AccessRule>> {
    let org = access.org.id;
    let RuleFilter {
        subject,
        project,
        effect,
    } = filter;
    let places = lookup::all(from, org).await?;
    let subject = subject.as_deref().map(subject_of).transpose()?;
    let project = match project.as_deref() {
        None => None,
        Some(name) => {
            let found = places.named_project(name);
            Some(found.ok_or_else(|| Problem::field("project", "unknown", "is no project of this organisation"))?)
        }
    };
    let sql = format!("{SELECT} ORDER BY a.created_at, a.id");
    let rows = Row::find_by_statement(from.sql(&sql, [org.into()]))
        .all(from.conn())
        .await?;
    let mut wanted = Vec::with_capacity(rows.len());
    for row in rows {
        let said = row.said(org)?;
        let reaches = project.is_none_or(|project| reaches(&said.pattern, org, project));
        if reaches && subject.is_none_or(|id| row.subject_id == id) && effect.is_none_or(|effect| said.effect == effect)
        {
            wanted.push(row);
        }
    }
    let Page { data, request, total } = Page::of(wanted, page);
    let data = data
        .into_iter()
        .map(|row| row.shown(org, &places))
        .collect::<Result<_>>()?;
    Ok(Page { data, request, total })
}

fn reaches(pattern: &Pattern, org: OrgId, project: ProjectRef<'_>) -> bool {
    pattern.could_match_inside(&Resource::project(org, project))
}

fn subject_of(text: &str) -> Result<Uuid> {
    let user = text.parse::<UserId>().map(Uuid::from);
    let any = user
        .or_else(|_| text.parse::<ServiceAccountId>().map(Uuid::from))
        .or_else(|_| text.parse::<RoleId>().map(Uuid::from));
    any.map_err(|_| Problem::field("subject", "format", "must be an id such as `usr_…`, `sa_…` or `rol_…`").into())
}

/// One stored rule: the one of this id, or the one about this subject and pattern.
pub(super) async fn row_by_id(from: &impl Reads, org: OrgId, id: AclRuleId) -> Result<Option<Row>> {
    let sql = format!("{SELECT} AND a.id = $2");
    let found = Row::find_by_statement(from.sql(&sql, [org.into(), id.into()]));
    Ok(found.one(from.conn()).await?)
}

/// The stored rule about this subject and this very pattern.
pub(super) async fn row_about(
    from: &impl Reads,
    org: OrgId,
    subject: Subject,
    pattern: &Pattern,
) -> Result<Option<Row>> {
    let sql = format!("{SELECT} AND a.subject_id = $2 AND a.pattern_text = $3");
    let values = [org.into(), columns(subject).1.into(), pattern.to_string().into()];
    let found = Row::find_by_statement(from.sql(&sql, values));
    Ok(found.one(from.conn()).await?)
}

/// A rule of the organisation as people see it.
pub(super) async fn shown(from: &impl Reads, org: OrgId, id: AclRuleId) -> Result<AccessRule> {
    let places = lookup::all(from, org).await?;
    let row = row_by_id(from, org, id).await?;
    row.ok_or_else(|| broken(id))?.shown(org, &places)
}

/// The rules about a subject.
///
/// # Errors
/// [`Error::Db`].
pub async fn of_subject(from: &impl Reads, org: OrgId, subject: Subject) -> Result<Vec<AclRule>> {
    let sql = format!("{SELECT} AND a.subject_id = $2");
    let rows = Row::find_by_statement(from.sql(&sql, [org.into(), columns(subject).1.into()]))
        .all(from.conn())
        .await?;
    rows.iter().map(|row| row.said(org)).collect()
}

/// Deletes the rules about a subject that goes; tells how many there were. The caller journals its going.
///
/// # Errors
/// [`Error::Db`].
pub async fn delete_of_subject(tx: &WriteTx, org: OrgId, subject: Subject) -> Result<u64> {
    let deleted = access_rule::Entity::delete_many()
        .filter(access_rule::Column::OrgId.eq(org))
        .filter(access_rule::Column::SubjectId.eq(columns(subject).1))
        .exec(tx.conn())
        .await?;
    Ok(deleted.rows_affected)
}

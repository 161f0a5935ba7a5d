//! Service accounts: what they are, finding them, and the gate before a change.

use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::access::grant::ServiceAccountsManage;
use crate::access::superior::require_superior;
use crate::access::{OrgAccess, Principal};
use crate::auth::ip_allow::IpAllow;
use crate::journal::{Action, Entry, Target};
use crate::kernel::id::{OrgId, ProjectId, ServiceAccountId};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Backend, Error, Problem, ProblemCode, Reads, Result, Timestamp, WriteTx};

/// A service account.
#[derive(Clone, Debug)]
pub struct ServiceAccount {
    pub id: ServiceAccountId,
    pub org_id: OrgId,
    /// The one project that it can act in, by id and slug.
    pub project: Option<(ProjectId, String)>,
    pub name: String,
    pub description: String,
    pub ip_allow: IpAllow,
    pub enabled: bool,
    /// When one of its keys was last used.
    pub last_used_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(FromQueryResult)]
struct Row {
    id: ServiceAccountId,
    org_id: OrgId,
    project_id: Option<ProjectId>,
    project_slug: Option<String>,
    name: String,
    description: String,
    ip_allow: String,
    disabled_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// An account whose project is deleted is gone with it, until the project is restored.
const SELECT: &str = "SELECT s.id, s.org_id, s.project_id, p.slug AS project_slug, s.name, s.description, s.ip_allow,
        s.disabled_at, s.created_at, s.updated_at,
        (SELECT MAX(c.last_used_at) FROM credentials c WHERE c.principal_id = s.id AND c.kind = 'service_key')
            AS last_used_at
    FROM service_accounts s LEFT JOIN projects p ON p.id = s.project_id
    WHERE s.org_id = $1 AND p.deleted_at IS NULL";

impl TryFrom<Row> for ServiceAccount {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let Row {
            id,
            org_id,
            project_id,
            project_slug,
            name,
            description,
            ip_allow,
            disabled_at,
            last_used_at,
            created_at,
            updated_at,
        } = row;
        Ok(Self {
            id,
            org_id,
            project: project_id.zip(project_slug),
            name,
            description,
            ip_allow: IpAllow::from_stored(&ip_allow)
                .ok_or_else(|| Error::internal(format!("service account {id} is stored wrongly")))?,
            enabled: disabled_at.is_none(),
            last_used_at,
            created_at,
            updated_at,
        })
    }
}

impl ServiceAccount {
    pub(super) fn entry(&self, action: Action) -> Entry {
        let entry = Entry::in_org(self.org_id, action, Target::ServiceAccount(self.id));
        match &self.project {
            None => entry,
            Some((id, _)) => entry.project(*id),
        }
    }
}

/// Which of an organisation's accounts are wanted.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Id or slug of the project that they are bound to.
    pub project: Option<String>,
    /// A part of their name or description, without regard to case.
    pub search: Option<String>,
}

impl Filter {
    fn admits(&self, account: &ServiceAccount) -> bool {
        let project = self.project.as_deref().is_none_or(|wanted| {
            let bound = account.project.as_ref();
            bound.is_some_and(|(id, slug)| slug == wanted || id.to_string() == wanted)
        });
        project
            && self.search.as_deref().is_none_or(|part| {
                let part = part.to_lowercase();
                [&account.name, &account.description]
                    .iter()
                    .any(|text| text.to_lowercase().contains(&part))
            })
    }
}

/// The accounts of an organisation, by name.
///
/// # Errors
/// [`Error::Db`].
pub async fn list(
    from: &impl Reads,
    access: &OrgAccess<ServiceAccountsManage>,
    filter: &Filter,
    page: PageRequest,
) -> Result<Page<ServiceAccount>> {
    let sql = format!("{SELECT} ORDER BY s.name, s.id");
    let rows = Row::find_by_statement(from.sql(&sql, [access.org.id.into()]))
        .all(from.conn())
        .await?;
    let all: Vec<ServiceAccount> = rows.into_iter().map(TryInto::try_into).collect::<Result<_>>()?;
    let wanted = all.into_iter().filter(|account| filter.admits(account)).collect();
    Ok(Page::of(wanted, page))
}

/// # Errors
/// `not_found`.
pub async fn get(from: &impl Reads, access: &OrgAccess<ServiceAccountsManage>, id: &str) -> Result<ServiceAccount> {
    let id: ServiceAccountId = id.parse().map_err(|_| Problem::not_found())?;
    let sql = format!("{SELECT} AND s.id = $2");
    let row = Row::find_by_statement(from.sql(&sql, [access.org.id.into(), id.into()]))
        .one(from.conn())
        .await?;
    row.ok_or_else(Problem::not_found)?.try_into()
}

/// An account that is about to be changed, its row locked. Whoever holds less than the account may not touch it: a
/// key of it would be a way up.
pub(super) async fn get_to_change(
    tx: &WriteTx,
    access: &OrgAccess<ServiceAccountsManage>,
    id: &str,
) -> Result<ServiceAccount> {
    if let (Ok(id), Backend::Postgres) = (id.parse::<ServiceAccountId>(), tx.backend()) {
        let sql = "SELECT id FROM service_accounts WHERE id = $1 FOR UPDATE";
        tx.conn().query_one_raw(tx.sql(sql, [id.into()])).await?;
    }
    let account = get(tx, access, id).await?;
    require_superior(tx, access, Principal::ServiceAccount(account.id)).await?;
    Ok(account)
}

fn name_taken() -> Error {
    let detail =
        "A service account of this organisation has this name, perhaps one of a deleted project. Choose another.";
    Problem::new(ProblemCode::Conflict, detail).with("field", "name").into()
}

/// Two of one name at once: the index decides, the loser is told like any other.
pub(super) fn unique_name(error: sea_orm::DbErr) -> Error {
    match error.sql_err() {
        Some(sea_orm::SqlErr::UniqueConstraintViolation(_)) => name_taken(),
        _ => Error::Db(error),
    }
}

//! One query a request: the organisation, project and environment that a path names, and what the caller was given
//! there. Nothing of it is cached, so a role that is taken away stops working at the next request.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::Arc;

use sea_orm::{FromQueryResult, Value};
use uuid::Uuid;

use super::class::{ClassSet, EnvClass};
use super::facts::{AclRule, Effect, Facts, Membership, Principal, Subject};
use super::permission::GrantSet;
use super::role::BuiltinRole;
use crate::kernel::id::{AclRuleId, EnvId, OrgId, ProjectId, RoleId, ServiceAccountId, TypedId, UserId};
use crate::kernel::lists::{id_param, is_one_of};
use crate::kernel::{Error, Reads, Result, Timestamp};

/// An organisation, as far as access needs it.
#[derive(Clone, Debug)]
pub struct OrgRow {
    pub id: OrgId,
    pub slug: String,
    /// Whether people need a second factor for anything in it.
    pub requires_second_factor: bool,
}

#[derive(Clone, Debug)]
pub struct ProjectRow {
    pub id: ProjectId,
    pub slug: String,
}

#[derive(Clone, Debug)]
pub struct EnvRow {
    pub id: EnvId,
    pub slug: String,
    pub class: EnvClass,
    /// The revision at the time of the query.
    pub revision: i64,
}

/// What a path leads to; deeper levels are `None` when the path names none or there is none.
#[derive(Clone)]
pub struct Loaded {
    pub org: OrgRow,
    pub project: Option<ProjectRow>,
    pub env: Option<EnvRow>,
    /// A second environment of the project, when the path names two.
    pub other: Option<EnvRow>,
    pub facts: Arc<Facts>,
    /// The organisation's access epoch at the time of the query, when the path names an environment.
    pub epoch: Option<i64>,
}

/// Rows of four kinds in one shape: what the path names, memberships, rules, the access epoch.
#[derive(FromQueryResult)]
pub(super) struct Row {
    pub(super) kind: String,
    pub(super) a: Uuid,
    pub(super) b: Option<Uuid>,
    pub(super) c: Option<Uuid>,
    pub(super) t1: Option<String>,
    pub(super) t2: Option<String>,
    pub(super) t3: Option<String>,
    pub(super) t4: Option<String>,
    pub(super) n1: Option<i64>,
    pub(super) n2: Option<i64>,
}

/// A name in a path: an id or a slug. Ids hold an underscore, slugs cannot.
fn column_and_value<T: TypedId + FromStr>(name: &str) -> (&'static str, Value) {
    match name.parse::<T>() {
        Ok(id) => ("id", Value::from(id.into())),
        Err(_) => ("slug", Value::from(name)),
    }
}

/// Loads what `path` names: organisation, then project, then one or two environments, as many as are given. `None` when there is
/// no such organisation.
pub async fn load(from: &impl Reads, principal: Principal, path: &[&str], deleted_org: bool) -> Result<Option<Loaded>> {
    let (sql, values) = statement(principal, path, deleted_org);
    let rows = Row::find_by_statement(from.sql(&sql, values)).all(from.conn()).await?;
    let mut places = Vec::new();
    let mut facts = Facts::default();
    let Some(org) = rows.iter().find(|row| row.kind == "p").map(|row| OrgId(row.a)) else {
        return Ok(None);
    };
    let mut epoch = None;
    for row in rows {
        match row.kind.as_str() {
            "p" => places.push(place_of(row)?),
            "e" => epoch = row.n1,
            "m" => facts.memberships.extend(membership(org, row)?),
            _ => facts.rules.push(rule(org, row)?),
        }
    }
    in_order(&mut facts);
    let called = |name: Option<&&str>| {
        let mut envs = places.iter().filter_map(|(_, _, env)| env.as_ref());
        envs.find(|env| name.is_some_and(|name| is_called(env, name))).cloned()
    };
    let (env, other) = (called(path.get(2)), called(path.get(3)));
    let first = places.into_iter().next();
    Ok(first.map(|(org, project, _)| Loaded {
        org,
        project,
        env,
        other,
        facts: Arc::new(facts),
        epoch,
    }))
}

/// Whether a name in a path means this environment.
fn is_called(env: &EnvRow, name: &str) -> bool {
    name.parse::<EnvId>()
        .map_or_else(|_| env.slug == name, |id| env.id == id)
}

/// A query gives facts in any order; entity tags need one.
fn in_order(facts: &mut Facts) {
    facts.memberships.sort_by_key(|held| (held.role, held.project));
    facts.rules.sort_by_key(|rule| rule.id);
}

/// Loads several organisations by their ids, with what the principal was given in each. Deleted ones are left out.
pub async fn load_orgs(
    from: &impl Reads,
    principal: Principal,
    orgs: &[OrgId],
) -> Result<HashMap<OrgId, (OrgRow, Facts)>> {
    let mut loaded = HashMap::new();
    if orgs.is_empty() {
        return Ok(loaded);
    }
    let is_one = |column: &str| is_one_of(from.backend(), column, "$2");
    let sql = ORGS
        .replace("{o}", &is_one("o.id"))
        .replace("{m}", &is_one("m.org_id"))
        .replace("{a}", &is_one("a.org_id"));
    let values = [subject_of(principal).into(), id_param(orgs.iter().map(|org| org.0))];
    let mut given: HashMap<OrgId, Facts> = HashMap::new();
    for row in Row::find_by_statement(from.sql(&sql, values)).all(from.conn()).await? {
        if row.kind == "p" {
            let (org, _, _) = place_of(row)?;
            loaded.insert(org.id, (org, Facts::default()));
            continue;
        }
        let org = row.c.map(OrgId).ok_or_else(broken("a grant"))?;
        let facts = given.entry(org).or_default();
        match row.kind.as_str() {
            "m" => facts.memberships.extend(membership(org, row)?),
            _ => facts.rules.push(rule(org, row)?),
        }
    }
    for (id, (_, facts)) in &mut loaded {
        *facts = given.remove(id).unwrap_or_default();
    }
    Ok(loaded)
}

const ORGS: &str = "
    SELECT 'p' AS kind, o.id AS a, CAST(NULL AS uuid) AS b, CAST(NULL AS uuid) AS c, o.slug AS t1,
        CAST(NULL AS text) AS t2, CAST(NULL AS text) AS t3, CAST(NULL AS text) AS t4, CAST(NULL AS bigint) AS n1,
        CASE WHEN o.require_mfa THEN CAST(1 AS bigint) ELSE CAST(0 AS bigint) END AS n2
    FROM orgs o WHERE {o} AND o.deleted_at IS NULL
    UNION ALL
    SELECT 'm', m.role_id, m.project_id, m.org_id, m.env_classes, r.name, r.permissions, r.audience, m.expires_at, NULL
    FROM memberships m LEFT JOIN roles r ON r.id = m.role_id
    WHERE m.subject_id = $1 AND {m}
    UNION ALL
    SELECT 'r', a.id, a.subject_id, a.org_id, a.subject_type, a.pattern, a.permissions, a.effect, a.expires_at, NULL
    FROM acl_rules a
    WHERE {a} AND (a.subject_id = $1
        OR a.subject_id IN (SELECT m.role_id FROM memberships m WHERE m.subject_id = $1 AND m.org_id = a.org_id))";

fn subject_of(principal: Principal) -> Uuid {
    match principal {
        Principal::User(id) => id.0,
        Principal::ServiceAccount(id) => id.0,
    }
}

fn statement(principal: Principal, path: &[&str], deleted_org: bool) -> (String, Vec<Value>) {
    let subject = subject_of(principal);
    let (org_column, org) = column_and_value::<OrgId>(path.first().copied().unwrap_or_default());
    let mut values = vec![org, Value::from(subject)];
    let mut joins = String::new();
    let (mut project, mut env) = ("CAST(NULL AS uuid)", "CAST(NULL AS uuid)");
    let (mut project_slug, mut env_columns) = (
        "CAST(NULL AS text)",
        "CAST(NULL AS text), CAST(NULL AS text), CAST(NULL AS bigint)",
    );
    if let Some(name) = path.get(1) {
        let (column, value) = column_and_value::<ProjectId>(name);
        let _ = write!(
            joins,
            " LEFT JOIN projects p ON p.org_id = o.id AND p.{column} = $3 AND p.deleted_at IS NULL"
        );
        (project, project_slug) = ("p.id", "p.slug");
        values.push(value);
    }
    if let Some(name) = path.get(2) {
        let (column, value) = column_and_value::<EnvId>(name);
        let _ = write!(
            joins,
            " LEFT JOIN environments e ON e.project_id = p.id AND e.deleted_at IS NULL AND (e.{column} = $4"
        );
        (env, env_columns) = ("e.id", "e.slug, e.class, e.revision");
        values.push(value);
        if let Some(other) = path.get(3) {
            let (column, value) = column_and_value::<EnvId>(other);
            let _ = write!(joins, " OR e.{column} = $5");
            values.push(value);
        }
        joins.push(')');
    }
    // In the same statement as the facts, so that both are of one moment.
    let epoch = if path.len() > 2 {
        format!(
            "UNION ALL
         SELECT 'e', x.org_id, NULL, NULL, NULL, NULL, NULL, NULL, x.epoch, NULL
         FROM orgs o JOIN access_epochs x ON x.org_id = o.id WHERE o.{org_column} = $1"
        )
    } else {
        String::new()
    };
    let deleted = if deleted_org { "IS NOT NULL" } else { "IS NULL" };
    let sql = format!(
        "SELECT 'p' AS kind, o.id AS a, {project} AS b, {env} AS c, o.slug AS t1, {project_slug} AS t2, {},
            CASE WHEN o.require_mfa THEN CAST(1 AS bigint) ELSE CAST(0 AS bigint) END AS n2
         FROM orgs o{joins} WHERE o.{org_column} = $1 AND o.deleted_at {deleted}
         UNION ALL
         SELECT 'm', m.role_id, m.project_id, NULL, m.env_classes, r.name, r.permissions, r.audience, m.expires_at, NULL
         FROM orgs o JOIN memberships m ON m.org_id = o.id LEFT JOIN roles r ON r.id = m.role_id
         WHERE o.{org_column} = $1 AND m.subject_id = $2
         UNION ALL
         SELECT 'r', a.id, a.subject_id, NULL, a.subject_type, a.pattern, a.permissions, a.effect, a.expires_at, NULL
         FROM orgs o JOIN acl_rules a ON a.org_id = o.id
         WHERE o.{org_column} = $1
           AND (a.subject_id = $2 OR a.subject_id IN (SELECT m.role_id FROM memberships m WHERE m.subject_id = $2 AND m.org_id = o.id))
         {epoch}",
        aliased(env_columns)
    );
    (sql, values)
}

/// Names the columns of the environment in the first part; the other parts take the names over.
fn aliased(columns: &str) -> String {
    columns
        .split(", ")
        .zip(["t3", "t4", "n1"])
        .map(|(column, name)| format!("{column} AS {name}"))
        .collect::<Vec<_>>()
        .join(", ")
}

pub(super) fn broken(what: &'static str) -> impl FnOnce() -> Error {
    move || Error::internal(format!("{what} is stored wrongly"))
}

type Place = (OrgRow, Option<ProjectRow>, Option<EnvRow>);

fn place_of(row: Row) -> Result<Place> {
    let Row {
        kind: _,
        a,
        b,
        c,
        t1,
        t2,
        t3,
        t4,
        n1,
        n2,
    } = row;
    let org = OrgRow {
        id: OrgId(a),
        slug: t1.ok_or_else(broken("an organisation"))?,
        requires_second_factor: n2 == Some(1),
    };
    let project = match (b, t2) {
        (Some(id), Some(slug)) => Some(ProjectRow {
            id: ProjectId(id),
            slug,
        }),
        _ => None,
    };
    let env = match (c, t3, t4, n1) {
        (Some(id), Some(slug), Some(class), Some(revision)) => {
            let class = EnvClass::parse(&class).map_err(|_| broken("an environment's class")())?;
            Some(EnvRow {
                id: EnvId(id),
                slug,
                class,
                revision,
            })
        }
        _ => None,
    };
    Ok((org, project, env))
}

/// `None` for a role of a tenant's own application: it grants nothing here, whatever its permissions are called.
pub(super) fn membership(org: OrgId, row: Row) -> Result<Option<Membership>> {
    let Row {
        kind: _,
        a,
        b,
        c: _,
        t1,
        t2,
        t3,
        t4,
        n1,
        n2: _,
    } = row;
    let role = RoleId(a);
    let (role_name, grants) = match BuiltinRole::by_id(role) {
        Some(builtin) => (builtin.name.to_owned(), builtin.grants().clone()),
        None if t4.as_deref() != Some("platform") => return Ok(None),
        None => (t2.ok_or_else(broken("a role"))?, grants(t3.as_deref())?),
    };
    let env_classes = t1
        .map(|classes| ClassSet::parse(&classes))
        .transpose()
        .map_err(|_| broken("a membership")())?;
    Ok(Some(Membership {
        org,
        project: b.map(ProjectId),
        role,
        role_name,
        grants,
        env_classes,
        expires_at: n1.map(Timestamp),
    }))
}

pub(super) fn rule(org: OrgId, row: Row) -> Result<AclRule> {
    let Row {
        kind: _,
        a,
        b,
        c: _,
        t1,
        t2,
        t3,
        t4,
        n1,
        n2: _,
    } = row;
    let subject = b.ok_or_else(broken("an access rule"))?;
    let subject = match t1.as_deref() {
        Some("user") => Subject::User(UserId(subject)),
        Some("service_account") => Subject::ServiceAccount(ServiceAccountId(subject)),
        Some("role") => Subject::Role(RoleId(subject)),
        _ => return Err(broken("an access rule")()),
    };
    let pattern = t2
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok())
        .ok_or_else(broken("an access rule's pattern"))?;
    let effect = t4
        .as_deref()
        .and_then(Effect::parse)
        .ok_or_else(broken("an access rule's effect"))?;
    Ok(AclRule {
        id: AclRuleId(a),
        org,
        subject,
        pattern,
        grants: grants(t3.as_deref())?,
        effect,
        expires_at: n1.map(Timestamp),
    })
}

/// Permissions as stored: a JSON list of strings.
fn grants(text: Option<&str>) -> Result<GrantSet> {
    let list: Vec<String> = text
        .and_then(|text| serde_json::from_str(text).ok())
        .ok_or_else(broken("a set of permissions"))?;
    GrantSet::parse(&list).map_err(|_| broken("a set of permissions")())
}

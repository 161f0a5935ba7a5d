//! Everybody to whom an organisation gave something, with what it gave: for the questions that are not about the
//! caller. One query, read like the one that every request makes.

use std::collections::HashMap;

use sea_orm::FromQueryResult;
use uuid::Uuid;

use super::facts::{AclRule, Actor, Ceiling, Membership, Principal, Subject};
use super::load::{Row, broken, membership, rule};
use super::permission::GrantSet;
use crate::kernel::id::{OrgId, ProjectId, ServiceAccountId, UserId};
use crate::kernel::{Reads, Result};

/// Somebody who holds a role or whom a rule is about, or a service account of the organisation.
#[derive(Clone, Debug)]
pub struct Holder {
    /// As with a credential that narrows nothing; a service account lives in its organisation and project.
    pub actor: Actor,
    /// E-mail of a person, name of a service account.
    pub label: String,
    /// Nobody gets in with it.
    pub is_disabled: bool,
    /// A service account of a deleted project: it is gone with the project, until that is restored.
    pub is_gone: bool,
    /// Whether a person can show one; a service account needs none.
    pub has_second_factor: bool,
    pub memberships: Vec<Membership>,
}

/// Everybody of an organisation, people first, each kind by label; and all of its rules. Rules are kept once and not
/// with each holder: a decision leaves out those that are about others.
#[derive(Clone, Debug)]
pub struct Everyone {
    pub holders: Vec<Holder>,
    pub rules: Vec<AclRule>,
}

/// A membership lies at the organisation itself or at one of its projects, which is what the index is by.
const SQL: &str = "
    WITH places AS (SELECT o.id FROM orgs o WHERE o.id = $1 UNION ALL SELECT p.id FROM projects p WHERE p.org_id = $1)
    SELECT 'u' AS kind, u.id AS a, CAST(NULL AS uuid) AS b, CAST(NULL AS uuid) AS c, e.address AS t1,
        CAST(NULL AS text) AS t2, CAST(NULL AS text) AS t3, CAST(NULL AS text) AS t4, u.disabled_at AS n1,
        (SELECT COUNT(*) FROM second_factors f
         WHERE f.user_id = u.id AND f.kind = 'totp' AND f.confirmed_at IS NOT NULL) AS n2
    FROM users u JOIN user_emails e ON e.user_id = u.id AND e.is_primary
    WHERE u.id IN (SELECT m.subject_id FROM memberships m WHERE m.scope_id IN (SELECT id FROM places)
                   UNION SELECT subject_id FROM acl_rules WHERE org_id = $1)
    UNION ALL
    SELECT 's', s.id, s.project_id, NULL, s.name, NULL, NULL, NULL, s.disabled_at, p.deleted_at
    FROM service_accounts s LEFT JOIN projects p ON p.id = s.project_id WHERE s.org_id = $1
    UNION ALL
    SELECT 'm', m.role_id, m.project_id, m.subject_id, m.env_classes, r.name, r.permissions, r.audience, m.expires_at, NULL
    FROM memberships m LEFT JOIN roles r ON r.id = m.role_id WHERE m.scope_id IN (SELECT id FROM places)
    UNION ALL
    SELECT 'r', a.id, a.subject_id, NULL, a.subject_type, a.pattern, a.permissions, a.effect, a.expires_at, NULL
    FROM acl_rules a WHERE a.org_id = $1";

/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn everyone(from: &impl Reads, org: OrgId) -> Result<Everyone> {
    let rows = Row::find_by_statement(from.sql(SQL, [org.into()]))
        .all(from.conn())
        .await?;
    let mut holders = Vec::new();
    let mut memberships: HashMap<Uuid, Vec<Membership>> = HashMap::new();
    let mut rules: Vec<AclRule> = Vec::new();
    for row in rows {
        match row.kind.as_str() {
            "u" | "s" => holders.push(holder(org, row)?),
            "m" => {
                let subject = row.c.ok_or_else(broken("a membership"))?;
                memberships.entry(subject).or_default().extend(membership(org, row)?);
            }
            _ => rules.push(rule(org, row)?),
        }
    }
    for holder in &mut holders {
        holder.memberships = memberships.remove(&id_of(holder)).unwrap_or_default();
    }
    holders.sort_by(|a, b| {
        let key = |of: &Holder| matches!(of.actor.principal, Principal::ServiceAccount(_));
        (key(a), &a.label, id_of(a)).cmp(&(key(b), &b.label, id_of(b)))
    });
    Ok(Everyone { holders, rules })
}

fn id_of(holder: &Holder) -> Uuid {
    let (Principal::User(UserId(id)) | Principal::ServiceAccount(ServiceAccountId(id))) = holder.actor.principal;
    id
}

fn holder(org: OrgId, row: Row) -> Result<Holder> {
    let Row {
        kind,
        a,
        b,
        c: _,
        t1,
        t2: _,
        t3: _,
        t4: _,
        n1,
        n2,
    } = row;
    let is_person = kind == "u";
    let actor = if is_person {
        Actor::unlimited(Principal::User(UserId(a)))
    } else {
        Actor {
            principal: Principal::ServiceAccount(ServiceAccountId(a)),
            ceiling: Ceiling::of_service_account(org, b.map(ProjectId)),
        }
    };
    Ok(Holder {
        actor,
        label: t1.ok_or_else(broken("an account"))?,
        is_disabled: n1.is_some(),
        is_gone: !is_person && n2.is_some(),
        has_second_factor: !is_person || n2.is_some_and(|factors| factors > 0),
        memberships: Vec::new(),
    })
}

/// All that the live roles of a subject grant it, wherever they are held: of a role, the roles of all who hold it.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn held_by(from: &impl Reads, org: OrgId, subject: Subject) -> Result<GrantSet> {
    let now = from.now();
    let is_meant = |holder: &Holder| match subject {
        Subject::User(_) | Subject::ServiceAccount(_) => subject == holder.actor.principal.into(),
        Subject::Role(role) => holder.memberships.iter().any(|held| held.role == role),
    };
    let Everyone { holders, rules: _ } = everyone(from, org).await?;
    let held = holders.iter().filter(|holder| is_meant(holder));
    let live = held.flat_map(|holder| holder.memberships.iter().filter(|held| held.is_live(now)));
    Ok(live.fold(GrantSet::EMPTY, |all, held| all.union(&held.effective_grants())))
}

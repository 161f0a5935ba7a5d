//! Everybody to whom an organisation gave something, with what it gave: for the questions that are not about the
//! caller. One query, read like the one that every request makes.

use std::collections::HashMap;

use sea_orm::FromQueryResult;
use uuid::Uuid;

use super::facts::{AclRule, Actor, Ceiling, Facts, Membership, Principal, Subject};
use super::load::{Row, broken, in_order, membership, rule};
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
    pub facts: Facts,
}

const SQL: &str = "
    SELECT 'u' AS kind, u.id AS a, CAST(NULL AS uuid) AS b, CAST(NULL AS uuid) AS c, e.address AS t1,
        CAST(NULL AS text) AS t2, CAST(NULL AS text) AS t3, CAST(NULL AS text) AS t4, u.disabled_at AS n1,
        CAST(NULL AS bigint) AS n2
    FROM users u JOIN user_emails e ON e.user_id = u.id AND e.is_primary
    WHERE u.id IN (SELECT subject_id FROM memberships WHERE org_id = $1
                   UNION SELECT subject_id FROM acl_rules WHERE org_id = $1)
    UNION ALL
    SELECT 's', s.id, s.project_id, NULL, s.name, NULL, NULL, NULL, s.disabled_at, NULL
    FROM service_accounts s WHERE s.org_id = $1
    UNION ALL
    SELECT 'm', m.role_id, m.project_id, m.subject_id, m.env_classes, r.name, r.permissions, r.audience, m.expires_at, NULL
    FROM memberships m LEFT JOIN roles r ON r.id = m.role_id WHERE m.org_id = $1
    UNION ALL
    SELECT 'r', a.id, a.subject_id, NULL, a.subject_type, a.pattern, a.permissions, a.effect, a.expires_at, NULL
    FROM acl_rules a WHERE a.org_id = $1";

/// Everybody, people first, each kind by label.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn everyone(from: &impl Reads, org: OrgId) -> Result<Vec<Holder>> {
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
        let (Principal::User(UserId(id)) | Principal::ServiceAccount(ServiceAccountId(id))) = holder.actor.principal;
        let facts = &mut holder.facts;
        facts.memberships = memberships.remove(&id).unwrap_or_default();
        let is_about = |rule: &&AclRule| match rule.subject {
            Subject::User(_) | Subject::ServiceAccount(_) => rule.subject == holder.actor.principal.into(),
            Subject::Role(role) => facts.memberships.iter().any(|held| held.role == role),
        };
        facts.rules = rules.iter().filter(is_about).cloned().collect();
        in_order(facts);
    }
    holders.sort_by(|a, b| {
        let key = |of: &Holder| matches!(of.actor.principal, Principal::ServiceAccount(_));
        (key(a), &a.label).cmp(&(key(b), &b.label))
    });
    Ok(holders)
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
        n2: _,
    } = row;
    let actor = if kind == "u" {
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
        facts: Facts::default(),
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
        Subject::Role(role) => holder.facts.memberships.iter().any(|held| held.role == role),
    };
    let everyone = everyone(from, org).await?;
    let held = everyone.iter().filter(|holder| is_meant(holder));
    let live = held.flat_map(|holder| holder.facts.memberships.iter().filter(|held| held.is_live(now)));
    Ok(live.fold(GrantSet::EMPTY, |all, held| all.union(&held.effective_grants())))
}

//! Making, changing and deleting allow and deny rules.

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};

use super::access_rule::{AccessRule, row_about, row_by_id, shown};
use super::entity::access_rule;
use super::subject::{SubjectInput, columns, resolve};
use super::{lock, permissions, role};
use crate::access::everyone::held_by;
use crate::access::facts::{AclRule, Effect, Subject};
use crate::access::grant::AclManage;
use crate::access::pattern::{Pattern, PatternText};
use crate::access::role::RoleLevel;
use crate::access::{Caller, GrantSet, OrgAccess};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{AclRuleId, OrgId};
use crate::kernel::{Error, Problem, ProblemCode, Reads, Result, Timestamp, WriteTx};
use crate::limits::{self, LimitKey};
use crate::projects::lookup;

/// Rules of one organisation at most.
const MAX_RULES: u64 = 2000;
/// The id of a rule that is not made, or is only supposed.
pub const SUPPOSED: AclRuleId = AclRuleId(uuid::Uuid::nil());

/// What a rule is to say.
pub struct NewRule {
    pub subject: SubjectInput,
    /// `project/environment/key`, in slugs.
    pub pattern: String,
    pub permissions: Vec<String>,
    pub effect: Effect,
    pub expires_at: Option<Timestamp>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Created,
    /// There was one about the same subject and place, and it says this now.
    Changed,
    /// There was one that says just this.
    Unchanged,
}

/// A rule that may be made, and the one about the same subject and place that it would replace.
struct Proposal {
    wanted: AclRule,
    before: Option<AclRule>,
}

impl Proposal {
    /// # Errors
    /// `invalid_field`; `forbidden` when it would give what the caller does not hold, restrict somebody who holds more,
    /// or lift what the caller cannot give back.
    async fn check(from: &impl Reads, access: &OrgAccess<AclManage>, new: NewRule) -> Result<Self> {
        let org = access.org.id;
        let subject = resolve(from, org, &new.subject).await?.subject;
        let wanted = checked(from, org, subject, new).await?;
        let before = row_about(from, org, subject, &wanted.pattern).await?;
        let before = before.map(|row| row.said(org)).transpose()?;
        let proposal = Self { wanted, before };
        if !proposal.changes_nothing() {
            proposal.require_right(from, access).await?;
        }
        Ok(proposal)
    }

    fn changes_nothing(&self) -> bool {
        self.before
            .as_ref()
            .is_some_and(|before| says_the_same(before, &self.wanted))
    }

    async fn require_right(&self, from: &impl Reads, access: &OrgAccess<AclManage>) -> Result<()> {
        if let Some(before) = &self.before
            && before.is_live(from.now())
            && lifts(before, &self.wanted)
        {
            access.require_lift(self.wanted.subject, &before.grants)?;
        }
        require_right(from, access, &self.wanted).await
    }
}

/// Makes the rule about a subject and a place say this. Each has one rule at most.
///
/// # Errors
/// `invalid_field`; `forbidden` when it would give what the caller does not hold, restrict somebody who holds more, or
/// lift what the caller cannot give back.
pub async fn put(
    tx: &WriteTx,
    caller: &Caller,
    access: &OrgAccess<AclManage>,
    new: NewRule,
) -> Result<(AccessRule, Outcome)> {
    let org = access.org.id;
    lock(tx, org).await?;
    let proposal = Proposal::check(tx, access, new).await?;
    let is_same = proposal.changes_nothing();
    let Proposal { wanted, before } = proposal;
    let (id, outcome) = match before {
        Some(before) if is_same => return Ok((shown(tx, org, before.id).await?, Outcome::Unchanged)),
        Some(before) => (before.id, Outcome::Changed),
        None => (tx.new_id()?, Outcome::Created),
    };
    let wanted = AclRule { id, ..wanted };
    let rules = limits::hold(tx, org, LimitKey::AclRules).await?;
    store(tx, caller, &wanted, outcome).await?;
    rules.settle(tx).await?;
    let action = match outcome {
        Outcome::Created => Action::AccessRuleCreated,
        Outcome::Changed | Outcome::Unchanged => Action::AccessRuleUpdated,
    };
    journal::record(tx, &caller.origin, entry(action, &wanted)).await?;
    Ok((shown(tx, org, id).await?, outcome))
}

/// The rule as [`put`] would make it, for a question about what it would change. Nothing is stored. It has the id of the
/// rule that it would replace, or else [`SUPPOSED`].
///
/// # Errors
/// Those of [`put`].
pub async fn suppose(from: &impl Reads, access: &OrgAccess<AclManage>, new: NewRule) -> Result<AclRule> {
    let Proposal { wanted, before } = Proposal::check(from, access, new).await?;
    let id = before.map_or(SUPPOSED, |before| before.id);
    Ok(AclRule { id, ..wanted })
}

/// What is wanted, but for its id.
async fn checked(from: &impl Reads, org: OrgId, subject: Subject, new: NewRule) -> Result<AclRule> {
    let NewRule {
        subject: _,
        pattern,
        permissions,
        effect,
        expires_at,
    } = new;
    let pattern = resolved(from, org, &pattern).await?;
    let grants = permissions::of_rule(&permissions, effect, &pattern)?;
    if expires_at.is_some_and(|end| end <= from.now()) {
        return Err(Problem::field("expires_at", "past", "must lie ahead, or be absent").into());
    }
    Ok(AclRule {
        id: SUPPOSED,
        org,
        subject,
        pattern,
        grants,
        effect,
        expires_at,
    })
}

async fn resolved(from: &impl Reads, org: OrgId, text: &str) -> Result<Pattern> {
    let parsed = PatternText::parse(text).map_err(|e| Problem::field("pattern", "format", e.to_string()))?;
    let places = lookup::all(from, org).await?;
    let pattern = parsed.resolve(
        |slug| places.project(slug).map(|project| project.id),
        |project, slug| places.environment(project, slug).map(|env| env.id),
    );
    Ok(pattern.map_err(|e| Problem::field("pattern", "unknown", e.to_string()))?)
}

fn says_the_same(before: &AclRule, wanted: &AclRule) -> bool {
    (&before.grants, before.effect, before.expires_at) == (&wanted.grants, wanted.effect, wanted.expires_at)
}

/// Whether less is denied than before, or for a shorter time.
fn lifts(before: &AclRule, wanted: &AclRule) -> bool {
    let sooner = match (before.expires_at, wanted.expires_at) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(before), Some(wanted)) => wanted < before,
    };
    let kept = wanted.effect == Effect::Deny && before.grants.is_subset_of(&wanted.grants) && !sooner;
    before.effect == Effect::Deny && !kept
}

/// Nobody gives what they do not hold, and nobody restricts somebody who holds more than they do.
async fn require_right(from: &impl Reads, access: &OrgAccess<AclManage>, wanted: &AclRule) -> Result<()> {
    match wanted.effect {
        Effect::Allow => {
            let reached = match wanted.pattern.class() {
                None => wanted.grants.clone(),
                Some(class) => wanted.grants.within(class),
            };
            access.require_holds(&reached)
        }
        Effect::Deny => {
            let held = held_by(from, access.org.id, wanted.subject).await?;
            let own = match wanted.subject {
                Subject::User(_) | Subject::ServiceAccount(_) => GrantSet::EMPTY,
                Subject::Role(role) => {
                    let found = role::find(from, access.org.id, &role.to_string(), RoleLevel::Org).await?;
                    found.map(|role| role.grants()).transpose()?.unwrap_or_default()
                }
            };
            access.require_rank(&held.union(&own))
        }
    }
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::internal(format!("access rule columns: {e}")))
}

async fn store(tx: &WriteTx, caller: &Caller, rule: &AclRule, outcome: Outcome) -> Result<()> {
    let (kind, subject) = columns(rule.subject);
    let mut row = access_rule::ActiveModel {
        id: Set(rule.id),
        permissions: Set(json(&rule.grants)?),
        effect: Set(rule.effect.as_str().to_owned()),
        expires_at: Set(rule.expires_at),
        updated_at: Set(tx.now()),
        ..Default::default()
    };
    if outcome != Outcome::Created {
        access_rule::Entity::update(row).exec(tx.conn()).await?;
        return Ok(());
    }
    let rules = access_rule::Entity::find().filter(access_rule::Column::OrgId.eq(rule.org));
    if rules.count(tx.conn()).await? >= MAX_RULES {
        let detail = format!("An organisation has at most {MAX_RULES} access rules. Delete one first.");
        return Err(Problem::new(ProblemCode::Conflict, detail).into());
    }
    row.org_id = Set(rule.org);
    row.subject_type = Set(kind.as_str().to_owned());
    row.subject_id = Set(subject);
    row.pattern_text = Set(rule.pattern.to_string());
    row.pattern = Set(json(&rule.pattern)?);
    row.created_by = Set(Some(columns(caller.actor.principal.into()).1));
    row.created_at = Set(tx.now());
    access_rule::Entity::insert(row)
        .exec_without_returning(tx.conn())
        .await?;
    Ok(())
}

fn entry(action: Action, rule: &AclRule) -> Entry {
    let (kind, _) = columns(rule.subject);
    let subject = match rule.subject {
        Subject::User(id) => id.to_string(),
        Subject::ServiceAccount(id) => id.to_string(),
        Subject::Role(id) => id.to_string(),
    };
    let entry = Entry::in_org(rule.org, action, Target::AccessRule(rule.id))
        .with("subject_type", kind.as_str())
        .with("subject_id", subject)
        .with("pattern", rule.pattern.to_string())
        .with("permissions", rule.grants.to_list())
        .with("effect", rule.effect.as_str());
    match rule.pattern.project_id() {
        Some(project) => entry.project(project),
        None => entry,
    }
}

/// Deletes a rule. What it denied is given back, which needs what giving it needs.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn delete(tx: &WriteTx, caller: &Caller, access: &OrgAccess<AclManage>, id: &str) -> Result<()> {
    let org = access.org.id;
    let id: AclRuleId = id.parse().map_err(|_| Problem::not_found())?;
    lock(tx, org).await?;
    let found = row_by_id(tx, org, id)
        .await?
        .ok_or_else(Problem::not_found)?
        .said(org)?;
    if found.effect == Effect::Deny && found.is_live(tx.now()) {
        access.require_lift(found.subject, &found.grants)?;
    }
    access_rule::Entity::delete_by_id(id).exec(tx.conn()).await?;
    journal::record(tx, &caller.origin, entry(Action::AccessRuleDeleted, &found)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Principal;
    use crate::kernel::id::UserId;

    fn rule(effect: Effect, permissions: &[&str], expires_at: Option<i64>) -> AclRule {
        let nil = uuid::Uuid::nil();
        AclRule {
            id: AclRuleId(nil),
            org: OrgId(nil),
            subject: Principal::User(UserId(nil)).into(),
            pattern: Pattern::ANYTHING,
            grants: GrantSet::parse(permissions).unwrap(),
            effect,
            expires_at: expires_at.map(Timestamp),
        }
    }

    #[test]
    fn a_denial_is_lifted_by_whatever_leaves_less_of_it() {
        use Effect::{Allow, Deny};
        let read = rule(Deny, &["secrets:read"], Some(10));
        for (wanted, expected) in [
            (rule(Deny, &["secrets:read"], Some(10)), false),
            (rule(Deny, &["secrets:read", "secrets:write"], Some(11)), false),
            (rule(Deny, &["secrets:read"], None), false),
            (rule(Deny, &["secrets:read"], Some(9)), true),
            (rule(Deny, &["secrets:read@prod"], None), true),
            (rule(Deny, &["secrets:write"], None), true),
            (rule(Allow, &["secrets:read"], None), true),
        ] {
            assert_eq!(lifts(&read, &wanted), expected, "{wanted:?}");
        }
        assert!(lifts(
            &rule(Deny, &["secrets:read"], None),
            &rule(Deny, &["secrets:read"], Some(99))
        ));
        assert!(!lifts(
            &rule(Allow, &["secrets:read"], None),
            &rule(Deny, &["secrets:read"], None)
        ));
    }
}

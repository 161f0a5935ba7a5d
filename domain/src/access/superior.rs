//! Nobody changes, removes or acts through somebody who holds more than they do.

use super::facts::{AclRule, Effect, Facts, Principal};
use super::grant::OrgAccess;
use super::held::Held;
use super::load::load;
use crate::kernel::{Problem, Reads, Result};

impl Held {
    /// # Errors
    /// `forbidden` naming what the caller lacks of what `facts` give.
    fn require_all_of(&self, facts: &Facts) -> Result<()> {
        let memberships = facts.memberships.iter().filter(|held| held.is_live(self.now));
        let held_by_role = memberships.map(|held| (held.project, held.effective_grants()));
        let is_given = |rule: &&AclRule| rule.effect == Effect::Allow && rule.is_live(self.now);
        let allowed = facts.rules.iter().filter(is_given);
        let allowed_by_rule = allowed.map(|rule| (rule.pattern.project_id(), rule.grants.clone()));
        for (project, grants) in held_by_role.chain(allowed_by_rule) {
            if let Some(lacking) = self.lacking(project, &grants) {
                let detail = format!(
                    "It holds `{lacking}`, which you do not. Ask somebody who holds all that it does, such as an owner."
                );
                return Err(Problem::forbidden(detail).into());
            }
        }
        Ok(())
    }
}

/// Asserts that the caller holds all that `other` was given in the organisation, by roles and by rules.
///
/// # Errors
/// `forbidden` naming what the caller lacks.
pub async fn require_superior<A>(from: &impl Reads, access: &OrgAccess<A>, other: Principal) -> Result<()> {
    let loaded = load(from, other, &[&access.org.id.to_string()], false).await?;
    let facts = loaded.ok_or_else(Problem::not_found)?.facts;
    access.held.require_all_of(&facts)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use uuid::Uuid;

    use super::super::facts::{Actor, Membership};
    use super::super::pattern::Pattern;
    use super::super::permission::GrantSet;
    use super::super::role::BuiltinRole;
    use super::*;
    use crate::kernel::Timestamp;
    use crate::kernel::id::{AclRuleId, OrgId, ProjectId, ServiceAccountId, UserId};

    const ORG: OrgId = OrgId(Uuid::from_u128(1));
    const WEB: ProjectId = ProjectId(Uuid::from_u128(2));
    const OPS: ProjectId = ProjectId(Uuid::from_u128(3));
    const NOW: Timestamp = Timestamp(1_000);

    fn role(role: &BuiltinRole, project: Option<ProjectId>, expires_at: Option<Timestamp>) -> Membership {
        Membership {
            org: ORG,
            project,
            role: role.id,
            role_name: role.name.to_owned(),
            grants: role.grants().clone(),
            env_classes: None,
            expires_at,
        }
    }

    fn allow(pattern: Pattern, grants: &[&str]) -> AclRule {
        AclRule {
            id: AclRuleId(Uuid::nil()),
            org: ORG,
            subject: super::super::facts::Subject::ServiceAccount(ServiceAccountId(Uuid::nil())),
            pattern,
            grants: GrantSet::parse(grants).unwrap(),
            effect: Effect::Allow,
            expires_at: None,
        }
    }

    fn outranks(mine: Vec<Membership>, memberships: Vec<Membership>, rules: Vec<AclRule>) -> bool {
        let held = Held {
            actor: Actor::unlimited(Principal::User(UserId(Uuid::nil()))),
            facts: Arc::new(Facts {
                memberships: mine,
                rules: Vec::new(),
            }),
            now: NOW,
            lacks_second_factor: false,
        };
        held.require_all_of(&Facts { memberships, rules }).is_ok()
    }

    #[test]
    fn roles_count_where_they_are_held_and_while_they_last() {
        let admin = || vec![role(&BuiltinRole::ORG_ADMIN, None, None)];
        assert!(outranks(
            admin(),
            vec![role(&BuiltinRole::ORG_DEVELOPER, None, None)],
            vec![]
        ));
        assert!(!outranks(
            admin(),
            vec![role(&BuiltinRole::ORG_OWNER, None, None)],
            vec![]
        ));
        let over = Some(Timestamp(1_000));
        assert!(outranks(
            admin(),
            vec![role(&BuiltinRole::ORG_OWNER, None, over)],
            vec![]
        ));
        let web = || vec![role(&BuiltinRole::PROJECT_ADMIN, Some(WEB), None)];
        assert!(outranks(
            web(),
            vec![role(&BuiltinRole::PROJECT_VIEWER, Some(WEB), None)],
            vec![]
        ));
        assert!(!outranks(
            web(),
            vec![role(&BuiltinRole::PROJECT_VIEWER, Some(OPS), None)],
            vec![]
        ));
    }

    #[test]
    fn rules_count_like_roles() {
        let web = || vec![role(&BuiltinRole::PROJECT_VIEWER, Some(WEB), None)];
        assert!(outranks(
            web(),
            vec![],
            vec![allow(Pattern::in_project(WEB), &["secrets:read"])]
        ));
        assert!(!outranks(
            web(),
            vec![],
            vec![allow(Pattern::in_project(WEB), &["secrets:write"])]
        ));
        assert!(!outranks(
            web(),
            vec![],
            vec![allow(Pattern::ANYTHING, &["secrets:read"])]
        ));
    }
}

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::access::class::{ClassSet, EnvClass};
use crate::access::facts::{AclRule, Ceiling, Membership, Principal};
use crate::access::pattern::PatternText;
use crate::access::role::BuiltinRole;
use crate::kernel::id::{AclRuleId, OrgId, UserId};

const NOW: Timestamp = Timestamp(1_000_000_000);
const ORG: OrgId = OrgId(Uuid::from_u128(1));
const WEB: ProjectId = ProjectId(Uuid::from_u128(2));
const OPS: ProjectId = ProjectId(Uuid::from_u128(3));
const ME: UserId = UserId(Uuid::from_u128(4));

fn role(role: &BuiltinRole, project: Option<ProjectId>) -> Membership {
    Membership {
        org: ORG,
        project,
        role: role.id,
        role_name: role.name.to_owned(),
        grants: role.grants().clone(),
        env_classes: None,
        expires_at: None,
    }
}

fn rule(effect: Effect, permissions: &[&str]) -> AclRule {
    AclRule {
        id: AclRuleId(Uuid::from_u128(9)),
        org: ORG,
        subject: Subject::User(ME),
        pattern: PatternText::parse("*").unwrap().resolve(|_| None, |_, _| None).unwrap(),
        grants: GrantSet::parse(permissions).unwrap(),
        effect,
        expires_at: None,
    }
}

fn held(memberships: Vec<Membership>, rules: Vec<AclRule>) -> Held {
    Held {
        actor: Actor::unlimited(Principal::User(ME)),
        facts: Arc::new(Facts { memberships, rules }),
        now: NOW,
        lacks_second_factor: false,
    }
}

fn grants(list: &[&str]) -> GrantSet {
    GrantSet::parse(list).unwrap()
}

/// What is lacking, as text.
fn lacks(held: &Held, project: Option<ProjectId>, list: &[&str]) -> Option<String> {
    held.lacking(project, &grants(list)).map(|grant| grant.to_string())
}

#[test]
fn each_role_gives_what_it_holds_and_nothing_of_the_next_higher_one() {
    let admin = held(vec![role(&BuiltinRole::ORG_ADMIN, None)], vec![]);
    for lower in [
        BuiltinRole::ORG_ADMIN,
        BuiltinRole::ORG_DEVELOPER,
        BuiltinRole::ORG_MEMBER,
    ] {
        assert_eq!(admin.lacking(None, lower.grants()), None, "{}", lower.name);
    }
    assert!(admin.lacking(None, BuiltinRole::ORG_OWNER.grants()).is_some());
    assert_eq!(
        lacks(&held(vec![], vec![]), None, &["org:read"]).as_deref(),
        Some("org:read")
    );
}

#[test]
fn a_role_in_a_project_counts_in_that_project_alone() {
    let mine = held(vec![role(&BuiltinRole::PROJECT_ADMIN, Some(WEB))], vec![]);
    assert_eq!(lacks(&mine, Some(WEB), &["secrets:read", "members:set_role"]), None);
    assert!(lacks(&mine, Some(OPS), &["secrets:read"]).is_some());
    assert!(lacks(&mine, None, &["secrets:read"]).is_some());
}

#[test]
fn a_role_in_the_organisation_counts_in_every_project() {
    let mine = held(vec![role(&BuiltinRole::ORG_DEVELOPER, None)], vec![]);
    assert_eq!(lacks(&mine, Some(WEB), &["secrets:read@dev", "secrets:write"]), None);
    let prod = lacks(&mine, Some(WEB), &["secrets:read@dev", "secrets:read@prod"]);
    assert_eq!(prod.as_deref(), Some("secrets:read@prod"));
    assert!(
        lacks(&mine, Some(WEB), &["secrets:read"]).is_some(),
        "every class is more than two"
    );
}

#[test]
fn several_roles_add_up_and_classes_add_up_to_all() {
    let viewer = |class| Membership {
        env_classes: Some(ClassSet::EMPTY.with(class)),
        ..role(&BuiltinRole::ORG_VIEWER, None)
    };
    let two = held(vec![viewer(EnvClass::Dev), viewer(EnvClass::Staging)], vec![]);
    assert!(lacks(&two, None, &["secrets:read"]).is_some());
    let three = [EnvClass::Dev, EnvClass::Staging, EnvClass::Prod].map(viewer);
    assert_eq!(lacks(&held(three.to_vec(), vec![]), None, &["secrets:read"]), None);
}

#[test]
fn a_role_that_has_ended_is_not_held() {
    let until = |end| Membership {
        expires_at: Some(end),
        ..role(&BuiltinRole::ORG_OWNER, None)
    };
    assert_eq!(
        lacks(
            &held(vec![until(NOW + Duration::from_micros(1))], vec![]),
            None,
            &["org:delete"]
        ),
        None
    );
    assert!(lacks(&held(vec![until(NOW)], vec![]), None, &["org:delete"]).is_some());
}

#[test]
fn what_a_rule_allows_is_not_the_callers_to_give_and_what_one_denies_neither() {
    let mine = |rules| held(vec![role(&BuiltinRole::ORG_VIEWER, None)], rules);
    assert!(
        lacks(
            &mine(vec![rule(Effect::Allow, &["secrets:write"])]),
            None,
            &["secrets:write"]
        )
        .is_some()
    );
    let denied = mine(vec![rule(Effect::Deny, &["secrets:read@prod"])]);
    assert!(
        lacks(&denied, None, &["secrets:read@dev"]).is_some(),
        "denied in one class is denied to give"
    );
    assert_eq!(lacks(&denied, None, &["envs:read"]), None);
    let ended = AclRule {
        expires_at: Some(NOW),
        ..rule(Effect::Deny, &["secrets:read"])
    };
    assert_eq!(lacks(&mine(vec![ended]), None, &["secrets:read@dev"]), None);
}

#[test]
fn a_token_gives_no_more_than_its_scopes_and_nothing_when_it_has_patterns() {
    let mut mine = held(vec![role(&BuiltinRole::ORG_OWNER, None)], vec![]);
    mine.actor.ceiling.grants = Some(grants(&["members:invite", "secrets:read@dev"]));
    assert_eq!(lacks(&mine, None, &["secrets:read@dev"]), None);
    assert!(lacks(&mine, None, &["secrets:read"]).is_some());
    mine.actor.ceiling = Ceiling {
        patterns: vec![rule(Effect::Allow, &[]).pattern],
        ..Ceiling::default()
    };
    assert!(lacks(&mine, None, &["org:read"]).is_some());
    assert_eq!(
        mine.outranking(None, &grants(&["org:read"])),
        None,
        "its owner holds it all the same"
    );
}

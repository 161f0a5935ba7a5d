//! What must hold in every world, tried on random ones.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use uuid::Uuid;

use super::super::class::{ClassSet, EnvClass};
use super::super::facts::{AclRule, Actor, Ceiling, Effect, Facts, Membership, Resource, Subject};
use super::super::permission::{Grant, GrantSet, Permission, Reach};
use super::super::role::{BuiltinRole, RoleLevel};
use super::explain::{Outcome, Source, could_count, explain};
use super::world::*;
use super::{Matched, Reason, decide, decide_any_key, decide_for, tells_keys_apart, visible};
use crate::kernel::Timestamp;
use crate::kernel::id::{AclRuleId, OrgId, RoleId};

const PATTERNS: [&str; 10] = [
    "*",
    "web",
    "web/@prod",
    "web/dev/*",
    "we*/*/A*",
    "api/prod/B",
    "*/prod",
    "*/@dev/A1",
    "a*/s*",
    "*/*/B",
];

fn an_org() -> impl Strategy<Value = OrgId> {
    // Mostly one organisation, or little would ever match.
    prop_oneof![4 => Just(ACME), 1 => Just(GLOBEX)]
}

fn a_resource() -> impl Strategy<Value = Resource<'static>> {
    let class = select(&EnvClass::ALL[..]);
    (
        an_org(),
        select(&["web", "api"][..]),
        class,
        select(&["A1", "B"][..]),
        0..8,
    )
        .prop_map(|(org, slug, class, key, depth)| match depth {
            0 => Resource::org(org),
            1 => project(org, slug),
            2 => env(org, slug, class),
            _ => env(org, slug, class).with_key(key),
        })
}

fn a_permission() -> impl Strategy<Value = Permission> {
    let frequent = select(
        &[
            Permission::SecretsRead,
            Permission::SecretsList,
            Permission::SecretsWrite,
            Permission::AuditRead,
        ][..],
    );
    prop_oneof![frequent, select(Permission::ALL)]
}

fn some_grants() -> impl Strategy<Value = GrantSet> {
    let grant = (a_permission(), option::of(select(&EnvClass::ALL[..]))).prop_map(|(permission, class)| {
        class
            .and_then(|class| Grant::in_class(permission, class).ok())
            .unwrap_or(Grant::everywhere(permission))
    });
    vec(grant, 1..4).prop_map(|grants| grants.into_iter().collect())
}

fn an_end() -> impl Strategy<Value = Option<Timestamp>> {
    option::of(select(&[Timestamp(NOW.0 - 1), NOW, Timestamp(NOW.0 + 1)][..]))
}

/// A built-in role, or one of the organisation's own.
fn a_role() -> impl Strategy<Value = (RoleId, RoleLevel, GrantSet)> {
    let builtin = select(BuiltinRole::ALL).prop_map(|role| (role.id, role.level, role.grants().clone()));
    let level = select(&[RoleLevel::Org, RoleLevel::Project][..]);
    let custom = (level, some_grants()).prop_map(|(level, grants)| (RoleId(Uuid::from_u128(7)), level, grants));
    prop_oneof![2 => builtin, 1 => custom]
}

fn a_membership() -> impl Strategy<Value = Membership> {
    let classes = option::weighted(0.2, subsequence(&EnvClass::ALL[..], 0..=3));
    (an_org(), select(&["web", "api"][..]), a_role(), classes, an_end()).prop_map(
        |(org, slug, (role, level, grants), classes, expires_at)| Membership {
            org,
            project: (level == RoleLevel::Project).then(|| project_id(slug)),
            role,
            role_name: "role".to_owned(),
            grants,
            env_classes: classes.map(|classes| classes.into_iter().collect::<ClassSet>()),
            expires_at,
        },
    )
}

fn a_rule() -> impl Strategy<Value = AclRule> {
    let role = select(BuiltinRole::ALL).prop_map(|role| Subject::Role(role.id));
    let other = select(&[Subject::User(ERIN), Subject::ServiceAccount(ROBOT)][..]);
    let subject = prop_oneof![4 => Just(Subject::User(DANA)), 2 => role, 1 => other];
    let effect = select(&[Effect::Allow, Effect::Deny][..]);
    (
        0..u128::MAX,
        an_org(),
        subject,
        select(&PATTERNS[..]),
        some_grants(),
        effect,
        an_end(),
    )
        .prop_map(|(id, org, subject, at, grants, effect, expires_at)| AclRule {
            id: AclRuleId(Uuid::from_u128(id)),
            org,
            subject,
            pattern: pattern(at),
            grants,
            effect,
            expires_at,
        })
}

fn some_facts() -> impl Strategy<Value = Facts> {
    (vec(a_membership(), 0..4), vec(a_rule(), 0..4)).prop_map(|(memberships, rules)| Facts { memberships, rules })
}

fn a_token() -> impl Strategy<Value = Actor> {
    let patterns = subsequence(&PATTERNS[..], 0..3).prop_map(|texts| texts.into_iter().map(pattern).collect());
    (option::of(some_grants()), patterns, option::of(an_org())).prop_map(|(grants, patterns, org)| Actor {
        ceiling: Ceiling { grants, patterns, org },
        ..dana()
    })
}

fn allows(actor: &Actor, permission: Permission, resource: &Resource<'_>, facts: &Facts) -> bool {
    decide(actor, permission, resource, facts, NOW).allow
}

fn depth(resource: &Resource<'_>) -> Reach {
    match (resource.project, resource.env) {
        (None, _) => Reach::Org,
        (Some(_), None) => Reach::Project,
        (Some(_), Some(_)) => Reach::Env,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_means_nothing(
        actor in a_token(), permission in a_permission(), resource in a_resource(),
        (facts, shuffled) in some_facts().prop_flat_map(|facts| {
            let shuffled = (Just(facts.memberships.clone()).prop_shuffle(), Just(facts.rules.clone()).prop_shuffle())
                .prop_map(|(memberships, rules)| Facts { memberships, rules });
            (Just(facts), shuffled)
        }),
    ) {
        let answers = |facts| (
            decide(&actor, permission, &resource, facts, NOW),
            decide_any_key(&actor, permission, &resource, facts, NOW),
            visible(&actor, &resource, facts, NOW),
        );
        prop_assert_eq!(answers(&facts), answers(&shuffled));
    }

    #[test]
    fn keys_are_alike_where_nothing_tells_them_apart(
        actor in a_token(), permission in a_permission(), class in select(&EnvClass::ALL[..]), facts in some_facts(),
    ) {
        let about = |key| allows(&actor, permission, &env(ACME, "web", class).with_key(key), &facts);
        prop_assert!(tells_keys_apart(&actor, &facts) || (about("A1") == about("B") && about("B") == about("ANY")));
    }

    #[test]
    fn a_deny_rule_never_adds(
        actor in a_token(), permission in a_permission(), resource in a_resource(), facts in some_facts(), rule in a_rule(),
    ) {
        let mut more = facts.clone();
        more.rules.push(AclRule { effect: Effect::Deny, ..rule });
        prop_assert!(allows(&actor, permission, &resource, &facts) || !allows(&actor, permission, &resource, &more));
        prop_assert_eq!(visible(&actor, &resource, &facts, NOW), visible(&actor, &resource, &more, NOW));
    }

    #[test]
    fn an_allow_rule_or_a_membership_never_removes(
        actor in a_token(), permission in a_permission(), resource in a_resource(), facts in some_facts(), rule in a_rule(),
    ) {
        let mut more = facts.clone();
        more.rules.push(AclRule { effect: Effect::Allow, ..rule });
        prop_assert!(!allows(&actor, permission, &resource, &facts) || allows(&actor, permission, &resource, &more));
        prop_assert!(!visible(&actor, &resource, &facts, NOW) || visible(&actor, &resource, &more, NOW));
    }

    #[test]
    fn another_tenants_facts_give_nothing(permission in a_permission(), resource in a_resource(), facts in some_facts()) {
        let mut foreign = facts;
        foreign.memberships.retain(|held| held.org != resource.org);
        foreign.rules.retain(|rule| rule.org != resource.org);
        let decision = decide(&dana(), permission, &resource, &foreign, NOW);
        prop_assert_eq!((decision.allow, decision.reason), (false, Reason::NoGrant));
        prop_assert!(!decide_any_key(&dana(), permission, &resource, &foreign, NOW).allow);
        prop_assert!(!visible(&dana(), &resource, &foreign, NOW));
    }

    #[test]
    fn a_token_never_exceeds_its_principal(
        token in a_token(), permission in a_permission(), resource in a_resource(), facts in some_facts(),
    ) {
        prop_assert!(!allows(&token, permission, &resource, &facts) || allows(&dana(), permission, &resource, &facts));
        prop_assert!(!visible(&token, &resource, &facts, NOW) || visible(&dana(), &resource, &facts, NOW));
        if let Some(scopes) = &token.ceiling.grants {
            prop_assert!(!allows(&token, permission, &resource, &facts) || scopes.covers(permission, resource.class()));
        }
    }

    #[test]
    fn expired_is_absent(actor in a_token(), permission in a_permission(), resource in a_resource(), facts in some_facts()) {
        let mut left = facts.clone();
        left.memberships.retain(|held| held.expires_at.is_none_or(|end| end > NOW));
        left.rules.retain(|rule| rule.expires_at.is_none_or(|end| end > NOW));
        prop_assert_eq!(decide(&actor, permission, &resource, &facts, NOW), decide(&actor, permission, &resource, &left, NOW));
        prop_assert_eq!(visible(&actor, &resource, &facts, NOW), visible(&actor, &resource, &left, NOW));
    }

    #[test]
    fn what_is_allowed_is_visible_with_all_that_it_lies_in(
        actor in a_token(), permission in a_permission(), resource in a_resource(), facts in some_facts(),
    ) {
        // A permission is asked at its own depth or above: `audit:read` of a key means nothing.
        let asked = permission.reach() >= depth(&resource);
        if asked && decide_any_key(&actor, permission, &resource, &facts, NOW).allow {
            let project = Resource { env: None, key: None, ..resource };
            for around in [resource, project, Resource::org(resource.org)] {
                prop_assert!(visible(&actor, &around, &facts, NOW), "{around:?}");
            }
        }
    }

    #[test]
    fn listing_asks_for_at_least_what_a_key_needs(
        actor in a_token(), permission in a_permission(), resource in a_resource(), facts in some_facts(),
    ) {
        if let Some(key) = resource.key {
            let env = Resource { key: None, ..resource };
            prop_assert!(!allows(&actor, permission, &env.with_key(key), &facts)
                || decide_any_key(&actor, permission, &env, &facts, NOW).allow);
            prop_assert_eq!(
                decide_any_key(&actor, permission, &resource, &facts, NOW),
                decide(&actor, permission, &resource, &facts, NOW)
            );
        }
    }

    #[test]
    fn the_answer_names_the_fact_it_rests_on(
        actor in a_token(), permission in a_permission(), resource in a_resource(), facts in some_facts(),
    ) {
        let decision = decide(&actor, permission, &resource, &facts, NOW);
        prop_assert_eq!(decision.allow, decision.reason.allows());
        let rule = |id, effect| facts.rules.iter().any(|rule| rule.id == id && rule.effect == effect);
        let held = |at, role| facts.memberships.iter().any(|held| held.project == at && held.role == role);
        let named = match decision.matched {
            None => !decision.allow && decision.reason != Reason::AclDeny,
            Some(Matched::Role { project, role }) => decision.reason == Reason::Role && held(project, role),
            Some(Matched::Rule(id)) => {
                (decision.reason == Reason::AclAllow && rule(id, Effect::Allow))
                    || (decision.reason == Reason::AclDeny && rule(id, Effect::Deny))
            }
        };
        prop_assert!(named, "{decision:?}");
    }

    #[test]
    fn an_explanation_is_the_decision_that_is_enforced(
        actor in a_token(), permission in a_permission(), resource in a_resource(), facts in some_facts(),
    ) {
        let explained = explain(&actor, permission, &resource, &facts, NOW);
        let some_key = permission.acts_on_keys() && resource.env.is_some() && resource.key.is_none();
        let enforced = if some_key { decide_any_key } else { decide };
        prop_assert_eq!(explained.decision, enforced(&actor, permission, &resource, &facts, NOW));
        prop_assert_eq!(explained.decision, decide_for(&actor, permission, &resource, &facts, NOW));
        prop_assert_eq!(explained.is_visible, visible(&actor, &resource, &facts, NOW));
    }

    #[test]
    fn what_was_weighed_comes_to_the_decision(
        actor in a_token(), permission in a_permission(), resource in a_resource(), facts in some_facts(),
    ) {
        let explained = explain(&actor, permission, &resource, &facts, NOW);
        let says = |outcome| explained.considered.iter().any(|fact| fact.outcome == outcome);
        let deciding = explained.deciding().map(|at| explained.considered[at]);
        prop_assert_eq!(deciding.map(|fact| Matched::from(fact.source)), explained.decision.matched);
        let (expected, is_so) = match explained.decision.reason {
            Reason::TokenOrg | Reason::InsufficientScope | Reason::TokenPattern => (None, true),
            Reason::NoGrant => (None, !says(Outcome::Grants) && !says(Outcome::Denies)),
            Reason::AclDeny => (Some(Outcome::Denies), true),
            Reason::Role | Reason::AclAllow => (Some(Outcome::Grants), !says(Outcome::Denies)),
        };
        prop_assert_eq!(deciding.map(|fact| fact.outcome), expected);
        prop_assert!(is_so, "{explained:?}");
        let is_role = deciding.is_some_and(|fact| matches!(fact.source, Source::Role(_)));
        prop_assert_eq!(is_role, explained.decision.reason == Reason::Role);
    }

    #[test]
    fn every_live_fact_that_touches_the_place_is_shown_and_no_other(
        permission in a_permission(), resource in a_resource(), facts in some_facts(),
    ) {
        let explained = explain(&dana(), permission, &resource, &facts, NOW);
        let is_shown = |source: Source<'_>| explained.considered.iter().any(|fact| fact.source == source);
        let mine = |held: &&Membership| held.is_live(NOW) && held.reaches(&resource);
        for held in &facts.memberships {
            prop_assert_eq!(is_shown(Source::Role(held)), facts.memberships.iter().filter(mine).any(|other| other == held));
        }
        for rule in &facts.rules {
            let about_me = match rule.subject {
                Subject::User(_) | Subject::ServiceAccount(_) => rule.subject == Subject::User(DANA),
                Subject::Role(role) => facts.memberships.iter().filter(mine).any(|held| held.role == role),
            };
            let touches = rule.org == resource.org && rule.is_live(NOW) && rule.pattern.could_match_inside(&resource);
            prop_assert_eq!(is_shown(Source::Rule(rule)), about_me && touches);
        }
    }

    #[test]
    fn what_is_missing_is_what_helps(permission in a_permission(), resource in a_resource(), facts in some_facts()) {
        let explained = explain(&dana(), permission, &resource, &facts, NOW);
        prop_assert_eq!(explained.missing.is_some(), explained.decision.reason == Reason::NoGrant);
        if let Some(grant) = explained.missing {
            let mut more = facts.clone();
            more.rules.push(AclRule {
                grants: [grant].into_iter().collect(),
                org: resource.org,
                ..rule(Effect::Allow, Subject::User(DANA), "*", &[])
            });
            prop_assert!(decide_for(&dana(), permission, &resource, &more, NOW).allow);
        }
    }

    #[test]
    fn rules_that_could_count_for_nobody_change_nothing(
        actor in a_token(), permission in a_permission(), resource in a_resource(), facts in some_facts(),
    ) {
        let mut left = facts.clone();
        left.rules.retain(|rule| could_count(rule, permission, &resource, NOW));
        prop_assert_eq!(
            decide_for(&actor, permission, &resource, &facts, NOW),
            decide_for(&actor, permission, &resource, &left, NOW)
        );
    }

    #[test]
    fn rules_about_others_change_nothing(
        actor in a_token(), permission in a_permission(), resource in a_resource(), facts in some_facts(), all in vec(a_rule(), 0..4),
    ) {
        let is_mine = |rule: &AclRule| match rule.subject {
            Subject::User(_) | Subject::ServiceAccount(_) => rule.subject == Subject::User(DANA),
            Subject::Role(role) => facts.memberships.iter().any(|held| held.role == role),
        };
        let mut more = facts.clone();
        more.rules.extend(all.into_iter().filter(|rule| !is_mine(rule)));
        prop_assert_eq!(
            decide_for(&actor, permission, &resource, &facts, NOW),
            decide_for(&actor, permission, &resource, &more, NOW)
        );
    }
}

//! The published role tables and rulings, assertion by assertion.

use uuid::Uuid;

use super::super::class::{ClassSet, EnvClass};
use super::super::facts::{AclRule, Actor, Ceiling, Effect, Facts, Membership, Resource, Subject};
use super::super::permission::Permission;
use super::super::role::BuiltinRole;
use super::world::*;
use super::{Decision, Matched, Reason, decide, decide_any_key, visible};
use crate::kernel::id::AclRuleId;
use EnvClass::{Dev, Prod, Staging};

const ORG_ROLES: [&str; 5] = ["owner", "admin", "developer", "viewer", "member"];
const PROJECT_ROLES: [&str; 4] = ["owner", "admin", "developer", "viewer"];

fn ask(actor: &Actor, permission: &str, resource: Resource<'_>, given: &Facts) -> Decision {
    decide(actor, permission.parse().unwrap(), &resource, given, NOW)
}

/// Whether one membership allows this on a key of acme's web.
fn can(held: Membership, permission: &str, class: EnvClass) -> bool {
    ask(&dana(), permission, key(class, "K"), &facts([held], [])).allow
}

#[test]
fn each_role_of_the_organisation_reads_its_classes() {
    for (role, classes) in [
        ("owner", &[Dev, Staging, Prod][..]),
        ("admin", &[Dev, Staging, Prod]),
        ("developer", &[Dev, Staging]),
        ("viewer", &[Dev]),
        ("member", &[]),
    ] {
        for class in EnvClass::ALL {
            assert_eq!(
                can(member(None, role), "secrets:read", class),
                classes.contains(&class),
                "{role} {class}"
            );
        }
    }
}

#[test]
fn each_role_of_the_organisation_does_its_part() {
    for (permission, roles) in [
        ("secrets:write", &["owner", "admin", "developer"][..]),
        ("secrets:delete", &["owner", "admin", "developer"]),
        ("secrets:list", &["owner", "admin", "developer"]),
        ("templates:read", &["owner", "admin", "developer", "viewer"]),
        ("templates:manage", &["owner", "admin"]),
        ("members:invite", &["owner", "admin"]),
        ("members:remove", &["owner", "admin"]),
        ("members:set_role", &["owner"]),
        ("projects:create", &["owner", "admin"]),
        ("projects:archive", &["owner", "admin"]),
        ("projects:delete", &["owner"]),
        ("org:update", &["owner"]),
        ("org:delete", &["owner"]),
        ("audit:read", &["owner", "admin"]),
        ("keys:rotate", &["owner", "admin"]),
        ("billing:read", &["owner", "admin"]),
        ("billing:manage", &["owner", "admin"]),
    ] {
        for role in ORG_ROLES {
            assert_eq!(
                can(member(None, role), permission, Prod),
                roles.contains(&role),
                "{permission} {role}"
            );
        }
    }
}

/// Promotion reads its source and writes its target, so it is no way round either.
#[test]
fn promotion_needs_to_read_the_source_and_write_the_target() {
    let promote =
        |role, from, to| can(member(None, role), "secrets:read", from) && can(member(None, role), "secrets:write", to);
    assert!(promote("developer", Dev, Staging) && promote("developer", Staging, Prod));
    assert!(!promote("developer", Prod, Dev) && !promote("viewer", Dev, Dev));
}

#[test]
fn roles_of_a_project_hold_in_that_project_alone() {
    for role in PROJECT_ROLES {
        let writes = role != "viewer";
        let web = || member(Some("web"), role);
        for class in EnvClass::ALL {
            assert!(can(web(), "secrets:read", class) && can(web(), "secrets:list", class));
            assert_eq!(can(web(), "secrets:write", class), writes);
            assert_eq!(can(web(), "secrets:delete", class), writes);
        }
        assert_eq!(can(web(), "envs:manage", Dev), writes);
        for permission in ["members:invite", "members:set_role", "access:read"] {
            assert_eq!(
                can(web(), permission, Dev),
                ["owner", "admin"].contains(&role),
                "{permission} {role}"
            );
        }
        assert_eq!(can(web(), "projects:delete", Dev), role == "owner");
        assert!(
            !can(web(), "webhooks:manage", Dev) && !can(web(), "acl:manage", Dev) && !can(web(), "audit:read", Dev)
        );
        assert!(!can(member(Some("api"), role), "secrets:read", Dev));
        // The organisation itself is out of reach, though it is seen.
        assert!(!ask(&dana(), "members:read", Resource::org(ACME), &facts([web()], [])).allow);
    }
}

#[test]
fn a_member_has_no_secrets_until_a_rule_gives_some() {
    assert!(!can(member(None, "member"), "secrets:read", Dev));
    let given = facts(
        [],
        [rule(
            Effect::Allow,
            Subject::ServiceAccount(ROBOT),
            "web/prod/*",
            &["secrets:read"],
        )],
    );
    assert!(ask(&robot(), "secrets:read", key(Prod, "K"), &given).allow);
    assert!(!ask(&robot(), "secrets:write", key(Prod, "K"), &given).allow);
    assert!(!ask(&robot(), "secrets:read", key(Dev, "K"), &given).allow);
    assert!(!ask(&dana(), "secrets:read", key(Prod, "K"), &given).allow);
}

#[test]
fn a_rule_widens_a_role() {
    let stripe = rule(
        Effect::Allow,
        Subject::User(DANA),
        "web/@prod/STRIPE_*",
        &["secrets:read"],
    );
    let given = facts([member(None, "viewer")], [stripe.clone()]);
    let decision = ask(&dana(), "secrets:read", key(Prod, "STRIPE_KEY"), &given);
    assert_eq!(
        decision,
        Decision {
            allow: true,
            reason: Reason::AclAllow,
            matched: Some(Matched::Rule(stripe.id))
        }
    );
    assert_eq!(
        ask(&dana(), "secrets:read", key(Prod, "DB"), &given).reason,
        Reason::NoGrant
    );
}

#[test]
fn a_denied_role_is_denied_only_where_it_is_held() {
    let role = BuiltinRole::ORG_DEVELOPER;
    let deny = rule(
        Effect::Deny,
        Subject::Role(role.id),
        "*/*/ROOT_*",
        &["secrets:read", "secrets:write"],
    );
    let given = facts([member(None, "developer")], [deny.clone()]);
    let decision = ask(&dana(), "secrets:read", key(Dev, "ROOT_CA"), &given);
    assert_eq!(
        decision,
        Decision {
            allow: false,
            reason: Reason::AclDeny,
            matched: Some(Matched::Rule(deny.id))
        }
    );
    assert!(ask(&dana(), "secrets:read", key(Dev, "DB"), &given).allow);

    let subject = Subject::Role(BuiltinRole::PROJECT_DEVELOPER.id);
    let both = [member(Some("web"), "viewer"), member(Some("api"), "developer")];
    let given = facts(both, [rule(Effect::Deny, subject, "*", &["secrets:read"])]);
    assert!(ask(&dana(), "secrets:read", key(Dev, "K"), &given).allow);
    assert!(!ask(&dana(), "secrets:read", env(ACME, "api", Dev).with_key("K"), &given).allow);
}

#[test]
fn access_ends_at_the_instant_it_expires() {
    let timed = Membership {
        env_classes: Some(ClassSet::ALL),
        expires_at: Some(NOW),
        ..member(None, "viewer")
    };
    let given = facts([timed], []);
    let at = |micros| {
        decide(
            &dana(),
            Permission::SecretsRead,
            &key(Prod, "K"),
            &given,
            crate::kernel::Timestamp(micros),
        )
        .allow
    };
    assert!(at(NOW.0 - 1) && !at(NOW.0) && !at(NOW.0 + 1));
}

#[test]
fn env_classes_move_reading_alone_and_give_nothing_new() {
    let prod_only = |role| Membership {
        env_classes: Some(ClassSet::EMPTY.with(Prod)),
        ..member(None, role)
    };
    assert!(can(prod_only("viewer"), "secrets:read", Prod) && !can(prod_only("viewer"), "secrets:read", Dev));
    assert!(can(prod_only("viewer"), "secrets:list", Prod) && !can(prod_only("viewer"), "secrets:list", Dev));
    assert!(can(prod_only("developer"), "secrets:write", Dev) && can(prod_only("developer"), "secrets:list", Dev));
    assert!(!can(prod_only("owner"), "secrets:read", Dev));
    assert!(!can(prod_only("member"), "secrets:read", Prod));
}

#[test]
fn a_token_only_narrows() {
    let ceiling = Ceiling {
        grants: Some(grants(&["secrets:read@dev"])),
        patterns: vec![pattern("web")],
        org: Some(ACME),
    };
    let token = Actor { ceiling, ..dana() };
    let owner = facts(
        [
            member(None, "owner"),
            Membership {
                org: GLOBEX,
                ..member(None, "owner")
            },
        ],
        [],
    );
    assert!(ask(&token, "secrets:read", key(Dev, "K"), &owner).allow);
    assert!(ask(&token, "secrets:list", key(Dev, "K"), &owner).allow);
    for (permission, resource, reason) in [
        ("secrets:read", key(Prod, "K"), Reason::InsufficientScope),
        ("secrets:write", key(Dev, "K"), Reason::InsufficientScope),
        (
            "secrets:read",
            env(ACME, "api", Dev).with_key("K"),
            Reason::TokenPattern,
        ),
        ("secrets:read", env(GLOBEX, "web", Dev).with_key("K"), Reason::TokenOrg),
    ] {
        let expected = Decision {
            allow: false,
            reason,
            matched: None,
        };
        assert_eq!(ask(&token, permission, resource, &owner), expected, "{permission}");
        assert!(ask(&dana(), permission, resource, &owner).allow);
    }
}

#[test]
fn what_nothing_reveals_is_hidden() {
    let org = Resource::org(ACME);
    let (web, web_prod) = (project(ACME, "web"), env(ACME, "web", Prod));
    let sees =
        |actor: &Actor, given: &Facts| [org, web, web_prod].map(|resource| visible(actor, &resource, given, NOW));

    assert_eq!(sees(&dana(), &Facts::default()), [false; 3]);
    for role in ORG_ROLES {
        assert_eq!(sees(&dana(), &facts([member(None, role)], [])), [true; 3], "{role}");
    }
    assert_eq!(sees(&dana(), &facts([member(Some("web"), "viewer")], [])), [true; 3]);
    assert_eq!(
        sees(&dana(), &facts([member(Some("api"), "owner")], [])),
        [true, false, false]
    );

    // A role of the organisation's own shows what it acts on, and the path to it.
    let custom = |list: &[&str]| {
        let held = Membership {
            grants: grants(list),
            ..member(None, "member")
        };
        facts([held], [])
    };
    assert_eq!(
        sees(&dana(), &custom(&["org:read", "webhooks:manage"])),
        [true, false, false]
    );
    assert_eq!(sees(&dana(), &custom(&["projects:read"])), [true, true, false]);
    assert_eq!(sees(&dana(), &custom(&["secrets:write@dev"])), [true, true, false]);
    assert_eq!(sees(&dana(), &custom(&["envs:read@prod"])), [true; 3]);

    let allow = |at, list: &[&str]| facts([], [rule(Effect::Allow, Subject::User(DANA), at, list)]);
    assert_eq!(
        sees(&dana(), &allow("web/@prod/STRIPE_*", &["secrets:read"])),
        [true; 3]
    );
    assert_eq!(
        sees(&dana(), &allow("web/dev/K", &["secrets:read"])),
        [true, true, false]
    );
    assert_eq!(sees(&dana(), &allow("web", &["secrets:read@dev"])), [true, true, false]);
    assert_eq!(sees(&dana(), &allow("api", &["secrets:read"])), [true, false, false]);
    let deny = facts([], [rule(Effect::Deny, Subject::User(DANA), "*", &["secrets:read"])]);
    assert_eq!(sees(&dana(), &deny), [false; 3]);

    // A token's organisation and patterns hide; its scopes do not.
    let owner = facts([member(None, "owner")], []);
    let token = |ceiling| Actor { ceiling, ..dana() };
    assert_eq!(
        sees(
            &token(Ceiling {
                grants: Some(grants(&["org:read"])),
                ..Ceiling::default()
            }),
            &owner
        ),
        [true; 3]
    );
    assert_eq!(
        sees(
            &token(Ceiling {
                org: Some(GLOBEX),
                ..Ceiling::default()
            }),
            &owner
        ),
        [false; 3]
    );
    let in_dev = Ceiling {
        patterns: vec![pattern("web/dev/K")],
        ..Ceiling::default()
    };
    assert_eq!(sees(&token(in_dev), &owner), [true, true, false]);
}

#[test]
fn an_environment_is_listed_when_some_key_may_be() {
    let any = |given: &Facts| decide_any_key(&dana(), Permission::SecretsList, &env(ACME, "web", Prod), given, NOW);
    let stripe = || {
        rule(
            Effect::Allow,
            Subject::User(DANA),
            "web/@prod/STRIPE_*",
            &["secrets:read"],
        )
    };
    let given = facts([member(None, "member")], [stripe()]);
    assert_eq!(any(&given).reason, Reason::AclAllow);
    assert!(!ask(&dana(), "secrets:list", env(ACME, "web", Prod), &given).allow);
    assert!(ask(&dana(), "secrets:list", key(Prod, "STRIPE_KEY"), &given).allow);
    assert!(!ask(&dana(), "secrets:list", key(Prod, "DB"), &given).allow);

    // A rule against some keys leaves the others; a rule against all leaves none.
    let deny = |at| rule(Effect::Deny, Subject::User(DANA), at, &["secrets:list"]);
    assert_eq!(
        any(&facts([member(None, "owner")], [deny("web/prod/ROOT_*")])).reason,
        Reason::Role
    );
    assert_eq!(
        any(&facts([member(None, "owner")], [deny("web/prod")])).reason,
        Reason::AclDeny
    );
    assert_eq!(
        any(&facts(
            [],
            [rule(Effect::Allow, Subject::User(DANA), "web/dev/K", &["secrets:read"])]
        ))
        .reason,
        Reason::NoGrant
    );
}

#[test]
fn of_several_facts_the_least_is_named_in_either_order() {
    let numbered = |effect, number| AclRule {
        id: AclRuleId(Uuid::from_u128(number)),
        ..rule(effect, Subject::User(DANA), "*", &["secrets:read"])
    };
    let named = |given| ask(&dana(), "secrets:read", key(Dev, "K"), &given).matched;
    for effect in [Effect::Allow, Effect::Deny] {
        for numbers in [[1, 2], [2, 1]] {
            let least = Some(Matched::Rule(AclRuleId(Uuid::from_u128(1))));
            assert_eq!(named(facts([], numbers.map(|number| numbered(effect, number)))), least);
        }
    }
    let (org, web) = (member(None, "viewer"), member(Some("web"), "owner"));
    let least = Some(Matched::Role {
        project: None,
        role: org.role,
    });
    assert_eq!(named(facts([org.clone(), web.clone()], [])), least);
    assert_eq!(named(facts([web, org], [])), least);
}

#[test]
fn reasons_have_distinct_names() {
    let names: std::collections::BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(names.len(), Reason::ALL.len());
}

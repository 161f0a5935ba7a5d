//! Everybody who could ask: people of every role, machines, narrowed tokens, and those who are nobody any more.
#![expect(clippy::expect_used, reason = "harness: a failure ends the test")]

use std::time::Duration;

use domain::access::facts::{AclRule, Effect, Membership, Subject as About};
use domain::access::pattern::Pattern;
use domain::access::role::RoleLevel::{Org, Project};
use domain::access::{Actor, Ceiling, ClassSet, CredentialKind, EnvClass, Facts, GrantSet, Principal as Subject};
use domain::crypto::token::{Token, TokenKind};
use domain::kernel::id::{OrgId, ServiceAccountId};
use serde_json::json;

use super::seed::{Seed, builtin};
use super::world::World;
use crate::app::TestApp;
use crate::client::Client;
use crate::people::Person;

/// What a role of the organisation's own grants.
const CUSTOM: &[&str] = &[
    "org:read",
    "projects:read",
    "envs:read",
    "secrets:read@prod",
    "audit:read",
];

/// What a role of the organisation's application holds: called like permissions of the platform.
const OWN: &[&str] = &["org:read", "projects:read", "envs:read", "secrets:read", "roles:manage"];

/// Somebody who asks.
pub struct Principal {
    /// The column in the matrix.
    pub name: &'static str,
    pub client: Client,
    /// `None`: the credential is no good.
    pub known: Option<Known>,
}

impl Principal {
    /// Whether the credential is a session that is good.
    pub fn has_session(&self) -> bool {
        self.known
            .as_ref()
            .is_some_and(|known| known.kind == CredentialKind::Session)
    }
}

/// Somebody whose credential is good.
pub struct Known {
    pub actor: Actor,
    pub kind: CredentialKind,
    /// What was given in the own organisation.
    pub facts: Facts,
    /// Whether it is the owner, whose token `delete_token` is about.
    pub is_owner: bool,
    /// Whether it administers the instance.
    pub is_superuser: bool,
}

fn session(name: &'static str, person: &Person, facts: Facts) -> Principal {
    Principal {
        name,
        client: person.client().clone(),
        known: Some(Known {
            actor: Actor::unlimited(Subject::User(person.id)),
            kind: CredentialKind::Session,
            facts,
            is_owner: name == "owner",
            is_superuser: name == "root",
        }),
    }
}

fn nobody(name: &'static str, client: Client) -> Principal {
    Principal {
        name,
        client,
        known: None,
    }
}

fn holding(memberships: Vec<Membership>, rules: Vec<AclRule>) -> Facts {
    Facts { memberships, rules }
}

/// All of them, in the order of the matrix.
pub async fn all(app: &TestApp, world: &World) -> Vec<Principal> {
    let seed = Seed {
        app,
        side: &world.own,
        owner: &world.owner,
    };
    let mut all = strangers(app, world).await;
    all.extend(staff(&seed, world).await);
    all.extend(special(&seed, world).await);
    all.extend(machines(&seed, world).await);
    all.extend(stopped_machines(&seed, world).await);
    all.extend(tokens(&seed, world).await);
    all.push(root_token(world).await);
    all
}

/// A token of who administers the instance: it does not.
async fn root_token(world: &World) -> Principal {
    Principal {
        name: "root-pat",
        client: world.superuser.token(json!({ "name": "all" })).await,
        known: Some(Known {
            actor: Actor::unlimited(Subject::User(world.superuser.id)),
            kind: CredentialKind::PersonalToken,
            facts: Facts::default(),
            is_owner: false,
            is_superuser: true,
        }),
    }
}

/// Those who prove nothing.
async fn strangers(app: &TestApp, world: &World) -> Vec<Principal> {
    let anonymous = app.anonymous();
    let unknown = Token::generate(app.db().rng(), TokenKind::Personal).expect("a token");
    let late = app.person("late").await;
    app.sql(
        "UPDATE credentials SET expires_at = 1
             WHERE principal_id = (SELECT user_id FROM user_emails WHERE canonical = 'late@example.com')",
    )
    .await;
    let made = world
        .owner
        .post("/v1/auth/tokens", json!({ "name": "short-lived" }))
        .await
        .expect(201);
    world
        .owner
        .delete(&format!("/v1/auth/tokens/{}", made.at("/id")))
        .await
        .expect(204)
        .ok();
    vec![
        nobody("anon", anonymous.clone()),
        nobody("garbage", anonymous.bearer("srm_pat_garbage")),
        nobody("unknown", anonymous.bearer(unknown.expose())),
        nobody("expired", late.client().clone()),
        nobody("revoked", anonymous.bearer(&made.at("/token"))),
        nobody("disabled", disabled(app).await),
        // Who has shown a password and not yet the second factor, and who shows what only prolongs a session.
        nobody("waiting", anonymous.bearer(&world.challenge_token)),
        nobody("refresh", anonymous.bearer(&world.outsider.refresh_token)),
        // A user of the organisation's own application is nobody here, whatever its roles call their permissions.
        nobody("realm", anonymous.bearer(&world.realm.access_token)),
    ]
}

async fn disabled(app: &TestApp) -> Client {
    let person = app.person("disabled").await;
    app.sql(
        "UPDATE users SET disabled_at = 1
             WHERE id = (SELECT user_id FROM user_emails WHERE canonical = 'disabled@example.com')",
    )
    .await;
    person.client().clone()
}

/// One of each built-in role.
async fn staff(seed: &Seed<'_>, world: &World) -> Vec<Principal> {
    let owner = Membership {
        org: world.own.org_id,
        project: None,
        role: builtin(Org, "owner").id,
        role_name: "owner".to_owned(),
        grants: builtin(Org, "owner").grants,
        env_classes: None,
        expires_at: None,
    };
    let mut all = vec![session("owner", &world.owner, holding(vec![owner], vec![]))];
    let project = Some(world.own.project_id);
    for (name, role, project) in [
        ("admin", builtin(Org, "admin"), None),
        ("dev", builtin(Org, "developer"), None),
        ("viewer", builtin(Org, "viewer"), None),
        ("member", builtin(Org, "member"), None),
        ("p-owner", builtin(Project, "owner"), project),
        ("p-admin", builtin(Project, "admin"), project),
        ("p-dev", builtin(Project, "developer"), project),
        ("p-viewer", builtin(Project, "viewer"), project),
    ] {
        let person = seed.app.person(name).await;
        let held = seed.membership(Subject::User(person.id), &role, project).await;
        all.push(session(name, &person, holding(vec![held], vec![])));
    }
    all
}

/// People to whom something special applies.
async fn special(seed: &Seed<'_>, world: &World) -> Vec<Principal> {
    let (developer, now) = (builtin(Org, "developer"), seed.app.clock.now());
    let removed = seed.app.person("removed").await;
    seed.membership(Subject::User(removed.id), &developer, None).await;
    let member = format!("/v1/orgs/{}/members/{}", world.own.org, removed.id);
    world.owner.delete(&member).await.expect(204).ok();
    let lapsed = seed.app.person("lapsed").await;
    let past = Some(now - Duration::from_secs(1));
    let was = seed
        .membership_until(Subject::User(lapsed.id), &developer, None, None, past)
        .await;
    let on_call = seed.app.person("on-call").await;
    let (prod, soon) = (
        ClassSet::EMPTY.with(EnvClass::Prod),
        Some(now + Duration::from_hours(1)),
    );
    let viewer = builtin(Org, "viewer");
    let tonight = seed
        .membership_until(Subject::User(on_call.id), &viewer, None, Some(prod), soon)
        .await;
    let denied = seed.app.person("denied").await;
    let works = seed.membership(Subject::User(denied.id), &developer, None).await;
    let no_writes = seed
        .rule(
            Subject::User(denied.id).into(),
            Effect::Deny,
            "web",
            &["secrets:write", "envs:read"],
        )
        .await;
    let mut all = vec![
        session("outsider", &world.outsider, Facts::default()),
        session("root", &world.superuser, Facts::default()),
        session("invitee", &world.invitee, Facts::default()),
        session("removed", &removed, Facts::default()),
        session("lapsed", &lapsed, holding(vec![was], vec![])),
        session("on-call", &on_call, holding(vec![tonight], vec![])),
        session("denied", &denied, holding(vec![works], vec![no_writes])),
    ];
    let (person, held) = custom(seed, "custom", "platform", CUSTOM).await;
    all.push(session("custom", &person, holding(vec![held], vec![])));
    // A role of the tenant's own application grants nothing here, whatever its permissions are called.
    let (person, _) = custom(seed, "app-role", "app", OWN).await;
    all.push(session("app-role", &person, Facts::default()));
    all.extend(combined(seed).await);
    all
}

/// People of several roles, of a role that a rule is about, of a rule that has ended, and of a role of one's own in a
/// project.
async fn combined(seed: &Seed<'_>) -> Vec<Principal> {
    let (web, [viewer, developer, member]) = (
        Some(seed.side.project_id),
        ["viewer", "developer", "member"].map(|name| builtin(Org, name)),
    );
    let several = seed.app.person("several").await;
    let broad = seed.membership(Subject::User(several.id), &viewer, None).await;
    let narrow = builtin(Project, "developer");
    let narrow = seed.membership(Subject::User(several.id), &narrow, web).await;

    let denied = seed.app.person("r-denied").await;
    let contractor = seed.role(Org, "platform", "contractor", &["org:read"]).await;
    let works = seed.membership(Subject::User(denied.id), &developer, None).await;
    let marked = seed.membership(Subject::User(denied.id), &contractor, None).await;
    let no_prod = ["secrets:write", "secrets:list", "secrets:delete"];
    let about = About::Role(contractor.id);
    let rule = seed.rule(about, Effect::Deny, "web/@prod", &no_prod).await;

    let late = seed.app.person("late-rule").await;
    let joined = seed.membership(Subject::User(late.id), &member, None).await;
    let about = Subject::User(late.id).into();
    let over = seed
        .rule(about, Effect::Allow, "web", &["secrets:read", "projects:update"])
        .await;
    let over = seed.lapse(over).await;

    let deployer = seed.app.person("p-custom").await;
    let permissions = [
        "projects:read",
        "envs:read",
        "envs:manage",
        "secrets:read@staging",
        "secrets:write",
    ];
    let own = seed.role(Project, "platform", "deployer", &permissions).await;
    let deploys = seed.membership(Subject::User(deployer.id), &own, web).await;
    vec![
        session("several", &several, holding(vec![broad, narrow], vec![])),
        session("r-denied", &denied, holding(vec![works, marked], vec![rule])),
        session("late-rule", &late, holding(vec![joined], vec![over])),
        session("p-custom", &deployer, holding(vec![deploys], vec![])),
    ]
}

async fn custom(seed: &Seed<'_>, name: &str, audience: &str, permissions: &[&str]) -> (Person, Membership) {
    let person = seed.app.person(name).await;
    let role = seed.role(Org, audience, name, permissions).await;
    let held = seed.membership(Subject::User(person.id), &role, None).await;
    (person, held)
}

/// Service accounts. Each lives in its own organisation, and one in its own project.
async fn machines(seed: &Seed<'_>, world: &World) -> Vec<Principal> {
    let owner = world.owner.client();
    let machine = |name, (id, key): (ServiceAccountId, String), ceiling, facts| Principal {
        name,
        client: seed.app.anonymous().api_key(&key),
        known: Some(Known {
            actor: Actor {
                principal: Subject::ServiceAccount(id),
                ceiling,
            },
            kind: CredentialKind::ServiceKey,
            facts,
            is_owner: false,
            is_superuser: false,
        }),
    };
    let everywhere = bound(seed.side.org_id);
    let made = seed
        .service_account(owner, json!({ "name": "deploy", "role": "developer" }))
        .await;
    let held = seed.held(&builtin(Org, "developer"), None);
    let deploy = machine("sa-dev", made, everywhere.clone(), holding(vec![held], vec![]));
    let made = seed.service_account(owner, json!({ "name": "runner" })).await;
    let permissions = ["secrets:read", "secrets:write"];
    let about = Subject::ServiceAccount(made.0).into();
    let rule = seed.rule(about, Effect::Allow, "web/staging", &permissions).await;
    let runner = machine("sa-acl", made, everywhere.clone(), holding(vec![], vec![rule]));
    // What it holds in the whole organisation takes it no further than its project.
    let web = json!({ "name": "web-bot", "project": "web", "role": "developer" });
    let made = seed.service_account(owner, web).await;
    let about = Subject::ServiceAccount(made.0);
    let held = vec![
        seed.held(&builtin(Project, "developer"), Some(seed.side.project_id)),
        seed.written_membership(about, seed.held(&builtin(Org, "admin"), None))
            .await,
    ];
    let its_project = Ceiling {
        patterns: vec![Pattern::in_project(seed.side.project_id)],
        ..everywhere
    };
    let web = machine("sa-web", made, its_project, holding(held, vec![]));
    vec![deploy, runner, web]
}

/// Service accounts whose keys are no good, or not from here.
async fn stopped_machines(seed: &Seed<'_>, world: &World) -> Vec<Principal> {
    let owner = world.owner.client();
    let made = |body: serde_json::Value| seed.service_account(owner, body);
    let (_, far) = made(json!({ "name": "far", "role": "admin", "ip_allow": ["192.0.2.0/24"] })).await;
    let (off, switched_off) = made(json!({ "name": "off", "role": "admin" })).await;
    let off = format!("/v1/orgs/{}/service-accounts/{off}", seed.side.org);
    owner.patch(&off, json!({ "enabled": false })).await.expect(200).ok();
    let (_, late) = made(json!({ "name": "late", "role": "admin", "expires_days": 1 })).await;
    seed.app
        .sql("UPDATE credentials SET expires_at = 1 WHERE principal_id = (SELECT id FROM service_accounts WHERE name = 'late')")
        .await;
    [("sa-far", far), ("sa-off", switched_off), ("sa-late", late)]
        .into_iter()
        .map(|(name, key)| nobody(name, seed.app.anonymous().api_key(&key)))
        .collect()
}

fn bound(org: OrgId) -> Ceiling {
    Ceiling {
        org: Some(org),
        ..Ceiling::default()
    }
}

/// Personal tokens of the owner: none may do more than it says.
async fn tokens(seed: &Seed<'_>, world: &World) -> Vec<Principal> {
    let owner = &world.owner;
    let org = Some(world.own.org_id);
    let mine = world
        .owner
        .get(&format!("/v1/orgs/{}", owner.personal_org))
        .await
        .expect(200)
        .at("/id");
    let scopes = GrantSet::parse(&["secrets:read", "projects:read"]).expect("scopes");
    let mut all = Vec::new();
    for (name, body, ceiling) in [
        ("pat", json!({ "name": "all" }), Ceiling::default()),
        (
            "pat-scope",
            json!({ "name": "scope", "scopes": ["secrets:read", "projects:read"] }),
            Ceiling {
                grants: Some(scopes),
                ..Ceiling::default()
            },
        ),
        (
            "pat-place",
            json!({ "name": "place", "org": "acme", "patterns": ["web/staging"] }),
            Ceiling {
                patterns: vec![seed.pattern("web/staging")],
                org,
                ..Ceiling::default()
            },
        ),
        (
            "pat-other",
            json!({ "name": "other", "org": mine }),
            bound(mine.parse().expect("an id")),
        ),
    ] {
        let memberships = vec![Membership {
            org: world.own.org_id,
            project: None,
            role: builtin(Org, "owner").id,
            role_name: "owner".to_owned(),
            grants: builtin(Org, "owner").grants,
            env_classes: None,
            expires_at: None,
        }];
        all.push(Principal {
            name,
            client: owner.token(body).await,
            known: Some(Known {
                actor: Actor {
                    principal: Subject::User(owner.id),
                    ceiling,
                },
                kind: CredentialKind::PersonalToken,
                facts: holding(memberships, vec![]),
                is_owner: false,
                is_superuser: false,
            }),
        });
    }
    all
}

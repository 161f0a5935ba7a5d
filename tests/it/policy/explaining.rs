//! Explanations: the very decision that is enforced, what it rests on, and what a rule would change.

use std::time::Duration;

use harness::app::Options;
use harness::matrix::{Place, World, principals};
use harness::{Answer, TestApp, on_both, on_each_backend};
use reqwest::Method;
use serde_json::{Value, json};

use super::{about, explain, field, give, person, put, reading, role};

/// What a request of the subject is answered with, by its explanation.
fn foretold(explained: &Answer) -> u16 {
    let answer = explained.json();
    match (&answer["allowed"], &answer["visible"]) {
        (Value::Bool(true), _) => 200,
        (_, Value::Bool(true)) => 403,
        _ => 404,
    }
}

/// A question, and the request that asks it before it does anything.
struct Probe {
    question: Value,
    method: Method,
    path: String,
}

/// A read for each permission that one asks for, where it asks; and a write.
fn probes(place: &Place) -> Vec<Probe> {
    let org = "/v1/orgs/acme";
    let project = format!("{org}/projects/{}", place.side.project);
    let env = format!("{project}/environments/{}", place.env.slug);
    let at_org = [
        ("org:read", format!("{org}/roles")),
        ("members:read", format!("{org}/members")),
        ("acl:manage", format!("{org}/acl")),
        ("service_accounts:manage", format!("{org}/service-accounts")),
        ("webhooks:read", format!("{org}/webhooks")),
        ("audit:read", format!("{org}/audit-logs")),
        ("access:read", format!("{org}/access/who-can?permission=org:read")),
    ];
    let at_project = [
        ("projects:read", project.clone()),
        ("members:read", format!("{project}/members")),
    ];
    let at_env = [
        ("envs:read", env.clone()),
        ("secrets:list", format!("{env}/keys")),
        ("secrets:read", format!("{env}/secrets")),
    ];
    let at_key = [
        ("secrets:read", Method::GET, String::new()),
        ("secrets:list", Method::GET, "/versions".to_owned()),
        ("secrets:write", Method::PUT, String::new()),
    ];
    let read = |question: Value, path: String| Probe {
        question,
        method: Method::GET,
        path,
    };
    let named = |depth: usize, permission: &str| {
        let mut question = json!({ "permission": permission });
        let levels = [&place.side.project, &place.env.slug, &place.side.key];
        for (field, name) in ["project", "environment", "key"].into_iter().zip(levels).take(depth) {
            question[field] = json!(name);
        }
        question
    };
    let mut all = Vec::new();
    all.extend(at_org.map(|(permission, path)| read(named(0, permission), path)));
    all.extend(at_project.map(|(permission, path)| read(named(1, permission), path)));
    all.extend(at_env.map(|(permission, path)| read(named(2, permission), path)));
    all.extend(at_key.map(|(permission, method, rest)| Probe {
        question: named(3, permission),
        method,
        path: format!("{env}/secrets/{}{rest}", place.side.key),
    }));
    all
}

on_both! {
    async fn an_explanation_is_what_everybodys_requests_are_answered_with(t: TestApp) {
        let world = World::build(&t).await;
        let all = principals::all(&t, &world).await;
        let (mut asked, mut unknown) = (0, Vec::new());
        // Tokens narrow; people and machines are asked about as they are.
        for principal in all.iter().filter(|principal| !principal.name.starts_with("pat")) {
            let Some(known) = &principal.known else { continue };
            let subject = match known.actor.principal {
                domain::access::Principal::User(id) => json!({ "type": "user", "id": id.to_string() }),
                domain::access::Principal::ServiceAccount(id) => json!({ "type": "service_account", "id": id.to_string() }),
            };
            for Probe { question, method, path } in world.places().flat_map(|place| probes(&place)) {
                let body = (method == Method::PUT).then(|| json!({ "value": "probe" }));
                let answer = principal.client.send(method, &path, body).await;
                let explained = explain(&world.owner, subject.clone(), &question).await;
                if explained.status() == 422 {
                    assert_eq!((answer.status(), field(explained).as_str()), (404, "subject.id"), "{}", principal.name);
                    unknown.push(principal.name);
                    continue;
                }
                let told = format!("{} {question} {path}: {}", principal.name, explained.text());
                let status = if answer.status() == 201 { 200 } else { answer.status() };
                assert_eq!(foretold(&explained.clone().expect(200)), status, "{told}");
                assert_eq!(explained.at("/subject_active"), "true", "{told}");
                if status == 403 {
                    assert_eq!(explained.at("/reason"), answer.at("/reason"), "{told}");
                }
                asked += 1;
            }
        }
        unknown.dedup();
        assert_eq!(unknown, ["outsider", "root", "invitee", "removed", "root-pat"], "nothing is given to them");
        assert!(asked > 900, "{asked}");
    }

    async fn ones_own_access_is_explained_as_the_credential_narrows_it(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let scopes = json!(["access:read", "projects:read", "secrets:read@dev"]);
        let token = acme.owner.token(json!({ "name": "ci", "scopes": scopes, "org": "acme" })).await;
        for (env, status, reason) in [("development", 404, "role"), ("production", 403, "insufficient_scope")] {
            let question = json!({ "permission": "secrets:read", "project": "web", "environment": env, "key": "K" });
            let own = explain(&token, Value::Null, &question).await.expect(200);
            assert_eq!((own.at("/reason"), own.at("/allowed")), (reason.into(), (status == 404).to_string()));
            assert_eq!(token.get(&web.env(env).secret("K")).await.status(), status);
            let owners = explain(&token, person(&acme.owner), &question).await.expect(200);
            assert_eq!(owners.at("/reason"), "role", "the account is asked about, not the token");
            let whole = explain(&acme.owner, Value::Null, &question).await.expect(200);
            assert_eq!((whole.at("/reason"), whole.at("/subject/email")), ("role".into(), acme.owner.email.clone()));
        }
        let missing = explain(&token, Value::Null, &reading("K")).await.at("/missing");
        assert_eq!(missing, "secrets:read@prod");
        let narrow = acme.owner.token(json!({ "name": "place", "org": "acme", "patterns": ["web/*/DB_*"] })).await;
        explain(&narrow, Value::Null, &reading("DB_URL")).await.problem(403, "insufficient_scope");
    }

    async fn all_that_was_weighed_is_shown_and_what_settled_it(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let dana = acme.developer("dana").await;
        acme.grant(dana.id, Some(web.id), "viewer").await;
        let marked = role(&acme, "contractor", &["org:read"]).await;
        give(&t, &acme, &dana, None, marked).await;
        let subject = json!({ "type": "role", "name": "contractor" });
        let denial = json!({
            "subject": subject, "effect": "deny", "pattern": "web/@prod/ROOT_*", "permissions": ["secrets:read@prod"],
            "expires_at": "2100-01-02T03:04:05Z",
        });
        let denial = put(&acme.owner, &acme, denial).await.expect(201);
        put(&acme.owner, &acme, about(&dana, "allow", "web/production/ROOT_CA", &["secrets:read", "secrets:write"])).await.ok();
        put(&acme.owner, &acme, about(&dana, "allow", "web/development", &["secrets:read"])).await.ok();
        let explained = explain(&acme.owner, person(&dana), &reading("ROOT_CA")).await.expect(200);
        let answer = explained.json();
        assert_eq!((&answer["allowed"], &answer["visible"], &answer["reason"]), (&json!(false), &json!(true), &json!("acl_deny")));
        assert!(answer.get("missing").is_none(), "against a denial no grant helps");
        let matched = &answer["matched"];
        assert_eq!((&matched["type"], &matched["id"]), (&json!("rule"), &json!(denial.at("/id"))));
        assert_eq!((&matched["pattern"], &matched["outcome"]), (&json!("web/@prod/ROOT_*"), &json!("denies")));
        assert_eq!((&matched["subject"]["type"], &matched["subject"]["name"]), (&json!("role"), &json!("contractor")));
        assert_eq!((&matched["expires_at"], &matched["what_if"]), (&json!("2100-01-02T03:04:05.000Z"), &json!(false)));
        let considered = answer["considered"].as_array().expect("a list");
        let shown: Vec<_> = considered
            .iter()
            .map(|fact| (fact["outcome"].as_str().unwrap(), fact["name"].as_str().or(fact["pattern"].as_str()).unwrap()))
            .collect();
        let mut roles = shown[1..4].to_vec();
        roles.sort_unstable();
        assert_eq!(roles, [("grants", "viewer"), ("nothing", "contractor"), ("nothing", "developer")]);
        assert_eq!([shown[0], shown[4]], [("denies", "web/@prod/ROOT_*"), ("grants", "web/production/ROOT_CA")]);
        assert_eq!(shown.len(), 5, "the rule of development does not touch it: {explained:?}");
        let developer = considered.iter().find(|fact| fact["name"] == "developer").expect("the role");
        assert_eq!(developer["permissions"], json!(["secrets:read@dev", "secrets:read@staging"]));
        assert_eq!((&developer["level"], developer.get("project")), (&json!("org"), None));
        let viewer = considered.iter().find(|fact| fact["name"] == "viewer").expect("the role");
        assert_eq!((&viewer["level"], &viewer["project"]), (&json!("project"), &json!("web")));
    }

    async fn what_a_rule_would_change_is_told_and_not_done(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        acme.owner.put(&env.secret("DB_URL"), json!({ "value": "v" })).await.ok();
        let vera = acme.member("vera", "viewer").await;
        let supposing = |rule: Value| {
            let mut question = reading("DB_URL");
            question["what_if"] = json!({ "rule": rule });
            question
        };
        let now = explain(&acme.owner, person(&vera), &reading("DB_URL")).await.expect(200);
        assert_eq!((now.at("/reason"), now.at("/missing")), ("no_grant".into(), "secrets:read@prod".into()));
        let rows = "SELECT (SELECT COUNT(*) FROM acl_rules) + (SELECT COUNT(*) FROM journal)";
        let before = t.number(rows).await;
        let wanted = about(&vera, "allow", "web/@prod/DB_*", &["secrets:read"]);
        let then = explain(&acme.owner, person(&vera), &supposing(wanted.clone())).await.expect(200);
        assert_eq!((then.at("/allowed"), then.at("/reason"), then.at("/matched/what_if")), ("true".into(), "acl_allow".into(), "true".into()));
        assert_eq!((then.at("/matched/id"), then.at("/matched/pattern")), (String::new(), "web/@prod/DB_*".into()));
        vera.get(&env.secret("DB_URL")).await.problem(403, "forbidden");
        assert_eq!(t.number(rows).await, before, "nothing is stored");
        // The one that is there already gives way, as it would.
        let made = put(&acme.owner, &acme, wanted).await.expect(201);
        let instead = about(&vera, "allow", "web/@prod/DB_*", &["secrets:write"]);
        let then = explain(&acme.owner, person(&vera), &supposing(instead)).await.expect(200);
        assert_eq!((then.at("/reason"), then.at("/considered/1/id")), ("no_grant".into(), made.at("/id")));
        let denial = json!({ "subject": { "type": "role", "name": "viewer" }, "effect": "deny", "pattern": "*", "permissions": ["secrets:read"] });
        let then = explain(&acme.owner, person(&vera), &supposing(denial.clone())).await.expect(200);
        assert_eq!(then.at("/reason"), "acl_deny");
        let owners = explain(&acme.owner, Value::Null, &supposing(denial)).await.expect(200);
        assert_eq!(owners.at("/reason"), "role", "a rule about others changes nothing");
        vera.get(&env.secret("DB_URL")).await.expect(200).ok();
    }

    async fn a_rule_that_could_not_be_saved_is_not_supposed_either(t: TestApp) {
        let acme = t.org("acme").await;
        acme.project("web").await;
        let (admin, vera) = (acme.member("alex", "admin").await, acme.member("vera", "viewer").await);
        let auditor = role(&acme, "auditor", &["org:read", "access:read", "projects:read", "envs:read"]).await;
        let audrey = t.person("audrey").await;
        give(&t, &acme, &audrey, None, auditor).await;
        let supposing = |rule: Value| json!({ "permission": "org:read", "what_if": { "rule": rule } });
        for (more, expected) in [
            (json!({ "pattern": "nowhere" }), "what_if.rule.pattern"),
            (json!({ "permissions": ["secrets:read", "x"] }), "what_if.rule.permissions[1]"),
            (json!({ "permissions": ["org:read"] }), "what_if.rule.permissions[0]"),
            (json!({ "subject": { "type": "user", "email": "nobody@example.com" } }), "what_if.rule.subject.email"),
            (json!({ "expires_at": "2020-01-01T00:00:00Z" }), "what_if.rule.expires_at"),
            (json!({ "effect": "maybe" }), "what_if.rule.effect"),
        ] {
            let mut rule = about(&vera, "allow", "web", &["secrets:read"]);
            rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            assert_eq!(field(explain(&acme.owner, Value::Null, &supposing(rule)).await), expected);
        }
        let above = about(&acme.owner, "deny", "web", &["secrets:read"]);
        explain(&admin, Value::Null, &supposing(above)).await.problem(403, "forbidden");
        let fair = about(&vera, "allow", "web", &["secrets:read"]);
        explain(&audrey, Value::Null, &supposing(fair.clone())).await.problem(403, "forbidden");
        explain(&audrey, person(&vera), &json!({ "permission": "org:read" })).await.expect(200).ok();
        explain(&admin, Value::Null, &supposing(fair)).await.expect(200).ok();
    }
}

on_each_backend! {
    async fn an_explanation_is_of_its_very_instant(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        acme.project("web").await;
        let vera = acme.member("vera", "viewer").await;
        let end = t.clock.now() + Duration::from_mins(5);
        let mut rule = about(&vera, "allow", "web", &["secrets:read"]);
        rule["expires_at"] = json!(end.to_string());
        put(&acme.owner, &acme, rule).await.expect(201).ok();
        let told = async || {
            let answer = explain(&acme.owner, person(&vera), &reading("K")).await.expect(200);
            (answer.at("/reason"), answer.at("/considered/1/expires_at"))
        };
        t.advance(Duration::from_micros(299_999_999));
        assert_eq!(told().await, ("acl_allow".into(), end.to_string()));
        t.advance(Duration::from_micros(1));
        assert_eq!(told().await, ("no_grant".into(), String::new()), "what ended counts for nothing");
    }
}

//! Making, finding, changing and deleting service accounts.

use domain::access::role::RoleLevel;
use harness::matrix::World;
use harness::matrix::seed::Seed;
use harness::on_both;
use serde_json::{Value, json};

use super::ACCOUNTS;

/// Everything that a service account is made of.
const ROWS: &str = "SELECT (SELECT COUNT(*) FROM service_accounts) + (SELECT COUNT(*) FROM memberships)
    + (SELECT COUNT(*) FROM credentials) + (SELECT COUNT(*) FROM journal)";

on_both! {
    async fn a_service_account_comes_with_a_key_that_is_shown_once(t: TestApp) {
        let acme = t.org("acme").await;
        let body = json!({ "name": " deploy ", "description": "ships", "expires_days": 30 });
        let made = acme.owner.post(ACCOUNTS, body).await.expect(201);
        let key = made.at("/key");
        assert!(key.starts_with("srm_sak_") && made.at("/id").starts_with("sa_"), "{}", made.text());
        assert_eq!((made.at("/client_id"), made.at("/client_secret")), (made.at("/id"), key.clone()));
        assert_eq!((made.at("/name"), made.at("/enabled")), ("deploy".into(), "true".into()));
        assert!(!made.at("/key_expires_at").is_empty());
        let shown = acme.owner.get(&format!("{ACCOUNTS}/{}", made.at("/id"))).await.expect(200);
        let listed = acme.owner.get(ACCOUNTS).await.expect(200);
        let keys = acme.owner.get(&format!("{ACCOUNTS}/{}/keys", made.at("/id"))).await.expect(200);
        assert_eq!(listed.json()["data"][0], shown.json());
        for answer in [&shown, &listed, &keys] {
            assert!(!answer.text().contains(&key), "{}", answer.text());
        }
        assert_eq!((keys.at("/data/0/id"), keys.at("/pagination/total")), (made.at("/key_id"), "1".into()));
        let bare = json!({ "name": "bare", "with_key": false });
        let bare = acme.owner.post(ACCOUNTS, bare).await.expect(201);
        assert_eq!((bare.at("/key"), bare.at("/client_secret")), (String::new(), String::new()));
        assert_eq!(t.number("SELECT COUNT(*) FROM credentials WHERE kind = 'service_key'").await, 1);
    }

    async fn a_key_acts_as_its_account_and_the_journal_says_so(t: TestApp) {
        let acme = t.org("acme").await;
        let secret = acme.project("web").await.env("development").secret("DB_URL");
        let body = json!({ "name": "deploy", "role": "developer" });
        let made = acme.owner.post(ACCOUNTS, body).await.expect(201);
        let robot = t.anonymous().api_key(&made.at("/key"));
        robot.put(&secret, json!({ "value": "one" })).await.expect(201).ok();
        assert_eq!(robot.get(&secret).await.expect(200).at("/value"), "one");
        let log = acme.owner.get("/v1/orgs/acme/audit-logs?action=secret.created").await.expect(200);
        let actor = (log.at("/data/0/actor/type"), log.at("/data/0/actor/id"));
        assert_eq!(actor, ("service_account".into(), made.at("/id")));
        t.anonymous().bearer(&made.at("/key")).get(&secret).await.problem(401, "unauthenticated");
    }

    async fn accounts_are_listed_by_name_and_found_by_project_or_part_of_a_name(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        for (name, description, project) in
            [("zulu", "", None), ("Bravo", "ships WEB", None), ("alfa", "", Some("web"))]
        {
            let body = json!({ "name": name, "description": description, "project": project });
            acme.owner.post(ACCOUNTS, body).await.expect(201).ok();
        }
        let names = |query: &'static str| {
            let owner = acme.owner.client().clone();
            async move {
                let list = owner.get(&format!("{ACCOUNTS}{query}")).await.expect(200).json();
                let names = list["data"].as_array().expect("a list").iter().map(|each| each["name"].clone());
                let mut names: Vec<Value> = names.collect();
                names.sort_by_key(|name| name.as_str().map(str::to_lowercase));
                json!(names)
            }
        };
        assert_eq!(names("").await, json!(["alfa", "Bravo", "zulu"]));
        assert_eq!(names("?project=web").await, json!(["alfa"]));
        assert_eq!(names("?project=nowhere").await, json!([]));
        assert_eq!(names("?search=web").await, json!(["Bravo"]));
        assert_eq!(names("?search=LF").await, json!(["alfa"]));
        let by_id = acme.owner.get(&format!("{ACCOUNTS}?project={}", web.id)).await.expect(200);
        assert_eq!((by_id.at("/pagination/total"), by_id.at("/data/0/project")), ("1".into(), "web".into()));
    }

    async fn a_name_is_taken_once_in_an_organisation_and_free_after_deletion(t: TestApp) {
        let (acme, other) = (t.org("acme").await, t.org("other").await);
        let body = json!({ "name": "deploy" });
        let first = acme.owner.post(ACCOUNTS, body.clone()).await.expect(201);
        let spare = acme.owner.post(ACCOUNTS, json!({ "name": "spare" })).await.expect(201);
        let before = t.number(ROWS).await;
        let taken = acme.owner.post(ACCOUNTS, body.clone()).await.problem(409, "conflict");
        assert_eq!(taken.at("/field"), "name");
        let spare = format!("{ACCOUNTS}/{}", spare.at("/id"));
        acme.owner.patch(&spare, body.clone()).await.problem(409, "conflict");
        assert_eq!((t.number(ROWS).await, acme.owner.get(&spare).await.at("/name")), (before, "spare".into()));
        other.owner.post(&other.path("/service-accounts"), body.clone()).await.expect(201).ok();
        acme.owner.delete(&format!("{ACCOUNTS}/{}", first.at("/id"))).await.expect(204).ok();
        acme.owner.post(ACCOUNTS, body).await.expect(201).ok();
    }

    async fn what_is_wrong_is_named_and_nothing_is_made(t: TestApp) {
        let (acme, rival) = (t.org("acme").await, t.org("rival").await);
        acme.project("web").await;
        let hidden = rival.project("hidden").await;
        let before = t.number(ROWS).await;
        let many: Vec<_> = (0..51).map(|n| format!("192.0.2.{n}")).collect();
        for (body, field) in [
            (json!({ "name": " " }), "name"),
            (json!({ "name": "x".repeat(201) }), "name"),
            (json!({ "name": "x", "description": "x".repeat(2001) }), "description"),
            (json!({ "name": "x", "ip_allow": ["192.0.2.1", "office"] }), "ip_allow[1]"),
            (json!({ "name": "x", "ip_allow": many }), "ip_allow"),
            (json!({ "name": "x", "role": "chief" }), "role"),
            (json!({ "name": "x", "project": "web", "role": "member" }), "role"),
            (json!({ "name": "x", "project": "nowhere" }), "project"),
            (json!({ "name": "x", "project": hidden.id.to_string() }), "project"),
            (json!({ "name": "x", "expires_days": 0 }), "expires_days"),
            (json!({ "name": "x", "expires_days": 3651 }), "expires_days"),
        ] {
            let refused = acme.owner.post(ACCOUNTS, body.clone()).await.problem(422, "invalid_field");
            assert_eq!(refused.at("/errors/0/field"), field, "{body}");
        }
        assert_eq!(t.number(ROWS).await, before);
    }

    async fn a_role_of_another_organisation_or_of_an_application_is_no_role_here(t: TestApp) {
        let world = World::build(&t).await;
        let role = |side, owner, audience| {
            let seed = Seed { app: &t, side, owner };
            async move { seed.role(RoleLevel::Org, audience, "robot-role", &["secrets:read"]).await.id.to_string() }
        };
        let theirs = role(&world.foreign, &world.outsider, "platform").await;
        let app = role(&world.own, &world.owner, "app").await;
        for role in [theirs, app, "robot-role".to_owned()] {
            let body = json!({ "name": "x", "role": role });
            let refused = world.owner.post(ACCOUNTS, body).await.problem(422, "invalid_field");
            assert_eq!(refused.at("/errors/0/field"), "role", "{role}");
        }
    }

    async fn changes_are_kept_and_what_is_absent_stays(t: TestApp) {
        let acme = t.org("acme").await;
        let body = json!({ "name": "deploy", "description": "ships", "ip_allow": ["127.0.0.1"] });
        let made = acme.owner.post(ACCOUNTS, body).await.expect(201);
        let path = format!("{ACCOUNTS}/{}", made.at("/id"));
        let changed = acme.owner.patch(&path, json!({ "name": "release" })).await.expect(200);
        assert_eq!((changed.at("/name"), changed.at("/description")), ("release".into(), "ships".into()));
        assert_eq!(changed.json()["ip_allow"], json!(["127.0.0.1"]));
        let patch = json!({ "ip_allow": ["10.1.2.3/8", "2001:db8::1/128"], "enabled": false, "description": "" });
        let changed = acme.owner.patch(&path, patch).await.expect(200);
        assert_eq!(changed.json()["ip_allow"], json!(["10.0.0.0/8", "2001:db8::1"]));
        assert_eq!((changed.at("/enabled"), changed.at("/description")), ("false".into(), String::new()));
        assert_eq!(acme.owner.get(&path).await.json(), changed.json());
        let refused = acme.owner.patch(&path, json!({ "name": "gone", "ip_allow": ["x"] })).await;
        assert_eq!(refused.problem(422, "invalid_field").at("/errors/0/field"), "ip_allow[0]");
        assert_eq!(acme.owner.get(&path).await.json(), changed.json());
    }

    async fn with_an_account_go_its_keys_its_roles_and_the_rules_about_it(t: TestApp) {
        let world = World::build(&t).await;
        let seed = Seed { app: &t, side: &world.own, owner: &world.owner };
        let body = json!({ "name": "deploy", "role": "developer" });
        let (id, key) = seed.service_account(world.owner.client(), body).await;
        let about = domain::access::Principal::ServiceAccount(id);
        seed.rule(about.into(), domain::access::facts::Effect::Allow, "web/production", &["secrets:read"]).await;
        let path = format!("{ACCOUNTS}/{id}");
        world.owner.post(&format!("{path}/keys"), json!({})).await.expect(201).ok();
        let robot = t.anonymous().api_key(&key);
        robot.get("/v1/orgs/acme").await.expect(200).ok();
        let others = t.number("SELECT COUNT(*) FROM memberships WHERE subject_type = 'service_account'").await;
        world.owner.delete(&path).await.expect(204).ok();
        robot.get("/v1/orgs/acme").await.problem(401, "unauthenticated");
        world.owner.get(&path).await.problem(404, "not_found");
        world.owner.delete(&path).await.problem(404, "not_found");
        let roles = t.number("SELECT COUNT(*) FROM memberships WHERE subject_type = 'service_account'").await;
        let rules = "SELECT COUNT(*) FROM acl_rules WHERE subject_type = 'service_account'";
        assert_eq!((others - roles, t.number(rules).await), (1, 0));
        let live = "SELECT COUNT(*) FROM credentials WHERE kind = 'service_key' AND revoked_at IS NULL";
        assert_eq!(t.number(live).await, 2, "one for the account of each side");
    }
}

//! Coldrune: signing in by mailed code, organisations and their people, projects, environments, secrets, access rules,
//! service accounts, the audit log, backups, health.
//!
//! An account is registered first; somebody who has none is invited. A project is deleted by its owner or the
//! organisation's, not by an admin. Its action `secret.set` is `secret.created` or `secret.updated` in the log.
//!
//! A backup is restored into `<database>.restore.<id>` as there: the operator stops the server, swaps the two and starts it
//! again. It is made and restored by a worker, and proved before it is relied on.
//!
//! Not walked yet: a superadmin who sees every organisation.

use harness::app::eventually;
use harness::mailbox::{INVITE, SIGN_IN, expect_code, expect_token};
use harness::people::PASSWORD;
use harness::{Answer, Client, TestApp, on_both};
use serde_json::json;

use super::{LOGOUT, ME, add, column, other_than, refused_field, register, texts};

const ORG: &str = "/v1/orgs/acme";
const PROJECTS: &str = "/v1/orgs/acme/projects";
const PROJECT: &str = "/v1/orgs/acme/projects/web";
const ENVS: &str = "/v1/orgs/acme/projects/web/environments";
const RULES: &str = "/v1/orgs/acme/acl";
const VALUE: &str = "postgres://db.internal/acme";

/// An organisation with somebody of each role, and a project that its admin has made.
struct Acme {
    ada: Client,
    alex: Client,
    dana: Client,
    mia: Client,
    mia_id: String,
}

impl Acme {
    async fn new(t: &TestApp) -> Self {
        let (ada, _) = register(t, "ada@example.com").await;
        ada.post("/v1/orgs", json!({ "name": "acme" })).await.expect(201).ok();
        let (alex, _) = register(t, "alex@example.com").await;
        add(&ada, ORG, "alex@example.com", "admin").await.expect(201).ok();
        let (dana, _) = register(t, "dana@example.com").await;
        let (mia, mia_id) = register(t, "mia@example.com").await;
        for (email, role) in [("dana@example.com", "developer"), ("mia@example.com", "member")] {
            add(&alex, ORG, email, role).await.expect(201).ok();
        }
        alex.post(PROJECTS, json!({ "name": "web" })).await.expect(201).ok();
        Self {
            ada,
            alex,
            dana,
            mia,
            mia_id,
        }
    }
}

fn secret(env: &str, key: &str) -> String {
    format!("{ENVS}/{env}/secrets/{key}")
}

on_both! {
    async fn the_newest_mailed_code_signs_in_and_signing_out_ends_it(t: TestApp) {
        let email = "ada@example.com";
        register(&t, email).await;
        let anyone = t.anonymous();
        anyone.get(ME).await.problem(401, "unauthenticated");
        let first = anyone.post("/v1/auth/code", json!({ "email": email })).await.expect(200);
        let stale = expect_code(&t, email, SIGN_IN, 1).await;
        let begun = anyone.post("/v1/auth/code", json!({ "email": email })).await.expect(200);
        let code = expect_code(&t, email, SIGN_IN, 2).await;
        let show = async |begun: &Answer, code: &str| {
            let token = begun.at("/challenge_token");
            let body = json!({ "challenge_token": token, "code": code, "transport": "bearer" });
            anyone.post("/v1/auth/code/verify", body).await
        };
        show(&first, &stale).await.problem(401, "invalid_credentials");
        show(&begun, other_than(&code)).await.problem(401, "invalid_credentials");
        let session = show(&begun, &code).await.expect(200);
        show(&begun, &code).await.problem(401, "invalid_credentials");
        let ada = anyone.bearer(&session.at("/access_token"));
        assert_eq!(texts(&ada.get(ME).await.expect(200), ["/email", "/orgs/0/role"]), [email, "owner"]);
        let unknown = anyone.post("/v1/auth/code", json!({ "email": "nobody@example.com" })).await.expect(200);
        assert_eq!(unknown.at("/expires_in"), begun.at("/expires_in"), "nobody learns who has an account");
        ada.post(LOGOUT, json!({})).await.expect(204).ok();
        ada.get(ME).await.problem(401, "unauthenticated");
        anyone.post(LOGOUT, json!({})).await.problem(401, "unauthenticated");
    }

    async fn an_organisation_is_its_owners_to_rename_and_to_delete(t: TestApp) {
        let Acme { ada, alex, dana, mia, .. } = Acme::new(&t).await;
        assert_eq!(texts(&ada.get(ORG).await.expect(200), ["/slug", "/name", "/role"]), ["acme", "acme", "owner"]);
        for person in [&ada, &alex, &dana, &mia] {
            assert!(column(&person.get("/v1/orgs").await.expect(200), "slug").contains(&"acme".to_owned()));
        }
        let (eve, _) = register(&t, "eve@example.com").await;
        assert_eq!(column(&eve.get("/v1/orgs").await.expect(200), "slug"), ["eve"]);
        let name = json!({ "name": "Acme Corporation" });
        for person in [&alex, &dana, &mia] {
            person.patch(ORG, name.clone()).await.problem(403, "forbidden");
            person.delete(ORG).await.problem(403, "forbidden");
        }
        assert_eq!(ada.patch(ORG, name).await.expect(200).at("/name"), "Acme Corporation");
        ada.delete(ORG).await.expect(204).ok();
        for person in [&ada, &alex, &dana, &mia, &eve] {
            person.get(ORG).await.problem(404, "not_found");
            person.get(PROJECT).await.problem(404, "not_found");
        }
        assert_eq!(column(&mia.get("/v1/orgs").await.expect(200), "slug"), ["mia"]);
        ada.post(&format!("{ORG}/restore"), json!({})).await.expect(200).ok();
        assert_eq!(dana.get(PROJECT).await.expect(200).at("/slug"), "web", "it was soft-deleted");
    }

    async fn admins_bring_people_in_and_owners_say_what_they_are(t: TestApp) {
        let Acme { ada, alex, dana, mia, mia_id } = Acme::new(&t).await;
        let (members, invites) = (format!("{ORG}/members"), format!("{ORG}/invites"));
        let listed = mia.get(&members).await.expect(200);
        assert_eq!(column(&listed, "email"), ["ada@example.com", "alex@example.com", "dana@example.com", "mia@example.com"]);
        assert_eq!(column(&listed, "role"), ["owner", "admin", "developer", "member"]);
        let member = format!("{members}/{mia_id}");
        for person in [&dana, &mia] {
            add(person, ORG, "ada@example.com", "member").await.problem(403, "forbidden");
            person.post(&invites, json!({ "email": "ned@example.com" })).await.problem(403, "forbidden");
            person.delete(&member).await.problem(403, "forbidden");
        }
        alex.post(&invites, json!({ "email": "ned@example.com", "role": "developer" })).await.expect(201).ok();
        assert_eq!(column(&alex.get(&members).await.expect(200), "status")[4], "pending");
        let (ned, _) = register(&t, "ned@example.com").await;
        let token = expect_token(&t, "ned@example.com", INVITE, 1).await;
        ned.post(&format!("/v1/invites/{token}/accept"), json!({})).await.expect(201).ok();
        assert_eq!(ned.get(ORG).await.expect(200).at("/role"), "developer");
        for person in [&alex, &dana, &mia] {
            person.patch(&member, json!({ "role": "developer" })).await.problem(403, "forbidden");
        }
        refused_field(ada.patch(&member, json!({ "role": "boss" })).await, "role");
        assert_eq!(ada.patch(&member, json!({ "role": "developer" })).await.expect(200).at("/role"), "developer");
        alex.delete(&member).await.expect(204).ok();
        mia.get(ORG).await.problem(404, "not_found");
        let last = format!("{members}/{}", ada.get(ME).await.at("/id"));
        ada.delete(&last).await.problem(409, "last_owner");
        ada.patch(&last, json!({ "role": "admin" })).await.problem(409, "last_owner");
        alex.delete(&last).await.problem(403, "forbidden");
    }

    async fn admins_make_and_rename_projects_and_owners_delete_them(t: TestApp) {
        let Acme { ada, alex, dana, mia, .. } = Acme::new(&t).await;
        for person in [&dana, &mia] {
            person.post(PROJECTS, json!({ "name": "api" })).await.problem(403, "forbidden");
            person.patch(PROJECT, json!({ "name": "Web" })).await.problem(403, "forbidden");
            person.delete(PROJECT).await.problem(403, "forbidden");
        }
        let made = alex.post(PROJECTS, json!({ "name": "api" })).await.expect(201);
        let envs = texts(&made, ["/environments/0/slug", "/environments/1/slug", "/environments/2/slug"]);
        assert_eq!(envs, ["development", "staging", "production"]);
        assert_eq!(column(&mia.get(PROJECTS).await.expect(200), "slug"), ["api", "web"]);
        assert_eq!(alex.patch(PROJECT, json!({ "name": "Web" })).await.expect(200).at("/name"), "Web");
        assert_eq!(texts(&mia.get(PROJECT).await.expect(200), ["/slug", "/name"]), ["web", "Web"]);
        alex.delete(PROJECT).await.problem(403, "forbidden");
        ada.delete(PROJECT).await.expect(204).ok();
        for person in [&ada, &alex, &mia] {
            person.get(PROJECT).await.problem(404, "not_found");
            assert_eq!(column(&person.get(PROJECTS).await.expect(200), "slug"), ["api"]);
        }
        ada.post(&format!("{PROJECT}/restore"), json!({})).await.expect(200).ok();
        mia.get(PROJECT).await.expect(200).ok();
    }

    async fn admins_make_and_delete_environments(t: TestApp) {
        let Acme { alex, dana, mia, .. } = Acme::new(&t).await;
        let preview = format!("{ENVS}/preview");
        for person in [&dana, &mia] {
            person.post(ENVS, json!({ "name": "preview" })).await.problem(403, "forbidden");
        }
        assert_eq!(alex.post(ENVS, json!({ "name": "preview" })).await.expect(201).at("/class"), "dev");
        alex.post(ENVS, json!({ "name": "preview" })).await.problem(409, "slug_taken");
        let listed = mia.get(ENVS).await.expect(200);
        assert_eq!(column(&listed, "slug"), ["development", "staging", "production", "preview"]);
        for person in [&dana, &mia] {
            person.delete(&preview).await.problem(403, "forbidden");
        }
        alex.delete(&preview).await.expect(204).ok();
        mia.get(&preview).await.problem(404, "not_found");
    }

    async fn a_secret_is_set_read_listed_by_key_and_deleted(t: TestApp) {
        let Acme { ada, dana, mia, .. } = Acme::new(&t).await;
        let database = secret("staging", "DATABASE_URL");
        let made = dana.put(&database, json!({ "value": VALUE })).await.expect(201);
        assert_eq!(texts(&made, ["/key", "/version", "/value"]), ["DATABASE_URL", "1", ""], "the value is not echoed");
        assert_eq!(dana.get(&database).await.expect(200).at("/value"), VALUE);
        assert_eq!(dana.put(&database, json!({ "value": "postgres://new" })).await.expect(200).at("/version"), "2");
        assert_eq!(dana.get(&database).await.expect(200).at("/value"), "postgres://new");
        let listed = dana.get(&format!("{ENVS}/staging/keys")).await.expect(200);
        assert_eq!((column(&listed, "key"), column(&listed, "value")), (vec!["DATABASE_URL".into()], vec![String::new()]));
        assert!(!listed.text().contains("postgres://"), "{}", listed.text());
        // Developers write production and do not read it; members do neither.
        let live = secret("production", "DATABASE_URL");
        dana.put(&live, json!({ "value": VALUE })).await.expect(201).ok();
        dana.get(&live).await.problem(403, "forbidden");
        assert_eq!(ada.get(&live).await.expect(200).at("/value"), VALUE);
        for path in [&database, &live, &format!("{ENVS}/staging/keys"), &format!("{ENVS}/staging/secrets")] {
            mia.get(path).await.problem(403, "forbidden");
        }
        mia.put(&database, json!({ "value": "mine" })).await.problem(403, "forbidden");
        mia.delete(&database).await.problem(403, "forbidden");
        dana.delete(&database).await.expect(200).ok();
        dana.get(&database).await.problem(404, "not_found");
        assert!(column(&dana.get(&format!("{ENVS}/staging/keys")).await.expect(200), "key").is_empty());
        dana.post(&format!("{database}/restore"), json!({})).await.expect(200).ok();
        assert_eq!(dana.get(&database).await.expect(200).at("/value"), "postgres://new", "it was soft-deleted");
    }

    async fn a_member_reads_what_a_rule_lets_them_and_nothing_else(t: TestApp) {
        let Acme { ada, alex, dana, mia, .. } = Acme::new(&t).await;
        let (database, stripe) = (secret("production", "DATABASE_URL"), secret("production", "STRIPE_KEY"));
        for path in [&database, &stripe, &secret("staging", "DATABASE_URL")] {
            ada.put(path, json!({ "value": VALUE })).await.expect(201).ok();
        }
        mia.get(&database).await.problem(403, "forbidden");
        let rule = |email: &str, permissions: &[&str]| {
            let subject = json!({ "type": "user", "email": email });
            json!({ "subject": subject, "pattern": "web/production/DATABASE_*", "permissions": permissions })
        };
        for person in [&dana, &mia] {
            person.post(RULES, rule("mia@example.com", &["secrets:read"])).await.problem(403, "forbidden");
            person.get(RULES).await.problem(403, "forbidden");
        }
        refused_field(alex.post(RULES, rule("nobody@example.com", &["secrets:read"])).await, "subject.email");
        let made = alex.post(RULES, rule("mia@example.com", &["secrets:read"])).await.expect(201);
        let said = texts(&made, ["/subject/type", "/subject/email", "/pattern", "/permissions/0", "/effect"]);
        assert_eq!(said, ["user", "mia@example.com", "web/production/DATABASE_*", "secrets:read", "allow"]);
        assert_eq!(mia.get(&database).await.expect(200).at("/value"), VALUE);
        assert_eq!(column(&mia.get(&format!("{ENVS}/production/keys")).await.expect(200), "key"), ["DATABASE_URL"]);
        for path in [&stripe, &secret("staging", "DATABASE_URL")] {
            mia.get(path).await.problem(403, "forbidden");
        }
        mia.put(&database, json!({ "value": "mine" })).await.problem(403, "forbidden");
        let wider = rule("mia@example.com", &["secrets:read", "secrets:write"]);
        let same = alex.post(RULES, wider).await.expect(200);
        assert_eq!(same.at("/id"), made.at("/id"), "one rule for a subject and a pattern");
        mia.put(&database, json!({ "value": "mine" })).await.expect(200).ok();
        assert_eq!(column(&ada.get(RULES).await.expect(200), "id"), [made.at("/id")]);
        let path = format!("{RULES}/{}", made.at("/id"));
        dana.delete(&path).await.problem(403, "forbidden");
        alex.delete(&path).await.expect(204).ok();
        mia.get(&database).await.problem(403, "forbidden");
        alex.delete(&path).await.problem(404, "not_found");
    }

    async fn a_service_account_shows_its_key_once_and_takes_its_rules_along(t: TestApp) {
        let Acme { ada, alex, dana, mia, .. } = Acme::new(&t).await;
        let (accounts, database) = (format!("{ORG}/service-accounts"), secret("staging", "DATABASE_URL"));
        ada.put(&database, json!({ "value": VALUE })).await.expect(201).ok();
        for person in [&dana, &mia] {
            person.post(&accounts, json!({ "name": "deploy" })).await.problem(403, "forbidden");
            person.get(&accounts).await.problem(403, "forbidden");
        }
        // The one acts in a project alone, the other wherever it is let.
        for (name, project) in [("deploy", Some("web")), ("monitor", None)] {
            let made = alex.post(&accounts, json!({ "name": name, "project": project })).await.expect(201);
            assert_eq!(texts(&made, ["/name", "/project"]), [name, project.unwrap_or_default()]);
            let (id, key) = (made.at("/id"), made.at("/key"));
            assert!(id.starts_with("sa_") && key.starts_with("srm_sak_"), "{}", made.text());
            let robot = t.anonymous().api_key(&key);
            assert!([403, 404].contains(&robot.get(&database).await.status()), "{name} has no right of its own");
            let subject = json!({ "type": "service_account", "id": id });
            let rule = json!({ "subject": subject, "pattern": "web/staging", "permissions": ["secrets:read"] });
            assert_eq!(alex.post(RULES, rule).await.expect(201).at("/subject/name"), name);
            assert_eq!(robot.get(&database).await.expect(200).at("/value"), VALUE);
            robot.put(&database, json!({ "value": "mine" })).await.problem(403, "forbidden");
            let listed = alex.get(&accounts).await.expect(200);
            assert_eq!(column(&listed, "name"), [name]);
            assert!(!listed.text().contains(&key), "the key is shown once");
            let path = format!("{accounts}/{id}");
            assert!(!alex.get(&path).await.expect(200).text().contains(&key));
            dana.delete(&path).await.problem(403, "forbidden");
            alex.delete(&path).await.expect(204).ok();
            robot.get(&database).await.problem(401, "unauthenticated");
            assert!(column(&alex.get(RULES).await.expect(200), "id").is_empty(), "its rules go with it");
        }
    }

    async fn admins_ask_the_log_who_did_what(t: TestApp) {
        let Acme { ada, alex, dana, mia, .. } = Acme::new(&t).await;
        for value in ["one", "two"] {
            dana.put(&secret("staging", "DATABASE_URL"), json!({ "value": value })).await.ok();
        }
        let (log, author) = (format!("{ORG}/audit-logs"), dana.get(ME).await.expect(200).at("/id"));
        let asked = format!("{log}?action=secret.updated&actor_id={author}&resource_type=secret&limit=1");
        let found = alex.get(&asked).await.expect(200);
        let said = texts(&found, ["/pagination/total", "/data/0/action", "/data/0/actor/id", "/data/0/actor/email"]);
        assert_eq!(said, ["1", "secret.updated", author.as_str(), "dana@example.com"]);
        let of_orgs = ada.get(&format!("{log}?resource_type=org")).await.expect(200);
        assert_eq!(column(&of_orgs, "action"), ["org.created"]);
        let all = ada.get(&log).await.expect(200);
        assert_eq!(all.at("/pagination/limit"), "20");
        let page = ada.get(&format!("{log}?limit=2")).await.expect(200);
        let next = ada.get(&format!("{log}?limit=2&after={}", page.at("/pagination/next_cursor"))).await.expect(200);
        let pages = [column(&page, "seq"), column(&next, "seq")].concat();
        assert_eq!(pages.as_slice(), &column(&all, "seq")[..4]);
        ada.get(&format!("{log}?limit=100")).await.expect(200).ok();
        for limit in [0, 101] {
            refused_field(ada.get(&format!("{log}?limit={limit}")).await, "limit");
        }
        for person in [&dana, &mia] {
            person.get(&log).await.problem(403, "forbidden");
        }
    }

    async fn the_superadmin_backs_up_and_restores_beside_the_live_database(t: TestApp) {
        let Acme { ada, dana, .. } = Acme::new(&t).await;
        dana.put(&secret("staging", "DATABASE_URL"), json!({ "value": VALUE })).await.ok();
        let body = json!({
            "setup_token": t.setup_token(), "email": "root@example.com", "password": PASSWORD, "transport": "bearer",
        });
        let made = t.anonymous().post("/v1/setup/create-admin", body).await.expect(201);
        let root = t.anonymous().bearer(&made.at("/access_token"));
        let backups = "/v1/admin/backups";
        // A manual backup returns its metadata.
        let asked = root.post(backups, json!({})).await.expect(202);
        let id = asked.at("/id");
        assert_eq!(texts(&asked, ["/cause", "/state"]), ["requested", "pending"]);
        let one = format!("{backups}/{id}");
        eventually("it is made and proved", || async {
            !root.get(&one).await.expect(200).at("/last_verified_at").is_empty()
        })
        .await;
        let listed = root.get(backups).await.expect(200);
        assert_eq!((column(&listed, "id"), column(&listed, "state")), (vec![id.clone()], vec!["completed".to_owned()]));
        for person in [&ada, &dana] {
            person.get(backups).await.problem(403, "forbidden");
            person.post(backups, json!({})).await.problem(403, "forbidden");
            person.post(&format!("{one}/restore"), json!({})).await.problem(403, "forbidden");
        }
        root.post(&format!("{one}/restore"), json!({})).await.expect(202).ok();
        eventually("it is restored", || async {
            root.get(&one).await.expect(200).at("/restoration/state") == "completed"
        })
        .await;
        let database = root.get(&one).await.expect(200).at("/restoration/database");
        assert!(database.ends_with(&format!(".restore.{id}")), "{database}");
        // The live database is as it was.
        assert_eq!(dana.get(&secret("staging", "DATABASE_URL")).await.expect(200).at("/value"), VALUE);
    }

    async fn health_takes_no_credential(t: TestApp) {
        for path in ["/health", "/ready"] {
            assert_eq!(t.anonymous().get(path).await.expect(200).at("/status"), "ok");
        }
    }
}

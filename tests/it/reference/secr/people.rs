//! Accounts, tokens, projects, organisations, members, the audit log, and what each role may.

use harness::mailbox::{INVITE, RESET, expect_link, expect_token};
use harness::people::PASSWORD;
use harness::{Client, on_both};
use serde_json::json;

use super::{ENVS, LOG, ORG, PROJ, PROJECTS, PROMOTE, SECRETS, TEMPLATE, colleague, import, my_proj};
use crate::reference::{
    LOGIN, LOGOUT, ME, NEW_PASSWORD, REGISTRATION, TOKENS, column, cookie_in, login, refused_field, texts,
};

on_both! {
    async fn an_account_comes_with_a_personal_organisation(t: TestApp) {
        let body = json!({ "email": "robin@example.com", "password": PASSWORD });
        let made = t.anonymous().post(REGISTRATION, body.clone()).await.expect(201);
        assert_eq!(texts(&made, ["/user/email", "/org/slug"]), ["robin@example.com", "robin"]);
        t.anonymous().post(REGISTRATION, body.clone()).await.problem(409, "email_taken");
        let cookie = cookie_in(&t.anonymous().post(LOGIN, body).await.expect(200));
        let browser = t.anonymous().cookie(&cookie);
        let me = browser.get(ME).await.expect(200);
        assert_eq!(texts(&me, ["/email", "/orgs/0/slug", "/orgs/0/role"]), ["robin@example.com", "robin", "owner"]);
        // A change by cookie needs the header, one by token does not.
        let org = json!({ "name": "My org", "slug": "my-org" });
        let bare = t.anonymous().with("Cookie", &format!("strongroom={cookie}")).with("Origin", &t.url);
        bare.post("/v1/orgs", org.clone()).await.problem(403, "csrf_failed");
        let token = browser.post(TOKENS, json!({ "name": "CLI" })).await.expect(201).at("/token");
        let cli = t.anonymous().bearer(&token);
        assert_eq!(cli.get(ME).await.expect(200).at("/email"), "robin@example.com");
        cli.post("/v1/orgs", org).await.expect(201).ok();
        bare.with("X-Requested-With", "strongroom").post("/v1/orgs", json!({ "name": "Other" })).await.expect(201).ok();
        let left = browser.post(LOGOUT, json!({})).await.expect(204);
        assert!(left.header("set-cookie").is_some_and(|cookie| cookie.contains("Max-Age=0")));
        browser.get(ME).await.problem(401, "unauthenticated");
        cli.get(ME).await.expect(200).ok();
    }

    async fn a_scoped_token_reaches_no_further_than_it_says(t: TestApp) {
        let owner = my_proj(&t).await;
        let path = format!("{SECRETS}/API_KEY");
        for env in ["development", "production"] {
            owner.put(&format!("{ENVS}/{env}/secrets/API_KEY"), json!({ "value": env })).await.expect(201).ok();
        }
        let body = json!({ "name": "ci", "scopes": ["secrets:read"], "org": "my-org", "patterns": ["my-proj/development"] });
        let made = owner.post(TOKENS, body).await.expect(201);
        assert_eq!(texts(&made, ["/scopes/0", "/patterns/0", "/org"]), ["secrets:read", "my-proj/development/*", "my-org"]);
        let ci = t.anonymous().bearer(&made.at("/token"));
        assert_eq!(ci.get(&path).await.expect(200).at("/value"), "development");
        ci.put(&path, json!({ "value": "mine" })).await.problem(403, "insufficient_scope");
        let beyond = ci.get(&format!("{ENVS}/production/secrets/API_KEY")).await.status();
        assert!([403, 404].contains(&beyond), "{beyond}");
        ci.get(LOG).await.problem(403, "insufficient_scope");
        assert_eq!(column(&owner.get(TOKENS).await.expect(200), "name"), ["ci"]);
        owner.delete(&format!("{TOKENS}/{}", made.at("/id"))).await.expect(204).ok();
        ci.get(&path).await.problem(401, "unauthenticated");
        assert!(column(&owner.get(TOKENS).await.expect(200), "name").is_empty());
    }

    async fn mails_verify_an_address_and_reset_a_password(t: TestApp) {
        let (email, anyone) = ("robin@example.com", t.anonymous());
        let body = json!({ "email": email, "password": PASSWORD, "transport": "bearer" });
        let made = anyone.post(REGISTRATION, body).await.expect(201);
        let robin = anyone.bearer(&made.at("/access_token"));
        assert_eq!(robin.get(ME).await.expect(200).at("/email_verified"), "false");
        let old = expect_link(&t, email, 1).await;
        robin.post("/v1/auth/email/send-verification", json!({})).await.expect(204).ok();
        let link = expect_link(&t, email, 2).await;
        refused_field(anyone.post("/v1/auth/email/verify", json!({ "token": old })).await, "token");
        anyone.post("/v1/auth/email/verify", json!({ "token": link })).await.expect(204).ok();
        assert_eq!(robin.get(ME).await.expect(200).at("/email_verified"), "true");
        let change = async |by: &Client, current: &str, new: &str| {
            let body = json!({ "current_password": current, "new_password": new });
            by.post("/v1/auth/password", body).await
        };
        change(&anyone, PASSWORD, NEW_PASSWORD).await.problem(401, "unauthenticated");
        change(&robin, "wrong horse", NEW_PASSWORD).await.problem(401, "invalid_credentials");
        change(&robin, PASSWORD, NEW_PASSWORD).await.expect(204).ok();
        login(&t, email, NEW_PASSWORD).await.expect(200).ok();
        let forgot = async || anyone.post("/v1/auth/password/forgot", json!({ "email": email })).await.expect(200).ok();
        forgot().await;
        let reset = json!({ "token": expect_token(&t, email, RESET, 1).await, "password": PASSWORD });
        anyone.post("/v1/auth/password/reset", reset.clone()).await.expect(204).ok();
        refused_field(anyone.post("/v1/auth/password/reset", reset).await, "token");
        robin.get(ME).await.problem(401, "unauthenticated");
        login(&t, email, PASSWORD).await.expect(200).ok();
        for _ in 0..3 {
            forgot().await;
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM mails WHERE template = 'reset_password_v1'").await, 3, "three an hour");
    }

    async fn admins_make_projects_and_owners_delete_them(t: TestApp) {
        let owner = my_proj(&t).await;
        for role in ["viewer", "developer"] {
            let person = colleague(&t, &owner, role).await;
            assert_eq!(column(&person.get(PROJECTS).await.expect(200), "slug"), ["my-proj"]);
            person.post(PROJECTS, json!({ "name": "Other" })).await.problem(403, "forbidden");
            person.post(ENVS, json!({ "name": "preview" })).await.problem(403, "forbidden");
            person.delete(PROJ).await.problem(403, "forbidden");
        }
        let admin = colleague(&t, &owner, "admin").await;
        let made = admin.post(PROJECTS, json!({ "name": "Other" })).await.expect(201);
        assert_eq!(texts(&made, ["/slug", "/environments/0/slug"]), ["other", "development"]);
        let preview = admin.post(ENVS, json!({ "name": "preview" })).await.expect(201);
        assert_eq!(texts(&preview, ["/slug", "/class", "/revision"]), ["preview", "dev", "0"]);
        let shown = admin.get(PROJ).await.expect(200);
        assert_eq!(texts(&shown, ["/name", "/slug", "/environments/3/slug"]), ["My project", "my-proj", "preview"]);
        admin.delete(PROJ).await.problem(403, "forbidden");
        owner.delete(PROJ).await.expect(204).ok();
        admin.get(PROJ).await.problem(404, "not_found");
        assert_eq!(column(&admin.get(PROJECTS).await.expect(200), "slug"), ["other"]);
    }

    async fn an_organisation_goes_with_all_that_is_in_it(t: TestApp) {
        let owner = my_proj(&t).await;
        import(&owner, &json!({ "API_KEY": "sk_live_abc123" })).await;
        for role in ["viewer", "developer", "admin"] {
            colleague(&t, &owner, role).await.delete(ORG).await.problem(403, "forbidden");
        }
        owner.delete(ORG).await.expect(204).ok();
        for path in [ORG, PROJECTS, PROJ, SECRETS, &format!("{SECRETS}/API_KEY"), TEMPLATE, LOG] {
            owner.get(path).await.problem(404, "not_found");
        }
        assert_eq!(column(&owner.get("/v1/orgs").await.expect(200), "slug"), ["owner"]);
    }

    async fn members_are_invited_changed_by_owners_and_removed_by_admins(t: TestApp) {
        let owner = my_proj(&t).await;
        let (admin, developer) = (colleague(&t, &owner, "admin").await, colleague(&t, &owner, "developer").await);
        let (members, invites) = (format!("{ORG}/members"), format!("{ORG}/invites"));
        let body = json!({ "email": "robin@example.com", "role": "developer" });
        developer.post(&invites, body.clone()).await.problem(403, "forbidden");
        admin.post(&invites, body).await.expect(201).ok();
        let listed = developer.get(&members).await.expect(200);
        assert_eq!(column(&listed, "role"), ["owner", "admin", "developer", "developer"]);
        assert_eq!(column(&listed, "status"), ["active", "active", "active", "pending"]);
        let token = expect_token(&t, "robin@example.com", INVITE, 1).await;
        let account = json!({ "password": PASSWORD, "transport": "bearer" });
        let joined = t.anonymous().post(&format!("/v1/invites/{token}/accept"), account).await.expect(201);
        let robin = t.anonymous().bearer(&joined.at("/access_token"));
        assert_eq!(robin.get(ORG).await.expect(200).at("/role"), "developer");
        assert_eq!(column(&developer.get(&members).await.expect(200), "status"), ["active"; 4]);
        let path = format!("{members}/{}", joined.at("/user/id"));
        for person in [&admin, &developer] {
            person.patch(&path, json!({ "role": "viewer" })).await.problem(403, "forbidden");
        }
        assert_eq!(owner.patch(&path, json!({ "role": "viewer" })).await.expect(200).at("/role"), "viewer");
        developer.delete(&path).await.problem(403, "forbidden");
        admin.delete(&path).await.expect(204).ok();
        robin.get(ORG).await.problem(404, "not_found");
        let last = format!("{members}/{}", owner.get(ME).await.expect(200).at("/id"));
        owner.patch(&last, json!({ "role": "admin" })).await.problem(409, "last_owner");
    }

    async fn the_audit_log_is_asked_by_action_page_by_page(t: TestApp) {
        let owner = my_proj(&t).await;
        for value in ["first value", "second value", "third value"] {
            owner.put(&format!("{SECRETS}/API_KEY"), json!({ "value": value })).await.ok();
        }
        let asked = format!("{LOG}?limit=1&offset=1&action=secret.updated");
        let found = colleague(&t, &owner, "admin").await.get(&asked).await.expect(200);
        let fields = ["/data/0/action", "/data/0/actor/email", "/data/0/metadata/keys/0/key", "/data/0/metadata/keys/0/version"];
        assert_eq!(texts(&found, fields), ["secret.updated", "owner@example.com", "API_KEY", "2"]);
        assert_eq!(texts(&found, ["/pagination/limit", "/pagination/offset", "/pagination/total"]), ["1", "1", "2"]);
        assert!(!found.text().contains("second value"), "{}", found.text());
        for role in ["viewer", "developer"] {
            colleague(&t, &owner, role).await.get(LOG).await.problem(403, "forbidden");
        }
    }

    async fn each_role_does_what_the_table_says(t: TestApp) {
        let owner = my_proj(&t).await;
        for env in ["development", "staging", "production"] {
            owner.put(&format!("{ENVS}/{env}/secrets/API_KEY"), json!({ "value": env })).await.expect(201).ok();
        }
        owner.post(PROJECTS, json!({ "name": "Scratch" })).await.expect(201).ok();
        let told = |may: bool, yes: u16| if may { yes } else { 403 };
        // Environments read, of three; writes and promotes; manages templates and members, sees the log; deletes.
        for (role, reads, writes, manages, owns) in [
            ("viewer", 1, false, false, false),
            ("developer", 2, true, false, false),
            ("admin", 3, true, true, false),
            ("owner", 3, true, true, true),
        ] {
            let person = if role == "owner" { owner.clone() } else { colleague(&t, &owner, role).await };
            for (n, env) in (0..).zip(["development", "staging", "production"]) {
                let (secrets, value) = (format!("{ENVS}/{env}/secrets"), json!({ "value": role }));
                assert_eq!(person.get(&secrets).await.status(), told(n < reads, 200), "{role} {env}");
                assert_eq!(person.put(&format!("{secrets}/API_KEY"), value).await.status(), told(writes, 200), "{role} {env}");
            }
            let promotion = json!({ "from": "development", "to": "staging" });
            assert_eq!(person.post(PROMOTE, promotion).await.status(), told(writes, 200), "{role}");
            let key = json!({ "key": format!("KEY_OF_{role}") });
            assert_eq!(person.post(TEMPLATE, key).await.status(), told(manages, 201), "{role}");
            let invite = json!({ "email": format!("friend-of-{role}@example.com") });
            assert_eq!(person.post(&format!("{ORG}/invites"), invite).await.status(), told(manages, 201), "{role}");
            assert_eq!(person.get(LOG).await.status(), told(manages, 200), "{role}");
            assert_eq!(person.delete(&format!("{PROJECTS}/scratch")).await.status(), told(owns, 204), "{role}");
        }
    }
}

//! Heartlock: setting an instance up, signing in, service tokens, projects with four roles, invitations, environments
//! and their secrets.
//!
//! Its projects lie in no organisation; here they lie in one. Its role `member` is `developer` in a project, and a role
//! is always named when somebody is added. Its service tokens are personal tokens. Its export is a flat object.
//!
//! Its onboarding writes the configuration for a next start; here it is kept in the data folder, below what the operator
//! sets, and `setup::restarting` walks the start that takes it up. Its users are toggled as staff too, which there is none
//! of here. Its one overview is two here: what there is, and how it is set.
//!
//! Not walked yet: the hand-off of a token to a CLI. Its single sign-on knows endpoints alone; here an issuer stands before
//! them, whose keys check what they say.

use std::time::Duration;

use harness::mailbox::{INVITE, expect_letter, expect_token};
use harness::people::PASSWORD;
use harness::{Client, TestApp, on_both};
use serde_json::json;

use crate::sso;

use super::{
    LOGIN, LOGOUT, ME, NEW_PASSWORD, TOKENS, add, between, column, cookie_in, login, refused_field, register, texts,
};

const ADMIN: &str = "/v1/setup/create-admin";
const OIDC: &str = "/v1/admin/oidc";
const PROJECTS: &str = "/v1/orgs/heartlock/projects";
const WEB: &str = "/v1/orgs/heartlock/projects/web-app";
const ENVS: &str = "/v1/orgs/heartlock/projects/web-app/environments";
const SECRETS: &str = "/v1/orgs/heartlock/projects/web-app/environments/production/secrets";
const INVITES: &str = "/v1/orgs/heartlock/projects/web-app/invites";

/// The project of its examples. Returns who made it.
async fn web_app(t: &TestApp) -> Client {
    let (admin, _) = register(t, "admin@example.com").await;
    let org = json!({ "name": "Heartlock" });
    admin.post("/v1/orgs", org).await.expect(201).ok();
    let project = json!({ "name": "Web App", "description": "Main web application" });
    admin.post(PROJECTS, project).await.expect(201).ok();
    admin
}

/// The administrator of the first run.
async fn superuser(t: &TestApp) -> Client {
    let body = json!({
        "setup_token": t.setup_token(), "email": "root@example.com", "password": PASSWORD, "transport": "bearer",
    });
    let made = t.anonymous().post(ADMIN, body).await.expect(201);
    t.anonymous().bearer(&made.at("/access_token"))
}

/// Somebody new with a role in the project.
async fn in_project(t: &TestApp, admin: &Client, email: &str, role: &str) -> Client {
    let (person, _) = register(t, email).await;
    add(admin, WEB, email, role).await.expect(201).ok();
    person
}

on_both! {
    async fn the_first_run_makes_one_administrator(t: TestApp) {
        let anyone = t.anonymous();
        assert_eq!(anyone.get("/health").await.expect(200).at("/status"), "ok");
        assert_eq!(anyone.get("/v1/setup/status").await.expect(200).at("/setup_required"), "true");
        let admin = |password: &str| json!({
            "setup_token": t.setup_token(), "email": "admin@example.com", "password": password,
            "first_name": "Admin", "last_name": "User", "transport": "bearer",
        });
        refused_field(anyone.post(ADMIN, admin("short")).await, "password");
        let made = anyone.post(ADMIN, admin(PASSWORD)).await.expect(201);
        let user = ["/user/email", "/user/first_name", "/user/last_name", "/user/is_superuser", "/user/has_password"];
        assert_eq!(texts(&made, user), ["admin@example.com", "Admin", "User", "true", "true"]);
        assert_eq!(anyone.get("/v1/setup/status").await.expect(200).at("/setup_required"), "false");
        anyone.post(ADMIN, admin(PASSWORD)).await.problem(403, "forbidden");
        login(&t, "admin@example.com", PASSWORD).await.expect(200).ok();
    }

    async fn onboarding_writes_the_configuration_before_there_is_an_administrator(t: TestApp) {
        let anyone = t.anonymous();
        let status = anyone.get("/v1/setup/status").await.expect(200);
        let stands = ["/setup_required", "/restart_required", "/current/has_mail"];
        assert_eq!(texts(&status, stands), ["true", "false", "false"]);
        assert!(["sqlite", "postgres"].contains(&status.at("/current/database").as_str()), "{}", status.text());
        let token = json!({ "setup_token": t.setup_token() });
        anyone.post("/v1/setup/restart", token.clone()).await.problem(409, "conflict");
        let mut settings = token.clone();
        settings["base_url"] = json!("https://heartlock.example.com");
        let applied = anyone.post("/v1/setup/apply-config", settings.clone()).await.expect(200);
        assert_eq!(applied.at("/restart_required"), "true");
        let mut admin = token.clone();
        for (field, value) in [("email", "admin@example.com"), ("password", PASSWORD)] {
            admin[field] = json!(value);
        }
        anyone.post(ADMIN, admin).await.problem(409, "conflict");
        assert_eq!(anyone.post("/v1/setup/restart", token).await.expect(202).at("/restarting"), "true");
    }

    async fn an_administrator_sees_how_much_there_is_and_how_it_is_set(t: TestApp) {
        let root = superuser(&t).await;
        let admin = web_app(&t).await;
        admin.post(SECRETS, json!({ "key": "API_KEY", "value": "sk_live_abc123" })).await.expect(201).ok();
        admin.post(INVITES, json!({ "email": "invitee@example.com" })).await.expect(201).ok();
        admin.post(TOKENS, json!({ "name": "CI pipeline" })).await.expect(201).ok();
        let stats = root.get("/v1/admin/stats").await.expect(200);
        let counts = [
            "/users", "/superusers", "/active_users", "/projects", "/environments", "/secrets", "/pending_invites",
            "/accepted_invites", "/tokens", "/active_tokens",
        ];
        assert_eq!(texts(&stats, counts), ["2", "1", "2", "1", "3", "1", "1", "0", "1", "1"]);
        let config = root.get("/v1/admin/config").await.expect(200);
        assert_eq!(config.at("/has_mail"), "false");
        let shown = config.json();
        let mut names = shown["settings"].as_array().into_iter().flatten().map(|setting| setting["name"].clone());
        assert!(names.any(|name| name == "STRONGROOM_BASE_URL"), "{shown}");
        for path in ["/v1/admin/stats", "/v1/admin/config"] {
            admin.get(path).await.problem(403, "forbidden");
            t.anonymous().get(path).await.problem(401, "unauthenticated");
        }
    }

    async fn an_administrator_toggles_and_deletes_accounts_but_their_own(t: TestApp) {
        let root = superuser(&t).await;
        let (jane, id) = register(&t, "jane@example.com").await;
        let listed = root.get("/v1/admin/users?search=JANE").await.expect(200);
        assert_eq!((column(&listed, "id"), column(&listed, "is_active")), (vec![id.clone()], vec!["true".into()]));
        let path = format!("/v1/admin/users/{id}");
        assert_eq!(root.patch(&path, json!({ "is_superuser": true })).await.expect(200).at("/is_superuser"), "true");
        jane.get("/v1/admin/users").await.expect(200).ok();
        assert_eq!(root.patch(&path, json!({ "is_superuser": false })).await.expect(200).at("/is_superuser"), "false");
        jane.get("/v1/admin/users").await.problem(403, "forbidden");
        assert_eq!(root.patch(&path, json!({ "is_active": false })).await.expect(200).at("/is_active"), "false");
        jane.get(ME).await.problem(401, "unauthenticated");
        login(&t, "jane@example.com", PASSWORD).await.problem(401, "invalid_credentials");
        let own = format!("/v1/admin/users/{}", root.get(ME).await.expect(200).at("/id"));
        for flags in [json!({ "is_superuser": false }), json!({ "is_active": false })] {
            root.patch(&own, flags).await.problem(409, "conflict");
        }
        root.delete(&own).await.problem(409, "conflict");
        root.delete(&path).await.expect(204).ok();
        root.delete(&path).await.problem(404, "not_found");
        assert!(column(&root.get("/v1/admin/users?search=jane").await.expect(200), "id").is_empty());
    }

    async fn an_administrator_looks_after_projects_and_their_members(t: TestApp) {
        let root = superuser(&t).await;
        let owner = web_app(&t).await;
        let (_, id) = register(&t, "user@example.com").await;
        let listed = root.get("/v1/admin/projects?search=web").await.expect(200);
        assert_eq!(column(&listed, "name"), ["Web App"]);
        let project = format!("/v1/admin/projects/{}", listed.at("/data/0/id"));
        let counts = ["/members", "/environments", "/secrets"];
        assert_eq!(texts(&root.get(&project).await.expect(200), counts), ["0", "3", "0"]);
        let metadata = json!({ "name": "Web", "description": "The shop" });
        let changed = root.patch(&project, metadata).await.expect(200);
        assert_eq!(texts(&changed, ["/name", "/description"]), ["Web", "The shop"]);
        let members = format!("{project}/members");
        let member = format!("{members}/{id}");
        assert_eq!(add(&root, &project, "user@example.com", "developer").await.expect(201).at("/role"), "developer");
        assert_eq!(add(&root, &project, "user@example.com", "viewer").await.expect(200).at("/role"), "viewer");
        assert_eq!(root.patch(&member, json!({ "role": "admin" })).await.expect(200).at("/role"), "admin");
        let listed = root.get(&members).await.expect(200);
        assert_eq!((column(&listed, "email"), column(&listed, "role")), (vec!["user@example.com".into()], vec!["admin".into()]));
        root.delete(&member).await.expect(204).ok();
        assert!(column(&root.get(&members).await.expect(200), "id").is_empty());
        root.get(SECRETS).await.problem(404, "not_found");
        root.delete(&project).await.expect(204).ok();
        owner.get(WEB).await.problem(404, "not_found");
        for refused in [owner.get(&project).await, owner.delete(&project).await, owner.get(&members).await] {
            refused.problem(403, "forbidden");
        }
        let log = owner.get("/v1/orgs/heartlock/audit-logs?limit=1").await.expect(200);
        let told = ["/data/0/action", "/data/0/actor/type", "/data/0/actor/email"];
        assert_eq!(texts(&log, told), ["project.deleted", "superuser", "root@example.com"]);
    }

    async fn an_administrator_lists_and_revokes_invitations(t: TestApp) {
        let root = superuser(&t).await;
        let admin = web_app(&t).await;
        let made = admin.post(INVITES, json!({ "email": "invitee@example.com", "role": "viewer" })).await.expect(201);
        let link = admin.post(INVITES, json!({ "role": "viewer" })).await.expect(201);
        let (newuser, _) = register(&t, "newuser@example.com").await;
        newuser.post(&format!("/v1/invites/{}/accept", link.at("/token")), json!({})).await.expect(201).ok();
        let asked = async |status: &str| {
            column(&root.get(&format!("/v1/admin/invites?status={status}")).await.expect(200), "id")
        };
        assert_eq!(asked("pending").await, [made.at("/id")]);
        assert_eq!(asked("accepted").await, [link.at("/id")]);
        let project = admin.get(WEB).await.expect(200).at("/id");
        let of_project = root.get(&format!("/v1/admin/projects/{project}/invites?status=any")).await.expect(200);
        assert_eq!(column(&of_project, "id").len(), 2);
        let token = expect_token(&t, "invitee@example.com", INVITE, 1).await;
        let path = format!("/v1/admin/invites/{}", made.at("/id"));
        admin.delete(&path).await.problem(403, "forbidden");
        root.delete(&path).await.expect(204).ok();
        let body = json!({ "password": PASSWORD });
        t.anonymous().post(&format!("/v1/invites/{token}/accept"), body).await.problem(409, "invite_unusable");
        root.delete(&path).await.problem(409, "invite_unusable");
    }

    async fn a_browser_signs_in_by_cookie_and_changes_names(t: TestApp) {
        let (_, id) = register(&t, "user@example.com").await;
        let credentials = |password: &str| json!({ "email": "user@example.com", "password": password });
        let refused = t.anonymous().post(LOGIN, credentials("s3cret123")).await.problem(401, "invalid_credentials");
        assert_eq!(refused.header("set-cookie"), None);
        let session = t.anonymous().post(LOGIN, credentials(PASSWORD)).await.expect(200);
        let user = ["/user/id", "/user/email", "/user/first_name", "/user/is_superuser", "/user/has_password"];
        assert_eq!(texts(&session, user), [id.as_str(), "user@example.com", "", "false", "true"]);
        assert_eq!(session.at("/access_token"), "");
        let cookie = cookie_in(&session);
        let browser = t.anonymous().cookie(&cookie);
        let me = ["/id", "/email", "/first_name", "/is_superuser", "/has_password", "/sso_enabled"];
        let shown = browser.get(ME).await.expect(200);
        assert_eq!(texts(&shown, me), [id.as_str(), "user@example.com", "", "false", "true", "false"]);
        let names = json!({ "first_name": "Jane", "last_name": "Doe" });
        let forged = t.anonymous().with("Cookie", &format!("strongroom={cookie}"));
        forged.patch(ME, names.clone()).await.problem(403, "csrf_failed");
        let token = browser.post(TOKENS, json!({ "name": "CLI" })).await.expect(201).at("/token");
        t.anonymous().bearer(&token).patch(ME, names.clone()).await.problem(403, "session_required");
        t.anonymous().patch(ME, names.clone()).await.problem(401, "unauthenticated");
        let changed = browser.patch(ME, names).await.expect(200);
        assert_eq!(texts(&changed, ["/first_name", "/last_name"]), ["Jane", "Doe"]);
        browser.post(LOGOUT, json!({})).await.expect(204).ok();
        for client in [browser, t.anonymous()] {
            client.get(ME).await.problem(401, "unauthenticated");
        }
        t.anonymous().post(LOGOUT, json!({})).await.problem(401, "unauthenticated");
    }

    async fn a_password_changes_in_a_session_with_the_old_one(t: TestApp) {
        let (user, _) = register(&t, "user@example.com").await;
        let token = user.post(TOKENS, json!({ "name": "CLI" })).await.expect(201).at("/token");
        let change = async |by: &Client, current: &str, new: &str| {
            let body = json!({ "current_password": current, "new_password": new });
            by.post("/v1/auth/password", body).await
        };
        change(&user, "old-password", NEW_PASSWORD).await.problem(401, "invalid_credentials");
        refused_field(change(&user, PASSWORD, "short").await, "new_password");
        change(&t.anonymous().bearer(&token), PASSWORD, NEW_PASSWORD).await.problem(403, "session_required");
        login(&t, "user@example.com", PASSWORD).await.expect(200).ok();
        change(&user, PASSWORD, NEW_PASSWORD).await.expect(204).ok();
        login(&t, "user@example.com", PASSWORD).await.problem(401, "invalid_credentials");
        login(&t, "user@example.com", NEW_PASSWORD).await.expect(200).ok();
        user.get(ME).await.expect(200).ok();
        expect_letter(&t, "user@example.com", "Your password was changed", 1).await;
    }

    async fn a_service_token_is_shown_once_and_works_until_it_is_revoked(t: TestApp) {
        let (user, id) = register(&t, "user@example.com").await;
        let pipeline = json!({ "name": "CI pipeline", "expires_days": 90 });
        let made = user.post(TOKENS, pipeline).await.expect(201);
        let token = made.at("/token");
        assert!(token.starts_with("srm_pat_") && made.at("/id").starts_with("tok_"), "{}", made.text());
        assert_eq!(texts(&made, ["/name", "/prefix", "/last_used_at"]), ["CI pipeline", "srm_pat_", ""]);
        assert_eq!(between(&made.at("/created_at"), &made.at("/expires_at")), Duration::from_hours(90 * 24));
        let laptop = user.post(TOKENS, json!({ "name": "laptop" })).await.expect(201);
        assert_eq!(laptop.at("/expires_at"), "", "without a number of days it does not end");
        user.post(TOKENS, json!({ "name": "decade", "expires_days": 3650 })).await.expect(201).ok();
        for days in [0, 3651] {
            refused_field(user.post(TOKENS, json!({ "name": "CI", "expires_days": days })).await, "expires_days");
        }
        let program = t.anonymous().bearer(&token);
        assert_eq!(program.get(ME).await.expect(200).at("/id"), id);
        let listed = program.get(TOKENS).await.expect(200);
        assert_eq!(column(&listed, "name"), ["decade", "laptop", "CI pipeline"]);
        assert!(!listed.text().contains(&token), "{}", listed.text());
        t.anonymous().get(TOKENS).await.problem(401, "unauthenticated");
        t.anonymous().post(TOKENS, json!({ "name": "CI" })).await.problem(401, "unauthenticated");
        let path = format!("{TOKENS}/{}", made.at("/id"));
        user.delete(&path).await.expect(204).ok();
        program.get(ME).await.problem(401, "unauthenticated");
        assert_eq!(column(&user.get(TOKENS).await.expect(200), "name"), ["decade", "laptop"]);
        user.delete(&path).await.problem(404, "not_found");
    }

    async fn everybody_sees_their_projects_and_admins_change_them(t: TestApp) {
        let owner = web_app(&t).await;
        let body = json!({ "name": "My Project", "description": "Optional description" });
        let made = owner.post(PROJECTS, body).await.expect(201);
        let fields = ["/name", "/slug", "/description", "/role"];
        assert_eq!(texts(&made, fields), ["My Project", "my-project", "Optional description", "owner"]);
        assert!(made.at("/id").starts_with("prj_") && made.at("/created_at") == made.at("/updated_at"));
        let jane = in_project(&t, &owner, "user@example.com", "admin").await;
        let listed = jane.get(PROJECTS).await.expect(200);
        assert_eq!((column(&listed, "name"), column(&listed, "role")), (vec!["Web App".into()], vec!["admin".into()]));
        assert_eq!(column(&owner.get(PROJECTS).await.expect(200), "name"), ["My Project", "Web App"]);
        let shown = jane.get(WEB).await.expect(200);
        assert_eq!(texts(&shown, fields), ["Web App", "web-app", "Main web application", "admin"]);
        jane.get(&format!("{PROJECTS}/my-project")).await.problem(404, "not_found");
        let all = json!({ "name": "Web", "slug": "web-app", "description": "The shop" });
        assert_eq!(texts(&jane.put(WEB, all.clone()).await.expect(200), fields), ["Web", "web-app", "The shop", "admin"]);
        let some = json!({ "name": "Web App" });
        let patched = jane.patch(WEB, some.clone()).await.expect(200);
        assert_eq!(texts(&patched, fields), ["Web App", "web-app", "The shop", "admin"]);
        for role in ["viewer", "developer"] {
            let person = in_project(&t, &owner, &format!("{role}@example.com"), role).await;
            person.put(WEB, all.clone()).await.problem(403, "forbidden");
            person.patch(WEB, some.clone()).await.problem(403, "forbidden");
            person.delete(WEB).await.problem(403, "forbidden");
        }
        jane.delete(WEB).await.problem(403, "forbidden");
        let chief = in_project(&t, &owner, "chief@example.com", "owner").await;
        chief.delete(WEB).await.expect(204).ok();
        for person in [&chief, &jane, &owner] {
            person.get(WEB).await.problem(404, "not_found");
        }
    }

    async fn admins_say_who_is_in_a_project_and_as_what(t: TestApp) {
        let owner = web_app(&t).await;
        let jane = in_project(&t, &owner, "user@example.com", "admin").await;
        jane.patch(ME, json!({ "first_name": "Jane", "last_name": "Doe" })).await.expect(200).ok();
        let (newuser, id) = register(&t, "newuser@example.com").await;
        let members = format!("{WEB}/members");
        let added = add(&jane, WEB, "newuser@example.com", "developer").await.expect(201);
        assert_eq!(texts(&added, ["/id", "/email", "/role"]), [id.as_str(), "newuser@example.com", "developer"]);
        let updated = add(&jane, WEB, "newuser@example.com", "viewer").await.expect(200);
        assert_eq!(texts(&updated, ["/role", "/roles/1/name"]), ["viewer", ""], "their role is updated");
        let listed = newuser.get(&members).await.expect(200);
        assert_eq!(column(&listed, "email"), ["user@example.com", "newuser@example.com"]);
        assert_eq!(column(&listed, "first_name"), ["Jane", ""]);
        assert_eq!(column(&listed, "last_name"), ["Doe", ""]);
        assert_eq!(column(&listed, "role"), ["admin", "viewer"]);
        refused_field(jane.post(&members, json!({ "email": "newuser@example.com" })).await, "role");
        refused_field(add(&jane, WEB, "newuser@example.com", "boss").await, "role");
        refused_field(add(&jane, WEB, "nobody@example.com", "viewer").await, "email");
        add(&jane, WEB, "newuser@example.com", "owner").await.problem(403, "forbidden");
        let member = format!("{members}/{id}");
        for role in ["viewer", "developer"] {
            assert_eq!(jane.patch(&member, json!({ "role": role })).await.expect(200).at("/role"), role);
            add(&newuser, WEB, "user@example.com", "viewer").await.problem(403, "forbidden");
            newuser.patch(&member, json!({ "role": "admin" })).await.problem(403, "forbidden");
            newuser.delete(&member).await.problem(403, "forbidden");
        }
        jane.delete(&member).await.expect(204).ok();
        newuser.get(WEB).await.problem(404, "not_found");
        // Who owns the organisation owns its projects, so the last of them stays.
        let last = owner.get(ME).await.expect(200).at("/id");
        owner.delete(&format!("/v1/orgs/heartlock/members/{last}")).await.problem(409, "last_owner");
    }

    async fn each_of_the_four_roles_does_what_it_may(t: TestApp) {
        let admin = web_app(&t).await;
        let told = |may: bool| -> u16 { if may { 201 } else { 403 } };
        // May write secrets and environments, may bring people in, may delete the project.
        for (role, writes, invites, owns) in [
            ("viewer", false, false, false),
            ("developer", true, false, false),
            ("admin", true, true, false),
            ("owner", true, true, true),
        ] {
            let person = in_project(&t, &admin, &format!("the-{role}@example.com"), role).await;
            for path in [WEB, ENVS, SECRETS, &format!("{WEB}/members")] {
                person.get(path).await.expect(200).ok();
            }
            let body = json!({ "key": format!("KEY_OF_{role}"), "value": "postgres://..." });
            assert_eq!(person.post(SECRETS, body).await.status(), told(writes), "{role}");
            assert_eq!(person.post(ENVS, json!({ "name": role })).await.status(), told(writes), "{role}");
            assert_eq!(person.post(INVITES, json!({ "role": "viewer" })).await.status(), told(invites), "{role}");
            assert_eq!(person.get(INVITES).await.status(), if invites { 200 } else { 403 }, "{role}");
            assert_eq!(person.delete(WEB).await.status(), if owns { 204 } else { 403 }, "{role}");
        }
        admin.get(WEB).await.problem(404, "not_found");
    }

    async fn whoever_has_no_account_comes_in_by_the_mail(t: TestApp) {
        let admin = web_app(&t).await;
        let project = admin.get(WEB).await.expect(200).at("/id");
        let body = json!({ "email": "invitee@example.com", "role": "developer" });
        let made = admin.post(INVITES, body).await.expect(201);
        let (created, expires) = (made.at("/created_at"), made.at("/expires_at"));
        assert_eq!(between(&created, &expires), Duration::from_hours(7 * 24));
        let token = expect_token(&t, "invitee@example.com", INVITE, 1).await;
        let (anyone, path) = (t.anonymous(), format!("/v1/invites/{token}"));
        let shown = anyone.get(&path).await.expect(200);
        let named = ["/project/id", "/project/name", "/email", "/role", "/invited_by/email"];
        let expected = [project.as_str(), "Web App", "invitee@example.com", "developer", "admin@example.com"];
        assert_eq!(texts(&shown, named), expected);
        let stands = ["/status", "/created_at", "/expires_at", "/is_expired", "/account_exists"];
        assert_eq!(texts(&shown, stands), ["pending", created.as_str(), &expires, "false", "false"]);
        let accept = format!("{path}/accept");
        refused_field(anyone.post(&accept, json!({})).await, "password");
        refused_field(anyone.post(&accept, json!({ "password": "short" })).await, "password");
        let body = json!({ "password": PASSWORD, "first_name": "Jane", "last_name": "Doe", "transport": "bearer" });
        let joined = anyone.post(&accept, body).await.expect(201);
        let done = ["/accepted", "/created_account", "/project/id", "/user/first_name", "/user/email_verified"];
        assert_eq!(texts(&joined, done), ["true", "true", project.as_str(), "Jane", "true"]);
        let jane = anyone.bearer(&joined.at("/access_token"));
        assert_eq!(jane.get(WEB).await.expect(200).at("/role"), "developer");
        let used = anyone.get(&path).await.expect(200);
        assert_eq!(texts(&used, ["/status", "/account_exists"]), ["accepted", "true"]);
        anyone.post(&accept, json!({ "password": PASSWORD })).await.problem(409, "invite_unusable");
        assert!(column(&admin.get(INVITES).await.expect(200), "id").is_empty(), "it is not pending any more");
    }

    async fn an_invitation_is_sent_again_accepted_or_revoked(t: TestApp) {
        let admin = web_app(&t).await;
        let (newuser, _) = register(&t, "newuser@example.com").await;
        let body = json!({ "email": "newuser@example.com", "role": "viewer" });
        let made = admin.post(INVITES, body.clone()).await.expect(201);
        admin.post(INVITES, body.clone()).await.problem(409, "already_invited");
        let listed = admin.get(INVITES).await.expect(200);
        assert_eq!((column(&listed, "email"), column(&listed, "status")), (vec!["newuser@example.com".into()], vec!["pending".into()]));
        assert!(!listed.text().contains("srm_inv_"), "{}", listed.text());
        let look = async |token: &str| t.anonymous().get(&format!("/v1/invites/{token}")).await;
        let first = expect_token(&t, "newuser@example.com", INVITE, 1).await;
        assert_eq!(look(&first).await.expect(200).at("/account_exists"), "true");
        let path = format!("{INVITES}/{}", made.at("/id"));
        let again = admin.post(&format!("{path}/resend"), json!({})).await.expect(200);
        assert!(again.at("/expires_at") > made.at("/expires_at"), "{} {}", again.text(), made.text());
        let second = expect_token(&t, "newuser@example.com", INVITE, 2).await;
        look(&first).await.problem(404, "not_found");
        t.anonymous().post(&format!("/v1/invites/{second}/accept"), json!({})).await.problem(401, "unauthenticated");
        let joined = newuser.post(&format!("/v1/invites/{second}/accept"), json!({})).await.expect(201);
        assert_eq!(texts(&joined, ["/accepted", "/created_account"]), ["true", "false"]);
        assert_eq!(newuser.get(WEB).await.expect(200).at("/role"), "viewer");
        admin.post(INVITES, body.clone()).await.problem(409, "already_member");
        let other = admin.post(INVITES, json!({ "email": "invitee@example.com" })).await.expect(201);
        assert_eq!(other.at("/role"), "developer");
        let mailed = expect_token(&t, "invitee@example.com", INVITE, 1).await;
        let path = format!("{INVITES}/{}", other.at("/id"));
        newuser.post(&format!("{path}/resend"), json!({})).await.problem(403, "forbidden");
        newuser.delete(&path).await.problem(403, "forbidden");
        newuser.post(INVITES, body).await.problem(403, "forbidden");
        admin.delete(&path).await.expect(204).ok();
        assert_eq!(look(&mailed).await.expect(200).at("/status"), "revoked");
        let body = json!({ "password": PASSWORD });
        t.anonymous().post(&format!("/v1/invites/{mailed}/accept"), body).await.problem(409, "invite_unusable");
    }

    async fn environments_are_made_and_changed_by_those_who_write(t: TestApp) {
        let admin = web_app(&t).await;
        let user = in_project(&t, &admin, "user@example.com", "developer").await;
        let viewer = in_project(&t, &admin, "viewer@example.com", "viewer").await;
        // Its projects begin without this one.
        user.delete(&format!("{ENVS}/staging")).await.expect(204).ok();
        let listed = viewer.get(ENVS).await.expect(200);
        assert_eq!(column(&listed, "name"), ["Development", "Production"]);
        assert_eq!(column(&listed, "slug"), ["development", "production"]);
        let made = user.post(ENVS, json!({ "name": "Staging" })).await.expect(201);
        let fields = ["/name", "/slug", "/class"];
        assert_eq!(texts(&made, fields), ["Staging", "staging", "staging"]);
        let path = format!("{ENVS}/{}", made.at("/id"));
        assert_eq!(viewer.get(&path).await.expect(200).json(), made.json());
        let all = json!({ "name": "Stage", "slug": "stage", "class": "staging" });
        assert_eq!(texts(&user.put(&path, all.clone()).await.expect(200), fields), ["Stage", "stage", "staging"]);
        let some = json!({ "name": "Staging" });
        assert_eq!(texts(&user.patch(&path, some.clone()).await.expect(200), fields), ["Staging", "stage", "staging"]);
        viewer.post(ENVS, some.clone()).await.problem(403, "forbidden");
        viewer.put(&path, all).await.problem(403, "forbidden");
        viewer.patch(&path, some).await.problem(403, "forbidden");
        viewer.delete(&path).await.problem(403, "forbidden");
        user.delete(&path).await.expect(204).ok();
        viewer.get(&path).await.problem(404, "not_found");
        assert_eq!(column(&viewer.get(ENVS).await.expect(200), "slug"), ["development", "production"]);
    }

    async fn secrets_are_shown_to_the_project_and_to_nobody_else(t: TestApp) {
        let admin = web_app(&t).await;
        let user = in_project(&t, &admin, "user@example.com", "developer").await;
        let viewer = in_project(&t, &admin, "viewer@example.com", "viewer").await;
        let key = json!({ "key": "API_KEY", "value": "sk_live_abc123", "comment": "Production API key" });
        let made = user.post(SECRETS, key.clone()).await.expect(201);
        assert_eq!(texts(&made, ["/key", "/comment", "/version", "/value"]), ["API_KEY", "Production API key", "1", ""]);
        let database = json!({ "key": "DATABASE_URL", "value": "postgres://...", "comment": "Primary DB" });
        user.post(SECRETS, database).await.expect(201).ok();
        user.post(SECRETS, key.clone()).await.problem(409, "key_taken");
        let listed = viewer.get(SECRETS).await.expect(200);
        assert_eq!(column(&listed, "key"), ["API_KEY", "DATABASE_URL"]);
        assert_eq!(column(&listed, "value"), ["sk_live_abc123", "postgres://..."]);
        assert_eq!(column(&listed, "comment"), ["Production API key", "Primary DB"]);
        let path = format!("{SECRETS}/API_KEY");
        let fields = ["/id", "/key", "/value", "/comment"];
        let id = made.at("/id");
        assert_eq!(texts(&viewer.get(&path).await.expect(200), fields), [id.as_str(), "API_KEY", "sk_live_abc123", "Production API key"]);
        let all = json!({ "value": "sk_live_def456", "comment": "Rotated" });
        assert_eq!(user.put(&path, all.clone()).await.expect(200).at("/version"), "2");
        let some = json!({ "comment": "Live key" });
        user.patch(&path, some.clone()).await.expect(200).ok();
        assert_eq!(texts(&viewer.get(&path).await.expect(200), fields), [id.as_str(), "API_KEY", "sk_live_def456", "Live key"]);
        viewer.post(SECRETS, json!({ "key": "MINE", "value": "v" })).await.problem(403, "forbidden");
        viewer.put(&path, all).await.problem(403, "forbidden");
        viewer.patch(&path, some).await.problem(403, "forbidden");
        viewer.delete(&path).await.problem(403, "forbidden");
        let (eve, _) = register(&t, "eve@example.com").await;
        for hidden in [SECRETS, &path] {
            eve.get(hidden).await.problem(404, "not_found");
            t.anonymous().get(hidden).await.problem(401, "unauthenticated");
        }
        user.delete(&path).await.expect(200).ok();
        viewer.get(&path).await.problem(404, "not_found");
        assert_eq!(column(&viewer.get(SECRETS).await.expect(200), "key"), ["DATABASE_URL"]);
    }

    async fn a_program_is_run_with_all_that_its_token_may_read(t: TestApp) {
        let admin = web_app(&t).await;
        let viewer = in_project(&t, &admin, "viewer@example.com", "viewer").await;
        for (key, value) in [("DATABASE_URL", "postgres://..."), ("API_KEY", "sk_live_abc123")] {
            admin.post(SECRETS, json!({ "key": key, "value": value })).await.expect(201).ok();
        }
        let token = viewer.post(TOKENS, json!({ "name": "run" })).await.expect(201).at("/token");
        let program = t.anonymous().bearer(&token);
        let export = format!("{ENVS}/production/export");
        let read = program.get(&format!("{export}?format=json")).await.expect(200);
        assert_eq!(read.json(), json!({ "API_KEY": "sk_live_abc123", "DATABASE_URL": "postgres://..." }));
        assert!(program.get(&export).await.expect(200).text().contains("API_KEY="));
        program.put(&format!("{SECRETS}/API_KEY"), json!({ "value": "mine" })).await.problem(403, "forbidden");
        t.anonymous().get(&export).await.problem(401, "unauthenticated");
    }

    async fn an_administrator_sets_single_sign_on_up_and_probes_it(t: TestApp) {
        let idp = sso::liar();
        let root = superuser(&t).await;
        assert_eq!(texts(&root.get(OIDC).await.expect(200), ["/enabled", "/client_id"]), ["false", ""]);
        let named = |path: &str| format!("{}{path}", idp.url);
        let oidc = json!({
            "enabled": true, "client_id": "heartlock", "client_secret": "of heartlock", "issuer": idp.url, "discovery": false,
            "authorization_endpoint": named("/auth"), "token_endpoint": named("/token"), "userinfo_endpoint": named("/userinfo"),
            "jwks_uri": named("/jwks"), "end_session_endpoint": named("/logout"), "scopes": "openid email profile",
            "create_unknown_user": true,
        });
        root.patch(OIDC, oidc).await.expect(200).ok();
        let shown = root.get(OIDC).await.expect(200);
        assert_eq!(texts(&shown, ["/enabled", "/client_secret", "/create_unknown_user"]), ["true", "********", "true"]);
        let report = root.post(&format!("{OIDC}/test"), json!({})).await.expect(200);
        let reached = ["/reachable", "/authorization_endpoint", "/token_endpoint", "/userinfo_endpoint"];
        assert_eq!(texts(&report, reached), ["true"; 4], "{}", report.text());
        assert_eq!(report.json()["errors"], json!([]));
        let (user, _) = register(&t, "user@example.com").await;
        for refused in [user.get(OIDC).await, user.patch(OIDC, json!({ "enabled": false })).await] {
            refused.problem(403, "forbidden");
        }
        t.anonymous().get(OIDC).await.problem(401, "unauthenticated");
    }

    async fn people_sign_in_and_out_by_the_identity_provider(t: TestApp) {
        let idp = sso::liar();
        t.anonymous().get(&format!("{}/start", sso::INSTANCE)).await.problem(503, "unavailable");
        let root = superuser(&t).await;
        root.patch(OIDC, sso::settings(&idp)).await.expect(200).ok();
        let way = sso::Way::begin(&t, &format!("{}/start?next=/docs", sso::INSTANCE)).await;
        let arrived = way.there_and_back(&t).await.expect(303);
        assert_eq!(arrived.header("location"), Some("/docs"));
        let dana = sso::session(&t, &arrived);
        let me = dana.get(ME).await.expect(200);
        assert_eq!(texts(&me, ["/email", "/has_password", "/sso_enabled"]), ["dana@example.com", "false", "true"]);
        let out = dana.post("/v1/auth/sso/logout", json!({})).await.expect(200);
        assert!(out.at("/logout_url").starts_with(&format!("{}/logout?", idp.url)), "{}", out.text());
        dana.get(ME).await.problem(401, "unauthenticated");
        root.patch(OIDC, json!({ "create_unknown_user": false })).await.expect(200).ok();
        let _ = sso::sign_in(&t).await.expect(303);
        let stranger = json!({ "claims": { "sub": "stranger", "email": "stranger@example.com" } });
        sso::tell(&idp, "/control", stranger).await.expect(204).ok();
        sso::sign_in(&t).await.problem(403, "forbidden");
    }
}

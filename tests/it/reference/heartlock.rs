//! heartlock: passwords and service tokens, projects with members and invitations. Its projects lie in the caller's
//! personal organisation here.

use harness::on_both;
use serde_json::json;

use super::{PASSWORD, invitation, register};

on_both! {
    async fn heartlock_authentication(t: TestApp) {
        register(&t, "user@example.com").await;
        let login = json!({ "email": "user@example.com", "password": PASSWORD });
        let signed_in = t.anonymous().post("/v1/auth/login", login).await.expect(200);
        let user = signed_in.json()["user"].clone();
        let wanted = json!({ "email": "user@example.com", "first_name": "", "last_name": "", "is_superuser": false, "has_password": true });
        for (name, value) in wanted.as_object().expect("an object") {
            assert_eq!(&user[name], value, "{name}");
        }
        let cookie = signed_in.header("set-cookie").expect("a session cookie");
        let token = cookie.split(['=', ';']).nth(1).expect("a value");
        let browser = t.anonymous().cookie(token).with("X-Requested-With", "strongroom");
        let wrong = json!({ "email": "user@example.com", "password": "wrong" });
        t.anonymous().post("/v1/auth/login", wrong).await.problem(401, "invalid_credentials");
        let me = browser.get("/v1/auth/me").await.expect(200);
        assert_eq!((me.at("/email"), me.at("/sso_enabled")), ("user@example.com".into(), "false".into()));
        let names = json!({ "first_name": "Jane", "last_name": "Doe" });
        let renamed = browser.patch("/v1/auth/me", names.clone()).await.expect(200);
        assert_eq!((renamed.at("/first_name"), renamed.at("/last_name")), ("Jane".into(), "Doe".into()));
        let bearer = json!({ "email": "user@example.com", "password": PASSWORD, "transport": "bearer" });
        let session = t.anonymous().bearer(&t.anonymous().post("/v1/auth/login", bearer).await.at("/access_token"));
        let token = session.post("/v1/auth/tokens", json!({ "name": "CI pipeline", "expires_days": 90 })).await.expect(201);
        assert!(token.at("/token").starts_with("srm_pat_"));
        assert_eq!((token.at("/name"), token.at("/last_used_at")), ("CI pipeline".into(), "null".into()));
        let listed = session.get("/v1/auth/tokens").await.expect(200);
        assert_eq!(listed.at("/data/0/prefix"), token.at("/prefix"));
        assert!(!listed.text().contains(&token.at("/token")), "shown once");
        let ci = t.anonymous().bearer(&token.at("/token"));
        ci.get("/v1/auth/me").await.expect(200).ok();
        ci.patch("/v1/auth/me", names).await.problem(403, "session_required");
        for days in [0, 3651] {
            session.post("/v1/auth/tokens", json!({ "name": "x", "expires_days": days })).await.problem(422, "invalid_field");
        }
        session.delete(&format!("/v1/auth/tokens/{}", token.at("/id"))).await.expect(204).ok();
        ci.get("/v1/auth/me").await.problem(401, "unauthenticated");
        let change = |old: &str| json!({ "current_password": old, "new_password": "new-password-of-seven-otters" });
        let refused = session.post("/v1/auth/password", change("old-password")).await;
        assert_eq!(refused.at("/errors/0/field"), "current_password", "{}", refused.text());
        session.post("/v1/auth/password", change(PASSWORD)).await.expect(204).ok();
        browser.get("/v1/auth/me").await.problem(401, "unauthenticated");
        session.post("/v1/auth/logout", json!({})).await.expect(204).ok();
        session.get("/v1/auth/me").await.problem(401, "unauthenticated");
    }

    async fn heartlock_projects_and_members(t: TestApp) {
        let owner = t.person("admin").await;
        let org = format!("/v1/orgs/{}", owner.personal_org);
        let body = json!({ "name": "Web App", "description": "Main web application" });
        let made = owner.post(&format!("{org}/projects"), body).await.expect(201);
        assert_eq!((made.at("/slug"), made.at("/role")), ("web-app".into(), "owner".into()));
        let project = format!("{org}/projects/web-app");
        let newcomer = t.person("newuser").await;
        newcomer.get(&project).await.problem(404, "not_found");
        let members = format!("{project}/members");
        // Its `member` reads and writes every environment: a developer of the project.
        let add = |role: &str| json!({ "email": "newuser@example.com", "role": role });
        owner.post(&members, add("developer")).await.expect(201).ok();
        assert_eq!(newcomer.get(&project).await.expect(200).at("/role"), "developer");
        let secret = format!("{project}/environments/production/secrets/API_KEY");
        newcomer.put(&secret, json!({ "value": "sk_live_abc123", "comment": "Production API key" })).await.expect(201).ok();
        newcomer.post(&members, add("viewer")).await.problem(403, "forbidden");
        let updated = owner.post(&members, add("viewer")).await.expect(200);
        assert_eq!((updated.at("/email"), updated.at("/role")), ("newuser@example.com".into(), "viewer".into()));
        newcomer.get(&secret).await.expect(200).ok();
        newcomer.put(&secret, json!({ "value": "x" })).await.problem(403, "forbidden");
        let list = owner.get(&members).await.expect(200).json();
        assert!(list["data"].as_array().into_iter().flatten().any(|entry| entry["email"] == "newuser@example.com"));
        owner.delete(&format!("{members}/{}", newcomer.id)).await.expect(204).ok();
        newcomer.get(&project).await.problem(404, "not_found");
        owner.delete(&format!("{org}/members/{}", owner.id)).await.problem(409, "last_owner");
    }

    async fn heartlock_invitations(t: TestApp) {
        let owner = t.person("admin").await;
        let org = format!("/v1/orgs/{}", owner.personal_org);
        owner.post(&format!("{org}/projects"), json!({ "name": "Web App" })).await.expect(201).ok();
        let project = format!("{org}/projects/web-app");
        let invites = format!("{project}/invites");
        let body = json!({ "email": "invitee@example.com", "role": "viewer" });
        let made = owner.post(&invites, body.clone()).await.expect(201);
        owner.post(&invites, body.clone()).await.problem(409, "conflict");
        assert_eq!(owner.get(&invites).await.expect(200).at("/data/0/email"), "invitee@example.com");
        let first = invitation(&t, "invitee@example.com", 1).await;
        let shown = t.anonymous().get(&format!("/v1/invites/{first}")).await.expect(200);
        assert_eq!((shown.at("/status"), shown.at("/account_exists")), ("pending".into(), "false".into()));
        assert_eq!((shown.at("/role"), shown.at("/email")), ("viewer".into(), "invitee@example.com".into()));
        owner.post(&format!("{invites}/{}/resend", made.at("/id")), json!({})).await.expect(200).ok();
        let second = invitation(&t, "invitee@example.com", 2).await;
        t.anonymous().get(&format!("/v1/invites/{first}")).await.problem(404, "not_found");
        let accept = json!({ "password": "new-password-of-three-geese", "first_name": "Jane", "last_name": "Doe", "transport": "bearer" });
        let weak = json!({ "password": "short", "transport": "bearer" });
        t.anonymous().post(&format!("/v1/invites/{second}/accept"), weak).await.problem(422, "invalid_field");
        let joined = t.anonymous().post(&format!("/v1/invites/{second}/accept"), accept).await.expect(201);
        let jane = t.anonymous().bearer(&joined.at("/access_token"));
        assert_eq!(jane.get(&project).await.expect(200).at("/role"), "viewer");
        assert_eq!(jane.get("/v1/auth/me").await.at("/email_verified"), "true", "the mail proved the address");
        t.anonymous().post(&format!("/v1/invites/{second}/accept"), json!({ "password": PASSWORD })).await.problem(409, "invite_unusable");
        let other = owner.post(&invites, json!({ "email": "late@example.com", "role": "viewer" })).await.expect(201);
        let token = invitation(&t, "late@example.com", 1).await;
        owner.delete(&format!("{invites}/{}", other.at("/id"))).await.expect(204).ok();
        let revoked = t.anonymous().post(&format!("/v1/invites/{token}/accept"), json!({ "password": PASSWORD })).await;
        revoked.problem(409, "invite_unusable");
    }

    async fn heartlock_environments_and_secrets(t: TestApp) {
        let owner = t.person("admin").await;
        let org = format!("/v1/orgs/{}", owner.personal_org);
        owner.post(&format!("{org}/projects"), json!({ "name": "Web App" })).await.expect(201).ok();
        let environments = format!("{org}/projects/web-app/environments");
        let listed = owner.get(&environments).await.expect(200);
        assert_eq!((listed.at("/data/0/slug"), listed.at("/data/2/name")), ("development".into(), "Production".into()));
        owner.post(&environments, json!({ "name": "Preview" })).await.expect(201).ok();
        owner.patch(&format!("{environments}/preview"), json!({ "name": "Review" })).await.expect(200).ok();
        let secrets = format!("{environments}/preview/secrets");
        let body = json!({ "key": "API_KEY", "value": "sk_live_abc123", "comment": "Production API key" });
        owner.post(&secrets, body.clone()).await.expect(201).ok();
        owner.post(&secrets, body).await.problem(409, "key_taken");
        let body = json!({ "key": "DATABASE_URL", "value": "postgres://db", "comment": "Primary DB" });
        owner.post(&secrets, body).await.expect(201).ok();
        let list = owner.get(&secrets).await.expect(200);
        assert_eq!((list.at("/data/1/key"), list.at("/data/1/value"), list.at("/data/1/comment")), ("DATABASE_URL".into(), "postgres://db".into(), "Primary DB".into()));
        owner.patch(&format!("{secrets}/API_KEY"), json!({ "comment": "rotated" })).await.expect(200).ok();
        assert_eq!(owner.get(&format!("{secrets}/API_KEY")).await.expect(200).at("/value"), "sk_live_abc123");
        owner.delete(&format!("{secrets}/API_KEY")).await.expect(200).ok();
        owner.get(&format!("{secrets}/API_KEY")).await.problem(404, "not_found");
        owner.delete(&format!("{environments}/preview")).await.expect(204).ok();
    }
}

//! `HitKey`: registering by code or with an invitation, signing in, profile, second factor, several addresses, finding
//! people, projects that are joined, left and handed over, partners' applications, the documents.
//!
//! Its projects lie in no organisation; here they lie in one, whose people may join what is open. People are found by
//! address or name, and in an organisation instead of a project. Its clients know no PKCE; here every one shows it.

use harness::mailbox::{INVITE, REGISTER, RESET, VERIFY, expect_code, expect_letter, expect_token, letters};
use harness::people::PASSWORD;
use harness::{Answer, Authenticator, Client, TestApp, on_both};
use serde_json::json;

use crate::oauth::{browser, claims, error, partner};

use super::{LOGOUT, ME, NEW_PASSWORD, REGISTRATION, add, column, login, other_than, refused_field, register, texts};

const EMAIL: &str = "dana@example.com";
const EMAILS: &str = "/v1/auth/emails";
const ORG: &str = "/v1/orgs/hitkey";
const PROJECTS: &str = "/v1/orgs/hitkey/projects";
const PORTAL: &str = "/v1/orgs/hitkey/projects/portal";
const MEMBERS: &str = "/v1/orgs/hitkey/projects/portal/members";

/// A project for partners. Returns who made it.
async fn portal(t: &TestApp) -> Client {
    let (dana, _) = register(t, EMAIL).await;
    dana.post("/v1/orgs", json!({ "name": "HitKey", "slug": "hitkey" }))
        .await
        .expect(201)
        .ok();
    dana.post(PROJECTS, json!({ "name": "Portal" })).await.expect(201).ok();
    dana
}

on_both! {
    async fn an_address_is_proved_before_there_is_an_account(t: TestApp) {
        let anyone = t.anonymous();
        let begun = anyone.post(REGISTRATION, json!({ "email": EMAIL })).await.expect(202);
        let stale = expect_code(&t, EMAIL, REGISTER, 1).await;
        let again = json!({ "challenge_token": begun.at("/challenge_token") });
        let resent = anyone.post("/v1/auth/register/resend", again).await.expect(202);
        let code = expect_code(&t, EMAIL, REGISTER, 2).await;
        let prove = async |begun: &Answer, code: &str| {
            let body = json!({ "challenge_token": begun.at("/challenge_token"), "code": code });
            anyone.post("/v1/auth/register/verify", body).await
        };
        refused_field(prove(&begun, &stale).await, "code");
        refused_field(prove(&resent, other_than(&code)).await, "code");
        let token = prove(&resent, &code).await.expect(200).at("/registration_token");
        let complete = async |password: &str| {
            let body = json!({ "registration_token": token, "password": password, "transport": "bearer" });
            anyone.post("/v1/auth/register/complete", body).await
        };
        refused_field(complete("short").await, "password");
        let made = complete(PASSWORD).await.expect(201);
        assert_eq!(texts(&made, ["/user/email", "/user/email_verified", "/token_type"]), [EMAIL, "true", "Bearer"]);
        let dana = anyone.bearer(&made.at("/access_token"));
        assert_eq!(dana.get(ME).await.expect(200).at("/email"), EMAIL, "signed in at once");
        refused_field(complete(PASSWORD).await, "registration_token");
        // Whoever has an account is told so by mail alone.
        anyone.post(REGISTRATION, json!({ "email": EMAIL })).await.expect(202).ok();
        expect_letter(&t, EMAIL, "You have an account already", 1).await;
    }

    async fn an_invitation_is_seen_by_anybody_and_registers_or_joins(t: TestApp) {
        let dana = portal(&t).await;
        let invites = format!("{PORTAL}/invites");
        dana.post(&invites, json!({ "email": "erin@example.com", "role": "viewer" })).await.expect(201).ok();
        let token = expect_token(&t, "erin@example.com", INVITE, 1).await;
        let path = format!("/v1/invites/{token}");
        let shown = t.anonymous().get(&path).await.expect(200);
        let fields = ["/project/slug", "/role", "/status", "/invited_by/email", "/account_exists"];
        assert_eq!(texts(&shown, fields), ["portal", "viewer", "pending", EMAIL, "false"]);
        let with_invite = async |email: &str| {
            let body = json!({ "email": email, "password": PASSWORD, "transport": "bearer", "invite_token": token });
            t.anonymous().post(REGISTRATION, body).await
        };
        refused_field(with_invite("eve@example.com").await, "email");
        let made = with_invite("erin@example.com").await.expect(201);
        assert_eq!(made.at("/user/email_verified"), "true");
        let erin = t.anonymous().bearer(&made.at("/access_token"));
        assert_eq!(erin.get(PORTAL).await.expect(200).at("/role"), "viewer");
        assert_eq!(t.anonymous().get(&path).await.expect(200).at("/status"), "accepted");
        let (frank, _) = register(&t, "frank@example.com").await;
        dana.post(&invites, json!({ "email": "frank@example.com" })).await.expect(201).ok();
        let token = expect_token(&t, "frank@example.com", INVITE, 1).await;
        let accept = format!("/v1/invites/{token}/accept");
        t.anonymous().post(&accept, json!({})).await.problem(401, "unauthenticated");
        erin.post(&accept, json!({})).await.problem(403, "forbidden");
        assert_eq!(frank.post(&accept, json!({})).await.expect(201).at("/role"), "developer");
        frank.post(&accept, json!({})).await.problem(409, "already_member");
        t.anonymous().get("/v1/invites/srm_inv_nonsense").await.problem(404, "not_found");
    }

    async fn a_session_is_begun_prolonged_and_ended(t: TestApp) {
        let (dana, _) = register(&t, EMAIL).await;
        let names = json!({ "first_name": "Dana", "last_name": "Scully", "username": "dana" });
        dana.patch(ME, names).await.expect(200).ok();
        let shown = dana.get(ME).await.expect(200);
        assert_eq!(texts(&shown, ["/first_name", "/last_name", "/username", "/email"]), ["Dana", "Scully", "dana", EMAIL]);
        login(&t, EMAIL, NEW_PASSWORD).await.problem(401, "invalid_credentials");
        let session = login(&t, "dana", PASSWORD).await.expect(200);
        assert_eq!(texts(&session, ["/user/email", "/token_type", "/expires_in"]), [EMAIL, "Bearer", "3600"]);
        let refresh = async |session: &Answer| {
            let body = json!({ "refresh_token": session.at("/refresh_token") });
            t.anonymous().post("/v1/auth/token/refresh", body).await
        };
        let client = |session: &Answer| t.anonymous().bearer(&session.at("/access_token"));
        let next = refresh(&session).await.expect(200);
        client(&next).get(ME).await.expect(200).ok();
        client(&session).get(ME).await.problem(401, "unauthenticated");
        let third = refresh(&next).await.expect(200);
        refresh(&session).await.problem(401, "unauthenticated");
        client(&third).get(ME).await.problem(401, "unauthenticated");
        dana.get(ME).await.expect(200).ok();
        let last = login(&t, EMAIL, PASSWORD).await.expect(200);
        client(&last).post(LOGOUT, json!({})).await.expect(204).ok();
        client(&last).get(ME).await.problem(401, "unauthenticated");
        refresh(&last).await.problem(401, "unauthenticated");
        t.anonymous().get(ME).await.problem(401, "unauthenticated");
    }

    async fn a_forgotten_password_is_reset_by_mail(t: TestApp) {
        let (dana, _) = register(&t, EMAIL).await;
        let forgot = async |email: &str| t.anonymous().post("/v1/auth/password/forgot", json!({ "email": email })).await;
        let known = forgot(EMAIL).await.expect(200);
        assert_eq!(forgot("nobody@example.com").await.expect(200).text(), known.text(), "nobody learns who has an account");
        let token = expect_token(&t, EMAIL, RESET, 1).await;
        let reset = async |password: &str| {
            let body = json!({ "token": token, "password": password });
            t.anonymous().post("/v1/auth/password/reset", body).await
        };
        refused_field(reset("short").await, "password");
        reset(NEW_PASSWORD).await.expect(204).ok();
        refused_field(reset(NEW_PASSWORD).await, "token");
        dana.get(ME).await.problem(401, "unauthenticated");
        login(&t, EMAIL, PASSWORD).await.problem(401, "invalid_credentials");
        login(&t, EMAIL, NEW_PASSWORD).await.expect(200).ok();
        assert!(letters(&t, "nobody@example.com", RESET).is_empty());
    }

    async fn a_second_factor_is_set_up_asked_for_and_switched_off(t: TestApp) {
        let (dana, _) = register(&t, EMAIL).await;
        let prepared = dana.post("/v1/auth/2fa/setup", json!({})).await.expect(200);
        assert!(prepared.at("/otpauth_uri").starts_with("otpauth://totp/") && prepared.at("/qr_svg").contains("<svg "));
        assert_eq!(login(&t, EMAIL, PASSWORD).await.expect(200).at("/mfa_required"), "false");
        let app = Authenticator::new(&prepared.at("/secret"), &t.clock);
        refused_field(dana.post("/v1/auth/2fa/enable", json!({ "code": app.wrong_code() })).await, "code");
        let enabled = dana.post("/v1/auth/2fa/enable", json!({ "code": app.code() })).await.expect(200);
        assert_eq!(enabled.json()["recovery_codes"].as_array().map(Vec::len), Some(10));
        let waiting = login(&t, EMAIL, PASSWORD).await.expect(200);
        assert_eq!(texts(&waiting, ["/mfa_required", "/access_token"]), ["true", ""]);
        let show = async |code: &str| {
            let body = json!({ "challenge_token": waiting.at("/challenge_token"), "code": code });
            t.anonymous().post("/v1/auth/2fa/verify", body).await
        };
        show(&app.wrong_code()).await.problem(401, "invalid_credentials");
        let session = show(&app.next_code()).await.expect(200);
        let client = t.anonymous().bearer(&session.at("/access_token"));
        assert_eq!(client.get(ME).await.expect(200).at("/email"), EMAIL);
        client.post("/v1/auth/2fa/disable", json!({})).await.expect(204).ok();
        assert_eq!(login(&t, EMAIL, PASSWORD).await.expect(200).at("/mfa_required"), "false");
    }

    async fn an_account_has_several_addresses_and_one_default(t: TestApp) {
        let (dana, _) = register(&t, EMAIL).await;
        let second = "dana@example.org";
        let added = dana.post(EMAILS, json!({ "email": second })).await.expect(201);
        assert_eq!(texts(&added, ["/email", "/is_default", "/is_verified"]), [second, "false", "false"]);
        let path = format!("{EMAILS}/{}", added.at("/id"));
        let default = json!({ "is_default": true });
        dana.patch(&path, default.clone()).await.problem(403, "email_unverified");
        login(&t, second, PASSWORD).await.problem(401, "invalid_credentials");
        let stale = expect_code(&t, second, VERIFY, 1).await;
        dana.post(&format!("{path}/resend"), json!({})).await.expect(204).ok();
        let code = expect_code(&t, second, VERIFY, 2).await;
        let verify = async |code: &str| dana.post(&format!("{path}/verify"), json!({ "code": code })).await;
        refused_field(verify(other_than(&code)).await, "code");
        if stale != code {
            refused_field(verify(&stale).await, "code");
        }
        verify(&code).await.expect(204).ok();
        login(&t, second, PASSWORD).await.expect(200).ok();
        assert_eq!(dana.patch(&path, default.clone()).await.expect(200).at("/is_default"), "true");
        let listed = dana.get(EMAILS).await.expect(200);
        assert_eq!(column(&listed, "email"), [second, EMAIL]);
        assert_eq!(column(&listed, "is_default"), ["true", "false"]);
        assert_eq!(dana.get(ME).await.expect(200).at("/email"), second);
        dana.delete(&path).await.problem(409, "conflict");
        let (eve, _) = register(&t, "eve@example.com").await;
        eve.post(EMAILS, json!({ "email": second })).await.problem(409, "email_taken");
        eve.delete(&path).await.problem(404, "not_found");
        let first = format!("{EMAILS}/{}", listed.at("/data/1/id"));
        dana.patch(&first, default).await.expect(200).ok();
        dana.delete(&path).await.expect(204).ok();
        assert_eq!(column(&dana.get(EMAILS).await.expect(200), "email"), [EMAIL]);
        login(&t, second, PASSWORD).await.problem(401, "invalid_credentials");
    }

    async fn people_are_found_by_address_or_among_ones_own(t: TestApp) {
        let dana = portal(&t).await;
        let (erin, erin_id) = register(&t, "erin@example.com").await;
        erin.patch(ME, json!({ "first_name": "Erin", "last_name": "Brook" })).await.expect(200).ok();
        let search = async |query: &str| dana.get(&format!("/v1/users/search?q={query}")).await;
        let found = search("erin@example.com").await.expect(200);
        assert_eq!((column(&found, "id"), column(&found, "first_name")), (vec![erin_id], vec!["Erin".into()]));
        for part in ["erin", "brook"] {
            assert!(column(&search(part).await.expect(200), "id").is_empty(), "strangers are found by the whole address");
        }
        add(&dana, ORG, "erin@example.com", "member").await.expect(201).ok();
        for part in ["erin", "BROOK", "brook&org=hitkey"] {
            assert_eq!(column(&search(part).await.expect(200), "email"), ["erin@example.com"], "{part}");
        }
        for number in 0..11 {
            let person = t.proved_person(&format!("agent{number}")).await;
            add(&dana, ORG, &person.email, "member").await.expect(201).ok();
        }
        assert_eq!(column(&search("agent").await.expect(200), "id").len(), 10, "ten at most");
        refused_field(search("e").await, "q");
        t.anonymous().get("/v1/users/search?q=erin").await.problem(401, "unauthenticated");
    }

    async fn a_project_is_made_shown_changed_and_deleted(t: TestApp) {
        let dana = portal(&t).await;
        let (erin, _) = register(&t, "erin@example.com").await;
        assert_eq!(column(&dana.get(PROJECTS).await.expect(200), "slug"), ["portal"]);
        assert_eq!(texts(&dana.get(PORTAL).await.expect(200), ["/name", "/role"]), ["Portal", "owner"]);
        let body = json!({ "description": "For partners" });
        assert_eq!(dana.patch(PORTAL, body.clone()).await.expect(200).at("/description"), "For partners");
        for path in [PROJECTS, PORTAL] {
            erin.get(path).await.problem(404, "not_found");
            t.anonymous().get(path).await.problem(401, "unauthenticated");
        }
        add(&dana, PORTAL, "erin@example.com", "viewer").await.expect(201).ok();
        erin.get(PORTAL).await.expect(200).ok();
        erin.patch(PORTAL, body).await.problem(403, "forbidden");
        erin.delete(PORTAL).await.problem(403, "forbidden");
        dana.delete(PORTAL).await.expect(204).ok();
        for person in [&dana, &erin] {
            person.get(PORTAL).await.problem(404, "not_found");
        }
    }

    async fn an_open_project_is_joined_and_left(t: TestApp) {
        let dana = portal(&t).await;
        let (erin, _) = register(&t, "erin@example.com").await;
        let (join, leave) = (format!("{PORTAL}/join"), format!("{PORTAL}/leave"));
        erin.post(&join, json!({})).await.problem(404, "not_found");
        add(&dana, ORG, "erin@example.com", "member").await.expect(201).ok();
        erin.post(&join, json!({})).await.problem(403, "forbidden");
        dana.patch(PORTAL, json!({ "join_policy": "open" })).await.expect(200).ok();
        let joined = erin.post(&join, json!({})).await.expect(201);
        assert_eq!(texts(&joined, ["/email", "/role"]), ["erin@example.com", "viewer"]);
        erin.post(&join, json!({})).await.problem(409, "conflict");
        assert_eq!(column(&erin.get(MEMBERS).await.expect(200), "email"), ["erin@example.com"]);
        erin.post(&leave, json!({})).await.expect(204).ok();
        erin.post(&leave, json!({})).await.problem(409, "conflict");
        assert!(column(&dana.get(MEMBERS).await.expect(200), "email").is_empty());
    }

    async fn members_are_added_changed_removed_and_made_owners(t: TestApp) {
        let dana = portal(&t).await;
        let (erin, erin_id) = register(&t, "erin@example.com").await;
        let (frank, frank_id) = register(&t, "frank@example.com").await;
        let added = dana.post(MEMBERS, json!({ "user_id": erin_id, "role": "viewer" })).await.expect(201);
        assert_eq!(texts(&added, ["/id", "/email", "/role"]), [erin_id.as_str(), "erin@example.com", "viewer"]);
        add(&dana, PORTAL, "frank@example.com", "viewer").await.expect(201).ok();
        let member = format!("{MEMBERS}/{erin_id}");
        frank.patch(&member, json!({ "role": "admin" })).await.problem(403, "forbidden");
        frank.delete(&member).await.problem(403, "forbidden");
        assert_eq!(dana.patch(&member, json!({ "role": "developer" })).await.expect(200).at("/role"), "developer");
        dana.delete(&format!("{MEMBERS}/{frank_id}")).await.expect(204).ok();
        frank.get(PORTAL).await.problem(404, "not_found");
        assert_eq!(column(&erin.get(MEMBERS).await.expect(200), "role"), ["developer"]);
        let (transfer, heir) = (format!("{PORTAL}/transfer-ownership"), json!({ "member": erin_id }));
        erin.post(&transfer, heir.clone()).await.problem(403, "forbidden");
        refused_field(dana.post(&transfer, json!({ "member": frank_id })).await, "member");
        assert_eq!(dana.post(&transfer, heir).await.expect(200).at("/role"), "owner");
        assert_eq!(erin.get(PORTAL).await.expect(200).at("/role"), "owner");
        // The new owner hands it on, and is an admin from then on.
        add(&erin, PORTAL, "frank@example.com", "viewer").await.expect(201).ok();
        erin.post(&transfer, json!({ "member": frank_id })).await.expect(200).ok();
        assert_eq!(erin.get(PORTAL).await.expect(200).at("/role"), "admin");
        erin.delete(PORTAL).await.problem(403, "forbidden");
        frank.delete(PORTAL).await.expect(204).ok();
    }

    async fn a_partners_application_signs_people_in(t: TestApp) {
        let dana = t.proved_person("dana").await;
        let app = json!({ "name": "Partner", "scopes": ["openid", "profile", "email", "offline_access"] });
        let portal = partner(&dana, app).await;
        let secret = portal.secret.clone().expect("a secret, shown once");
        let listed = dana.get("/v1/oauth/clients").await.expect(200);
        assert_eq!(column(&listed, "name"), ["Partner"]);
        assert!(!listed.text().contains(&secret), "{}", listed.text());
        t.anonymous().get("/v1/oauth/clients").await.problem(401, "unauthenticated");
        let erin = t.proved_person("erin").await;
        let window = browser(&t, &erin).await;
        let code = portal.code(&window, &[("scope", "openid profile email offline_access")]).await;
        let tokens = portal.trades(&t, &code).await.expect(200);
        assert_eq!(tokens.at("/token_type"), "Bearer");
        assert_eq!(claims(&tokens.at("/id_token"))["sub"], json!(erin.id.to_string()));
        let info = |answer: &Answer| t.anonymous().bearer(&answer.at("/access_token"));
        let told = info(&tokens).get("/oauth/userinfo").await.expect(200);
        assert_eq!(texts(&told, ["/sub", "/email", "/email_verified"]), [erin.id.to_string().as_str(), "erin@example.com", "true"]);
        // A session is no token of an application, and the other way round.
        assert_eq!(erin.get("/oauth/userinfo").await.status(), 401);
        info(&tokens).get(ME).await.problem(403, "insufficient_scope");
        let next = portal.renews(&t, &tokens.at("/refresh_token")).await.expect(200);
        info(&next).get("/oauth/userinfo").await.expect(200).ok();
        error(&portal.trades(&t, &code).await, 400, "invalid_grant");
        error(&portal.renews(&t, &next.at("/refresh_token")).await, 400, "invalid_grant");
        assert_eq!(info(&next).get("/oauth/userinfo").await.status(), 401, "a code that comes twice ends it all");
        let mut stranger = portal.clone();
        stranger.secret = Some("srm_cs_nonsense".to_owned());
        error(&stranger.renews(&t, &next.at("/refresh_token")).await, 401, "invalid_client");
    }

    async fn health_and_documents_take_no_credential(t: TestApp) {
        let anyone = t.anonymous();
        assert_eq!(anyone.get("/health").await.expect(200).at("/status"), "ok");
        assert_eq!(anyone.get("/openapi.json").await.expect(200).at("/openapi"), "3.1.0");
        let page = anyone.get("/docs").await.expect(200);
        assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
    }
}

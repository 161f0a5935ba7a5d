//! Invitations into a realm: whoever accepts becomes a user of it.

use harness::mailbox::{INVITE, expect_token};
use harness::on_both;
use harness::people::PASSWORD;
use serde_json::json;

use super::{realm, signs_in, user};

on_both! {
    async fn the_mail_of_an_invitation_makes_a_user_with_its_role(t: TestApp) {
        let acme = realm(&t, "acme").await;
        let invites = acme.path("/invites");
        let body = json!({ "email": "bob@contractor.io", "role": "editor", "realm": true, "expires_in_hours": 72 });
        let made = acme.owner.post(&invites, body.clone()).await.expect(201);
        assert_eq!((made.at("/realm"), made.at("/role"), made.at("/status")), ("true".into(), "editor".into(), "pending".into()));
        acme.owner.post(&invites, body).await.problem(409, "already_invited");
        // An invitation to become a member is another matter.
        let member = json!({ "email": "bob@contractor.io", "role": "viewer" });
        acme.owner.post(&invites, member).await.expect(201).ok();
        let path = format!("/v1/invites/{}", made.at("/token"));
        let shown = t.anonymous().get(&path).await.expect(200);
        assert_eq!((shown.at("/realm"), shown.at("/account_exists")), ("true".into(), "false".into()));
        let accept = format!("{path}/accept");
        let weak = json!({ "password": "short" });
        t.anonymous().post(&accept, weak).await.problem(422, "invalid_field");
        t.anonymous().post(&accept, json!({})).await.problem(422, "invalid_field");
        let other = json!({ "password": PASSWORD, "email": "eve@contractor.io" });
        t.anonymous().post(&accept, other).await.problem(422, "invalid_field");
        let body = json!({ "password": PASSWORD, "first_name": "Bob", "last_name": "Builder" });
        let joined = t.anonymous().post(&accept, body.clone()).await.expect(201);
        assert_eq!((joined.at("/realm_user/email"), joined.at("/realm_user/display_name")), ("bob@contractor.io".into(), "Bob Builder".into()));
        assert_eq!(joined.json()["realm_user"]["roles"], json!(["editor"]));
        assert!(joined.json().get("access_token").is_none() && joined.json().get("user").is_none());
        t.anonymous().post(&accept, body).await.problem(409, "invite_unusable");
        assert_eq!(t.anonymous().get(&path).await.expect(200).at("/account_exists"), "true");
        signs_in(&t, &acme, "bob@contractor.io", PASSWORD).await.expect(200).ok();
        let login = json!({ "email": "bob@contractor.io", "password": PASSWORD });
        t.anonymous().post("/v1/auth/login", login).await.problem(401, "invalid_credentials");
        let log = acme.owner.get(&acme.path("/audit-logs?action=invite.accepted")).await.expect(200);
        assert_eq!(log.at("/data/0/metadata/user_id"), joined.at("/realm_user/id"));
    }

    async fn an_open_link_takes_as_many_as_it_may(t: TestApp) {
        let acme = realm(&t, "acme").await;
        let link = json!({ "role": "reader", "realm": true, "max_uses": 2 });
        let made = acme.owner.post(&acme.path("/invites"), link).await.expect(201);
        let accept = format!("/v1/invites/{}/accept", made.at("/token"));
        let come = async |email: &str| {
            let body = json!({ "email": email, "password": PASSWORD });
            t.anonymous().post(&accept, body).await
        };
        t.anonymous().post(&accept, json!({ "password": PASSWORD })).await.problem(422, "invalid_field");
        come("kim@acme.co").await.expect(201).ok();
        come("KIM@acme.co").await.problem(409, "email_taken");
        // Somebody who is signed in here is nobody there.
        let body = json!({ "email": "lee@acme.co", "password": PASSWORD });
        acme.owner.post(&accept, body).await.expect(201).ok();
        come("max@acme.co").await.problem(409, "invite_unusable");
        assert_eq!(t.number("SELECT COUNT(*) FROM realm_users").await, 2, "a refusal takes no use");
    }

    async fn it_takes_a_realm_a_role_of_the_application_and_the_right_to_manage_users(t: TestApp) {
        let acme = realm(&t, "acme").await;
        let invites = acme.path("/invites");
        acme.project("web").await;
        for (field, body) in [
            ("role", json!({ "realm": true })),
            ("role", json!({ "realm": true, "role": "viewer" })),
            ("project", json!({ "realm": true, "role": "developer", "project": "web" })),
        ] {
            let refused = acme.owner.post(&invites, body).await.problem(422, "invalid_field");
            assert_eq!(refused.at("/errors/0/field"), field, "{}", refused.text());
        }
        let plain = t.org("plain").await;
        let body = json!({ "realm": true, "role": "editor" });
        plain.owner.post(&plain.path("/invites"), body.clone()).await.problem(409, "conflict");
        let role = json!({ "name": "inviter", "level": "org", "permissions": ["members:invite", "members:read", "org:read"] });
        acme.owner.post(&acme.path("/roles"), role).await.expect(201).ok();
        let inviter = acme.member("ines", "inviter").await;
        inviter.post(&invites, body.clone()).await.problem(403, "forbidden");
        let admin = acme.member("adam", "admin").await;
        let made = admin.post(&invites, body).await.expect(201);
        // Whoever stands behind it must still be able to give it.
        let member = acme.path(&format!("/members/{}", admin.id));
        acme.owner.patch(&member, json!({ "role": "viewer" })).await.expect(200).ok();
        let path = format!("/v1/invites/{}", made.at("/token"));
        assert_eq!(t.anonymous().get(&path).await.expect(200).at("/status"), "revoked");
        let body = json!({ "email": "kim@acme.co", "password": PASSWORD });
        t.anonymous().post(&format!("{path}/accept"), body).await.problem(409, "invite_unusable");
        user(&acme, "jane@acme.co", "editor").await;
        let again = json!({ "email": "Jane@acme.co", "role": "editor", "realm": true });
        acme.owner.post(&invites, again).await.problem(409, "already_member");
    }

    async fn it_makes_no_account_and_stops_with_the_realm(t: TestApp) {
        let acme = realm(&t, "acme").await;
        let body = json!({ "email": "bob@contractor.io", "role": "editor", "realm": true });
        acme.owner.post(&acme.path("/invites"), body).await.expect(201).ok();
        let token = expect_token(&t, "bob@contractor.io", INVITE, 1).await;
        let register = json!({
            "email": "bob@contractor.io", "password": PASSWORD, "transport": "bearer", "invite_token": token,
        });
        let refused = t.anonymous().post("/v1/auth/register", register).await;
        assert!((400..500).contains(&refused.status()), "{}", refused.text());
        acme.owner.patch(&acme.path(""), json!({ "realm_enabled": false })).await.expect(200).ok();
        let accept = format!("/v1/invites/{token}/accept");
        t.anonymous().post(&accept, json!({ "password": PASSWORD })).await.problem(404, "not_found");
        acme.owner.patch(&acme.path(""), json!({ "realm_enabled": true })).await.expect(200).ok();
        t.anonymous().post(&accept, json!({ "password": PASSWORD })).await.expect(201).ok();
    }
}

//! What stops tokens: at once where they are asked about, and for good where they are renewed.

use harness::people::{Org, PASSWORD};
use harness::{Answer, TestApp, on_both};
use serde_json::json;

use super::{allowed, asks, realm, refused, renews, says, signs_in, user};

/// A machine that asks about tokens, whatever becomes of people.
async fn backend(t: &TestApp, org: &Org<'_>) -> harness::Client {
    let made = org
        .owner
        .post(&org.path("/service-accounts"), json!({ "name": "backend" }))
        .await
        .expect(201);
    t.anonymous().api_key(&made.at("/key"))
}

async fn signed_in(t: &TestApp, org: &Org<'_>) -> Answer {
    signs_in(t, org, "jane@acme.co", PASSWORD).await.expect(200)
}

on_both! {
    async fn a_realm_that_is_switched_off_gives_and_knows_no_tokens(t: TestApp) {
        let acme = realm(&t, "acme").await;
        user(&acme, "jane@acme.co", "editor").await;
        let (backend, tokens) = (backend(&t, &acme).await, signed_in(&t, &acme).await);
        assert_eq!(says(&asks(&backend, &tokens.at("/access_token"), "comments:read").await), allowed("role"));
        let set = async |on: bool| {
            acme.owner.patch(&acme.path(""), json!({ "realm_enabled": on })).await.expect(200).ok();
        };
        set(false).await;
        signs_in(&t, &acme, "jane@acme.co", PASSWORD).await.problem(404, "not_found");
        renews(&t, &acme, &tokens.at("/refresh_token")).await.problem(404, "not_found");
        let body = json!({ "token": tokens.at("/refresh_token") });
        t.anonymous().post(&acme.path("/tokens/revoke"), body).await.problem(404, "not_found");
        assert_eq!(says(&asks(&backend, &tokens.at("/access_token"), "comments:read").await), refused("invalid_token"));
        let listed = acme.owner.get(&acme.path("/users")).await.expect(200);
        assert_eq!(listed.at("/pagination/total"), "1", "its users are kept");
        set(true).await;
        assert_eq!(says(&asks(&backend, &tokens.at("/access_token"), "comments:read").await), allowed("role"));
        renews(&t, &acme, &tokens.at("/refresh_token")).await.expect(200).ok();
    }

    async fn an_organisation_that_is_deleted_takes_its_tokens_along(t: TestApp) {
        let acme = realm(&t, "acme").await;
        user(&acme, "jane@acme.co", "editor").await;
        let (backend, tokens) = (backend(&t, &acme).await, signed_in(&t, &acme).await);
        acme.owner.delete(&acme.path("")).await.expect(204).ok();
        signs_in(&t, &acme, "jane@acme.co", PASSWORD).await.problem(404, "not_found");
        renews(&t, &acme, &tokens.at("/refresh_token")).await.problem(404, "not_found");
        for client in [&backend, acme.owner.client()] {
            assert_eq!(says(&asks(client, &tokens.at("/access_token"), "comments:read").await), refused("invalid_token"));
        }
        acme.owner.post(&acme.path("/restore"), json!({})).await.expect(200).ok();
        renews(&t, &acme, &tokens.at("/refresh_token")).await.expect(200).ok();
    }

    async fn a_user_who_is_switched_off_or_deleted_or_has_another_password_is_signed_out(t: TestApp) {
        let acme = realm(&t, "acme").await;
        let backend = backend(&t, &acme).await;
        for change in [json!({ "status": "disabled" }), json!({ "password": "another horse, another battery" }), json!(null)] {
            let id = user(&acme, "jane@acme.co", "editor").await;
            let path = acme.path(&format!("/users/{id}"));
            let tokens = signed_in(&t, &acme).await;
            if change.is_object() {
                acme.owner.patch(&path, change.clone()).await.expect(200).ok();
            } else {
                acme.owner.delete(&path).await.expect(204).ok();
            }
            let asked = asks(&backend, &tokens.at("/access_token"), "comments:read").await;
            assert_eq!((says(&asked), asked.at("/subject")), (refused("invalid_token"), String::new()), "{change}");
            renews(&t, &acme, &tokens.at("/refresh_token")).await.problem(401, "unauthenticated");
            signs_in(&t, &acme, "jane@acme.co", PASSWORD).await.problem(401, "invalid_credentials");
            t.sql("DELETE FROM throttles").await;
            if change["status"] == "disabled" {
                acme.owner.patch(&path, json!({ "status": "active" })).await.expect(200).ok();
                let asked = asks(&backend, &tokens.at("/access_token"), "comments:read").await;
                assert_eq!(says(&asked), refused("invalid_token"), "what has ended stays so");
                signed_in(&t, &acme).await.ok();
            }
            if change.is_object() {
                acme.owner.delete(&path).await.expect(204).ok();
            }
        }
    }

    async fn a_machine_that_is_switched_off_is_nobody(t: TestApp) {
        let acme = realm(&t, "acme").await;
        let made = acme.owner.post(&acme.path("/service-accounts"), json!({ "name": "robot" })).await.expect(201);
        let grant = json!({
            "grant_type": "client_credentials", "client_id": made.at("/id"), "client_secret": made.at("/key"),
        });
        let token = super::tokens(&t, &acme, grant.clone()).await.expect(200).at("/access_token");
        assert_eq!(says(&asks(acme.owner.client(), &token, "comments:read").await), refused("no_grant"));
        let path = acme.path(&format!("/service-accounts/{}", made.at("/id")));
        acme.owner.patch(&path, json!({ "enabled": false })).await.expect(200).ok();
        assert_eq!(says(&asks(acme.owner.client(), &token, "comments:read").await), refused("invalid_token"));
        super::tokens(&t, &acme, grant).await.problem(401, "invalid_credentials");
    }

    async fn what_a_purged_organisation_had_of_it_is_gone(t: TestApp) {
        let acme = realm(&t, "acme").await;
        user(&acme, "jane@acme.co", "editor").await;
        signed_in(&t, &acme).await.ok();
        acme.owner.delete(&acme.path("")).await.expect(204).ok();
        t.sql("UPDATE orgs SET deleted_at = 1 WHERE slug = 'acme'").await;
        domain::orgs::purge::purge(t.db()).await.expect("purge");
        for table in ["realm_users", "realm_user_roles"] {
            assert_eq!(t.number(&format!("SELECT COUNT(*) FROM {table}")).await, 0, "{table}");
        }
        let left = "SELECT COUNT(*) FROM credentials WHERE kind IN ('realm_access', 'realm_refresh')";
        assert_eq!(t.number(left).await, 0);
    }
}

//! Machines of an application: a service account trades its key for a token of the realm.

use harness::on_both;
use serde_json::json;

use super::{allowed, asks, realm, refused, says, tokens};
use crate::oauth::claims;

on_both! {
    async fn a_key_is_traded_for_a_token_with_the_applications_roles(t: TestApp) {
        let acme = realm(&t, "acme").await;
        let made = acme.owner.post(&acme.path("/service-accounts"), json!({ "name": "billing" })).await.expect(201);
        let id = made.at("/id");
        let roles = acme.path(&format!("/members/{id}/roles"));
        for role in ["reader", "viewer"] {
            acme.owner.post(&roles, json!({ "role": role })).await.expect(201).ok();
        }
        let grant = json!({
            "grant_type": "client_credentials", "client_id": id, "client_secret": made.at("/client_secret"),
        });
        let answer = tokens(&t, &acme, grant).await.expect(200);
        assert!(answer.json().get("refresh_token").is_none(), "its key is for that");
        let token = answer.at("/access_token");
        let said = claims(&token);
        assert_eq!((&said["sub"], &said["client_id"]), (&json!(id), &json!(id)));
        assert_eq!((&said["roles"], &said["permissions"]), (&json!(["reader"]), &json!(["comments:read"])), "of the platform's none");
        let asked = asks(acme.owner.client(), &token, "comments:read").await;
        assert_eq!(says(&asked), allowed("role"));
        assert_eq!((asked.at("/subject/type"), asked.at("/subject/name")), ("service_account".into(), "billing".into()));
        // A token of the realm does not do what the key does.
        t.anonymous().bearer(&token).get(&acme.path("")).await.problem(401, "unauthenticated");
        t.anonymous().api_key(&made.at("/key")).get(&acme.path("")).await.expect(200).ok();
        let log = acme.owner.get(&acme.path("/audit-logs?action=realm.tokens_issued")).await.expect(200);
        assert_eq!((log.at("/data/0/actor/type"), log.at("/data/0/actor/id")), ("service_account".into(), id.clone()));
        acme.owner.delete(&format!("{roles}/reader")).await.expect(204).ok();
        assert_eq!(says(&asks(acme.owner.client(), &token, "comments:read").await), refused("no_grant"));
    }

    async fn a_token_ends_with_the_key_that_it_was_traded_for(t: TestApp) {
        let acme = realm(&t, "acme").await;
        let made = acme.owner.post(&acme.path("/service-accounts"), json!({ "name": "billing" })).await.expect(201);
        let id = made.at("/id");
        let account = acme.path(&format!("/service-accounts/{id}"));
        acme.owner.post(&acme.path(&format!("/members/{id}/roles")), json!({ "role": "reader" })).await.expect(201).ok();
        let second = acme.owner.post(&format!("{account}/keys"), json!({ "expires_days": 1 })).await.expect(201);
        t.sql("UPDATE credentials SET expires_at = created_at + 600000000 WHERE kind = 'service_key' AND expires_at IS NOT NULL").await;
        let trade = async |key: String| {
            let grant = json!({ "grant_type": "client_credentials", "client_id": id, "client_secret": key });
            tokens(&t, &acme, grant).await.expect(200)
        };
        let (of_first, of_second) = (trade(made.at("/key")).await, trade(second.at("/key")).await);
        let lives: i64 = of_second.at("/expires_in").parse().expect("a number");
        assert_eq!(of_first.at("/expires_in"), "3600");
        assert!((1..=600).contains(&lives), "no longer than its key: {lives}");
        let works = async |answer: &harness::Answer| {
            says(&asks(acme.owner.client(), &answer.at("/access_token"), "comments:read").await)
        };
        assert_eq!((works(&of_first).await, works(&of_second).await), (allowed("role"), allowed("role")));
        acme.owner.delete(&format!("{account}/keys/{}", made.at("/key_id"))).await.expect(204).ok();
        assert_eq!((works(&of_first).await, works(&of_second).await), (refused("invalid_token"), allowed("role")));
    }

    async fn only_its_own_key_of_its_own_organisation_is_taken(t: TestApp) {
        let (acme, globex) = (realm(&t, "acme").await, realm(&t, "globex").await);
        let made = async |org: &harness::people::Org<'_>, body| {
            org.owner.post(&org.path("/service-accounts"), body).await.expect(201)
        };
        let one = made(&acme, json!({ "name": "one" })).await;
        let two = made(&acme, json!({ "name": "two" })).await;
        let theirs = made(&globex, json!({ "name": "one" })).await;
        let far = made(&acme, json!({ "name": "far", "ip_allow": ["192.0.2.0/24"] })).await;
        let pat = acme.owner.post("/v1/auth/tokens", json!({ "name": "x" })).await.expect(201).at("/token");
        for (id, key) in [
            (one.at("/id"), two.at("/key")),
            (two.at("/id"), one.at("/key")),
            (theirs.at("/id"), theirs.at("/key")),
            (far.at("/id"), far.at("/key")),
            (one.at("/id"), "srm_sak_x".to_owned()),
            (one.at("/id"), String::new()),
            ("one".to_owned(), one.at("/key")),
            (acme.owner.id.to_string(), pat),
        ] {
            let grant = json!({ "grant_type": "client_credentials", "client_id": id, "client_secret": key });
            tokens(&t, &acme, grant).await.problem(401, "invalid_credentials");
        }
    }
}

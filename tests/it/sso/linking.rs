//! Whose account an identity signs in to. Nobody gets at another's by an address.

use harness::people::PASSWORD;
use harness::{Client, Person, TestApp, on_both};
use serde_json::json;

use super::{INSTANCE, OIDC, Way, certified, cookie, liar, session, set_up, sign_in, tell};

const IDENTITIES: &str = "/v1/auth/sso/identities";

/// Goes to the provider to join the identity there with an account.
async fn link(t: &TestApp, person: &Person) -> (Way, String) {
    let begun = person.post(&format!("{INSTANCE}/link"), json!({})).await.expect(200);
    let way = Way {
        url: begun.at("/authorization_url"),
        half: cookie(&begun, "strongroom-sso").unwrap(),
    };
    let path = way.there(t).await;
    (way, path)
}

async fn claims(provider: &harness::node::Node, claims: serde_json::Value) {
    tell(provider, "/control", json!({ "claims": claims }))
        .await
        .expect(204)
        .ok();
}

on_both! {
    async fn an_unverified_copy_of_somebodys_address_opens_nothing(t: TestApp) {
        let provider = certified(&t);
        set_up(&t, &provider).await;
        let victim = t.proved_person("victim").await;
        Client::new(&provider.url).get("/as/mallory").await.expect(204).ok();
        let refused = sign_in(&t).await.problem(403, "email_unverified");
        assert_eq!(refused.header("set-cookie"), None);
        assert_eq!(t.number("SELECT COUNT(*) FROM sso_identities").await, 0);
        t.sql("UPDATE users SET password_hash = NULL").await;
        sign_in(&t).await.problem(403, "email_unverified");
        assert_eq!(victim.get(IDENTITIES).await.expect(200).at("/pagination/total"), "0");
    }

    async fn only_a_plain_yes_says_that_an_address_is_verified(t: TestApp) {
        let provider = liar();
        set_up(&t, &provider).await;
        for said in [json!(false), json!("true"), json!(1), json!(null), json!([true])] {
            claims(&provider, json!({ "email_verified": said })).await;
            sign_in(&t).await.problem(403, "email_unverified");
        }
        claims(&provider, json!({ "email": null })).await;
        tell(&provider, "/control", json!({ "claims": { "email": null }, "userinfo": { "email_verified": false } })).await.ok();
        sign_in(&t).await.problem(403, "email_unverified");
        assert_eq!(t.number("SELECT COUNT(*) FROM users").await, 1);
    }

    async fn an_account_with_a_password_is_joined_by_its_person_alone(t: TestApp) {
        let provider = liar();
        set_up(&t, &provider).await;
        let dana = t.proved_person("dana").await;
        let refused = sign_in(&t).await.problem(403, "forbidden");
        assert_eq!(refused.at("/reason"), "link_required");
        let (way, path) = link(&t, &dana).await;
        // Neither somebody else nor nobody finishes it.
        let eve = t.person("eve").await;
        way.back(eve.client(), &path).await.problem(403, "forbidden");
        let (way, path) = link(&t, &dana).await;
        way.back(&t.anonymous(), &path).await.problem(403, "forbidden");
        let (way, path) = link(&t, &dana).await;
        let _ = way.back(dana.client(), &path).await.expect(303);
        let own = dana.get(IDENTITIES).await.expect(200);
        assert_eq!((own.at("/data/0/provider"), own.at("/data/0/issuer")), ("instance".into(), provider.url.clone()));
        let signed_in = session(&t, &sign_in(&t).await.expect(303));
        assert_eq!(signed_in.get("/v1/auth/me").await.expect(200).at("/id"), dana.id.to_string());
        let (way, path) = link(&t, &dana).await;
        way.back(dana.client(), &path).await.problem(409, "conflict");
        let (way, path) = link(&t, &eve).await;
        way.back(eve.client(), &path).await.problem(409, "conflict");
        let identity = format!("{IDENTITIES}/{}", own.at("/data/0/id"));
        eve.delete(&identity).await.problem(404, "not_found");
        dana.delete(&identity).await.expect(204).ok();
        sign_in(&t).await.problem(403, "forbidden");
    }

    async fn an_account_without_a_password_is_joined_when_both_sides_have_verified_the_address(t: TestApp) {
        let provider = liar();
        set_up(&t, &provider).await;
        let dana = t.person("dana").await;
        t.sql("UPDATE users SET password_hash = NULL WHERE first_name = 'dana'").await;
        sign_in(&t).await.problem(403, "email_unverified");
        t.sql("UPDATE user_emails SET verified_at = created_at").await;
        let signed_in = session(&t, &sign_in(&t).await.expect(303));
        assert_eq!(signed_in.get("/v1/auth/me").await.expect(200).at("/id"), dana.id.to_string());
    }

    async fn who_somebody_is_is_the_subject_and_not_the_address(t: TestApp) {
        let provider = liar();
        set_up(&t, &provider).await;
        let first = session(&t, &sign_in(&t).await.expect(303)).get("/v1/auth/me").await.expect(200).at("/id");
        claims(&provider, json!({ "email": "renamed@example.com" })).await;
        let renamed = session(&t, &sign_in(&t).await.expect(303));
        assert_eq!(renamed.get("/v1/auth/me").await.expect(200).at("/id"), first);
        // The address was given to somebody else.
        claims(&provider, json!({ "sub": "other", "email": "other@example.com" })).await;
        let other = session(&t, &sign_in(&t).await.expect(303)).get("/v1/auth/me").await.expect(200);
        assert_ne!(other.at("/id"), first);
        let account = json!({ "email": "dana@example.com", "password": PASSWORD });
        t.anonymous().post("/v1/auth/login", account).await.problem(401, "invalid_credentials");
    }

    async fn strangers_are_let_in_only_as_it_is_set_up(t: TestApp) {
        let provider = liar();
        let root = set_up(&t, &provider).await;
        root.patch(OIDC, json!({ "create_unknown_user": false })).await.expect(200).ok();
        assert_eq!(sign_in(&t).await.problem(403, "forbidden").at("/reason"), "unknown_user");
        root.patch(OIDC, json!({ "create_unknown_user": true, "allowed_domains": ["Example.org"] })).await.expect(200).ok();
        assert_eq!(sign_in(&t).await.problem(403, "forbidden").at("/reason"), "domain_not_allowed");
        claims(&provider, json!({ "email": "dana@dev.example.org" })).await;
        sign_in(&t).await.problem(403, "forbidden");
        claims(&provider, json!({ "email": "dana@EXAMPLE.org" })).await;
        let _ = sign_in(&t).await.expect(303);
        // Whoever leaves the domain is let in no more, account or not.
        claims(&provider, json!({ "email": "dana@example.com" })).await;
        sign_in(&t).await.problem(403, "forbidden");
    }

    async fn an_account_that_is_switched_off_stays_so(t: TestApp) {
        let provider = liar();
        set_up(&t, &provider).await;
        let _ = sign_in(&t).await.expect(303);
        t.sql("UPDATE users SET disabled_at = 1 WHERE first_name = 'Dana'").await;
        sign_in(&t).await.problem(401, "invalid_credentials");
    }
}

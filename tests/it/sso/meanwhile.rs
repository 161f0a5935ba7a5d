//! What happens while somebody is at the provider: what they come back with counts only as things stand then.

use domain::access::{Caller, Origin};
use domain::auth::authenticate::{Shown, authenticate};
use domain::kernel::{ProblemCode, WriteTx};
use domain::sso::person::Person as Identity;
use domain::sso::provider::{self, Provider};
use domain::sso::{Place, identity, sign_in};
use harness::client::Credential;
use harness::{Client, TestApp, on_both};
use serde_json::json;

use super::{OIDC, liar, session, set_up, sign_in as signs_in};
use crate::oauth::browser;

/// The provider as the request found it.
async fn provider_of(t: &TestApp) -> Provider {
    provider::find(t.db(), Place::Instance).await.unwrap().unwrap()
}

async fn caller(t: &TestApp, window: &Client) -> Caller {
    let Credential::Cookie(cookie) = &window.credential else {
        panic!("a browser carries a cookie")
    };
    let macs = t.app().keys.token_mac();
    authenticate(t.db(), macs, cookie, Shown::Cookie, Origin::system())
        .await
        .unwrap()
}

fn dana_at(provider: &Provider) -> Identity {
    Identity {
        issuer: provider.issuer.clone(),
        subject: "dana".to_owned(),
        email: None,
        email_verified: false,
        first_name: String::new(),
        last_name: String::new(),
    }
}

/// How a sign-in with this identity is refused; nothing is committed.
async fn refusal(t: &TestApp, provider: &Provider) -> Option<ProblemCode> {
    let tx: WriteTx = t.db().begin_write().await.unwrap();
    let (keys, who) = (&t.app().keys, dana_at(provider));
    let signed_in = sign_in::sign_in(&tx, keys, provider, &who, &Origin::system()).await;
    tx.rollback().await.unwrap();
    signed_in.err().and_then(|error| error.code())
}

on_both! {
    async fn an_identity_is_joined_only_by_a_session_that_still_stands(t: TestApp) {
        let node = liar();
        set_up(&t, &node).await;
        let (provider, dana) = (provider_of(&t).await, t.person("dana").await);
        for ends in ["they sign out", "they end it elsewhere", "the account is off"] {
            let window = browser(&t, &dana).await;
            let found = caller(&t, &window).await;
            match ends {
                "they sign out" => { window.post("/v1/auth/logout", json!({})).await.expect(204).ok(); }
                "they end it elsewhere" => { dana.delete("/v1/auth/sessions").await.expect(204).ok(); }
                _ => t.sql("UPDATE users SET disabled_at = 1 WHERE first_name = 'dana'").await,
            }
            let tx: WriteTx = t.db().begin_write().await.unwrap();
            let joined = identity::link(&tx, &found, &provider, &dana_at(&provider), dana.id).await;
            tx.rollback().await.unwrap();
            assert_eq!(joined.err().and_then(|error| error.code()), Some(ProblemCode::Forbidden), "{ends}");
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM sso_identities").await, 0);
    }

    async fn a_sign_in_counts_as_the_provider_and_the_identity_stand_when_it_ends(t: TestApp) {
        let node = liar();
        let root = set_up(&t, &node).await;
        let dana = session(&t, &signs_in(&t).await.expect(303));
        let before = provider_of(&t).await;
        assert_eq!(refusal(&t, &before).await, None);
        root.patch(OIDC, json!({ "allowed_domains": ["example.org"] })).await.expect(200).ok();
        assert_eq!(refusal(&t, &before).await, Some(ProblemCode::Forbidden), "it was set up differently meanwhile");
        root.patch(OIDC, json!({ "allowed_domains": [] })).await.expect(200).ok();
        let now = provider_of(&t).await;
        assert_eq!(refusal(&t, &now).await, None);
        root.patch(OIDC, json!({ "enabled": false })).await.expect(200).ok();
        assert_eq!(refusal(&t, &now).await, Some(ProblemCode::Forbidden), "it was switched off meanwhile");
        dana.get("/v1/auth/me").await.expect(200).ok();
    }
}

//! What happens while somebody decides: the decision is theirs only if their session still stands when it is written down.

use domain::access::{Caller, Origin};
use domain::auth::authenticate::{Shown, authenticate};
use domain::kernel::{ProblemCode, WriteTx};
use domain::oauth::authorize::{self, Asked, Request};
use domain::oauth::device::{self, Waiting};
use harness::client::Credential;
use harness::{Client, Person, TestApp, on_both};
use serde_json::json;

use super::{CHALLENGE, Partner, browser, partner};

/// Who decides, as the request found them.
async fn caller(t: &TestApp, window: &Client) -> Caller {
    let Credential::Cookie(cookie) = &window.credential else {
        panic!("a browser carries a cookie")
    };
    let macs = t.app().keys.token_mac();
    authenticate(t.db(), macs, cookie, Shown::Cookie, Origin::system())
        .await
        .unwrap()
}

async fn asked(t: &TestApp, portal: &Partner) -> Request {
    let asked = Asked {
        client_id: Some(portal.id.clone()),
        redirect_uri: Some(portal.redirect.clone()),
        response_type: Some("code".to_owned()),
        scope: Some("openid".to_owned()),
        code_challenge: Some(CHALLENGE.to_owned()),
        code_challenge_method: Some("S256".to_owned()),
        ..Asked::default()
    };
    authorize::check(t.db(), t.app().issuer(), asked).await.unwrap()
}

async fn waiting(t: &TestApp) -> Waiting {
    let begun = t.anonymous().post("/v1/auth/device", json!({})).await.expect(200);
    let macs = t.app().keys.token_mac();
    device::waiting(t.db(), macs, &begun.at("/user_code")).await.unwrap()
}

/// How both ways of agreeing are refused; nothing is committed.
async fn refusals(t: &TestApp, caller: &Caller, request: &Request, device: &Waiting) -> [Option<ProblemCode>; 2] {
    let macs = t.app().keys.token_mac();
    let tx: WriteTx = t.db().begin_write().await.unwrap();
    let code = authorize::approve(&tx, macs, caller, request, None).await;
    tx.rollback().await.unwrap();
    let tx: WriteTx = t.db().begin_write().await.unwrap();
    let approved = device::approve(&tx, caller, device, None).await;
    tx.rollback().await.unwrap();
    [
        code.err().and_then(|error| error.code()),
        approved.err().and_then(|error| error.code()),
    ]
}

/// Something that ends a session, or what it was worth.
async fn happens(t: &TestApp, what: &str, dana: &Person, window: &Client) {
    match what {
        "they sign out" => {
            window.post("/v1/auth/logout", json!({})).await.expect(204).ok();
        }
        "they end it elsewhere" => {
            dana.delete("/v1/auth/sessions").await.expect(204).ok();
        }
        "a second factor is on" => {
            dana.post("/v1/auth/2fa/setup", json!({})).await.expect(200).ok();
            t.sql("UPDATE second_factors SET confirmed_at = created_at").await;
        }
        _ => {
            t.sql("UPDATE users SET disabled_at = 1 WHERE first_name = 'dana'")
                .await;
        }
    }
}

on_both! {
    async fn a_decision_of_a_session_that_has_ended_meanwhile_counts_for_nothing(t: TestApp) {
        let erin = t.person("erin").await;
        let dana = t.person("dana").await;
        let portal = partner(&erin, json!({})).await;
        let (request, device) = (asked(&t, &portal).await, waiting(&t).await);
        for what in ["they sign out", "they end it elsewhere", "a second factor is on", "the account is off"] {
            let window = browser(&t, &dana).await;
            let found = caller(&t, &window).await;
            assert_eq!(refusals(&t, &found, &request, &device).await, [None, None], "before {what}");
            happens(&t, what, &dana, &window).await;
            let over = Some(ProblemCode::Unauthenticated);
            assert_eq!(refusals(&t, &found, &request, &device).await, [over, over], "{what}");
            t.sql("DELETE FROM second_factors").await;
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM oauth_grants").await, 0);
    }
}

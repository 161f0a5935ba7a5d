//! People come from an identity provider: `oidc-provider` of npm, on a site of its own.

use harness::app::Options;
use harness::{TestApp, on_each_backend};
use serde_json::json;

use super::portal;
use super::window::Window;
use crate::sso::{OIDC, certified_with_forms, set_up};

on_each_backend! {
    async fn somebody_signs_in_at_the_provider_on_the_way_to_an_application(backend: Backend) {
        // Where `localhost` is.
        let t = TestApp::start(Options::new(backend).with("STRONGROOM_EGRESS_ALLOW", "127.0.0.0/8,::1/128")).await;
        let provider = certified_with_forms(&t);
        let root = set_up(&t, &provider).await;
        root.patch(OIDC, json!({ "name": "Acme" })).await.expect(200).ok();
        let window = Window::open(&t);
        let portal = portal(&root, &window).await;
        window.goes(&format!("{}{}", t.url, portal.asks(&[]))).await;
        window.looks_right("single-sign-on").await;
        window.follows("Sign in with Acme").await;
        window.fills("Enter any login", "dana").await;
        window.fills("and password", "of no account here").await;
        window.presses("Sign-in").await;
        window.presses("Continue").await;
        window.arrives("Sign in to Pipeline Portal?").await;
        window.sees("dana@example.com").await;
        window.looks_right("consent-to-sign-in").await;
        window.presses("Allow").await;
        let back = window.comes_back().await;
        portal.trades(&t, &back["code"]).await.expect(200).ok();
        let dana = t.anonymous().cookie(&window.cookie("strongroom").await);
        let me = dana.get("/v1/auth/me").await.expect(200);
        assert_eq!(["/email", "/first_name", "/sso_enabled"].map(|at| me.at(at)), ["dana@example.com", "Dana", "true"]);
        window.closes().await;
    }
}

//! Applications of others ask for consent.

use harness::on_both;
use harness::people::PASSWORD;
use serde_json::json;

use super::portal;
use super::window::Window;

const SCOPE: &str = "openid email offline_access secrets:read@dev";

on_both! {
    async fn somebody_signs_in_and_agrees_by_keyboard_and_the_application_gets_its_tokens(t: TestApp) {
        let dana = t.person("dana").await;
        let acme = dana.post("/v1/orgs", json!({ "name": "Acme Robotics", "slug": "acme" })).await.expect(201);
        let window = Window::open(&t);
        let portal = portal(&dana, &window).await;
        window.goes(&format!("{}{}", t.url, portal.asks(&[("scope", SCOPE)]))).await;
        window.looks_right("sign-in").await;
        window.signs_in(&dana.email, "wrong horse battery staple").await;
        window.sees("password is wrong").await;
        window.looks_right("sign-in-wrong").await;
        window.signs_in(&dana.email, PASSWORD).await;
        window.arrives("Pipeline Portal asks for access").await;
        assert_eq!(window.title().await, "Pipeline Portal asks for access · Strongroom");
        for said in ["dana@example.com", "read secrets, in development environments only", "stay connected when you are away",
            "an application on this device, 127.0.0.1"] {
            window.sees(said).await;
        }
        window.looks_right("consent").await;
        window.chooses("In this organisation", "Acme Robotics (acme)").await;
        let order = window.reaches_and_enters("Allow").await;
        assert_eq!(order, ["Use another account", "Pipeline Portal", "In this organisation", "Allow"]);
        let back = window.comes_back().await;
        assert_eq!((back["state"].as_str(), back["iss"].as_str()), ("st4te", t.url.as_str()));
        let tokens = portal.trades(&t, &back["code"]).await.expect(200);
        assert_eq!(tokens.at("/org_id"), acme.at("/id"));
        assert!(!tokens.at("/refresh_token").is_empty(), "{}", tokens.text());
        window.closes().await;
    }

    async fn without_scripts_it_is_the_same_and_who_cancels_gives_nothing(t: TestApp) {
        let dana = t.person("dana").await;
        let window = Window::open_without_scripts(&t);
        let portal = portal(&dana, &window).await;
        let asked = format!("{}{}", t.url, portal.asks(&[("scope", SCOPE)]));
        window.goes(&asked).await;
        window.signs_in(&dana.email, PASSWORD).await;
        window.arrives("Pipeline Portal asks for access").await;
        window.looks_right("consent-without-scripts").await;
        let order = window.reaches_and_enters("Cancel").await;
        assert_eq!(order, ["Use another account", "Pipeline Portal", "In this organisation", "Allow", "Cancel"]);
        let back = window.comes_back().await;
        assert_eq!((back["error"].as_str(), back["state"].as_str()), ("access_denied", "st4te"));
        assert_eq!(t.number("SELECT COUNT(*) FROM oauth_grants").await, 0);
        window.goes(&asked).await;
        window.presses("Allow").await;
        let back = window.comes_back().await;
        portal.trades(&t, &back["code"]).await.expect(200).ok();
        window.closes().await;
    }
}

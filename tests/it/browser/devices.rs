//! Devices without a browser are let in, in the browser of whoever holds them.

use harness::people::PASSWORD;
use harness::{Answer, Authenticator, TestApp, on_both};
use serde_json::json;

use super::window::Window;
use crate::oauth::{DEVICE_GRANT, error, post};

const CLI: &str = "strongroom-cli";
const LABEL: &str = "The code that your device shows";

async fn begin(t: &TestApp) -> Answer {
    let body = json!({ "device_name": "dana's laptop" });
    t.anonymous().post("/v1/auth/device", body).await.expect(200)
}

async fn look(t: &TestApp, begun: &Answer) -> Answer {
    let device_code = begun.at("/device_code");
    let pairs = [
        ("grant_type", DEVICE_GRANT),
        ("device_code", device_code.as_str()),
        ("client_id", CLI),
    ];
    post(&t.anonymous(), "/oauth/token", &pairs).await
}

/// Types a code, where it is asked for.
async fn types(window: &Window, code: &str) {
    window.fills(LABEL, code).await;
    window.presses("Go on").await;
}

on_both! {
    async fn a_device_gets_in_by_the_code_that_it_shows(t: TestApp) {
        let dana = t.person("dana").await;
        let (generator, _) = Authenticator::enable(dana.client(), &t.clock).await;
        let begun = begin(&t).await;
        let window = Window::open(&t);
        window.goes(&begun.at("/verification_uri")).await;
        window.signs_in(&dana.email, PASSWORD).await;
        window.sees("Code of your authenticator app").await;
        window.looks_right("second-factor").await;
        window.fills("Code of your authenticator app, or a recovery code", &generator.next_code()).await;
        window.presses("Go on").await;
        window.arrives("Connect a device").await;
        window.looks_right("device").await;
        types(&window, "BCDF-GHJK").await;
        window.sees("No device waits with this code").await;
        window.looks_right("device-wrong").await;
        types(&window, &begun.at("/user_code").to_lowercase()).await;
        window.arrives("Connect this device?").await;
        for said in ["dana's laptop", "Strongroom CLI", "do everything that you can do"] {
            window.sees(said).await;
        }
        window.looks_right("device-approval").await;
        window.chooses("In this organisation", "All of your organisations").await;
        let order = window.reaches_and_enters("Allow").await;
        assert_eq!(order, ["Use another account", "In this organisation", "Allow"]);
        window.arrives("Device connected").await;
        window.looks_right("device-connected").await;
        let tokens = look(&t, &begun).await.expect(200);
        let device = t.anonymous().bearer(&tokens.at("/access_token"));
        assert_eq!(device.get("/v1/auth/me").await.expect(200).at("/id"), dana.id.to_string());
        let other = begin(&t).await;
        window.goes(&format!("{}/device?user_code={}", t.url, other.at("/user_code"))).await;
        window.presses("Cancel").await;
        window.arrives("Device refused").await;
        error(&look(&t, &other).await, 400, "access_denied");
        window.closes().await;
    }
}

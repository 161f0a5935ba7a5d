//! The systems that Strongroom stands in for, each walked as its own reference has it: what their users do all day.

mod coldrune;
mod hitkey;

use harness::mailbox::{REGISTER, expect_code};
use harness::people::PASSWORD;
use harness::{Client, TestApp};
use serde_json::json;

/// Registers as these systems do: start, code, password. Returns the person, signed in, and their id.
async fn register(t: &TestApp, email: &str) -> (Client, String) {
    let anyone = t.anonymous();
    let begun = anyone.post("/v1/auth/register", json!({ "email": email })).await;
    let challenge = begun.expect(202).at("/challenge_token");
    let code = expect_code(t, email, REGISTER, 1).await;
    let proof = json!({ "challenge_token": challenge, "code": code });
    let proved = anyone.post("/v1/auth/register/verify", proof).await.expect(200);
    let token = proved.at("/registration_token");
    let completion = json!({ "registration_token": token, "password": PASSWORD, "transport": "bearer" });
    let made = anyone.post("/v1/auth/register/complete", completion).await.expect(201);
    (anyone.bearer(&made.at("/access_token")), made.at("/user/id"))
}

//! The systems that Strongroom stands in for, each walked as its own reference has it, with the names and values of its
//! own examples: what their users do all day, section by section, and who may not.
//!
//! Paths and answers are ours. Where the five contradict each other one way was chosen for all: what is there already is
//! answered with 409, a wrong field with 422 and its name, what somebody may not know of with 404. What a reference has
//! and is not here yet stands in the first lines of its file.

mod coldrune;
mod heartlock;
mod heimdall;
mod hitkey;
mod secr;

use std::time::Duration;

use domain::kernel::Timestamp;
use harness::mailbox::{REGISTER, expect_code};
use harness::people::PASSWORD;
use harness::{Answer, Client, TestApp};
use serde_json::{Value, json};

const ME: &str = "/v1/auth/me";
const LOGIN: &str = "/v1/auth/login";
const LOGOUT: &str = "/v1/auth/logout";
const TOKENS: &str = "/v1/auth/tokens";
const REGISTRATION: &str = "/v1/auth/register";

/// Another good password.
const NEW_PASSWORD: &str = "another horse, another battery";

/// Registers as these systems do: start, code, password. Returns the person, signed in, and their id.
async fn register(t: &TestApp, email: &str) -> (Client, String) {
    let anyone = t.anonymous();
    let begun = anyone.post(REGISTRATION, json!({ "email": email })).await;
    let challenge = begun.expect(202).at("/challenge_token");
    let code = expect_code(t, email, REGISTER, 1).await;
    let proof = json!({ "challenge_token": challenge, "code": code });
    let proved = anyone.post("/v1/auth/register/verify", proof).await.expect(200);
    let token = proved.at("/registration_token");
    let completion = json!({ "registration_token": token, "password": PASSWORD, "transport": "bearer" });
    let made = anyone.post("/v1/auth/register/complete", completion).await.expect(201);
    (anyone.bearer(&made.at("/access_token")), made.at("/user/id"))
}

/// Signs in with a password, as a program does.
async fn login(t: &TestApp, name: &str, password: &str) -> Answer {
    let body = json!({ "email": name, "password": password, "transport": "bearer" });
    t.anonymous().post(LOGIN, body).await
}

/// The token of the cookie that an answer sets; empty when it sets none.
fn cookie_in(answer: &Answer) -> String {
    let cookie = answer.header("set-cookie").unwrap_or_default();
    let token = cookie
        .strip_prefix("strongroom=")
        .and_then(|rest| rest.split(';').next());
    token.unwrap_or_default().to_owned()
}

/// Gives somebody with an account a role in an organisation or a project: `/v1/orgs/acme`.
async fn add(by: &Client, place: &str, email: &str, role: &str) -> Answer {
    let body = json!({ "email": email, "role": role });
    by.post(&format!("{place}/members"), body).await
}

/// Texts of an answer, by JSON pointer; empty for what is absent.
fn texts<const N: usize>(answer: &Answer, pointers: [&str; N]) -> [String; N] {
    pointers.map(|pointer| answer.at(pointer))
}

/// One field of each entry of a list; empty where it is absent.
fn column(list: &Answer, field: &str) -> Vec<String> {
    let text = |entry: &Value| match &entry[field] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let list = list.json();
    list["data"].as_array().into_iter().flatten().map(text).collect()
}

/// Asserts a 422 that names this field.
fn refused_field(answer: Answer, field: &str) {
    let answer = answer.problem(422, "invalid_field");
    assert_eq!(answer.at("/errors/0/field"), field, "{}", answer.text());
}

/// How long it is from one instant of an answer to another.
fn between(earlier: &str, later: &str) -> Duration {
    let instant = |text: &str| Timestamp::parse(text).expect("an instant");
    instant(later).since(instant(earlier))
}

/// A code that is not the one.
fn other_than(code: &str) -> &'static str {
    if code == "000000" { "000001" } else { "000000" }
}

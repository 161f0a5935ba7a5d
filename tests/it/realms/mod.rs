//! Realms: an organisation's application has users, roles and machines of its own, and tokens that say who they are.

mod attacks;
mod authorize;
mod ending;
mod invitations;
mod isolation;
mod machines;
mod refresh;
mod sign_in;
mod users;

use harness::people::{Org, PASSWORD};
use harness::{Answer, Client, TestApp};
use serde_json::{Value, json};

/// An organisation whose realm is on, with two roles of its application.
pub async fn realm<'a>(t: &'a TestApp, slug: &str) -> Org<'a> {
    let org = t.org(slug).await;
    let on = json!({ "realm_enabled": true });
    let changed = org.owner.patch(&org.path(""), on).await.expect(200);
    assert_eq!(changed.at("/realm_enabled"), "true");
    role(&org, "editor", &["comments:*", "projects:read"]).await;
    role(&org, "reader", &["comments:read"]).await;
    org
}

/// A role of the application.
pub async fn role(org: &Org<'_>, name: &str, permissions: &[&str]) {
    let role = json!({ "name": name, "level": "org", "audience": "app", "permissions": permissions });
    org.owner.post(&org.path("/roles"), role).await.expect(201).ok();
}

/// A user of the realm with a role; answers its id.
pub async fn user(org: &Org<'_>, email: &str, role: &str) -> String {
    let body = json!({ "email": email, "password": PASSWORD, "role": role });
    org.owner.post(&org.path("/users"), body).await.expect(201).at("/id")
}

/// Asks for tokens.
pub async fn tokens(t: &TestApp, org: &Org<'_>, grant: Value) -> Answer {
    t.anonymous().post(&org.path("/tokens"), grant).await
}

/// Signs in with a password.
pub async fn signs_in(t: &TestApp, org: &Org<'_>, email: &str, password: &str) -> Answer {
    let grant = json!({ "grant_type": "password", "email": email, "password": password });
    tokens(t, org, grant).await
}

/// Trades a refresh token.
pub async fn renews(t: &TestApp, org: &Org<'_>, token: &str) -> Answer {
    tokens(t, org, json!({ "grant_type": "refresh_token", "refresh_token": token })).await
}

/// Asks whether a token is good for something in the application.
pub async fn asks(by: &Client, token: &str, permission: &str) -> Answer {
    let asked = json!({ "token": token, "permission": permission });
    by.post("/v1/authorize", asked).await.expect(200)
}

/// What an answer says: whether, and why.
pub fn says(answer: &Answer) -> (String, String) {
    (answer.at("/allowed"), answer.at("/reason"))
}

/// That.
pub fn allowed(reason: &str) -> (String, String) {
    ("true".to_owned(), reason.to_owned())
}

/// Or that.
pub fn refused(reason: &str) -> (String, String) {
    ("false".to_owned(), reason.to_owned())
}

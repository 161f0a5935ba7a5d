//! Members, invitations, joining, leaving and handing over.

mod accepting;
mod changes;
mod escalation;
mod inviting;
mod joining;
mod lists;
mod newcomers;
mod ownership;
mod roles;

use harness::people::Org;
use harness::{Answer, Client, Person, TestApp};
use serde_json::{Value, json};

/// Names of the roles of a member.
fn roles(member: &Value) -> Vec<&str> {
    let roles = member["roles"].as_array().into_iter().flatten();
    roles.filter_map(|role| role["name"].as_str()).collect()
}

/// Makes a role of an organisation's own; answers its id.
async fn own_role(org: &Org<'_>, audience: &str, name: &str, permissions: &[&str]) -> String {
    let body = json!({ "name": name, "level": "org", "audience": audience, "permissions": permissions });
    org.owner.post(&org.path("/roles"), body).await.expect(201).at("/id")
}

/// Asserts a 422 that names this field.
fn refused_field(answer: Answer, field: &str) {
    let answer = answer.problem(422, "invalid_field");
    assert_eq!(answer.at("/errors/0/field"), field, "{}", answer.text());
}

/// Invites to a place: `/v1/orgs/acme`, or a project in it.
async fn invite(by: &Client, place: &str, body: Value) -> Answer {
    by.post(&format!("{place}/invites"), body).await
}

/// Accepts as somebody who is signed in.
async fn accept(by: &Client, token: &str) -> Answer {
    by.post(&format!("/v1/invites/{token}/accept"), json!({})).await
}

/// Looks at an invitation.
async fn look(t: &TestApp, token: &str) -> Answer {
    t.anonymous().get(&format!("/v1/invites/{token}")).await
}

/// A new person whose address is verified.
async fn verified(t: &TestApp, name: &str) -> Person {
    let person = t.person(name).await;
    let email = &person.email;
    t.sql(&format!(
        "UPDATE user_emails SET verified_at = created_at WHERE canonical = '{email}'"
    ))
    .await;
    person
}

/// How often an invitation was used, of all that there are.
async fn uses(t: &TestApp) -> i64 {
    t.number("SELECT CAST(SUM(uses) AS BIGINT) FROM invites").await
}

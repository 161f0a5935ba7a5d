//! Members, invitations, joining, leaving and handing over.

mod changes;
mod escalation;
mod joining;
mod lists;
mod ownership;
mod roles;

use harness::Answer;
use harness::people::Org;
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

//! Roles of an organisation's own, access rules, and the reasons of decisions.

mod asking;
mod explaining;
mod role_use;
mod roles;
mod rule_rights;
mod rules;
mod who_can;

use domain::access::Principal;
use domain::kernel::id::{ProjectId, RoleId};
use domain::members::membership::{self, NewMembership, Scope};
use harness::{Answer, Client, Org, Person, TestApp};
use serde_json::{Value, json};

/// Makes a role of the whole organisation; answers its id.
async fn role(acme: &Org<'_>, name: &str, permissions: &[&str]) -> RoleId {
    let body = json!({ "name": name, "level": "org", "permissions": permissions });
    let made = acme.owner.post(&acme.path("/roles"), body).await.expect(201);
    made.at("/id").parse().expect("an id")
}

/// Gives somebody a role of the organisation's own.
async fn give(t: &TestApp, acme: &Org<'_>, to: &Person, project: Option<ProjectId>, role: RoleId) {
    let tx = t.db().begin_write().await.expect("open a transaction");
    let new = NewMembership {
        scope: Scope { org: acme.id, project },
        subject: Principal::User(to.id),
        role,
        env_classes: None,
        expires_at: None,
        granted_by: None,
    };
    membership::insert(&tx, new).await.expect("a membership");
    tx.commit_bookkeeping().await.expect("commit");
}

/// Somebody with one role of the organisation's own.
async fn holder(t: &TestApp, acme: &Org<'_>, name: &str, permissions: &[&str]) -> Person {
    let person = t.person(name).await;
    let role = role(acme, name, permissions).await;
    give(t, acme, &person, None, role).await;
    person
}

/// The body of a rule about a person.
fn about(person: &Person, effect: &str, pattern: &str, permissions: &[&str]) -> Value {
    let subject = json!({ "type": "user", "id": person.id.to_string() });
    json!({ "subject": subject, "effect": effect, "pattern": pattern, "permissions": permissions })
}

/// Has somebody make a rule.
async fn put(by: &Person, acme: &Org<'_>, rule: Value) -> Answer {
    by.post(&acme.path("/acl"), rule).await
}

/// The one field that a refusal names.
fn field(answer: Answer) -> String {
    answer.problem(422, "invalid_field").at("/errors/0/field")
}

/// Asks a question about somebody.
async fn explain(by: &Client, subject: Value, question: &Value) -> Answer {
    let mut body = question.clone();
    if !subject.is_null() {
        body["subject"] = subject;
    }
    by.post("/v1/orgs/acme/access/explain", body).await
}

fn person(person: &Person) -> Value {
    json!({ "type": "user", "id": person.id.to_string() })
}

/// Whether somebody may read a secret of production.
fn reading(key: &str) -> Value {
    json!({ "permission": "secrets:read", "project": "web", "environment": "production", "key": key })
}

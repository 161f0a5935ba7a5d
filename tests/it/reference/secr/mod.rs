//! Secr: accounts, tokens, projects, secrets in bulk and in pages, promotion, key rotation, templates, webhooks, members,
//! the audit log, billing, and its table of roles.
//!
//! Its paths name a project in three ways; here there is one. It sets a secret by a key in the body; here the key stands
//! in the path. Its pages tell besides whether more follow.
//!
//! Not walked yet: handing a token from the dashboard to a CLI.

mod admin;
mod billing;
mod people;
mod plans;
mod secrets;

use harness::{Client, TestApp};
use serde_json::{Value, json};

use super::{add, register};

const ORG: &str = "/v1/orgs/my-org";
const PROJECTS: &str = "/v1/orgs/my-org/projects";
const PROJ: &str = "/v1/orgs/my-org/projects/my-proj";
const ENVS: &str = "/v1/orgs/my-org/projects/my-proj/environments";
const DEV: &str = "/v1/orgs/my-org/projects/my-proj/environments/development";
const SECRETS: &str = "/v1/orgs/my-org/projects/my-proj/environments/development/secrets";
const TEMPLATE: &str = "/v1/orgs/my-org/projects/my-proj/template";
const PROMOTE: &str = "/v1/orgs/my-org/projects/my-proj/promote";
const LOG: &str = "/v1/orgs/my-org/audit-logs";

/// The organisation and project of its examples. Returns the owner.
async fn my_proj(t: &TestApp) -> Client {
    let (owner, _) = register(t, "owner@example.com").await;
    let org = json!({ "name": "My org", "slug": "my-org" });
    owner.post("/v1/orgs", org).await.expect(201).ok();
    let project = json!({ "name": "My project", "slug": "my-proj" });
    owner.post(PROJECTS, project).await.expect(201).ok();
    owner
}

/// `viewer@example.com`, or whatever the role is.
async fn colleague(t: &TestApp, owner: &Client, role: &str) -> Client {
    let email = format!("{role}@example.com");
    let (person, _) = register(t, &email).await;
    add(owner, ORG, &email, role).await.expect(201).ok();
    person
}

/// Imports secrets into development.
async fn import(by: &Client, secrets: &Value) {
    let body = json!({ "secrets": secrets });
    by.post(&format!("{DEV}/bulk"), body).await.expect(200).ok();
}

//! Templates over HTTP.

mod gate;
mod keys;
mod promoting;
mod validating;

use harness::{Answer, Person, Project};
use serde_json::{Value, json};

fn template(project: &Project) -> String {
    format!("{}/template", project.path)
}

/// Adds keys to the template.
async fn add(owner: &Person, project: &Project, keys: impl IntoIterator<Item = Value>) {
    for key in keys {
        owner.post(&template(project), key).await.expect(201).ok();
    }
}

/// Protects production, and holds what is protected to the template.
async fn turn_on(owner: &Person, project: &Project) {
    let gate = json!({ "template_gate": "protected" });
    owner.patch(&project.path, gate).await.expect(200).ok();
    let protected = json!({ "protected": true });
    owner
        .patch(&project.env("production").0, protected)
        .await
        .expect(200)
        .ok();
}

/// Key and reason of everything that the template does not allow.
fn faults(refused: Answer) -> Vec<String> {
    let refused = refused.problem(422, "template_violation").json();
    let errors = refused["errors"].as_array().cloned().unwrap_or_default();
    let line = |error: &Value| format!("{} {}", error["field"], error["reason"]).replace('"', "");
    errors.iter().map(line).collect()
}

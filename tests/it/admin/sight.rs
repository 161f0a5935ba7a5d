//! A superuser sees what there is, and never what is in it.

use harness::on_both;
use serde_json::json;

use super::root;

const VALUE: &str = "canary-value-of-a-secret";

on_both! {
    async fn no_secret_of_others_is_opened_listed_exported_or_written(t: TestApp) {
        let root = root(&t).await;
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let env = web.env("development");
        acme.owner.put(&env.secret("A"), json!({ "value": VALUE, "comment": VALUE })).await.expect(201).ok();
        let more = ["revisions", "export", "watch"].map(|rest| format!("{}/{rest}", env.0));
        let paths = [env.secrets(), env.keys(), env.secret("A"), format!("{}/versions", env.secret("A")), web.path.clone(), acme.path("")];
        for path in paths.iter().chain(&more) {
            root.get(path).await.problem(404, "not_found");
        }
        root.put(&env.secret("A"), json!({ "value": "mine" })).await.problem(404, "not_found");
        root.post(&format!("{}/rotate-key", web.path), json!({})).await.problem(404, "not_found");
        let shown = ["stats", "config", "users", "projects", "invites", "jobs"].map(|list| format!("/v1/admin/{list}"));
        let of_web = ["", "/members", "/invites"].map(|rest| format!("/v1/admin/projects/{}{rest}", web.id));
        for path in shown.iter().chain(&of_web) {
            let answer = root.get(path).await.expect(200);
            assert!(!answer.text().contains(VALUE), "{path}: {}", answer.text());
        }
    }
}

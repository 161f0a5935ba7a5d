//! Promotion into protected environments: what comes must keep to the template, and the whole must be whole.

use harness::{Answer, on_both};
use serde_json::{Value, json};

use super::{add, faults, turn_on};

/// Action and reason of each key.
fn changes(answer: &Answer) -> Vec<String> {
    let all = answer.json()["changes"].as_array().cloned().unwrap_or_default();
    let line = |entry: &Value| {
        let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        format!("{} {} {}", text("key"), text("action"), text("reason"))
            .trim_end()
            .to_owned()
    };
    all.iter().map(line).collect()
}

on_both! {
    async fn a_plan_shows_what_the_template_blocks_and_nothing_of_it_is_applied(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("web").await;
        let (owner, promote) = (&acme.owner, format!("{}/promote", project.path));
        let (staging, production) = (project.env("staging"), project.env("production"));
        add(owner, &project, [
            json!({ "key": "DB_URL" }), json!({ "key": "PORT", "pattern": "^[0-9]+$" }), json!({ "key": "SMTP" }),
            json!({ "key": "DEBUG", "environments": ["@dev"] }),
        ]).await;
        let bad = json!({ "secrets": { "DB_URL": "", "FREE": "f", "PORT": "canary" } });
        owner.post(&format!("{}/bulk", staging.0), bad).await.expect(200).ok();
        let plan = json!({ "from": "staging", "to": "production", "dry_run": true });
        assert_eq!(changes(&owner.post(&promote, plan.clone()).await.expect(200)), ["DB_URL added", "FREE added", "PORT added"]);
        turn_on(owner, &project).await;
        let shown = owner.post(&promote, plan.clone()).await.expect(200);
        assert!(!shown.text().contains("canary"), "{}", shown.text());
        assert_eq!(changes(&shown), [
            "DB_URL blocked template: empty", "FREE added", "PORT blocked template: pattern", "SMTP blocked template: missing",
        ]);
        let apply = json!({ "from": "staging", "to": "production", "digest": shown.at("/digest") });
        assert_eq!(faults(owner.post(&promote, apply).await), ["DB_URL empty", "PORT pattern", "SMTP missing"]);
        let one = json!({ "from": "staging", "to": "production", "keys": ["FREE"] });
        assert_eq!(faults(owner.post(&promote, one).await), ["DB_URL missing", "PORT missing", "SMTP missing"], "the whole is looked at");
        assert_eq!(owner.get(&production.0).await.at("/revision"), "0");
        let good = json!({ "secrets": { "DB_URL": "d", "PORT": "80", "SMTP": "s" } });
        owner.post(&format!("{}/bulk", staging.0), good).await.expect(200).ok();
        let shown = owner.post(&promote, plan).await.expect(200);
        let apply = json!({ "from": "staging", "to": "production", "digest": shown.at("/digest") });
        let done = owner.post(&promote, apply).await.expect(200);
        assert_eq!((changes(&done).len(), done.at("/applied")), (4, "true".into()));
        assert_eq!(owner.get(&production.secret("PORT")).await.at("/value"), "80");
    }

    async fn a_plan_is_another_when_the_template_says_otherwise(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("web").await;
        let (owner, promote) = (&acme.owner, format!("{}/promote", project.path));
        owner.put(&project.env("staging").secret("A"), json!({ "value": "a" })).await.ok();
        turn_on(owner, &project).await;
        let plan = owner.post(&promote, json!({ "from": "staging", "to": "production", "dry_run": true })).await.expect(200);
        add(owner, &project, [json!({ "key": "B" })]).await;
        let apply = json!({ "from": "staging", "to": "production", "digest": plan.at("/digest") });
        owner.post(&promote, apply).await.problem(412, "version_mismatch");
        assert_eq!(faults(owner.post(&promote, json!({ "from": "staging", "to": "production" })).await), ["B missing"]);
    }

    async fn what_the_target_has_counts_and_what_it_would_lose_does_not(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("web").await;
        let (owner, promote) = (&acme.owner, format!("{}/promote", project.path));
        let (staging, production) = (project.env("staging"), project.env("production"));
        let there = json!({ "secrets": { "KEPT": "k", "SAME": "", "HOLLOW": "" } });
        owner.post(&format!("{}/bulk", production.0), there).await.expect(200).ok();
        owner.post(&format!("{}/bulk", staging.0), json!({ "secrets": { "NEW": "n", "SAME": "" } })).await.expect(200).ok();
        add(owner, &project, [json!({ "key": "KEPT" }), json!({ "key": "SAME", "required": false })]).await;
        turn_on(owner, &project).await;
        let plan = |mode: &str| json!({ "from": "staging", "to": "production", "mode": mode, "dry_run": true });
        assert_eq!(changes(&owner.post(&promote, plan("merge")).await.expect(200)), ["NEW added", "SAME same"]);
        assert_eq!(changes(&owner.post(&promote, plan("replace")).await.expect(200)), [
            "HOLLOW removed", "KEPT blocked template: missing", "NEW added", "SAME same",
        ]);
        add(owner, &project, [json!({ "key": "HOLLOW" })]).await;
        owner.put(&format!("{}/template/SAME", project.path), json!({})).await.expect(200).ok();
        assert_eq!(changes(&owner.post(&promote, plan("merge")).await.expect(200)), [
            "HOLLOW blocked template: empty", "NEW added", "SAME blocked template: empty",
        ]);
    }

    async fn what_is_not_the_callers_is_said_before_what_the_template_says(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("web").await;
        let promote = format!("{}/promote", project.path);
        let all = json!({ "secrets": { "CI_A": "a", "DB": "b" } });
        acme.owner.post(&format!("{}/bulk", project.env("staging").0), all).await.expect(200).ok();
        add(&acme.owner, &project, [json!({ "key": "CI_A", "enum": ["x"] })]).await;
        turn_on(&acme.owner, &project).await;
        let ci = acme.owner.token(json!({ "name": "ci", "org": "acme", "patterns": ["web/staging", "web/production/CI_*"] })).await;
        let plan = json!({ "from": "staging", "to": "production", "dry_run": true });
        assert_eq!(changes(&ci.post(&promote, plan).await.expect(200)), ["CI_A blocked template: enum", "DB blocked no_write_on_target"]);
        let refused = ci.post(&promote, json!({ "from": "staging", "to": "production" })).await.problem(403, "forbidden");
        assert_eq!(refused.json()["keys"], json!(["DB"]));
        assert_eq!(faults(ci.post(&promote, json!({ "from": "staging", "to": "production", "keys": ["CI_A"] })).await), ["CI_A enum"]);
    }
}

//! From one environment to another, without surprise.

use futures_util::future::join_all;
use harness::{Answer, on_both};
use serde_json::{Value, json};

/// Action and reason of each key.
fn changes(answer: &Answer) -> Vec<String> {
    let all = answer.json()["changes"].as_array().cloned().unwrap_or_default();
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    all.iter()
        .map(|entry| {
            format!(
                "{} {} {}",
                text(entry, "key"),
                text(entry, "action"),
                text(entry, "reason")
            )
            .trim_end()
            .to_owned()
        })
        .collect()
}

on_both! {
    async fn a_plan_is_carried_out_as_it_was_seen(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("web").await;
        let (staging, production, promote) = (project.env("staging"), project.env("production"), format!("{}/promote", project.path));
        let from = json!({ "secrets": { "NEW": "n", "OTHER": { "value": "o2", "comment": "from staging" }, "SAME": "s" } });
        acme.owner.post(&format!("{}/bulk", staging.0), from).await.expect(200).ok();
        let to = json!({ "secrets": { "OTHER": "o1", "SAME": "s", "ONLY": "there" } });
        acme.owner.post(&format!("{}/bulk", production.0), to).await.expect(200).ok();
        let plan = acme.owner.post(&promote, json!({ "from": "staging", "to": "production", "dry_run": true })).await.expect(200);
        assert_eq!(changes(&plan), ["NEW added", "OTHER changed", "SAME same"]);
        assert_eq!((plan.at("/applied"), plan.at("/source_revision"), plan.at("/target_revision")), ("false".into(), "1".into(), "1".into()));
        assert_eq!(t.number("SELECT MAX(revision) FROM environments").await, 1, "a plan changes nothing");
        let body = json!({ "from": "staging", "to": "production", "digest": plan.at("/digest") });
        let done = acme.owner.post(&promote, body.clone()).await.expect(200);
        assert_eq!((done.at("/applied"), done.at("/target_revision")), ("true".into(), "2".into()));
        let other = acme.owner.get(&production.secret("OTHER")).await;
        assert_eq!((other.at("/value"), other.at("/comment"), other.at("/version")), ("o2".into(), "from staging".into(), "2".into()));
        assert_eq!(acme.owner.get(&production.secret("ONLY")).await.at("/value"), "there");
        acme.owner.post(&promote, body).await.problem(412, "version_mismatch");
        let event = acme.owner.get(&acme.path("/audit-logs?limit=1&action=secret.promoted")).await;
        let facts = (event.at("/data/0/metadata/from"), event.at("/data/0/metadata/source_revision"), event.at("/data/0/revision"));
        assert_eq!(facts, ("staging".into(), "1".into(), "2".into()));
        let same = "SELECT COUNT(*) FROM secret_versions a JOIN secret_versions b ON a.sealed_value = b.sealed_value AND a.secret_id < b.secret_id";
        assert_eq!(t.number(same).await, 0, "each value is sealed anew for its place");
    }

    async fn a_plan_is_refused_when_either_side_moved(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("web").await;
        let promote = format!("{}/promote", project.path);
        acme.owner.put(&project.env("staging").secret("A"), json!({ "value": "a" })).await.ok();
        for moved in ["staging", "production"] {
            let body = json!({ "from": "staging", "to": "production", "dry_run": true });
            let plan = acme.owner.post(&promote, body).await.expect(200);
            acme.owner.put(&project.env(moved).secret("MOVED"), json!({ "value": moved })).await.ok();
            let apply = json!({ "from": "staging", "to": "production", "digest": plan.at("/digest") });
            let refused = acme.owner.post(&promote, apply).await.problem(412, "version_mismatch");
            assert!(refused.json()["source_revision"].is_i64(), "{}", refused.text());
            acme.owner.get(&project.env("production").secret("A")).await.problem(404, "not_found");
        }
    }

    async fn only_the_keys_that_are_named_are_carried_over(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("web").await;
        let promote = format!("{}/promote", project.path);
        let all = json!({ "secrets": { "A": "a", "B": "b" } });
        acme.owner.post(&format!("{}/bulk", project.env("staging").0), all).await.expect(200).ok();
        let body = json!({ "from": "staging", "to": "production", "keys": ["A"] });
        assert_eq!(changes(&acme.owner.post(&promote, body.clone()).await.expect(200)), ["A added"]);
        acme.owner.get(&project.env("production").secret("B")).await.problem(404, "not_found");
        let again = acme.owner.post(&promote, body).await.expect(200);
        assert_eq!((again.at("/applied"), again.at("/target_revision")), ("false".into(), "1".into()), "nothing left to do");
        for (body, field) in [
            (json!({ "from": "staging", "to": "staging" }), "to"),
            (json!({ "from": "staging", "to": "production", "keys": [] }), "keys"),
            (json!({ "from": "staging", "to": "production", "keys": ["A", "NONE"] }), "keys[1]"),
        ] {
            assert_eq!(acme.owner.post(&promote, body).await.problem(422, "invalid_field").at("/errors/0/field"), field);
        }
        acme.owner.post(&promote, json!({ "from": "nowhere", "to": "production" })).await.problem(404, "not_found");
    }

    async fn replacing_removes_what_the_source_has_not(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("web").await;
        acme.owner.put(&project.env("staging").secret("A"), json!({ "value": "a" })).await.ok();
        acme.owner.put(&project.env("production").secret("OLD"), json!({ "value": "o" })).await.ok();
        let body = json!({ "from": "staging", "to": "production", "mode": "replace" });
        let done = acme.owner.post(&format!("{}/promote", project.path), body).await.expect(200);
        assert_eq!(changes(&done), ["A added", "OLD removed"]);
        assert_eq!(acme.owner.get(&project.env("production").keys()).await.json()["data"].as_array().map(Vec::len), Some(1));
    }

    async fn keys_that_are_not_mine_are_blocked_by_name(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("web").await;
        let promote = format!("{}/promote", project.path);
        let all = json!({ "secrets": { "CI_A": "a", "DB": "b" } });
        acme.owner.post(&format!("{}/bulk", project.env("staging").0), all).await.expect(200).ok();
        let ci = acme.owner.token(json!({ "name": "ci", "org": "acme", "patterns": ["web/staging", "web/production/CI_*"] })).await;
        let body = json!({ "from": "staging", "to": "production", "dry_run": true });
        assert_eq!(changes(&ci.post(&promote, body).await.expect(200)), ["CI_A added", "DB blocked no_write_on_target"]);
        let refused = ci.post(&promote, json!({ "from": "staging", "to": "production" })).await.problem(403, "forbidden");
        assert_eq!(refused.at("/keys/0"), "DB");
        assert_eq!(t.number("SELECT COUNT(*) FROM secrets").await, 2, "nothing was carried over");
        ci.post(&promote, json!({ "from": "staging", "to": "production", "keys": ["CI_A"] })).await.expect(200).ok();
    }

    async fn of_many_who_carry_out_one_plan_one_does(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("web").await;
        let promote = format!("{}/promote", project.path);
        acme.owner.put(&project.env("staging").secret("A"), json!({ "value": "a" })).await.ok();
        let plan = acme.owner.post(&promote, json!({ "from": "staging", "to": "production", "dry_run": true })).await.expect(200);
        let body = json!({ "from": "staging", "to": "production", "digest": plan.at("/digest") });
        let answers = join_all((0..16).map(|_| acme.owner.post(&promote, body.clone()))).await;
        let done = answers.iter().filter(|answer| answer.status() == 200).count();
        let moved = answers.iter().filter(|answer| answer.code() == "version_mismatch").count();
        assert_eq!((done, moved), (1, 15));
        assert_eq!(acme.owner.get(&project.env("production").secret("A")).await.at("/version"), "1");
    }
}

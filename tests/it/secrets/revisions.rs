//! Environments as history: reading the past, comparing, going back.

use std::time::Duration;

use harness::app::Options;
use harness::{EnvPath, Person, on_both, on_each_backend};
use serde_json::{Value, json};

/// Keys and values of an environment, now or then.
async fn state(owner: &Person, env: &EnvPath, query: &str) -> Vec<(String, String)> {
    let read = owner.get(&format!("{}{query}", env.secrets())).await.expect(200).json();
    let all = read["data"].as_array().cloned().unwrap_or_default();
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    all.iter()
        .map(|entry| (text(entry, "key"), text(entry, "value")))
        .collect()
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

on_each_backend! {
    async fn every_past_revision_reads_as_it_was(backend: Backend) {
        let t = harness::TestApp::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        acme.owner.put(&env.secret("A"), json!({ "value": "a1" })).await.ok();
        acme.owner.put(&env.secret("B"), json!({ "value": "b1" })).await.ok();
        t.advance(Duration::from_mins(1));
        let noon = t.clock.now();
        t.advance(Duration::from_mins(1));
        acme.owner.patch(&env.secret("A"), json!({ "key": "C", "value": "a2" })).await.ok();
        acme.owner.delete(&env.secret("B")).await.ok();
        assert_eq!(state(&acme.owner, &env, "?revision=0").await, []);
        assert_eq!(state(&acme.owner, &env, "?revision=1").await, [pair("A", "a1")]);
        assert_eq!(state(&acme.owner, &env, "?revision=2").await, [pair("A", "a1"), pair("B", "b1")]);
        assert_eq!(state(&acme.owner, &env, "?revision=3").await, [pair("B", "b1"), pair("C", "a2")]);
        assert_eq!(state(&acme.owner, &env, "?revision=4").await, [pair("C", "a2")]);
        assert_eq!(state(&acme.owner, &env, &format!("?at={noon}")).await, [pair("A", "a1"), pair("B", "b1")]);
        assert_eq!(state(&acme.owner, &env, "?revision=2&search=B").await, [pair("B", "b1")]);
        let keys = acme.owner.get(&format!("{}?revision=2", env.keys())).await.expect(200);
        assert_eq!((keys.at("/data/1/key"), keys.at("/revision")), ("B".into(), "2".into()));
        for unknown in ["5", "-1", "release-1"] {
            let refused = acme.owner.get(&format!("{}?revision={unknown}", env.secrets())).await.problem(422, "invalid_field");
            assert_eq!(refused.at("/errors/0/field"), "revision", "{unknown}");
        }
        acme.owner.get(&format!("{}?revision=1&at={noon}", env.secrets())).await.problem(422, "invalid_field");
    }
}

on_both! {
    async fn each_of_many_versions_is_what_its_revisions_show(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let (mut a, mut b) = (None, None);
        let mut was = vec![Vec::new()];
        for n in 1..=41 {
            let (key, now) = if n % 7 == 3 { ("B", &mut b) } else { ("A", &mut a) };
            *now = Some(pair(key, &format!("{key}{n}")));
            acme.owner.put(&env.secret(key), json!({ "value": format!("{key}{n}") })).await.ok();
            was.push([a.clone(), b.clone()].into_iter().flatten().collect());
        }
        for (revision, was) in was.iter().enumerate() {
            assert_eq!(state(&acme.owner, &env, &format!("?revision={revision}")).await, *was, "{revision}");
        }
    }

    async fn revisions_are_listed_with_what_made_them_and_their_names(t: TestApp) {
        let acme = t.org("acme").await;
        let dana = acme.developer("dana").await;
        let env = acme.project("web").await.env("production");
        dana.put(&env.secret("A"), json!({ "value": "a" })).await.ok();
        dana.post(&format!("{}/bulk", env.0), json!({ "secrets": { "B": "b", "C": "c" } })).await.expect(200).ok();
        dana.put(&format!("{}/pins/release-42", env.0), json!({ "revision": 1 })).await.expect(200).ok();
        let list = dana.get(&format!("{}/revisions", env.0)).await.expect(200);
        let first = (list.at("/data/0/revision"), list.at("/data/0/action"), list.at("/data/0/changes"));
        assert_eq!(first, ("2".into(), "secret.bulk_set".into(), "2".into()));
        assert_eq!((list.at("/data/1/pins/0"), list.at("/data/1/created_by/name")), ("release-42".into(), dana.email.clone()));
        assert_eq!(state(&acme.owner, &env, "?revision=release-42").await, [pair("A", "a")]);
        dana.put(&format!("{}/pins/release-42", env.0), json!({})).await.expect(200).ok();
        assert_eq!(state(&acme.owner, &env, "?revision=release-42").await.len(), 3, "the name moved");
        for (name, field) in [("42", "name"), ("No", "name")] {
            let bad = dana.put(&format!("{}/pins/{name}", env.0), json!({})).await.problem(422, "invalid_field");
            assert_eq!(bad.at("/errors/0/field"), field);
        }
        dana.put(&format!("{}/pins/x", env.0), json!({ "revision": 3 })).await.problem(422, "invalid_field");
        dana.delete(&format!("{}/pins/release-42", env.0)).await.expect(204).ok();
        dana.delete(&format!("{}/pins/release-42", env.0)).await.problem(404, "not_found");
    }

    async fn a_comparison_tells_what_differs_and_no_value(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("web").await;
        let (staging, production) = (project.env("staging"), project.env("production"));
        let all = json!({ "secrets": { "SAME": "canary-1", "OTHER": "canary-2", "MORE": "canary-3" } });
        acme.owner.post(&format!("{}/bulk", staging.0), all).await.expect(200).ok();
        let all = json!({ "secrets": { "SAME": "canary-1", "OTHER": "canary-4", "LESS": "canary-5" } });
        acme.owner.post(&format!("{}/bulk", production.0), all).await.expect(200).ok();
        let diff = acme.owner.get(&format!("{}/diff?against=production", staging.0)).await.expect(200);
        assert!(!diff.text().contains("canary"));
        let all = diff.json()["keys"].as_array().cloned().unwrap_or_default();
        let seen: Vec<_> = all.iter().map(|entry| format!("{} {}", entry["key"], entry["difference"])).collect();
        assert_eq!(seen, [r#""LESS" "added""#, r#""MORE" "removed""#, r#""OTHER" "changed""#, r#""SAME" "same""#]);
        acme.owner.put(&staging.secret("OTHER"), json!({ "value": "x" })).await.ok();
        let last = acme.owner.get(&format!("{}/diff", staging.0)).await.expect(200);
        let changed: Vec<_> = last.json()["keys"].as_array().into_iter().flatten().filter(|entry| entry["difference"] != "same").cloned().collect();
        assert_eq!((changed.len(), &changed[0]["key"]), (1, &json!("OTHER")), "without names: the last change");
    }

    async fn equality_is_told_to_nobody_who_may_not_read(t: TestApp) {
        // Whoever may write to development could guess production's value there, and compare.
        let acme = t.org("acme").await;
        let dana = acme.developer("dana").await;
        let project = acme.project("web").await;
        acme.owner.put(&project.env("production").secret("A"), json!({ "value": "guess" })).await.ok();
        dana.put(&project.env("development").secret("A"), json!({ "value": "guess" })).await.ok();
        dana.get(&format!("{}/diff?against=production", project.env("development").0)).await.problem(403, "forbidden");
        let body = json!({ "from": "production", "to": "development", "dry_run": true });
        dana.post(&format!("{}/promote", project.path), body).await.problem(403, "forbidden");
    }

    async fn an_environment_goes_back_as_a_whole(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let first = json!({ "secrets": { "A": "a1", "B": "b1", "C": "c1", "X": "x1", "Y": "y1" } });
        acme.owner.post(&format!("{}/bulk", env.0), first).await.expect(200).ok();
        let before = state(&acme.owner, &env, "").await;
        acme.owner.put(&env.secret("A"), json!({ "value": "a2" })).await.ok();
        acme.owner.delete(&env.secret("B")).await.ok();
        acme.owner.put(&env.secret("D"), json!({ "value": "d1" })).await.ok();
        acme.owner.patch(&env.secret("C"), json!({ "key": "E" })).await.ok();
        // X and Y trade keys.
        acme.owner.patch(&env.secret("X"), json!({ "key": "T" })).await.ok();
        acme.owner.patch(&env.secret("Y"), json!({ "key": "X" })).await.ok();
        acme.owner.patch(&env.secret("T"), json!({ "key": "Y" })).await.ok();
        let rollback = format!("{}/rollback", env.0);
        let tried = acme.owner.post(&rollback, json!({ "revision": "1", "dry_run": true })).await.expect(200);
        assert_eq!((tried.at("/revision"), tried.json()["results"].as_array().map(Vec::len)), ("8".into(), Some(6)));
        assert_ne!(state(&acme.owner, &env, "").await, before);
        let done = acme.owner.post(&rollback, json!({ "revision": "1" })).await.expect(200);
        assert_eq!(done.at("/revision"), "9");
        assert_eq!(state(&acme.owner, &env, "").await, before);
        assert_eq!(state(&acme.owner, &env, "?revision=8").await.len(), 5, "what was before is still there");
        let verified = acme.owner.get(&acme.path("/audit-logs/verify")).await.expect(200);
        assert_eq!(verified.at("/valid"), "true", "{}", verified.text());
        let again = acme.owner.post(&rollback, json!({ "revision": "1" })).await.expect(200);
        assert_eq!(again.at("/revision"), "9", "nothing to do, no revision");
    }

    async fn going_back_is_refused_whole_when_one_key_is_not_mine(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        acme.owner.put(&env.secret("CI_A"), json!({ "value": "one" })).await.ok();
        acme.owner.put(&env.secret("DB"), json!({ "value": "one" })).await.ok();
        acme.owner.put(&env.secret("CI_A"), json!({ "value": "two" })).await.ok();
        let ci = acme.owner.token(json!({ "name": "ci", "org": "acme", "patterns": ["web/production/CI_*"] })).await;
        ci.post(&format!("{}/rollback", env.0), json!({ "revision": "1" })).await.problem(403, "forbidden");
        assert_eq!(acme.owner.get(&env.secret("CI_A")).await.at("/value"), "two");
        ci.post(&format!("{}/rollback", env.0), json!({ "revision": "2" })).await.expect(200).ok();
        assert_eq!(acme.owner.get(&env.secret("CI_A")).await.at("/value"), "one");
    }
}

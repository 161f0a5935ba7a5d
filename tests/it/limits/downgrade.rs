//! A smaller plan deletes nothing: it is told beforehand what there would be too much of, and what is too much can
//! always be read, exported and taken away.

use std::time::Duration;

use domain::limits::{freeze, warnings};
use harness::app::Options;
use harness::{Org, Project, TestApp, on_each_backend};
use serde_json::json;

use super::{limit, root};

const DAY: Duration = Duration::from_hours(24);

/// Four projects, one after the other, each with a secret.
async fn four(t: &TestApp, acme: &Org<'_>) -> Vec<Project> {
    let mut projects = Vec::new();
    for n in 1..=4 {
        let project = acme.project(&format!("p{n}")).await;
        let secret = project.env("staging").secret("A");
        acme.owner.put(&secret, json!({ "value": "1" })).await.ok();
        projects.push(project);
        t.advance(Duration::from_secs(1));
    }
    projects
}

async fn stopped(backend: harness::Backend) -> TestApp {
    TestApp::start(Options::new(backend).stopped_clock()).await
}

on_each_backend! {
    async fn a_preview_tells_exactly_what_would_be_too_much(backend: Backend) {
        let t = stopped(backend).await;
        let acme = t.org("acme").await;
        let projects = four(&t, &acme).await;
        let path = acme.path("/billing/downgrade-preview");
        let fits = acme.owner.get(&format!("{path}?plan=team")).await.expect(200);
        assert_eq!((fits.at("/fits"), fits.at("/over"), fits.at("/would_freeze")), ("true".into(), "[]".into(), "[]".into()));
        let template = json!({ "key": "A" });
        for project in &projects[..2] {
            acme.owner.post(&format!("{}/template", project.path), template.clone()).await.expect(201).ok();
        }
        acme.owner.post(&format!("{}/environments", projects[1].path), json!({ "name": "e4" })).await.expect(201).ok();
        acme.owner.post(&format!("{}/environments", projects[1].path), json!({ "name": "e5" })).await.expect(201).ok();
        let tight = acme.owner.get(&format!("{path}?plan=free")).await.expect(200);
        assert_eq!(tight.at("/fits"), "false");
        assert_eq!(tight.json()["over"], json!([
            { "key": "projects", "limit": 3, "used": 4 },
            { "key": "environments_per_project", "limit": 4, "used": 5, "project": projects[1].id.to_string() },
            { "key": "templates", "limit": 1, "used": 2 },
        ]));
        assert_eq!(tight.json()["would_freeze"], json!([projects[3].id.to_string()]));
        assert_eq!(acme.owner.get(&acme.path("/billing")).await.at("/plan"), "self_hosted", "nothing has changed");
        acme.owner.get(&path).await.problem(422, "invalid_field");
        acme.owner.get(&format!("{path}?plan=golden")).await.problem(422, "invalid_field");
    }

    async fn after_thirty_days_the_newest_projects_are_frozen_and_still_read(backend: Backend) {
        let t = stopped(backend).await;
        let mut acme = t.org("acme").await;
        let projects = four(&t, &acme).await;
        limit(&t, &acme, "projects", 2).await;
        assert_eq!(freeze::sweep(t.db()).await.unwrap(), 0);
        let secret = |n: usize| projects[n].env("staging").secret("A");
        acme.owner.put(&secret(3), json!({ "value": "2" })).await.expect(200).ok();
        acme.owner.post(&acme.path("/projects"), json!({ "name": "p5" })).await.problem(403, "plan_limit_exceeded");
        let billing = acme.owner.get(&acme.path("/billing")).await.expect(200);
        assert_eq!((billing.at("/over_limit_since"), billing.at("/frozen_projects")), ("2030-01-02T03:04:09.000Z".into(), "[]".into()));
        t.advance(30 * DAY);
        acme.owner = acme.owner.signs_in_again().await;
        assert_eq!(freeze::sweep(t.db()).await.unwrap(), 1);
        assert_eq!(freeze::sweep(t.db()).await.unwrap(), 0, "it is told once");
        let owner = &acme.owner;
        for n in [0, 1] {
            owner.put(&secret(n), json!({ "value": "3" })).await.expect(200).ok();
        }
        for n in [2, 3] {
            let env = projects[n].env("staging");
            let refused = owner.put(&secret(n), json!({ "value": "3" })).await.problem(403, "plan_limit_exceeded");
            assert_eq!((refused.at("/limit"), refused.at("/requested")), ("projects".into(), "0".into()));
            owner.post(&format!("{}/bulk", env.0), json!({ "secrets": { "B": "1" } })).await.problem(403, "plan_limit_exceeded");
            owner.post(&format!("{}/environments", projects[n].path), json!({ "name": "e4" })).await.problem(403, "plan_limit_exceeded");
            owner.get(&secret(n)).await.expect(200).ok();
            owner.get(&format!("{}/export?format=dotenv", env.0)).await.expect(200).ok();
            owner.post(&format!("{}/rotate-key", projects[n].path), json!({})).await.expect(202).ok();
            owner.delete(&secret(n)).await.expect(200).ok();
        }
        // Whoever deletes one too many may write in the other at once.
        owner.delete(&projects[3].path).await.expect(204).ok();
        owner.put(&secret(2), json!({ "value": "3" })).await.problem(403, "plan_limit_exceeded");
        owner.delete(&projects[0].path).await.expect(204).ok();
        owner.put(&secret(2), json!({ "value": "3" })).await.expect(201).ok();
        let billing = owner.get(&acme.path("/billing")).await.expect(200);
        assert_eq!((billing.at("/over_limit_since"), billing.at("/frozen_projects")), (String::new(), "[]".into()));
        owner.post(&format!("{}/restore", projects[3].path), json!({})).await.problem(403, "plan_limit_exceeded");
    }

    async fn a_larger_plan_lets_everything_go_at_once(backend: Backend) {
        let t = stopped(backend).await;
        let root = root(&t).await;
        let acme = t.org("acme").await;
        let projects = four(&t, &acme).await;
        root.patch("/v1/admin/orgs/acme", json!({ "plan": "free" })).await.expect(200).ok();
        t.sql("UPDATE orgs SET over_limit_since = 1 WHERE slug = 'acme'").await;
        assert_eq!(freeze::sweep(t.db()).await.unwrap(), 0, "the plan is not as old");
        t.sql("UPDATE orgs SET plan_since = 1 WHERE slug = 'acme'").await;
        assert_eq!(freeze::sweep(t.db()).await.unwrap(), 1);
        let secret = projects[3].env("staging").secret("A");
        acme.owner.put(&secret, json!({ "value": "2" })).await.problem(403, "plan_limit_exceeded");
        root.patch("/v1/admin/orgs/acme", json!({ "plan": "team" })).await.expect(200).ok();
        acme.owner.put(&secret, json!({ "value": "2" })).await.expect(200).ok();
        let known = ["org.limits_set", "org.projects_frozen"];
        for action in known {
            let log = acme.owner.get(&acme.path(&format!("/audit-logs?action={action}"))).await.expect(200);
            assert_ne!(log.at("/pagination/total"), "0", "{action}");
        }
        // Looking once more changes nothing.
        assert_eq!((freeze::sweep(t.db()).await.unwrap(), warnings::sweep(t.db()).await.unwrap()), (0, 0));
    }
}

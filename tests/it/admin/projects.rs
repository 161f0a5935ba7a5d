//! Projects of all organisations.

use std::time::Duration;

use harness::app::Options;
use harness::{Receiver, TestApp, on_both, on_each_backend};
use serde_json::json;

use super::{column, newest, root, told};

const PROJECTS: &str = "/v1/admin/projects";

on_both! {
    async fn every_project_is_listed_and_counted(t: TestApp) {
        let root = root(&t).await;
        let (acme, globex) = (t.org("acme").await, t.org("globex").await);
        let web = acme.project("web").await;
        globex.project("vault").await;
        acme.grant(t.person("dana").await.id, Some(web.id), "viewer").await;
        for (env, key) in [("development", "A"), ("development", "B"), ("production", "A")] {
            acme.owner.put(&web.env(env).secret(key), json!({ "value": "canary-value" })).await.expect(201).ok();
        }
        acme.owner.put(&web.env("production").secret("A"), json!({ "value": "canary-again" })).await.expect(200).ok();
        acme.owner.delete(&web.env("development").secret("B")).await.expect(200).ok();
        let all = root.get(PROJECTS).await.expect(200);
        assert_eq!(column(&all, "slug"), ["vault", "web"]);
        assert_eq!((all.at("/data/0/org/slug"), all.at("/data/1/org/slug")), ("globex".into(), "acme".into()));
        let path = format!("{PROJECTS}/{}", web.id);
        let shown = root.get(&path).await.expect(200);
        assert_eq!(shown.json(), all.json()["data"][1]);
        let counts = ["/members", "/environments", "/secrets"].map(|count| shown.at(count));
        assert_eq!(counts, ["1", "3", "2"]);
        assert!(!all.text().contains("canary") && !shown.text().contains("canary"));
        for (search, found) in [("WEB", vec!["web"]), ("glob", vec!["vault"]), ("%25", vec![])] {
            let list = root.get(&format!("{PROJECTS}?search={search}")).await.expect(200);
            assert_eq!(column(&list, "slug"), found, "{search}");
        }
        for nothing in ["web", "prj_01h455vb4pex5vsknk084sn02q", "org_01h455vb4pex5vsknk084sn02q"] {
            root.get(&format!("{PROJECTS}/{nothing}")).await.problem(404, "not_found");
        }
    }

    async fn what_is_done_to_a_project_is_told_to_its_organisation(t: TestApp) {
        let root = root(&t).await;
        let receiver = Receiver::start().await;
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let hook = json!({ "url": receiver.url, "events": ["project.*"] });
        acme.owner.post(&acme.path("/webhooks"), hook).await.expect(201).ok();
        let (path, log) = (format!("{PROJECTS}/{}", web.id), acme.path("/audit-logs"));
        let changed = root.patch(&path, json!({ "name": "Shop", "description": "d" })).await.expect(200);
        assert_eq!((changed.at("/name"), changed.at("/description"), changed.at("/slug")), ("Shop".into(), "d".into(), "web".into()));
        assert_eq!(acme.owner.get(&web.path).await.expect(200).at("/name"), "Shop");
        assert_eq!(newest(&acme.owner, &log).await, told("project.updated"));
        root.patch(&path, json!({ "name": "" })).await.problem(422, "invalid_field");
        root.patch(&path, json!({ "slug": "shop" })).await.problem(422, "invalid_field");
        root.delete(&path).await.expect(204).ok();
        acme.owner.get(&web.path).await.problem(404, "not_found");
        root.get(&path).await.problem(404, "not_found");
        assert_eq!(newest(&acme.owner, &log).await, told("project.deleted"));
        acme.owner.post(&format!("{}/restore", web.path), json!({})).await.expect(200).ok();
        let events = receiver.expect(3).await;
        let actor = events[0].json()["data"]["actor"].clone();
        assert_eq!(actor, json!({ "type": "superuser", "id": root.id.to_string() }));
        let verified = acme.owner.get(&acme.path("/audit-logs/verify")).await.expect(200);
        assert_eq!(verified.at("/valid"), "true", "{}", verified.text());
    }

    async fn what_is_in_a_deleted_organisation_is_gone(t: TestApp) {
        let root = root(&t).await;
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        acme.owner.delete(&acme.path("")).await.expect(204).ok();
        assert!(column(&root.get(PROJECTS).await.expect(200), "id").is_empty());
        root.get(&format!("{PROJECTS}/{}", web.id)).await.problem(404, "not_found");
        root.delete(&format!("{PROJECTS}/{}", web.id)).await.problem(404, "not_found");
    }
}

on_each_backend! {
    async fn deleting_one_takes_a_recent_sign_in(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let root = root(&t).await;
        let web = t.org("acme").await.project("web").await;
        t.advance(Duration::from_secs(601));
        let path = format!("{PROJECTS}/{}", web.id);
        root.delete(&path).await.problem(428, "step_up_required");
        root.signs_in_again().await.delete(&path).await.expect(204).ok();
    }
}

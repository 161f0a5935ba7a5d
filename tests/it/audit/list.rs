//! Reading the audit log.

use std::time::Duration;

use harness::app::Options;
use harness::{Answer, TestApp, on_both, on_each_backend};
use serde_json::{Value, json};

/// One field of every entry.
fn column(answer: &Answer, field: &str) -> Vec<String> {
    let json = answer.json();
    let text = |entry: &Value| {
        entry
            .pointer(field)
            .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    json["data"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| text(entry).unwrap_or_default())
        .collect()
}

on_both! {
    async fn every_change_is_one_event_that_tells_who_what_and_where(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let owner = acme.owner.with("X-Request-Id", "req-of-the-test").with("User-Agent", "tester/1");
        let put = owner.put(&web.env("production").secret("A"), json!({ "value": "canary", "comment": "canary" })).await.expect(201);
        let events = acme.owner.get(&acme.path("/audit-logs")).await.expect(200);
        assert_eq!(column(&events, "/action"), ["secret.created", "project.created", "org.created"]);
        assert_eq!(column(&events, "/seq"), ["3", "2", "1"]);
        let event = events.json()["data"][0].clone();
        assert_eq!(event["actor"], json!({ "type": "user", "id": acme.owner.id.to_string(), "email": acme.owner.email }));
        assert_eq!((&event["resource_type"], &event["resource_id"]), (&json!("secret"), &put.json()["id"]));
        assert_eq!((&event["project_id"], &event["revision"]), (&json!(web.id.to_string()), &json!(1)));
        assert_eq!((&event["ip_address"], &event["request_id"]), (&json!("127.0.0.1"), &json!("req-of-the-test")));
        assert_eq!(event["user_agent"], "tester/1");
        assert_eq!(event.pointer("/metadata/keys/0/key"), Some(&json!("A")));
        assert!(event["at"].as_str().is_some_and(|at| at.ends_with('Z')));
        assert!(!events.text().contains("canary"));
        let one = acme.owner.get(&acme.path(&format!("/audit-logs/{}", event["id"].as_str().unwrap_or_default()))).await;
        assert_eq!(one.expect(200).json(), event);
    }

    async fn the_list_is_filtered_by_what_who_and_where(t: TestApp) {
        let acme = t.org("acme").await;
        let dana = acme.developer("dana").await;
        let (web, api) = (acme.project("web").await, acme.project("api").await);
        dana.put(&web.env("staging").secret("A"), json!({ "value": "1" })).await.ok();
        acme.owner.put(&web.env("staging").secret("A"), json!({ "value": "2" })).await.ok();
        dana.put(&api.env("staging").secret("B"), json!({ "value": "1" })).await.ok();
        let seqs = |query: String| {
            let (path, owner) = (acme.path(&format!("/audit-logs?{query}")), acme.owner.clone());
            async move { column(&owner.get(&path).await.expect(200), "/seq") }
        };
        assert_eq!(seqs("action=secret.created".into()).await, ["7", "5"]);
        assert_eq!(seqs(format!("actor_id={}", dana.id)).await, ["7", "5"]);
        assert_eq!(seqs("resource_type=project".into()).await, ["4", "3"]);
        assert_eq!(seqs(format!("project={}", web.id)).await, ["6", "5", "3"]);
        assert_eq!(seqs(format!("project={}&actor_id={}", web.id, dana.id)).await, ["5"]);
        assert!(seqs("action=secret.exploded".into()).await.is_empty());
        for query in ["actor_id=dana", "project=web", "from=yesterday", "after=x", "limit=101"] {
            let refused = acme.owner.get(&acme.path(&format!("/audit-logs?{query}"))).await;
            assert_eq!(refused.problem(422, "invalid_field").at("/errors/0/field"), query.split('=').next().unwrap_or_default());
        }
    }

    async fn pages_follow_one_another_by_offset_and_by_cursor(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        for n in 0..5 {
            acme.owner.put(&web.env("staging").secret("A"), json!({ "value": n.to_string() })).await.ok();
        }
        let mut seen = Vec::new();
        let mut after = String::new();
        for page in 0..4 {
            let path = acme.path(&format!("/audit-logs?limit=2{after}"));
            let answer = acme.owner.get(&path).await.expect(200);
            let by_offset = acme.owner.get(&acme.path(&format!("/audit-logs?limit=2&offset={}", page * 2))).await;
            assert_eq!(column(&by_offset, "/seq"), column(&answer, "/seq"));
            assert_eq!((answer.at("/pagination/total"), answer.at("/pagination/has_more")), ("7".into(), (page < 3).to_string()));
            seen.extend(column(&answer, "/seq"));
            after = format!("&after={}", answer.at("/pagination/next_cursor"));
        }
        assert_eq!(after, "&after=", "the last page has no cursor");
        assert_eq!(seen, ["7", "6", "5", "4", "3", "2", "1"]);
    }

    async fn an_event_of_another_organisation_is_absent(t: TestApp) {
        let (acme, zoo) = (t.org("acme").await, t.org("zoo").await);
        let foreign = zoo.owner.get(&zoo.path("/audit-logs")).await.expect(200).at("/data/0/id");
        acme.owner.get(&acme.path(&format!("/audit-logs/{foreign}"))).await.problem(404, "not_found");
        for id in ["evt_01h455vb4pex5vsknk084sn02q", "evt_", "nonsense"] {
            acme.owner.get(&acme.path(&format!("/audit-logs/{id}"))).await.problem(404, "not_found");
        }
        acme.owner.get(&zoo.path("/audit-logs")).await.problem(404, "not_found");
    }

    async fn owners_and_admins_read_the_log_and_nobody_else(t: TestApp) {
        let acme = t.org("acme").await;
        let id = acme.owner.get(&acme.path("/audit-logs")).await.at("/data/0/id");
        let paths = ["/audit-logs".to_owned(), "/audit-logs/verify".to_owned(), format!("/audit-logs/{id}")];
        let admin = acme.member("admin", "admin").await;
        for path in &paths {
            admin.get(&acme.path(path)).await.expect(200).ok();
        }
        for role in ["developer", "viewer", "member"] {
            let person = acme.member(role, role).await;
            for path in &paths {
                person.get(&acme.path(path)).await.problem(403, "forbidden");
            }
        }
    }

    async fn what_fails_leaves_no_event(t: TestApp) {
        let acme = t.org("acme").await;
        let vera = acme.member("vera", "viewer").await;
        let env = acme.project("web").await.env("staging");
        let rows = t.number("SELECT COUNT(*) FROM journal").await;
        vera.put(&env.secret("A"), json!({ "value": "v" })).await.problem(403, "forbidden");
        acme.owner.put(&env.secret("9"), json!({ "value": "v" })).await.problem(422, "invalid_field");
        acme.owner.delete(&env.secret("A")).await.problem(404, "not_found");
        acme.owner.post(&acme.path("/projects"), json!({ "name": "Web", "slug": "web" })).await.problem(409, "slug_taken");
        acme.owner.post(&acme.path("/webhooks"), json!({ "url": "ftp://x", "events": ["*"] })).await.problem(422, "invalid_field");
        assert_eq!(t.number("SELECT COUNT(*) FROM journal").await, rows);
        assert_eq!(t.number("SELECT COUNT(*) FROM secrets").await, 0);
    }
}

on_each_backend! {
    async fn the_list_is_filtered_by_time(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        let mut instants = Vec::new();
        for slug in ["one", "two", "three"] {
            t.advance(Duration::from_mins(1));
            instants.push(t.clock.now().to_string());
            acme.project(slug).await;
        }
        let seqs = |query: String| {
            let (path, owner) = (acme.path(&format!("/audit-logs?{query}")), acme.owner.clone());
            async move { column(&owner.get(&path).await.expect(200), "/seq") }
        };
        let [first, second, third] = &instants[..] else { return assert_eq!(instants.len(), 3) };
        assert_eq!(seqs(format!("from={second}")).await, ["4", "3"], "from is included");
        assert_eq!(seqs(format!("to={third}")).await, ["3", "2", "1"], "to is not");
        assert_eq!(seqs(format!("from={first}&to={second}")).await, ["2"]);
    }
}

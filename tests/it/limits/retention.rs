//! Old versions that a plan does not keep lose their values, and nothing else: what a pin shows is kept, and no past
//! revision shows another value than the one that it had.

use std::time::Duration;

use domain::secrets::retention;
use harness::app::Options;
use harness::{TestApp, on_each_backend};
use serde_json::json;

use super::{limit, root};

on_each_backend! {
    async fn the_newest_versions_and_those_of_pins_are_kept(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let (owner, env) = (&acme.owner, web.env("staging"));
        for n in 1..=5 {
            owner.put(&env.secret("A"), json!({ "value": n.to_string() })).await.ok();
        }
        owner.put(&env.secret("B"), json!({ "value": "b" })).await.ok();
        owner.put(&format!("{}/pins/release", env.0), json!({ "revision": 2 })).await.ok();
        assert_eq!(retention::prune(t.db()).await.unwrap(), 0, "nothing is limited");
        limit(&t, &acme, "versions_retained", 2).await;
        assert_eq!(retention::prune(t.db()).await.unwrap(), 2);
        assert_eq!(retention::prune(t.db()).await.unwrap(), 0);
        let kept = [(1, 404), (2, 200), (3, 404), (4, 200), (5, 200)];
        for (version, status) in kept {
            let shown = owner.get(&format!("{}/versions/{version}", env.secret("A"))).await;
            assert_eq!(shown.status(), status, "version {version}");
        }
        for (revision, value) in [("release", "2"), ("2", "2"), ("4", "4"), ("5", "5")] {
            let past = owner.get(&format!("{}?revision={revision}", env.secrets())).await.expect(200);
            assert_eq!(past.at("/data/0/value"), value, "revision {revision}");
        }
        let past = owner.get(&format!("{}?revision=3", env.secrets())).await.expect(200).json();
        assert_eq!((&past["data"], &past["destroyed"]), (&json!([]), &json!(["A"])), "never another value in its place");
        let verified = owner.post(&format!("{}/verify", web.path), json!({})).await.expect(200);
        assert_eq!(verified.at("/ok"), "true", "{}", verified.text());
        let log = owner.get(&acme.path("/audit-logs/verify")).await.expect(200);
        assert_eq!(log.at("/valid"), "true", "{}", log.text());
    }

    async fn a_smaller_plan_keeps_history_for_thirty_days_more(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let root = root(&t).await;
        let acme = t.org("acme").await;
        let secret = acme.project("web").await.env("staging").secret("A");
        for n in 1..=12 {
            acme.owner.put(&secret, json!({ "value": n.to_string() })).await.ok();
        }
        acme.owner.delete(&secret).await.ok();
        root.patch("/v1/admin/orgs/acme", json!({ "plan": "free" })).await.expect(200).ok();
        t.advance(Duration::from_hours(30 * 24 - 1));
        assert_eq!(retention::prune(t.db()).await.unwrap(), 0);
        t.advance(Duration::from_hours(1));
        assert_eq!(retention::prune(t.db()).await.unwrap(), 2);
        let owner = acme.owner.signs_in_again().await;
        owner.post(&format!("{secret}/restore"), json!({})).await.ok();
        assert_eq!(owner.get(&secret).await.at("/value"), "12");
    }
}

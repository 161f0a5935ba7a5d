//! The history of a secret.

use harness::on_both;
use serde_json::json;

on_both! {
    async fn every_version_can_be_read(t: TestApp) {
        let acme = t.org("acme").await;
        let path = acme.project("web").await.env("production").secret("A");
        for version in 1..=3 {
            let body = json!({ "value": format!("v{version}"), "comment": format!("c{version}") });
            acme.owner.put(&path, body).await.ok();
        }
        for version in 1..=3 {
            let got = acme.owner.get(&format!("{path}?version={version}")).await.expect(200);
            assert_eq!(got.at("/value"), format!("v{version}"));
            assert_eq!(got.at("/comment"), format!("c{version}"));
            assert_eq!(got.header("etag"), Some(&*format!("\"{version}\"")));
        }
        assert_eq!(acme.owner.get(&path).await.expect(200).at("/version"), "3");
        for version in ["0", "4", "-1"] {
            acme.owner.get(&format!("{path}?version={version}")).await.problem(404, "not_found");
        }
    }

    async fn a_key_that_became_anothers_is_sent_whatever_version_is_known(t: TestApp) {
        let acme = t.org("acme").await;
        let path = acme.project("web").await.env("production").secret("A");
        let first = acme.owner.put(&path, json!({ "value": "first" })).await.expect(201);
        acme.owner.patch(&path, json!({ "key": "B" })).await.expect(200).ok();
        let second = acme.owner.put(&path, json!({ "value": "second" })).await.expect(201);
        assert_eq!(first.header("etag"), second.header("etag"));
        let asking = acme.owner.with("If-None-Match", first.header("etag").unwrap_or_default());
        assert_eq!(asking.get(&path).await.expect(200).at("/value"), "second");
    }

    async fn versions_are_listed_newest_first_with_their_authors_and_no_values(t: TestApp) {
        let acme = t.org("acme").await;
        let dana = acme.developer("dana").await;
        let path = acme.project("web").await.env("production").secret("A");
        acme.owner.put(&path, json!({ "value": "canary-1" })).await.ok();
        dana.put(&path, json!({ "value": "canary-2" })).await.ok();
        dana.token(json!({ "name": "ci" })).await.put(&path, json!({ "value": "canary-3" })).await.ok();
        let list = dana.get(&format!("{path}/versions")).await.expect(200);
        let authors: Vec<_> = (0..3).map(|n| (list.at(&format!("/data/{n}/version")), list.at(&format!("/data/{n}/created_by/id")))).collect();
        let (owner, dana_id) = (acme.owner.id.to_string(), dana.id.to_string());
        assert_eq!(authors, [("3".to_owned(), dana_id.clone()), ("2".to_owned(), dana_id), ("1".to_owned(), owner)]);
        assert_eq!((list.at("/data/0/created_by/type"), list.at("/data/0/destroyed")), ("user".into(), "false".into()));
        assert!(!list.text().contains("canary"));
        let page = dana.get(&format!("{path}/versions?limit=1&offset=1")).await.expect(200);
        assert_eq!((page.at("/data/0/version"), page.at("/pagination/total")), ("2".into(), "3".into()));
        assert_eq!(page.at("/pagination/has_more"), "true");
    }
}

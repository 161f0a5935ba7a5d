//! What each role may do with secrets.

use harness::on_both;
use serde_json::json;

on_both! {
    async fn a_developer_writes_production_without_reading_it(t: TestApp) {
        let acme = t.org("acme").await;
        let dana = acme.developer("dana").await;
        let web = acme.project("web").await;
        let env = web.env("production");
        dana.put(&env.secret("A"), json!({ "value": "v" })).await.expect(201).ok();
        dana.get(&env.secret("A")).await.problem(403, "forbidden");
        dana.get(&env.secrets()).await.problem(403, "forbidden");
        assert_eq!(dana.get(&env.keys()).await.expect(200).at("/data/0/key"), "A");
        let again = dana.put(&env.secret("A"), json!({ "value": "w" })).await.expect(200);
        assert!(again.json().get("value").is_none());
        for env in [web.env("development"), web.env("staging")] {
            dana.put(&env.secret("A"), json!({ "value": "v" })).await.expect(201).ok();
            assert_eq!(dana.get(&env.secret("A")).await.expect(200).at("/value"), "v");
        }
    }

    async fn a_viewer_reads_development_alone_and_writes_nothing(t: TestApp) {
        let acme = t.org("acme").await;
        let vera = acme.member("vera", "viewer").await;
        let web = acme.project("web").await;
        for env in ["development", "staging", "production"] {
            acme.owner.put(&web.env(env).secret("A"), json!({ "value": env })).await.ok();
            vera.put(&web.env(env).secret("A"), json!({ "value": "x" })).await.problem(403, "forbidden");
            vera.post(&web.env(env).secrets(), json!({ "key": "B", "value": "x" })).await.problem(403, "forbidden");
            vera.delete(&web.env(env).secret("A")).await.problem(403, "forbidden");
        }
        assert_eq!(vera.get(&web.env("development").secret("A")).await.expect(200).at("/value"), "development");
        for env in ["staging", "production"] {
            vera.get(&web.env(env).secret("A")).await.problem(403, "forbidden");
            vera.get(&web.env(env).secrets()).await.problem(403, "forbidden");
        }
    }

    async fn a_member_reads_nothing_before_a_project_role_lets_it(t: TestApp) {
        let acme = t.org("acme").await;
        let mia = acme.member("mia", "member").await;
        let web = acme.project("web").await;
        let env = web.env("production");
        acme.owner.put(&env.secret("A"), json!({ "value": "v" })).await.ok();
        let status = mia.get(&env.secret("A")).await.status();
        assert!([403, 404].contains(&status), "{status}");
        acme.grant(mia.id, Some(web.id), "viewer").await;
        assert_eq!(mia.get(&env.secret("A")).await.expect(200).at("/value"), "v");
        mia.put(&env.secret("A"), json!({ "value": "x" })).await.problem(403, "forbidden");
    }

    async fn the_class_decides_at_once_when_it_changes(t: TestApp) {
        let acme = t.org("acme").await;
        let dana = acme.developer("dana").await;
        let env = acme.project("web").await.env("staging");
        dana.put(&env.secret("A"), json!({ "value": "v" })).await.ok();
        dana.get(&env.secret("A")).await.expect(200).ok();
        acme.owner.patch(&env.0, json!({ "class": "prod" })).await.expect(200).ok();
        dana.get(&env.secret("A")).await.problem(403, "forbidden");
    }
}

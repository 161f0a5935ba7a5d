//! Whoever may write a key and not read it learns nothing of what is stored under it.

use harness::on_both;
use serde_json::json;

on_both! {
    async fn writing_does_not_tell_whether_the_value_was_guessed(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("web").await;
        let env = project.env("production");
        let stored = json!({ "value": "0000", "comment": "the door" });
        acme.owner.put(&env.secret("PIN"), stored).await.expect(201).ok();
        let dana = acme.developer("dana").await;
        dana.get(&env.secret("PIN")).await.problem(403, "forbidden");
        let bulk = |value: &str| json!({ "secrets": { "PIN": value }, "dry_run": true });
        let answers = [
            dana.post(&format!("{}/bulk", env.0), bulk("0000")).await.expect(200),
            dana.post(&format!("{}/bulk", env.0), bulk("1111")).await.expect(200),
        ];
        assert_eq!(answers[0].json(), answers[1].json(), "right and wrong look the same");
        let written = dana.put(&env.secret("PIN"), json!({ "value": "0000" })).await.expect(200);
        assert_eq!((written.at("/version"), written.at("/comment")), ("2".into(), String::new()));
        let same = acme.owner.put(&env.secret("PIN"), json!({ "value": "0000" })).await.expect(200);
        assert_eq!((same.at("/version"), same.at("/comment")), ("2".into(), "the door".into()), "the owner may know");
        // The same of both sides of a promotion.
        acme.owner.put(&project.env("staging").secret("PIN"), json!({ "value": "0000" })).await.expect(201).ok();
        let plan = json!({ "from": "staging", "to": "production", "dry_run": true });
        let told = dana.post(&format!("{}/promote", project.path), plan.clone()).await.expect(200);
        assert_eq!(told.at("/changes/0/action"), "changed");
        let told = acme.owner.post(&format!("{}/promote", project.path), plan).await.expect(200);
        assert_eq!(told.at("/changes/0/action"), "same");
    }

    async fn a_rename_brings_no_value_to_where_it_may_be_read(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        acme.owner.put(&env.secret("DB_PASSWORD"), json!({ "value": "hidden", "comment": "why" })).await.expect(201).ok();
        let dana = acme.developer("dana").await;
        let rule = json!({
            "subject": { "type": "user", "id": dana.id.to_string() },
            "pattern": "web/production/PUBLIC_*", "permissions": ["secrets:read"],
        });
        acme.owner.post(&acme.path("/acl"), rule).await.expect(201).ok();
        let path = env.secret("DB_PASSWORD");
        for patch in [json!({ "key": "PUBLIC_X" }), json!({ "key": "PUBLIC_X", "comment": "mine" })] {
            dana.patch(&path, patch).await.problem(403, "forbidden");
        }
        let elsewhere = dana.patch(&path, json!({ "key": "PRIVATE_X" })).await.expect(200);
        assert_eq!(elsewhere.at("/comment"), "");
        let own = json!({ "key": "PUBLIC_X", "value": "mine" });
        dana.patch(&env.secret("PRIVATE_X"), own).await.expect(200).ok();
        assert_eq!(dana.get(&env.secret("PUBLIC_X")).await.expect(200).at("/value"), "mine");
    }

    async fn a_promotion_plan_names_only_keys_that_its_caller_may_know_of(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("web").await;
        let source = project.env("development");
        for key in ["PUBLIC_A", "HIDDEN_B"] {
            acme.owner.put(&source.secret(key), json!({ "value": "v" })).await.expect(201).ok();
        }
        let dana = acme.member("dana", "member").await;
        for (pattern, permission) in [("web/development/PUBLIC_*", "secrets:read"), ("web/staging", "secrets:write")] {
            let subject = json!({ "type": "user", "id": dana.id.to_string() });
            let rule = json!({ "subject": subject, "pattern": pattern, "permissions": [permission] });
            acme.owner.post(&acme.path("/acl"), rule).await.expect(201).ok();
        }
        let plan = json!({ "from": "development", "to": "staging", "dry_run": true });
        let told = dana.post(&format!("{}/promote", project.path), plan).await.expect(200);
        assert!(told.text().contains("PUBLIC_A") && !told.text().contains("HIDDEN_B"), "{}", told.text());
        let named = |key: &str| json!({ "from": "development", "to": "staging", "keys": [key], "dry_run": true });
        let path = format!("{}/promote", project.path);
        let hidden = dana.post(&path, named("HIDDEN_B")).await.problem(422, "invalid_field");
        let absent = dana.post(&path, named("NOBODYS_C")).await.problem(422, "invalid_field");
        assert_eq!(hidden.json()["errors"], absent.json()["errors"]);
    }

    async fn environments_of_thousands_of_keys_can_be_replaced_and_rolled_back(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("development");
        let bulk = format!("{}/bulk", env.0);
        for part in 0..4 {
            let secrets: serde_json::Map<_, _> = (0..1000).map(|n| (format!("K{part}_{n}"), json!("v"))).collect();
            acme.owner.post(&bulk, json!({ "secrets": secrets })).await.expect(200).ok();
        }
        let one = json!({ "secrets": { "ONLY": "one" }, "mode": "replace" });
        let replaced = acme.owner.post(&bulk, one).await.expect(200).json();
        assert_eq!(replaced["results"].as_array().map(Vec::len), Some(4001));
        let back = json!({ "revision": "4" });
        acme.owner.post(&format!("{}/rollback", env.0), back).await.expect(200).ok();
        let keys = acme.owner.get(&format!("{}?limit=1", env.keys())).await.expect(200);
        assert_eq!(keys.at("/pagination/total"), "4000");
    }
}

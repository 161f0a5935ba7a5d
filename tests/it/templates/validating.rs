//! Holding environments to the template, as they are.

use std::time::{Duration, Instant};

use harness::on_both;
use serde_json::{Value, json};

use super::{add, template};

const READS: &str = "SELECT COUNT(*) FROM journal WHERE action = 'secret.read'";

on_both! {
    async fn every_fault_that_is_there_is_found_and_no_other(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("web").await;
        add(&acme.owner, &project, [
            json!({ "key": "MISSING" }),
            json!({ "key": "EMPTY", "pattern": "x" }),
            json!({ "key": "PORT", "pattern": "^[0-9]+$", "min_length": 4 }),
            json!({ "key": "LEVEL", "enum": ["debug", "info"] }),
            json!({ "key": "SHORT", "min_length": 3 }),
            json!({ "key": "LONG", "required": false, "max_length": 3 }),
            json!({ "key": "GOOD", "pattern": "^canary", "min_length": 3, "max_length": 20 }),
            json!({ "key": "OPTIONAL", "required": false, "pattern": "x" }),
            json!({ "key": "LIVE", "environments": ["@prod"] }),
        ]).await;
        let env = project.env("staging");
        let stored = json!({ "secrets": {
            "EMPTY": "", "PORT": "80a", "LEVEL": "canary", "SHORT": "éé", "LONG": "abcd", "GOOD": "canary", "OTHER": "x", "GONE": "x",
        } });
        acme.owner.post(&format!("{}/bulk", env.0), stored).await.expect(200).ok();
        acme.owner.delete(&env.secret("GONE")).await.expect(200).ok();
        let answer = acme.owner.get(&format!("{}/validate?environment=staging", template(&project))).await.expect(200);
        assert!(!answer.text().contains("canary"), "{}", answer.text());
        let report = answer.json();
        assert_eq!((&report["valid"], &report["not_readable"]), (&json!(false), &json!([])));
        let found = &report["environments"][0];
        assert_eq!((&found["environment"], &found["revision"], &found["valid"]), (&json!("staging"), &json!(2), &json!(false)));
        assert_eq!((&found["missing"], &found["empty"]), (&json!(["MISSING"]), &json!(["EMPTY"])));
        assert_eq!((&found["extra"], &found["not_readable"]), (&json!(["OTHER"]), &json!(0)));
        let invalid: Vec<_> = found["invalid"].as_array().expect("a list").iter()
            .map(|value| format!("{} {}", value["key"], value["reason"]).replace('"', "")).collect();
        assert_eq!(invalid, ["LEVEL enum", "LONG too_long", "PORT pattern", "PORT too_short", "SHORT too_short"]);
        let event = acme.owner.get(&acme.path("/audit-logs?action=secret.read")).await.expect(200);
        assert_eq!((event.at("/pagination/total"), event.at("/data/0/resource_type")), ("1".into(), "environment".into()));
        // OTHER is in no template, so that nobody opened it.
        assert_eq!((event.at("/data/0/metadata/purpose"), event.at("/data/0/metadata/count")), ("validate".into(), "6".into()));
    }

    async fn all_environments_are_held_to_what_counts_in_each(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("web").await;
        add(&acme.owner, &project, [
            json!({ "key": "DB_URL" }),
            json!({ "key": "PAGER", "environments": ["production"] }),
            json!({ "key": "MAIL", "environments": ["@staging", "@prod"], "required": false }),
        ]).await;
        for env in ["staging", "production"] {
            acme.owner.put(&project.env(env).secret("DB_URL"), json!({ "value": "x" })).await.ok();
        }
        acme.owner.put(&project.env("development").secret("MAIL"), json!({ "value": "x" })).await.ok();
        let validate = format!("{}/validate", template(&project));
        let report = acme.owner.get(&validate).await.expect(200).json();
        let lines: Vec<_> = report["environments"].as_array().expect("a list").iter()
            .map(|env| format!("{} {} {} {}", env["environment"], env["valid"], env["missing"], env["extra"])).collect();
        assert_eq!(lines, [
            r#""development" false ["DB_URL"] ["MAIL"]"#, r#""staging" true [] []"#, r#""production" false ["PAGER"] []"#,
        ]);
        assert_eq!(report["valid"], false);
        assert_eq!(t.number(READS).await, 1, "one read, of the project");
        acme.owner.put(&project.env("development").secret("DB_URL"), json!({ "value": "x" })).await.ok();
        acme.owner.put(&project.env("production").secret("PAGER"), json!({ "value": "x" })).await.ok();
        assert_eq!(acme.owner.get(&validate).await.expect(200).at("/valid"), "true", "what is extra is no fault");
    }

    async fn nothing_is_said_of_what_the_caller_may_not_read(t: TestApp) {
        let acme = t.org("acme").await;
        let (dana, mia) = (acme.developer("dana").await, acme.member("mia", "member").await);
        let project = acme.project("web").await;
        let production = project.env("production");
        add(&acme.owner, &project, [json!({ "key": "CI_A" }), json!({ "key": "CI_B" }), json!({ "key": "DB" })]).await;
        for key in ["CI_A", "DB", "HIDDEN"] {
            acme.owner.put(&production.secret(key), json!({ "value": "x" })).await.ok();
        }
        let validate = format!("{}/validate", template(&project));
        let report = dana.get(&validate).await.expect(200).json();
        let seen: Vec<_> = report["environments"].as_array().expect("a list").iter().map(|env| env["environment"].clone()).collect();
        assert_eq!((seen, &report["not_readable"]), (vec![json!("development"), json!("staging")], &json!(["production"])));
        dana.get(&format!("{validate}?environment=production")).await.problem(403, "forbidden");
        mia.get(&validate).await.problem(403, "forbidden");
        t.person("mallory").await.get(&validate).await.problem(404, "not_found");
        let body = json!({ "name": "ci", "org": "acme", "patterns": ["web/production/CI_*"] });
        let ci = acme.owner.token(body).await;
        for query in ["", "?environment=production"] {
            let answer = ci.get(&format!("{validate}{query}")).await.expect(200);
            assert!(!answer.text().contains("HIDDEN") && !answer.text().contains("DB"), "{}", answer.text());
            let report = answer.json();
            assert_eq!(report["environments"].as_array().map(Vec::len), Some(1));
            let found = &report["environments"][0];
            assert_eq!((&found["missing"], &found["extra"], &found["not_readable"]), (&json!(["CI_B"]), &json!([]), &json!(1)));
        }
    }

    async fn nothing_is_validated_while_reads_cannot_be_recorded(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("web").await;
        add(&acme.owner, &project, [json!({ "key": "A" })]).await;
        let validate = format!("{}/validate", template(&project));
        t.sql("ALTER TABLE journal RENAME TO journal_away").await;
        acme.owner.get(&validate).await.problem(503, "unavailable");
        t.sql("ALTER TABLE journal_away RENAME TO journal").await;
        acme.owner.get(&validate).await.expect(200).ok();
        assert_eq!(t.number(READS).await, 1);
    }

    async fn a_pattern_that_backtracks_elsewhere_is_fast_on_the_longest_value(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("web").await;
        let value = format!("{}!", "a".repeat(64 * 1024 - 1));
        acme.owner.put(&project.env("production").secret("A"), json!({ "value": value })).await.expect(201).ok();
        add(&acme.owner, &project, [json!({ "key": "A", "pattern": "(a+)+$" })]).await;
        let began = Instant::now();
        let report = acme.owner.get(&format!("{}/validate?environment=production", template(&project))).await.expect(200);
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        let invalid: Value = report.json()["environments"][0]["invalid"][0]["reason"].clone();
        assert_eq!(invalid, "pattern");
    }
}

//! The keys of a template: making, changing, deleting, and the example that is made of them.

use harness::{Backend, on_both};
use serde_json::{Value, json};

use super::{add, template};

on_both! {
    async fn a_key_is_added_changed_and_removed(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("web").await;
        let keys = template(&project);
        let made = acme.owner.post(&keys, json!({ "key": "DB_URL" })).await.expect(201);
        assert!(made.at("/id").starts_with("tpl_"));
        assert_eq!((made.at("/required"), made.at("/environments"), made.at("/enum")), ("true".into(), "[]".into(), "[]".into()));
        assert_eq!((made.json().get("pattern"), made.json().get("default")), (None, None));
        let again = acme.owner.post(&keys, json!({ "key": "DB_URL" })).await.problem(409, "key_taken");
        assert_eq!(again.at("/field"), "key");
        let all = json!({
            "description": "Orders.\nAsk Dana.", "required": false, "environments": ["production", "@dev"],
            "pattern": "^postgres://", "enum": ["postgres://a", "postgres://b"], "min_length": 5, "max_length": 40,
            "default": "postgres://a",
        });
        let put = acme.owner.put(&format!("{keys}/DB_URL"), all.clone()).await.expect(200);
        for (name, value) in all.as_object().expect("members") {
            assert_eq!(&put.json()[name], value, "{name}");
        }
        assert_eq!((put.at("/id"), put.at("/created_at")), (made.at("/id"), made.at("/created_at")));
        acme.owner.put(&format!("{keys}/PORT"), json!({})).await.expect(201).ok();
        let put = acme.owner.put(&format!("{keys}/DB_URL"), json!({})).await.expect(200).json();
        assert_eq!((put.get("pattern"), &put["required"], &put["enum"]), (None, &json!(true), &json!([])), "replaced as a whole");
        let list = acme.owner.get(&keys).await.expect(200);
        assert_eq!((list.at("/data/0/key"), list.at("/data/1/key"), list.at("/pagination/total")), ("DB_URL".into(), "PORT".into(), "2".into()));
        acme.owner.delete(&format!("{keys}/DB_URL")).await.expect(204).ok();
        acme.owner.delete(&format!("{keys}/DB_URL")).await.problem(404, "not_found");
        let events = acme.owner.get(&acme.path("/audit-logs?resource_type=template_key")).await.expect(200);
        let seen: Vec<_> = (0..5).map(|n| format!("{} {}", events.at(&format!("/data/{n}/action")), events.at(&format!("/data/{n}/metadata/key")))).collect();
        assert_eq!(seen, [
            "template.key_deleted DB_URL", "template.key_updated DB_URL", "template.key_created PORT",
            "template.key_updated DB_URL", "template.key_created DB_URL",
        ]);
        assert_eq!(events.at("/data/0/resource_id"), made.at("/id"));
    }

    async fn an_environment_is_meant_for_good(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("web").await;
        let staging = acme.owner.get(&project.env("staging").0).await.at("/id");
        add(&acme.owner, &project, [json!({ "key": "A", "environments": [staging, "@prod"] })]).await;
        let shown = async || acme.owner.get(&template(&project)).await.expect(200).json()["data"][0]["environments"].clone();
        assert_eq!(shown().await, json!(["staging", "@prod"]));
        acme.owner.patch(&project.env("staging").0, json!({ "slug": "qa" })).await.expect(200).ok();
        assert_eq!(shown().await, json!(["qa", "@prod"]));
        acme.owner.delete(&project.env("qa").0).await.expect(204).ok();
        assert_eq!(shown().await, json!([staging, "@prod"]), "one that is gone shows its id");
        let report = acme.owner.get(&format!("{}/validate?environment=development", template(&project))).await.expect(200);
        assert_eq!(report.at("/environments/0/missing"), "[]", "and the key does not count everywhere for that");
    }

    async fn what_a_key_cannot_say_is_refused_by_its_field(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("web").await;
        let many = |count: usize| (0..count).map(|n| format!("v{n}")).collect::<Vec<_>>();
        for (field, reason, says) in [
            ("key", "format", json!({ "key": "9A" })),
            ("key", "reserved", json!({ "key": "validate" })),
            ("description", "too_long", json!({ "description": "d".repeat(2001) })),
            ("environments[1]", "unknown", json!({ "environments": ["production", "nowhere"] })),
            ("environments[0]", "unknown", json!({ "environments": ["@production"] })),
            ("environments[1]", "duplicate", json!({ "environments": ["@dev", "@dev"] })),
            ("pattern", "format", json!({ "pattern": "(" })),
            ("pattern", "format", json!({ "pattern": "(?=a)" })),
            ("pattern", "format", json!({ "pattern": r"(a)\1" })),
            ("pattern", "too_long", json!({ "pattern": "x".repeat(201) })),
            ("pattern", "too_big", json!({ "pattern": r"\w{100}" })),
            ("enum[1]", "duplicate", json!({ "enum": ["a", "a"] })),
            ("enum", "too_many", json!({ "enum": many(51) })),
            ("enum[0]", "too_long", json!({ "enum": ["x".repeat(1025)] })),
            ("min_length", "range", json!({ "min_length": -1 })),
            ("max_length", "range", json!({ "max_length": 65_537 })),
            ("min_length", "range", json!({ "min_length": 3, "max_length": 2 })),
            ("default", "pattern", json!({ "pattern": "^[0-9]+$", "default": "x" })),
            ("default", "enum", json!({ "enum": ["a"], "default": "b" })),
            ("default", "empty", json!({ "default": "" })),
            ("default", "too_long", json!({ "default": "x".repeat(1025) })),
        ] {
            let mut body = says;
            if body.get("key").is_none() {
                body["key"] = json!("A");
            }
            let refused = acme.owner.post(&template(&project), body.clone()).await.problem(422, "invalid_field");
            assert_eq!((refused.at("/errors/0/field"), refused.at("/errors/0/reason")), (field.into(), reason.into()), "{body}");
            let members = body.as_object_mut().expect("members");
            if let Some(Value::String(key)) = members.remove("key").filter(|key| key == "A") {
                let put = acme.owner.put(&format!("{}/{key}", template(&project)), body).await.problem(422, "invalid_field");
                assert_eq!(put.at("/errors/0/field"), field);
            }
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM template_keys").await, 0);
        let most = json!({
            "key": "A", "description": "d".repeat(2000), "pattern": format!("^{}$", "x".repeat(198)), "enum": many(50), "required": false,
        });
        add(&acme.owner, &project, [most]).await;
    }

    async fn a_template_has_1000_keys_at_most(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("web").await;
        let id = match t.backend {
            Backend::Sqlite => "randomblob(16)",
            Backend::Postgres => "gen_random_uuid()",
        };
        t.sql(&format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
             INSERT INTO template_keys (id, org_id, project_id, key, description, required, environments, allowed_values, created_at, updated_at)
             SELECT {id}, p.org_id, p.id, 'K' || n.i, '', TRUE, '[]', '[]', 1, 1 FROM projects p, n"
        )).await;
        let keys = template(&project);
        acme.owner.post(&keys, json!({ "key": "LAST" })).await.expect(201).ok();
        acme.owner.post(&keys, json!({ "key": "OVER" })).await.problem(409, "conflict");
        acme.owner.put(&format!("{keys}/OVER"), json!({})).await.problem(409, "conflict");
        acme.owner.put(&format!("{keys}/K1"), json!({})).await.expect(200).ok();
        let report = acme.owner.get(&format!("{keys}/validate?environment=staging")).await.expect(200).json();
        assert_eq!(report["environments"][0]["missing"].as_array().map(Vec::len), Some(1000));
    }

    async fn the_example_is_a_file_that_begins_with_the_defaults(t: TestApp) {
        let acme = t.org("acme").await;
        let vera = acme.member("vera", "viewer").await;
        let mia = acme.member("mia", "member").await;
        let project = acme.project("web").await;
        add(&acme.owner, &project, [
            json!({ "key": "DB_URL", "description": "Where orders are.\nAsk Dana.", "default": "postgres://localhost/it's" }),
            json!({ "key": "LEVEL", "required": false, "environments": ["@dev"], "default": "debug" }),
            json!({ "key": "TOKEN", "environments": ["production"] }),
        ]).await;
        let example = format!("{}/env-example", template(&project));
        let text = vera.get(&format!("{example}?format=dotenv")).await.expect(200);
        assert_eq!(text.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(
            text.text(),
            "# Where orders are.\n# Ask Dana.\n# required\nDB_URL=\"postgres://localhost/it's\"\n\n\
             # optional\nLEVEL='debug'\n\n# required\nTOKEN=''\n"
        );
        // Knowing of an environment is enough: nothing of it is shown.
        let production = vera.get(&format!("{example}?environment=production")).await.expect(200).text();
        assert!(production.contains("TOKEN") && !production.contains("LEVEL"), "{production}");
        let import = format!("{}/import", project.env("development").0);
        let text = text.text().into_bytes();
        acme.owner.send_bytes(reqwest::Method::POST, &import, "text/plain", text).await.expect(200).ok();
        let read = acme.owner.get(&format!("{}/export?format=json", project.env("development").0)).await.expect(200);
        assert_eq!(read.json(), json!({ "DB_URL": "postgres://localhost/it's", "LEVEL": "debug", "TOKEN": "" }));
        acme.owner.get(&format!("{example}?environment=nowhere")).await.problem(404, "not_found");
        let unknown = acme.owner.get(&format!("{example}?format=yaml")).await.problem(422, "invalid_field");
        assert_eq!(unknown.at("/errors/0/field"), "format");
        mia.get(&example).await.problem(403, "forbidden");
        add(&acme.owner, &project, [json!({ "key": "ODD", "default": "${DB_URL}" })]).await;
        let refused = acme.owner.get(&example).await.problem(422, "invalid_field");
        assert!(refused.at("/errors/0/message").contains("`ODD`"), "{}", refused.text());
    }
}

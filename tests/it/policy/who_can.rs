//! The reverse question: everybody who may, and nobody else.

use std::collections::BTreeSet;

use harness::matrix::{World, principals};
use harness::{Client, on_both};
use serde_json::{Value, json};

use super::{about, explain, person, put};

/// Questions of every depth, as they are asked in a query.
const QUESTIONS: &[&str] = &[
    "permission=org:read",
    "permission=audit:read",
    "permission=members:read",
    "permission=members:invite&project=web",
    "permission=envs:manage&project=web",
    "permission=envs:read&project=web&environment=production",
    "permission=secrets:list&project=web&environment=production",
    "permission=secrets:read&project=web&environment=development",
    "permission=secrets:read&project=web&environment=production&key=API_KEY",
    "permission=secrets:write&project=web&environment=staging&key=API_KEY",
];

/// The same question for `explain_access`.
fn asked(query: &str) -> Value {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    Value::Object(pairs.map(|(name, value)| (name.to_owned(), json!(value))).collect())
}

/// The whole list.
async fn who_can(by: &Client, query: &str) -> Vec<Value> {
    let path = format!("/v1/orgs/acme/access/who-can?{query}&limit=100");
    let listed = by.get(&path).await.expect(200).json();
    assert_eq!(listed["pagination"]["has_more"], json!(false), "{query}");
    listed["data"].as_array().cloned().expect("a list")
}

fn labels(list: &[Value]) -> Vec<String> {
    let label = |entry: &Value| {
        let subject = &entry["subject"];
        subject["email"]
            .as_str()
            .or(subject["name"].as_str())
            .expect("a label")
            .to_owned()
    };
    list.iter().map(label).collect()
}

on_both! {
    async fn it_lists_those_to_whom_an_explanation_says_yes_and_no_others(t: TestApp) {
        let world = World::build(&t).await;
        let all = principals::all(&t, &world).await;
        let owner = world.owner.client();
        for query in QUESTIONS {
            let mut listed = BTreeSet::new();
            for entry in who_can(owner, query).await {
                let subject = json!({ "type": entry["subject"]["type"], "id": entry["subject"]["id"] });
                let explained = explain(owner, subject, &asked(query)).await.expect(200).json();
                for name in ["subject", "subject_active", "inactive_reason", "reason", "matched"] {
                    assert_eq!(entry.get(name), explained.get(name), "{query} {name}: {explained}");
                }
                assert_eq!(explained["allowed"], entry["subject_active"], "{query}: {explained}");
                assert_eq!(entry["matched"]["outcome"], "grants", "{entry}");
                assert!(listed.insert(entry["subject"]["id"].as_str().unwrap().to_owned()), "twice: {entry}");
            }
            assert!(listed.contains(&world.own.owner_id.to_string()), "{query}");
            for principal in all.iter().filter(|principal| !principal.name.starts_with("pat")) {
                let Some(known) = &principal.known else { continue };
                let (kind, id) = match known.actor.principal {
                    domain::access::Principal::User(id) => ("user", id.to_string()),
                    domain::access::Principal::ServiceAccount(id) => ("service_account", id.to_string()),
                };
                let explained = explain(owner, json!({ "type": kind, "id": id }), &asked(query)).await;
                let may = matches!(explained.at("/reason").as_str(), "role" | "acl_allow");
                assert_eq!(listed.contains(&id), may, "{query} {}: {}", principal.name, explained.text());
            }
        }
    }

    async fn people_come_before_machines_by_label_and_pages_join_to_the_whole(t: TestApp) {
        let acme = t.org("acme").await;
        acme.project("web").await;
        for number in [3, 1, 2] {
            acme.member(&format!("m{number}"), "viewer").await;
            let robot = json!({ "name": format!("a robot {number}"), "role": "viewer", "with_key": false });
            acme.owner.post(&acme.path("/service-accounts"), robot).await.expect(201).ok();
        }
        acme.member("plain", "member").await;
        let query = "permission=secrets:read&project=web&environment=development&key=K";
        let whole = who_can(&acme.owner, query).await;
        let people = ["acme-owner", "m1", "m2", "m3"].map(|name| format!("{name}@example.com"));
        let robots = [1, 2, 3].map(|number| format!("a robot {number}"));
        assert_eq!(labels(&whole), [people.as_slice(), robots.as_slice()].concat());
        let mut joined = Vec::new();
        for offset in [0, 3, 6, 9] {
            let path = acme.path(&format!("/access/who-can?{query}&limit=3&offset={offset}"));
            let page = acme.owner.get(&path).await.expect(200).json();
            assert_eq!((&page["pagination"]["total"], &page["pagination"]["has_more"]), (&json!(7), &json!(offset < 6)));
            joined.extend(page["data"].as_array().cloned().expect("a list"));
        }
        assert_eq!(joined, whole);
    }

    async fn a_rule_adds_one_and_takes_one_away_and_who_is_out_is_marked(t: TestApp) {
        let acme = t.org("acme").await;
        acme.project("web").await;
        let (vera, dana) = (acme.member("vera", "viewer").await, acme.developer("dana").await);
        let ruth = t.person("ruth").await;
        let query = "permission=secrets:read&project=web&environment=staging&key=DB_URL";
        assert_eq!(labels(&who_can(&acme.owner, query).await), ["acme-owner@example.com", "dana@example.com"]);
        put(&acme.owner, &acme, about(&ruth, "allow", "web/@staging/DB_*", &["secrets:read"])).await.expect(201).ok();
        put(&acme.owner, &acme, about(&dana, "deny", "web/staging/DB_URL", &["secrets:read"])).await.expect(201).ok();
        t.sql("UPDATE users SET disabled_at = 1 WHERE id = (SELECT user_id FROM user_emails WHERE canonical = 'ruth@example.com')").await;
        let listed = who_can(&acme.owner, query).await;
        assert_eq!(labels(&listed), ["acme-owner@example.com", "ruth@example.com"]);
        let [owner, other] = [&listed[0], &listed[1]];
        assert_eq!((&owner["reason"], &owner["matched"]["name"], &owner["subject_active"]), (&json!("role"), &json!("owner"), &json!(true)));
        assert_eq!((&other["reason"], &other["matched"]["pattern"]), (&json!("acl_allow"), &json!("web/@staging/DB_*")));
        assert_eq!((&other["subject_active"], &other["inactive_reason"]), (&json!(false), &json!("disabled")));
        // For a list of the environment some key is enough, and one that is denied is not all.
        let any = who_can(&acme.owner, "permission=secrets:read&project=web&environment=staging").await;
        assert_eq!(labels(&any), ["acme-owner@example.com", "dana@example.com", "ruth@example.com"]);
        let asked = explain(&acme.owner, person(&vera), &asked(query)).await.expect(200);
        assert_eq!(asked.at("/reason"), "no_grant");
    }
}

//! Reading a whole environment.

use harness::{Answer, Client, EnvPath, on_both};
use serde_json::json;

async fn fill(client: &Client, env: &EnvPath, keys: &[&str]) {
    for key in keys {
        client
            .put(
                &env.secret(key),
                json!({ "value": format!("value of {key}"), "comment": "c" }),
            )
            .await
            .expect(201)
            .ok();
    }
}

fn keys(answer: &Answer) -> Vec<String> {
    let json = answer.json();
    let key = |entry: &serde_json::Value| entry["key"].as_str().unwrap_or_default().to_owned();
    json["data"].as_array().into_iter().flatten().map(key).collect()
}

on_both! {
    async fn all_secrets_come_sorted_with_values_and_the_revision(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let empty = acme.owner.get(&env.secrets()).await.expect(200);
        assert_eq!((empty.json()["data"].clone(), empty.json()["revision"].clone()), (json!([]), json!(0)));
        fill(&acme.owner, &env, &["b", "B", "a", "_a", "A.1", "A-1", "A_1", "A1"]).await;
        let list = acme.owner.get(&env.secrets()).await.expect(200);
        assert_eq!(keys(&list), ["A-1", "A.1", "A1", "A_1", "B", "_a", "a", "b"], "by byte, on both databases");
        assert_eq!((list.at("/revision"), list.at("/data/0/value")), ("8".into(), "value of A-1".into()));
        assert_eq!((list.at("/data/0/version"), list.at("/data/0/comment")), ("1".into(), "c".into()));
        assert!(list.json().get("pagination").is_none(), "all of them are no page");
        let names = acme.owner.get(&env.keys()).await.expect(200);
        assert_eq!((keys(&names), names.at("/revision")), (keys(&list), "8".into()));
        assert!(!names.text().contains("value"));
    }

    async fn a_page_is_cut_out_when_it_is_asked_for(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        fill(&acme.owner, &env, &["A", "B", "C", "D", "E"]).await;
        for path in [env.secrets(), env.keys()] {
            let page = acme.owner.get(&format!("{path}?limit=2&offset=1")).await.expect(200);
            assert_eq!(keys(&page), ["B", "C"]);
            assert_eq!(page.json()["pagination"], json!({ "limit": 2, "offset": 1, "total": 5, "has_more": true }));
            let last = acme.owner.get(&format!("{path}?offset=4")).await.expect(200);
            assert_eq!((keys(&last), last.at("/pagination/has_more")), (vec!["E".to_owned()], "false".into()));
            assert!(keys(&acme.owner.get(&format!("{path}?offset=99")).await.expect(200)).is_empty());
            acme.owner.get(&format!("{path}?limit=500")).await.expect(200).ok();
            for query in ["limit=0", "limit=501", "offset=-1"] {
                acme.owner.get(&format!("{path}?{query}")).await.problem(422, "invalid_field");
            }
        }
    }

    async fn search_takes_a_beginning_letter_by_letter(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        fill(&acme.owner, &env, &["DB_URL", "DB_USER", "DBXURL", "db_url", "API_DB_", "D"]).await;
        for (search, found) in [
            ("DB_", vec!["DB_URL", "DB_USER"]),
            ("db", vec!["db_url"]),
            ("D", vec!["D", "DBXURL", "DB_URL", "DB_USER"]),
            ("DB_URL", vec!["DB_URL"]),
            ("DB%25", vec![]),
            ("%25", vec![]),
            ("D?", vec![]),
            ("_", vec![]),
            ("'", vec![]),
            ("~", vec![]),
            ("Ö", vec![]),
            ("", vec!["API_DB_", "D", "DBXURL", "DB_URL", "DB_USER", "db_url"]),
        ] {
            for path in [env.secrets(), env.keys()] {
                let answer = acme.owner.get(&format!("{path}?search={}", search.replace('?', "%3F"))).await.expect(200);
                assert_eq!(keys(&answer), found, "{search}");
            }
        }
        let page = acme.owner.get(&format!("{}?search=DB_&limit=1", env.secrets())).await.expect(200);
        assert_eq!((keys(&page), page.at("/pagination/total")), (vec!["DB_URL".to_owned()], "2".into()));
    }

    async fn nothing_is_sent_again_until_something_changes(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        fill(&acme.owner, &env, &["A", "B"]).await;
        for path in [env.secrets(), env.keys()] {
            let first = acme.owner.get(&path).await.expect(200);
            let tag = first.header("etag").unwrap_or_default().to_owned();
            let asking = acme.owner.with("If-None-Match", &tag);
            let unchanged = asking.get(&path).await.expect(304);
            assert_eq!((unchanged.bytes(), unchanged.header("etag")), (&b""[..], Some(&*tag)));
            asking.get(&format!("{path}?search=A")).await.expect(200).ok();
            acme.owner.put(&env.secret("A"), json!({ "value": path })).await.expect(200).ok();
            let changed = asking.get(&path).await.expect(200);
            assert_ne!(changed.header("etag"), Some(&*tag));
        }
    }

    async fn what_is_read_of_the_past_follows_its_pin_and_what_is_destroyed(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        for value in ["one", "two", "three"] {
            acme.owner.put(&env.secret("A"), json!({ "value": value })).await.ok();
        }
        let pin = format!("{}/pins/release", env.0);
        let moved = async |revision: u32| acme.owner.put(&pin, json!({ "revision": revision })).await.ok();
        moved(1).await;
        let at_pin = [env.secrets(), env.keys()].map(|path| format!("{path}?revision=release"));
        for path in &at_pin {
            moved(1).await;
            let first = acme.owner.get(path).await.expect(200);
            let asking = acme.owner.with("If-None-Match", first.header("etag").unwrap_or_default());
            let _ = asking.get(path).await.expect(304);
            moved(2).await;
            assert_eq!(asking.get(path).await.expect(200).at("/data/0/version"), "2");
        }
        let [pinned, _] = &at_pin;
        let second = acme.owner.get(pinned).await.expect(200);
        let asking = acme.owner.with("If-None-Match", second.header("etag").unwrap_or_default());
        let _ = asking.get(pinned).await.expect(304);
        acme.owner.delete(&format!("{}/versions/2", env.secret("A"))).await.expect(204).ok();
        let destroyed = asking.get(pinned).await.expect(200);
        assert_eq!((keys(&destroyed), destroyed.at("/destroyed/0")), (Vec::<String>::new(), "A".into()));
        acme.owner.delete(&pin).await.expect(204).ok();
        asking.get(pinned).await.problem(422, "invalid_field");
    }

    async fn another_environment_of_the_same_name_has_other_tags(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let env = web.env("staging");
        fill(&acme.owner, &env, &["A"]).await;
        let mut before = Vec::new();
        for path in [env.secrets(), env.keys(), format!("{}?revision=1", env.secrets())] {
            let tag = acme.owner.get(&path).await.expect(200).header("etag").unwrap_or_default().to_owned();
            before.push((tag, path));
        }
        acme.owner.delete(&env.0).await.expect(204).ok();
        let again = json!({ "slug": "staging", "name": "Staging", "class": "staging" });
        acme.owner.post(&format!("{}/environments", web.path), again).await.expect(201).ok();
        fill(&acme.owner, &env, &["A"]).await;
        for (tag, path) in &before {
            acme.owner.with("If-None-Match", tag).get(path).await.expect(200).ok();
        }
    }

    async fn the_tag_changes_with_what_the_caller_may_see(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let env = web.env("development");
        fill(&acme.owner, &env, &["A"]).await;
        let dana = acme.developer("dana").await;
        let tag = dana.get(&env.secrets()).await.expect(200).header("etag").unwrap_or_default().to_owned();
        let others = acme.owner.get(&env.secrets()).await.expect(200);
        assert_ne!(others.header("etag"), Some(&*tag), "another caller, another tag");
        acme.owner.with("If-None-Match", &tag).get(&env.secrets()).await.expect(200).ok();
        let _ = dana.with("If-None-Match", &tag).get(&env.secrets()).await.expect(304);
        acme.grant(dana.id, Some(web.id), "admin").await;
        dana.with("If-None-Match", &tag).get(&env.secrets()).await.expect(200).ok();
    }

    async fn a_key_that_is_denied_is_gone_from_what_was_read_before(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("development");
        fill(&acme.owner, &env, &["A", "B"]).await;
        let dana = acme.developer("dana").await;
        let before = dana.get(&env.secrets()).await.expect(200);
        let tag = before.header("etag").unwrap_or_default().to_owned();
        assert_eq!(keys(&before), ["A", "B"]);
        let subject = json!({ "type": "user", "id": dana.id.to_string() });
        let rule = json!({ "subject": subject, "effect": "deny", "pattern": "web/development/B", "permissions": ["secrets:read"] });
        acme.owner.post(&acme.path("/acl"), rule).await.ok();
        let after = dana.with("If-None-Match", &tag).get(&env.secrets()).await.expect(200);
        assert_eq!(keys(&after), ["A"]);
        assert_ne!(after.header("etag"), Some(&*tag));
        assert_eq!(keys(&acme.owner.get(&env.secrets()).await.expect(200)), ["A", "B"], "others see it as before");
    }

    async fn an_unchanged_read_is_no_read_of_values(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        fill(&acme.owner, &env, &["A"]).await;
        let reads = "SELECT COUNT(*) FROM journal WHERE action = 'secret.read'";
        let tag = acme.owner.get(&env.secrets()).await.expect(200).header("etag").unwrap_or_default().to_owned();
        assert_eq!(t.number(reads).await, 1);
        for _ in 0..3 {
            let _ = acme.owner.with("If-None-Match", &tag).get(&env.secrets()).await.expect(304);
            acme.owner.get(&env.keys()).await.expect(200).ok();
        }
        assert_eq!(t.number(reads).await, 1);
    }
}

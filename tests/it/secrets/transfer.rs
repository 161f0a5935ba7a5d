//! Secrets in and out as text.

use harness::{Client, EnvPath, on_both};
use reqwest::Method;
use serde_json::json;

async fn import(client: &Client, env: &EnvPath, query: &str, text: &str) -> harness::Answer {
    let path = format!("{}/import{query}", env.0);
    client
        .send_bytes(Method::POST, &path, "text/plain", text.as_bytes().to_vec())
        .await
}

on_both! {
    async fn what_one_format_takes_out_every_format_brings_back(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("web").await;
        let (from, to) = (project.env("production"), project.env("staging"));
        let all = json!({ "PLAIN": "value", "SPACES": "  a b  ", "QUOTES": "it's \"so\"", "EMPTY": "", "EQUALS": "a=b=c", "HASH": "a #b", "UNICODE": "naïve 🦀" });
        acme.owner.post(&format!("{}/bulk", from.0), json!({ "secrets": all })).await.expect(200).ok();
        for format in ["dotenv", "json", "yaml", "shell", "docker-env", "k8s-secret"] {
            let text = acme.owner.get(&format!("{}/export?format={format}", from.0)).await.expect(200).text();
            let done = import(&acme.owner, &to, &format!("?format={format}&mode=replace"), &text).await;
            assert_eq!(done.status(), 200, "{format}: {}", done.text());
            let read = acme.owner.get(&format!("{}/export?format=json", to.0)).await.expect(200);
            assert_eq!(read.json(), all, "{format}");
        }
        assert_eq!(acme.owner.get(&format!("{}/revisions", to.0)).await.at("/pagination/total"), "1", "the same again is no change");
        acme.owner.send(Method::POST, &format!("{}/import", to.0), Some(json!({ "NEW": "n" }))).await.expect(200).ok();
        assert_eq!(acme.owner.get(&to.secret("NEW")).await.at("/value"), "n");
        assert!(acme.owner.get(&format!("{}/export?revision=1", to.0)).await.expect(200).text().find("NEW").is_none());
    }

    async fn a_text_that_is_wrong_changes_nothing_and_is_not_quoted(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        for (query, text, reason) in [
            ("", "A=1\nA=2\n", "duplicate"),
            ("", "A=1\nno assignment canary\n", ""),
            ("?format=json", r#"{"A": 1.10}"#, ""),
            ("?format=yaml", "A: yes\n", ""),
            ("?format=k8s-secret", "kind: ConfigMap\ndata: {}\n", ""),
        ] {
            let refused = import(&acme.owner, &env, query, text).await.problem(422, "invalid_field");
            assert_eq!(refused.at("/errors/0/field"), "body", "{text}");
            assert!(reason.is_empty() || refused.at("/errors/0/reason").contains(reason), "{}", refused.text());
            assert!(!refused.text().contains("canary"), "{}", refused.text());
        }
        let unknown = import(&acme.owner, &env, "?format=toml", "A=1").await.problem(422, "invalid_field");
        assert_eq!(unknown.at("/errors/0/field"), "format");
        let number = acme.owner.send(Method::POST, &format!("{}/import", env.0), Some(json!({ "A": 1.10 }))).await;
        assert_eq!(number.problem(422, "invalid_field").at("/errors/0/field"), "A");
        assert_eq!(t.number("SELECT COUNT(*) FROM secrets").await, 0);
    }

    async fn a_format_that_cannot_hold_a_value_says_so(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        acme.owner.put(&env.secret("PEM"), json!({ "value": "line\nline" })).await.expect(201).ok();
        let refused = acme.owner.get(&format!("{}/export?format=docker-env", env.0)).await.problem(422, "invalid_field");
        assert_eq!(refused.at("/errors/0/field"), "format");
        assert!(refused.text().contains("PEM") && !refused.text().contains("line\\nline"), "{}", refused.text());
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'secret.read'").await, 0, "nothing was read");
    }

    async fn an_export_is_recorded_and_holds_what_the_caller_may_read(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        acme.owner.post(&format!("{}/bulk", env.0), json!({ "secrets": { "CI_A": "a", "DB": "b" } })).await.expect(200).ok();
        let ci = acme.owner.token(json!({ "name": "ci", "org": "acme", "patterns": ["web/production/CI_*"] })).await;
        assert_eq!(ci.get(&format!("{}/export?format=json", env.0)).await.expect(200).json(), json!({ "CI_A": "a" }));
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'secret.read'").await, 1);
        let dana = acme.developer("dana").await;
        dana.get(&format!("{}/export", env.0)).await.problem(403, "forbidden");
    }
}

//! Writing and reading one secret.

use harness::on_both;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::json;

/// Sixty-four texts of every kind: letters, quotes, line ends, controls, astral planes; U+0000 alone is left out.
fn texts() -> Vec<String> {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let text = proptest::collection::vec(
        proptest::char::any().prop_filter("U+0000 is refused", |c| *c != '\0'),
        0..200,
    );
    let draw = |_| {
        text.new_tree(&mut runner)
            .ok()
            .map(|tree| tree.current().into_iter().collect())
    };
    (0..64).filter_map(draw).collect()
}

on_both! {
    async fn a_stored_value_reads_back_exactly(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let value = "quotes \" and ' , # = \\ $HOME\n\ttwo lines \u{1F511} ";
        let put = acme.owner.put(&env.secret("DB_URL"), json!({ "value": value, "comment": "main" })).await.expect(201);
        assert_eq!((put.at("/version"), put.at("/revision"), put.at("/comment")), ("1".into(), "1".into(), "main".into()));
        assert!(!put.text().contains("quotes"), "the value is not echoed");
        let got = acme.owner.get(&env.secret("DB_URL")).await.expect(200);
        assert_eq!(got.at("/value"), value);
        assert_eq!(got.header("etag"), Some("\"1\""));
    }

    async fn any_text_reads_back_exactly(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("development");
        let texts = texts();
        assert_eq!(texts.len(), 64);
        let edges = ["", " ", "\n", "\r\n", "\u{feff}", "null", "0", "\u{0}x".trim_start_matches('\0'), "e\u{301}", "é", "\\u0041"];
        let all: Vec<String> = texts.into_iter().chain(edges.map(str::to_owned)).collect();
        for (index, value) in all.iter().enumerate() {
            let path = env.secret(&format!("K{index:03}"));
            acme.owner.put(&path, json!({ "value": value })).await.expect(201).ok();
            assert_eq!(acme.owner.get(&path).await.expect(200).json()["value"], json!(value), "{value:?}");
        }
        let list = acme.owner.get(&env.secrets()).await.expect(200).json();
        let listed: Vec<_> = list["data"].as_array().into_iter().flatten().map(|entry| entry["value"].clone()).collect();
        assert_eq!(listed, all.iter().map(|value| json!(value)).collect::<Vec<_>>());
        acme.owner.put(&env.secret("NUL"), json!({ "value": "a\u{0}b" })).await.problem(422, "invalid_field");
    }

    async fn the_same_value_again_changes_nothing(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let body = json!({ "value": "v", "comment": "c" });
        let first = acme.owner.put(&env.secret("A"), body.clone()).await.expect(201);
        let rows = t.number("SELECT COUNT(*) FROM journal").await;
        for same in [body, json!({ "value": "v" })] {
            let again = acme.owner.put(&env.secret("A"), same).await.expect(200);
            assert_eq!(again.json(), first.json());
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM journal").await, rows, "no journal row");
        assert_eq!(t.number("SELECT COUNT(*) FROM secret_versions").await, 1);
        assert_eq!(t.number("SELECT COUNT(*) FROM environment_revisions").await, 1);
    }

    async fn another_value_or_another_comment_is_a_new_version(t: TestApp) {
        let acme = t.org("acme").await;
        let path = acme.project("web").await.env("production").secret("A");
        let put = |body| acme.owner.put(&path, body);
        put(json!({ "value": "v", "comment": "c" })).await.expect(201).ok();
        let value = put(json!({ "value": "w" })).await.expect(200);
        assert_eq!((value.at("/version"), value.at("/revision"), value.at("/comment")), ("2".into(), "2".into(), "c".into()));
        let comment = put(json!({ "value": "w", "comment": "" })).await.expect(200);
        assert_eq!((comment.at("/version"), comment.at("/comment")), ("3".into(), String::new()));
        assert_eq!(comment.header("etag"), Some("\"3\""));
        assert_eq!(comment.at("/created_at"), value.at("/created_at"));
        let same = put(json!({ "value": "w" })).await.expect(200);
        assert_eq!((same.at("/updated_at"), same.at("/version")), (comment.at("/updated_at"), "3".into()));
    }

    async fn post_makes_a_secret_and_never_writes_over_one(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let body = json!({ "key": "A", "value": "v", "comment": "c" });
        let made = acme.owner.post(&env.secrets(), body.clone()).await.expect(201);
        assert!(made.at("/id").starts_with("sec_"));
        assert_eq!((made.at("/version"), made.header("etag")), ("1".into(), Some("\"1\"")));
        assert!(made.json().get("value").is_none(), "the value is not echoed");
        acme.owner.post(&env.secrets(), body).await.problem(409, "key_taken");
        acme.owner.post(&env.secrets(), json!({ "key": "A", "value": "w" })).await.problem(409, "key_taken");
        assert_eq!(acme.owner.get(&env.secret("A")).await.at("/value"), "v");
        acme.owner.post(&env.secrets(), json!({ "key": "a", "value": "w" })).await.expect(201).ok();
    }

    async fn a_deleted_secret_is_gone_and_its_versions_go_on_when_it_is_made_again(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let first = acme.owner.put(&env.secret("A"), json!({ "value": "v", "comment": "c" })).await.expect(201);
        let deleted = acme.owner.delete(&env.secret("A")).await.expect(200);
        assert_eq!((deleted.at("/key"), deleted.at("/version"), deleted.at("/revision")), ("A".into(), "1".into(), "2".into()));
        for path in [env.secret("A"), format!("{}?version=1", env.secret("A")), format!("{}/versions", env.secret("A"))] {
            acme.owner.get(&path).await.problem(404, "not_found");
        }
        acme.owner.delete(&env.secret("A")).await.problem(404, "not_found");
        assert_eq!(acme.owner.get(&env.keys()).await.json()["data"], json!([]));
        let again = acme.owner.post(&env.secrets(), json!({ "key": "A", "value": "v" })).await.expect(201);
        assert_eq!((again.at("/version"), again.at("/revision"), again.at("/id")), ("2".into(), "3".into(), first.at("/id")));
        assert_eq!(again.at("/comment"), "", "the old comment does not come back");
        assert_eq!(t.number("SELECT COUNT(*) FROM secret_versions").await, 2);
    }

    async fn the_value_lies_sealed_in_the_database(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let body = json!({ "value": "canary-value", "comment": "canary-comment" });
        acme.owner.put(&env.secret("A"), body.clone()).await.ok();
        acme.owner.put(&env.secret("B"), body).await.ok();
        let rows = harness::sealed::all(&t).await;
        assert_eq!(rows.len(), 2);
        for row in &rows {
            let blobs = [row.sealed_value.clone(), row.sealed_comment.clone(), Some(row.fingerprint.clone())];
            for blob in blobs.into_iter().flatten() {
                assert!(!String::from_utf8_lossy(&blob).contains("canary"));
            }
        }
        assert_ne!(rows.first().map(|row| &row.sealed_value), rows.last().map(|row| &row.sealed_value));
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE data LIKE '%canary%'").await, 0);
    }
}

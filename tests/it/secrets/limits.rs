//! What a key, a value and a comment may be.

use harness::on_both;
use serde_json::json;

on_both! {
    async fn a_value_has_64_kib_at_most(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let most = "x".repeat(64 * 1024);
        acme.owner.put(&env.secret("A"), json!({ "value": most })).await.expect(201).ok();
        assert_eq!(acme.owner.get(&env.secret("A")).await.expect(200).at("/value"), most);
        // Bytes count, not characters.
        for value in [format!("{most}x"), "é".repeat(32 * 1024) + "x"] {
            let refused = acme.owner.put(&env.secret("B"), json!({ "value": value })).await.problem(422, "invalid_field");
            assert_eq!(refused.at("/errors/0/field"), "value");
            assert!(!refused.text().contains("xxx"), "the value is not repeated");
            acme.owner.post(&env.secrets(), json!({ "key": "B", "value": value })).await.problem(422, "invalid_field");
        }
        acme.owner.put(&env.secret("B"), json!({ "value": "é".repeat(32 * 1024) })).await.expect(201).ok();
    }

    async fn a_comment_has_one_kib_at_most(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let body = |bytes: usize| json!({ "value": "v", "comment": "c".repeat(bytes) });
        acme.owner.put(&env.secret("A"), body(1024)).await.expect(201).ok();
        let refused = acme.owner.put(&env.secret("B"), body(1025)).await.problem(422, "invalid_field");
        assert_eq!(refused.at("/errors/0/field"), "comment");
    }

    async fn a_key_has_255_characters_at_most(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let (most, over) = ("K".repeat(255), "K".repeat(256));
        acme.owner.put(&env.secret(&most), json!({ "value": "v" })).await.expect(201).ok();
        acme.owner.get(&env.secret(&most)).await.expect(200).ok();
        let refused = acme.owner.put(&env.secret(&over), json!({ "value": "v" })).await.problem(422, "invalid_field");
        assert_eq!(refused.at("/errors/0/field"), "key");
        let refused = acme.owner.post(&env.secrets(), json!({ "key": over, "value": "v" })).await.problem(422, "invalid_field");
        assert_eq!(refused.at("/errors/0/field"), "key");
    }

    async fn a_key_is_written_in_its_own_letters(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        for key in ["A", "_", "a.b-c_9", "_9", "DB_URL"] {
            acme.owner.post(&env.secrets(), json!({ "key": key, "value": "v" })).await.expect(201).ok();
            acme.owner.get(&env.secret(key)).await.expect(200).ok();
        }
        for key in ["", "9A", "-A", ".A", "A B", "A/B", "Ä", "A\u{301}", "A\n", "A%", "A$", "A=B"] {
            let refused = acme.owner.post(&env.secrets(), json!({ "key": key, "value": "v" })).await;
            assert_eq!(refused.problem(422, "invalid_field").at("/errors/0/field"), "key", "{key:?}");
        }
        for key in ["9A", "A%20B", "A%2FB", "%C3%84", "A%00"] {
            let refused = acme.owner.put(&env.secret(key), json!({ "value": "v" })).await;
            assert!([400, 422].contains(&refused.status()), "{key}: {}", refused.text());
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM secrets").await, 5);
    }
}

//! A stored value that is not in its place, or not as it was written, is never answered.

use harness::{EnvPath, Person, TestApp, on_both, sealed};
use serde_json::json;

/// Two secrets with values that are easily recognised.
async fn two_secrets(owner: &Person, env: &EnvPath) {
    for key in ["A", "B"] {
        owner
            .put(&env.secret(key), json!({ "value": format!("canary-{key}") }))
            .await
            .expect(201)
            .ok();
    }
}

/// Neither the one value nor the whole environment is answered, and nothing is told of any value.
async fn assert_unreadable(reader: &Person, env: &EnvPath, key: &str) {
    for path in [env.secret(key), env.secrets()] {
        let refused = reader.get(&path).await.problem(500, "internal");
        assert!(!refused.text().contains("canary"), "{}", refused.text());
        assert_eq!(refused.header("etag"), None);
    }
}

async fn reads(t: &TestApp) -> i64 {
    t.number("SELECT COUNT(*) FROM journal WHERE action = 'secret.read'")
        .await
}

on_both! {
    async fn two_values_that_were_swapped_are_both_refused(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        two_secrets(&acme.owner, &env).await;
        let (a, b) = (sealed::version(&t, "A", 1).await, sealed::version(&t, "B", 1).await);
        let (sealed_a, sealed_b) = (a.sealed_value.clone().unwrap_or_default(), b.sealed_value.clone().unwrap_or_default());
        sealed::put_value(&t, &a, &sealed_b).await;
        sealed::put_value(&t, &b, &sealed_a).await;
        assert_unreadable(&acme.owner, &env, "A").await;
        assert_unreadable(&acme.owner, &env, "B").await;
        assert_eq!(reads(&t).await, 0);
        sealed::put_value(&t, &a, &sealed_a).await;
        sealed::put_value(&t, &b, &sealed_b).await;
        assert_eq!(acme.owner.get(&env.secret("A")).await.expect(200).at("/value"), "canary-A");
    }

    async fn a_value_of_another_environment_version_or_organisation_is_refused(t: TestApp) {
        let (acme, zoo) = (t.org("acme").await, t.org("zoo").await);
        let web = acme.project("web").await;
        let (env, other) = (web.env("production"), web.env("staging"));
        let foreign = zoo.project("web").await.env("production");
        two_secrets(&acme.owner, &env).await;
        acme.owner.put(&other.secret("C"), json!({ "value": "canary-C" })).await.ok();
        zoo.owner.put(&foreign.secret("D"), json!({ "value": "canary-D" })).await.ok();
        acme.owner.put(&env.secret("B"), json!({ "value": "canary-2" })).await.ok();
        let target = sealed::version(&t, "A", 1).await;
        for (key, number) in [("C", 1), ("D", 1), ("B", 2)] {
            let source = sealed::version(&t, key, number).await;
            sealed::put_value(&t, &target, &source.sealed_value.unwrap_or_default()).await;
            assert_unreadable(&acme.owner, &env, "A").await;
        }
        let (first, second) = (sealed::version(&t, "B", 1).await, sealed::version(&t, "B", 2).await);
        sealed::put_value(&t, &second, &first.sealed_value.unwrap_or_default()).await;
        acme.owner.get(&env.secret("B")).await.problem(500, "internal");
    }

    async fn a_flipped_bit_anywhere_is_refused(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        two_secrets(&acme.owner, &env).await;
        let row = sealed::version(&t, "A", 1).await;
        let whole = row.sealed_value.clone().unwrap_or_default();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            if let Some(byte) = flipped.get_mut(at) {
                *byte ^= 1 << (at % 8);
            }
            sealed::put_value(&t, &row, &flipped).await;
            let refused = acme.owner.get(&env.secret("A")).await.problem(500, "internal");
            assert!(!refused.text().contains("canary"), "byte {at}");
        }
        assert_unreadable(&acme.owner, &env, "A").await;
        for broken in [&whole[..whole.len() - 1], &whole[..10], &[]] {
            sealed::put_value(&t, &row, broken).await;
            assert_unreadable(&acme.owner, &env, "A").await;
        }
        assert_eq!(acme.owner.get(&env.secret("B")).await.expect(200).at("/value"), "canary-B");
    }

    async fn a_comment_that_was_exchanged_gives_no_value_either(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        acme.owner.put(&env.secret("A"), json!({ "value": "canary-A", "comment": "canary" })).await.ok();
        t.sql("UPDATE secret_versions SET sealed_comment = sealed_value").await;
        assert_unreadable(&acme.owner, &env, "A").await;
    }

    async fn a_secret_moved_to_another_environment_is_refused_there(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        acme.owner.put(&web.env("production").secret("A"), json!({ "value": "canary" })).await.ok();
        t.sql("UPDATE secrets SET environment_id = (SELECT id FROM environments WHERE slug = 'development')").await;
        acme.owner.get(&web.env("production").secret("A")).await.problem(404, "not_found");
        assert_unreadable(&acme.owner, &web.env("development"), "A").await;
    }
}

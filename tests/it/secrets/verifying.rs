//! Whoever alters, moves or puts back what is stored of a project is found out by its check.

use domain::crypto::envelope::{SecretField, SecretPlace};
use domain::kernel::Rng;
use domain::kernel::id::EnvId;
use harness::{EnvPath, Org, Person, Project, TestApp, on_both, sealed};
use serde_json::{Value, json};

async fn verify(owner: &Person, project: &Project) -> Value {
    let path = format!("{}/verify", project.path);
    let found = owner.post(&path, json!({})).await.expect(200).json();
    assert_eq!(found["ok"], json!(found["fault_count"] == 0));
    found
}

/// Kind, key and version of each fault, sorted.
async fn faults(owner: &Person, project: &Project) -> Vec<(String, String, i64)> {
    let found = verify(owner, project).await;
    let list = found["faults"].as_array().cloned().unwrap_or_default();
    assert_eq!(found["fault_count"], json!(list.len()));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let fault = |fault: &Value| {
        let version = fault["version"].as_i64().unwrap_or_default();
        (text(&fault["kind"]), text(&fault["key"]), version)
    };
    let mut faults: Vec<_> = list.iter().map(fault).collect();
    faults.sort();
    faults
}

fn fault(kind: &str, key: &str, version: i64) -> (String, String, i64) {
    (kind.to_owned(), key.to_owned(), version)
}

/// Two versions of A with comments, one of B.
async fn fill(acme: &Org<'_>) -> (Project, EnvPath) {
    let web = acme.project("web").await;
    let env = web.env("production");
    for (key, value) in [("A", "one"), ("A", "two"), ("B", "b")] {
        let body = json!({ "value": value, "comment": "why" });
        acme.owner.put(&env.secret(key), body).await.ok();
    }
    (web, env)
}

async fn value_of(t: &TestApp, key: &str, version: i64) -> Vec<u8> {
    sealed::version(t, key, version).await.sealed_value.unwrap_or_default()
}

/// Replaces the sealed value of a version.
async fn put(t: &TestApp, key: &str, version: i64, blob: &[u8]) {
    let row = sealed::version(t, key, version).await;
    sealed::put_value(t, &row, blob).await;
}

fn flipped(mut blob: Vec<u8>, at: usize) -> Vec<u8> {
    if let Some(byte) = blob.get_mut(at) {
        *byte ^= 1;
    }
    blob
}

on_both! {
    async fn a_sound_project_has_no_faults_and_the_check_is_recorded(t: TestApp) {
        let acme = t.org("acme").await;
        let (web, env) = fill(&acme).await;
        acme.owner.patch(&env.secret("B"), json!({ "key": "C" })).await.expect(200).ok();
        acme.owner.delete(&env.secret("C")).await.expect(200).ok();
        acme.owner.delete(&format!("{}/versions/1", env.secret("A"))).await.expect(204).ok();
        acme.owner.put(&web.env("staging").secret("S"), json!({ "value": "s" })).await.ok();
        acme.owner.delete(&web.env("staging").0).await.expect(204).ok();
        let found = verify(&acme.owner, &web).await;
        assert_eq!(found["ok"], true, "{found}");
        assert_eq!(found["checked"], json!({ "versions": 4, "secrets": 3 }));
        let events = acme.owner.get(&acme.path("/audit-logs?action=project.verified")).await.expect(200);
        assert_eq!((events.at("/pagination/total"), events.at("/data/0/metadata/versions")), ("1".into(), "4".into()));
        assert_eq!(events.at("/data/0/metadata/faults"), "0");
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'secret.read'").await, 0);
        let empty = acme.project("empty").await;
        assert_eq!(verify(&acme.owner, &empty).await["checked"], json!({ "versions": 0, "secrets": 0 }));
    }

    async fn values_in_each_others_place_do_not_open(t: TestApp) {
        let acme = t.org("acme").await;
        let (web, _) = fill(&acme).await;
        let (a, b) = (value_of(&t, "A", 2).await, value_of(&t, "B", 1).await);
        put(&t, "A", 2, &b).await;
        put(&t, "B", 1, &a).await;
        assert_eq!(faults(&acme.owner, &web).await, [fault("unopenable", "A", 2), fault("unopenable", "B", 1)]);
        put(&t, "B", 1, &b).await;
        put(&t, "A", 2, &value_of(&t, "A", 1).await).await;
        assert_eq!(faults(&acme.owner, &web).await, [fault("unopenable", "A", 2)]);
    }

    async fn a_secret_that_was_moved_is_found_in_both_places(t: TestApp) {
        let acme = t.org("acme").await;
        let (web, _) = fill(&acme).await;
        let other = acme.project("other").await;
        t.sql("UPDATE secrets SET environment_id =
            (SELECT e.id FROM environments e JOIN projects p ON p.id = e.project_id WHERE p.slug = 'other' AND e.slug = 'staging')
            WHERE key = 'B'").await;
        assert_eq!(faults(&acme.owner, &web).await, [fault("missing", "", 1)]);
        assert_eq!(faults(&acme.owner, &other).await, [fault("altered", "B", 1), fault("unknown_key", "B", 1)]);
    }

    async fn a_flipped_bit_is_found_in_values_comments_and_key_ids(t: TestApp) {
        let acme = t.org("acme").await;
        let (web, _) = fill(&acme).await;
        let whole = value_of(&t, "A", 1).await;
        for at in [17, 29, whole.len() - 1] {
            put(&t, "A", 1, &flipped(whole.clone(), at)).await;
            assert_eq!(faults(&acme.owner, &web).await, [fault("unopenable", "A", 1)], "byte {at}");
        }
        put(&t, "A", 1, &flipped(whole.clone(), 16)).await;
        assert_eq!(faults(&acme.owner, &web).await, [fault("unknown_key", "A", 1)]);
        for broken in [&whole[..20], &[]] {
            put(&t, "A", 1, broken).await;
            assert_eq!(faults(&acme.owner, &web).await, [fault("unopenable", "A", 1)]);
        }
        put(&t, "A", 1, &whole).await;
        t.sql("UPDATE secret_versions SET sealed_comment = sealed_value WHERE version = 2").await;
        assert_eq!(faults(&acme.owner, &web).await, [fault("unopenable", "A", 2)]);
    }

    async fn states_of_before_that_were_put_back_are_found(t: TestApp) {
        let acme = t.org("acme").await;
        let (web, env) = fill(&acme).await;
        let owner = &acme.owner;
        t.sql("UPDATE secrets SET version = 1 WHERE key = 'A'").await;
        assert_eq!(faults(owner, &web).await, [fault("rolled_back", "A", 1)]);
        t.sql("UPDATE secrets SET version = 2 WHERE key = 'A'").await;
        owner.delete(&env.secret("B")).await.expect(200).ok();
        t.sql("UPDATE secrets SET deleted_at = NULL WHERE key = 'B'").await;
        assert_eq!(faults(owner, &web).await, [fault("rolled_back", "B", 1)]);
        t.sql("UPDATE secrets SET deleted_at = 1 WHERE key = 'B'").await;
        let first = value_of(&t, "A", 1).await;
        owner.delete(&format!("{}/versions/1", env.secret("A"))).await.expect(204).ok();
        assert_eq!(faults(owner, &web).await, []);
        put(&t, "A", 1, &first).await;
        assert_eq!(faults(owner, &web).await, [fault("rolled_back", "A", 1)]);
    }

    async fn what_is_gone_or_was_never_written_is_found(t: TestApp) {
        let acme = t.org("acme").await;
        let (web, _) = fill(&acme).await;
        let owner = &acme.owner;
        t.sql("UPDATE secrets SET version = 3 WHERE key = 'A'").await;
        assert_eq!(faults(owner, &web).await, [fault("altered", "A", 3)]);
        t.sql("UPDATE secrets SET version = 2 WHERE key = 'A'").await;
        t.sql("UPDATE secret_versions SET version = 7 WHERE version = 1 AND secret_id = (SELECT id FROM secrets WHERE key = 'A')").await;
        // It is sealed for another version, and nobody wrote it as this one.
        assert_eq!(faults(owner, &web).await, [fault("missing", "", 1), fault("unopenable", "A", 7)]);
        t.sql("UPDATE secret_versions SET version = 1 WHERE version = 7").await;
        t.sql("UPDATE secret_versions SET sealed_value = NULL WHERE version = 2").await;
        assert_eq!(faults(owner, &web).await, [fault("missing", "A", 2)]);
        t.sql("DELETE FROM secret_versions WHERE version = 2").await;
        t.sql("DELETE FROM secrets WHERE key = 'B'").await;
        assert_eq!(faults(owner, &web).await, [fault("missing", "", 1), fault("missing", "", 2)]);
    }

    async fn what_tells_of_a_value_without_it_must_be_of_that_value(t: TestApp) {
        let acme = t.org("acme").await;
        let (web, _) = fill(&acme).await;
        let owner = &acme.owner;
        let of = |table: &str, key: &str| format!("(SELECT o.fingerprint FROM {table} o WHERE {key})");
        // Whoever stored B's value again would be told that nothing changed, and A's would stay.
        let before = "CREATE TABLE kept AS SELECT id, fingerprint FROM secrets";
        t.sql(before).await;
        t.sql(&format!("UPDATE secrets SET fingerprint = {} WHERE key = 'A'", of("secrets", "o.key = 'B'"))).await;
        assert_eq!(faults(owner, &web).await, [fault("altered", "A", 2)]);
        t.sql(&format!("UPDATE secrets SET fingerprint = {}", of("kept", "o.id = secrets.id"))).await;
        assert_eq!(faults(owner, &web).await, []);
        t.sql("UPDATE secrets SET has_comment = NOT has_comment WHERE key = 'B'").await;
        assert_eq!(faults(owner, &web).await, [fault("altered", "B", 1)]);
        t.sql("UPDATE secrets SET has_comment = NOT has_comment WHERE key = 'B'").await;
        let newest = of("kept", "o.id = secret_versions.secret_id");
        t.sql(&format!("UPDATE secret_versions SET fingerprint = {newest} WHERE version = 1")).await;
        assert_eq!(faults(owner, &web).await, [fault("altered", "A", 1)]);
        t.sql("DROP TABLE kept").await;
        t.sql("DELETE FROM data_keys WHERE purpose = 'fingerprint'").await;
        let unknown = ["A", "A", "B"].iter().zip([1, 2, 1]).map(|(key, version)| fault("unknown_key", key, version));
        assert_eq!(faults(owner, &web).await, unknown.collect::<Vec<_>>(), "what could not be checked is not sound");
    }

    async fn a_value_of_somebody_who_has_the_key_is_not_what_was_written(t: TestApp) {
        let acme = t.org("acme").await;
        let (web, env) = fill(&acme).await;
        let shown = acme.owner.get(&env.0).await.expect(200);
        let env_id: EnvId = shown.at("/id").parse().expect("an id");
        let (a, b) = (sealed::version(&t, "A", 2).await, sealed::version(&t, "B", 1).await);
        let place = |row: &domain::secrets::entity::version::Model| SecretPlace {
            org: acme.id,
            project: web.id,
            env: env_id,
            secret: row.secret_id,
            version: row.version,
            field: SecretField::Value,
        };
        let forged = sealed::seal(&t, &place(&a), &Rng::system(), "forged").await;
        sealed::put_value(&t, &a, &forged).await;
        assert_eq!(acme.owner.get(&env.secret("A")).await.expect(200).at("/value"), "forged", "it opens");
        assert_eq!(faults(&acme.owner, &web).await, [fault("altered", "A", 2)]);
        // One seed, one nonce.
        for row in [&a, &b] {
            let blob = sealed::seal(&t, &place(row), &Rng::seeded(1), &row.version.to_string()).await;
            sealed::put_value(&t, row, &blob).await;
        }
        assert_eq!(faults(&acme.owner, &web).await, [fault("reused_nonce", "A", 2), fault("reused_nonce", "B", 1)]);
    }

    async fn secrets_with_many_versions_are_checked_to_the_last(t: TestApp) {
        let acme = t.org("acme").await;
        let (web, env) = fill(&acme).await;
        for n in 0..230 {
            acme.owner.put(&env.secret("A"), json!({ "value": format!("v{n}") })).await.ok();
        }
        let bulk: serde_json::Map<_, _> = (0..450).map(|n| (format!("K{n}"), json!("v"))).collect();
        acme.owner.post(&format!("{}/bulk", env.0), json!({ "secrets": bulk })).await.expect(200).ok();
        let found = verify(&acme.owner, &web).await;
        assert_eq!((&found["ok"], &found["checked"]), (&json!(true), &json!({ "versions": 683, "secrets": 452 })));
        for version in [99, 100, 101, 232] {
            put(&t, "A", version, &[1]).await;
        }
        let expected: Vec<_> = [99, 100, 101, 232].map(|version| fault("unopenable", "A", version)).into();
        assert_eq!(faults(&acme.owner, &web).await, expected);
        t.sql("UPDATE secret_versions SET sealed_value = NULL").await;
        let found = verify(&acme.owner, &web).await;
        assert_eq!((&found["fault_count"], found["faults"].as_array().map(Vec::len)), (&json!(683), Some(100)));
    }

    async fn one_project_does_not_suffer_from_anothers_faults(t: TestApp) {
        let acme = t.org("acme").await;
        let (web, _) = fill(&acme).await;
        let other = acme.project("other").await;
        acme.owner.put(&other.env("production").secret("O"), json!({ "value": "o" })).await.ok();
        put(&t, "O", 1, &[]).await;
        assert_eq!(faults(&acme.owner, &web).await, []);
        assert_eq!(faults(&acme.owner, &other).await, [fault("unopenable", "O", 1)]);
    }
}

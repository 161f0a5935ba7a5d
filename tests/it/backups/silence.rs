//! A backup holds no secret, neither as it lies there nor as it is restored.

use std::fs;

use harness::app::fresh_root_key;
use harness::people::PASSWORD;
use harness::{Authenticator, Backend, on_both};
use serde_json::json;
use tempfile::TempDir;

use super::{empty, restored, write};

/// Whether bytes hold a text, or a stretch of it.
fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

on_both! {
    async fn no_secret_is_in_a_backup_or_in_what_it_restores(t: TestApp) {
        let canary = |what: &str| format!("canary-{what}-{}", uuid::Uuid::new_v4().simple());
        let (value, comment) = (canary("value"), canary("comment"));
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let body = json!({ "value": value, "comment": comment });
        acme.owner.put(&env.secret("DB_URL"), body).await.ok();
        let token = acme.owner.post("/v1/auth/tokens", json!({ "name": "ci" })).await.expect(201).at("/token");
        let robot = acme.owner.post(&acme.path("/service-accounts"), json!({ "name": "robot" })).await.expect(201).at("/key");
        let hook = json!({ "url": "http://127.0.0.1:9999/", "events": ["org.restored"] });
        let hook = acme.owner.post(&acme.path("/webhooks"), hook).await.expect(201).at("/secret");
        let dana = t.person("dana").await;
        Authenticator::enable(dana.client(), &t.clock).await;
        let secrets = [
            value, comment, token, robot, hook, PASSWORD.to_owned(), dana.refresh_token.clone(),
        ];
        let (folder, key) = (TempDir::new().unwrap(), fresh_root_key());
        let (file, _) = write(t.db(), &key, &folder, "one.srb").await;
        let (_, into) = empty(Backend::Sqlite, &folder, "restored.db").await;
        restored(&file, &key, &into).await;
        into.close().await;
        let unpacked = fs::read(folder.path().join("restored.db")).unwrap();
        assert!(holds(&unpacked, "DB_URL"), "names are there, in clear");
        let sealed = fs::read(&file).unwrap();
        assert!(!holds(&sealed, "DB_URL") && !holds(&sealed, "acme-owner@example.com"), "and not in the backup");
        for secret in secrets {
            assert!(!secret.is_empty());
            for bytes in [&sealed, &unpacked] {
                assert!(!holds(bytes, &secret), "{secret}");
            }
        }
        assert!(!holds(&sealed, &key) && !holds(&unpacked, &key));
    }
}

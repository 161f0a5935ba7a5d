//! Asked for, made, proved, listed, deleted.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use harness::app::eventually;
use harness::people::PASSWORD;
use harness::{Backend, TestApp, on_both, on_each_backend};
use serde_json::json;

use super::{BACKUPS, ended, made, root};

on_both! {
    async fn a_backup_is_made_and_proved(t: TestApp) {
        let root = root(&t).await;
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        acme.owner.put(&env.secret("DB_URL"), json!({ "value": "postgres://db.internal/acme" })).await.ok();
        let asked = root.post(BACKUPS, json!({})).await.expect(202);
        assert_eq!((asked.at("/state"), asked.at("/cause")), ("pending".into(), "requested".into()));
        assert_eq!(asked.at("/requested_by"), root.id.to_string());
        let id = asked.at("/id");
        assert!(id.starts_with("bak_"), "{id}");
        let shown = ended(&root, &id).await;
        assert_eq!(shown.at("/state"), "completed", "{}", shown.text());
        assert_eq!(shown.at("/problem"), "", "{}", shown.text());
        assert_eq!(shown.at("/rows_done"), shown.at("/rows_total"));
        let source = if t.backend == Backend::Sqlite { "sqlite" } else { "postgres" };
        assert_eq!(shown.at("/source"), source);
        let file = t.dir.path().join(format!("backups/{id}.srb"));
        let metadata = std::fs::metadata(&file).unwrap();
        assert_eq!(shown.at("/size_bytes"), metadata.len().to_string());
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        assert_eq!(shown.at("/sha256").len(), 64);
        // What it was proved in is gone.
        let left = std::fs::read_dir(t.dir.path().join("backups")).unwrap().count();
        assert_eq!(left, 1);
        if t.backend == Backend::Postgres {
            let schemas = "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name LIKE 'scratch%'";
            assert_eq!(t.number(schemas).await, 0);
        }
        let listed = root.get(BACKUPS).await.expect(200);
        assert_eq!((listed.at("/pagination/total"), listed.at("/data/0/id")), ("1".into(), id.clone()));
        let folder = t.dir.path().join("backups").display().to_string();
        assert_eq!((listed.at("/store/kind"), listed.at("/store/place")), ("folder".into(), folder));
        assert_eq!((listed.at("/store/reachable"), listed.at("/store/problem")), ("true".into(), String::new()));
        let told = "SELECT COUNT(*) FROM journal WHERE action = 'backup.requested' AND actor_type = 'superuser'";
        assert_eq!(t.number(told).await, 1);
        root.delete(&format!("{BACKUPS}/{id}")).await.expect(204).ok();
        assert!(!file.exists(), "the file goes with it");
        root.get(&format!("{BACKUPS}/{id}")).await.problem(404, "not_found");
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'backup.deleted'").await, 1);
    }

    async fn what_ends_with_a_restoration_is_not_missed_in_it(t: TestApp) {
        let root = root(&t).await;
        t.anonymous().post("/v1/auth/device", json!({})).await.expect(200).ok();
        assert_eq!(t.number("SELECT COUNT(*) FROM oauth_devices").await, 1);
        made(&root).await;
    }

    async fn backups_are_for_superusers_with_a_session(t: TestApp) {
        let root = root(&t).await;
        let id = made(&root).await;
        let one = format!("{BACKUPS}/{id}");
        let dana = t.person("dana").await;
        dana.post(BACKUPS, json!({})).await.problem(403, "forbidden");
        for path in [BACKUPS, &one] {
            dana.get(path).await.problem(403, "forbidden");
            t.anonymous().get(path).await.problem(401, "unauthenticated");
        }
        dana.delete(&one).await.problem(403, "forbidden");
        dana.post(&format!("{one}/restore"), json!({})).await.problem(403, "forbidden");
        let token = root.token(json!({ "name": "cli" })).await;
        token.get(BACKUPS).await.problem(403, "session_required");
        token.post(BACKUPS, json!({})).await.problem(403, "session_required");
        for nothing in ["bak_01h455vb4pex5vsknk084sn02q", "job_01h455vb4pex5vsknk084sn02q"] {
            let path = format!("{BACKUPS}/{nothing}");
            root.get(&path).await.problem(404, "not_found");
            root.delete(&path).await.problem(404, "not_found");
            root.post(&format!("{path}/restore"), json!({})).await.problem(404, "not_found");
        }
    }

    async fn a_backup_that_is_being_made_is_not_deleted_or_restored(t: TestApp) {
        let root = root(&t).await;
        let id = made(&root).await;
        for state in ["pending", "running"] {
            t.sql(&format!("UPDATE backups SET state = '{state}'")).await;
            root.delete(&format!("{BACKUPS}/{id}")).await.problem(409, "conflict");
            root.post(&format!("{BACKUPS}/{id}/restore"), json!({})).await.problem(409, "conflict");
        }
        t.sql("UPDATE backups SET state = 'failed'").await;
        root.post(&format!("{BACKUPS}/{id}/restore"), json!({})).await.problem(409, "conflict");
        root.delete(&format!("{BACKUPS}/{id}")).await.expect(204).ok();
    }

    async fn a_backup_that_is_not_whole_says_so(t: TestApp) {
        let root = root(&t).await;
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        acme.owner.put(&env.secret("DB_URL"), json!({ "value": "x" })).await.ok();
        // The live journal was tampered with: the backup is a faithful copy of it, and nothing to rely on.
        t.sql("UPDATE journal SET ip = '192.0.2.1' WHERE action = 'secret.created'").await;
        let id = root.post(BACKUPS, json!({})).await.expect(202).at("/id");
        let shown = ended(&root, &id).await;
        assert_eq!((shown.at("/state"), shown.at("/last_verified_at")), ("completed".into(), String::new()));
        assert!(shown.at("/problem").contains("journal"), "{}", shown.text());
    }

    async fn what_is_dangerous_needs_a_recent_sign_in(t: TestApp) {
        let root = root(&t).await;
        let id = made(&root).await;
        t.sql("UPDATE credentials SET auth_time = auth_time - 660000000").await;
        root.get(&format!("{BACKUPS}/{id}")).await.expect(200).ok();
        root.delete(&format!("{BACKUPS}/{id}")).await.problem(428, "step_up_required");
        root.post(&format!("{BACKUPS}/{id}/restore"), json!({})).await.problem(428, "step_up_required");
        root.post("/v1/auth/sudo", json!({ "password": PASSWORD })).await.expect(200).ok();
        root.delete(&format!("{BACKUPS}/{id}")).await.expect(204).ok();
    }
}

on_each_backend! {
    async fn a_backup_goes_on_after_its_worker_died(backend: Backend) {
        let t = TestApp::spawn(backend).await;
        let root = root(&t).await;
        let id = made(&root).await;
        // As a worker leaves it that was killed over it.
        t.sql("UPDATE backups SET state = 'running', last_verified_at = NULL").await;
        t.hold_jobs("backup", 0).await;
        eventually("it is made again", || async {
            let shown = root.get(&format!("{BACKUPS}/{id}")).await.expect(200);
            shown.at("/state") == "completed" && !shown.at("/last_verified_at").is_empty()
        })
        .await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        let crashes = t.number("SELECT CAST(crashes AS bigint) FROM jobs WHERE kind = 'backup'").await;
        assert_eq!(crashes, 1);
    }
}

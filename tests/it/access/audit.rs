//! Who did what is on record, once.

use std::fmt::Write as _;

use domain::kernel::Reads;
use harness::matrix::state::journal_rows;
use harness::on_both;
use harness::operations::OPERATIONS;
use reqwest::Method;
use sea_orm::ConnectionTrait;
use serde_json::json;

use super::Stage;

on_both! {
    async fn each_change_is_recorded_once_under_its_own_name(t: TestApp) {
        let stage = Stage::new(t).await;
        let place = stage.world.production();
        let mut table = String::new();
        for operation in OPERATIONS.iter().filter(|operation| operation.mutates) {
            stage.reset(operation).await;
            let before = journal_rows(&stage.app).await;
            let answer = stage.call(stage.doer(operation), operation, &place).await;
            assert_eq!(answer.status(), operation.success, "{}: {}", operation.id, answer.text());
            let written = journal_rows(&stage.app).await - before;
            assert_eq!(written, operation.journal_rows, "{}", operation.id);
            if written == 0 {
                continue;
            }
            let newest = newest(&stage, answer.header("x-request-id")).await;
            let _ = writeln!(table, "{:<26}{newest}", operation.id);
        }
        insta::assert_snapshot!("actions", table);
    }

    async fn a_change_that_fails_is_not_recorded_and_changes_nothing(t: TestApp) {
        let stage = Stage::new(t).await;
        let place = stage.world.production();
        let before = stage.state().await;
        for operation in OPERATIONS.iter().filter(|operation| operation.body.is_some()) {
            let method = stage.endpoint(operation).method.clone();
            let path = stage.path(operation, &place);
            for body in [json!({ "unheard_of": true }), json!([]), json!({ "name": {} }), json!(null)] {
                let answer = stage.world.owner.send(method.clone(), &path, Some(body.clone())).await;
                let status = answer.status();
                assert!(matches!(status, 400 | 422), "{} {body}: {}", operation.id, answer.text());
            }
        }
        assert_eq!(stage.state().await.changed_since(&before), Vec::<&str>::new());
    }

    async fn columns_that_are_not_the_callers_to_set_are_refused(t: TestApp) {
        let stage = Stage::new(t).await;
        let place = stage.world.production();
        let before = stage.state().await;
        let fields = [
            "id", "org_id", "project_id", "user_id", "role", "role_id", "is_superuser", "is_admin", "plan", "audience",
            "created_at", "deleted_at", "revision", "version", "email_verified", "verified_at", "permissions",
        ];
        for operation in OPERATIONS.iter() {
            let Some(body) = stage.body(operation, &place) else { continue };
            let known = &stage.endpoint(operation).body_fields;
            for field in fields.iter().filter(|field| !known.iter().any(|name| name == *field)) {
                let mut body = body.clone();
                body[field] = json!(1);
                let method: Method = stage.endpoint(operation).method.clone();
                let answer = stage.world.owner.send(method, &stage.path(operation, &place), Some(body)).await;
                assert!(matches!(answer.status(), 400 | 422), "{} {field}: {}", operation.id, answer.text());
            }
        }
        assert_eq!(stage.state().await.changed_since(&before), Vec::<&str>::new());
    }
}

/// The event that a request left behind: what happened, to what kind of thing, by what kind of actor.
async fn newest(stage: &Stage, request: Option<&str>) -> String {
    let db = stage.app.db();
    let sql = "SELECT action, target_type, actor_type FROM journal WHERE request_id = $1";
    let row = db
        .conn()
        .query_one_raw(db.sql(sql, [request.into()]))
        .await
        .expect("the query")
        .expect("an event");
    let text = |index| row.try_get_by_index::<String>(index).expect("a text");
    format!("{:<30}{:<14}{}", text(0), text(1), text(2))
}

//! Seeing and ending one's sessions, the security log, and changing the password.

use harness::people::PASSWORD;
use harness::{Person, on_both};
use serde_json::{Value, json};

use super::sign_in::cookie_of;

const NEW: &str = "another horse battery staple";

async fn sessions(dana: &Person) -> Vec<Value> {
    let listed = dana.get("/v1/auth/sessions").await.expect(200).json();
    listed["data"].as_array().cloned().unwrap_or_default()
}

async fn is_signed_in(client: &harness::Client) -> bool {
    client.get("/v1/auth/me").await.status() == 200
}

fn id(session: &Value) -> &str {
    session["id"].as_str().unwrap_or_default()
}

on_both! {
    async fn a_session_is_one_entry_however_often_it_was_prolonged(t: TestApp) {
        let dana = t.person("dana").await;
        let browser = t.anonymous().cookie(&cookie_of(&t, &dana.email).await);
        let first = sessions(&dana).await;
        let refresh = json!({ "refresh_token": dana.refresh_token });
        let traded = t.anonymous().with("User-Agent", "curl/8").post("/v1/auth/token/refresh", refresh).await.expect(200);
        let dana = dana.with_tokens(&traded.at("/access_token"), &traded.at("/refresh_token"));
        let now = sessions(&dana).await;
        assert_eq!(now.len(), 2);
        assert_eq!(now.iter().map(id).collect::<Vec<_>>(), first.iter().map(id).collect::<Vec<_>>());
        let kinds: Vec<_> = now.iter().map(|entry| (entry["transport"].clone(), entry["current"].clone())).collect();
        assert_eq!(kinds, [(json!("cookie"), json!(false)), (json!("bearer"), json!(true))], "the newest first");
        assert_eq!(now[1]["created_at"], first[1]["created_at"], "since it was opened");
        assert_eq!((&now[1]["amr"], &now[1]["user_agent"]), (&json!(["pwd"]), &json!("curl/8")));
        assert_eq!(now[1]["ip_address"], "127.0.0.1");
        assert!(id(&now[0]).starts_with("ses_"));
        assert_eq!(browser.get("/v1/auth/sessions").await.json()["data"][0]["current"], true);
    }

    async fn a_session_that_is_ended_is_over_at_once(t: TestApp) {
        let dana = t.person("dana").await;
        let elsewhere = dana.signs_in_again().await;
        let listed = sessions(&dana).await;
        let path = format!("/v1/auth/sessions/{}", id(&listed[0]));
        dana.delete(&path).await.expect(204).ok();
        assert!(!is_signed_in(elsewhere.client()).await && is_signed_in(dana.client()).await);
        let refresh = json!({ "refresh_token": elsewhere.refresh_token });
        t.anonymous().post("/v1/auth/token/refresh", refresh).await.problem(401, "unauthenticated");
        dana.delete(&path).await.problem(404, "not_found");
        assert_eq!(sessions(&dana).await.len(), 1);
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'session.revoked'").await, 1);
    }

    async fn a_session_of_others_is_none_of_ones_own(t: TestApp) {
        let (dana, eve) = (t.person("dana").await, t.person("eve").await);
        let theirs = sessions(&dana).await;
        let absent = eve.delete("/v1/auth/sessions/ses_01h455vb4pex5vsknk084sn02q").await.problem(404, "not_found");
        let refused = eve.delete(&format!("/v1/auth/sessions/{}", id(&theirs[0]))).await.problem(404, "not_found");
        assert_eq!(refused.at("/detail"), absent.at("/detail"));
        assert!(is_signed_in(dana.client()).await);
    }

    async fn ending_all_others_keeps_this_one_and_personal_tokens(t: TestApp) {
        let dana = t.person("dana").await;
        let (one, two) = (dana.signs_in_again().await, t.anonymous().cookie(&cookie_of(&t, &dana.email).await));
        let token = dana.token(json!({ "name": "ci" })).await;
        dana.delete("/v1/auth/sessions").await.expect(204).ok();
        assert!(!is_signed_in(one.client()).await && !is_signed_in(&two).await);
        assert!(is_signed_in(dana.client()).await && is_signed_in(&token).await);
        dana.delete("/v1/auth/sessions").await.expect(204).ok();
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'session.revoked'").await, 1, "nothing to tell");
        token.get("/v1/auth/sessions").await.problem(403, "session_required");
        token.delete("/v1/auth/sessions").await.problem(403, "session_required");
    }

    async fn the_security_log_tells_of_ones_own_account_alone(t: TestApp) {
        let dana = t.person("dana").await;
        dana.signs_in_again().await;
        dana.post("/v1/auth/sudo", json!({ "password": PASSWORD })).await.expect(200).ok();
        t.person("eve").await;
        let log = dana.get("/v1/auth/security-log?limit=2").await.expect(200);
        let actions = |log: &harness::Answer| {
            let listed = log.json()["data"].as_array().cloned().unwrap_or_default();
            listed.iter().map(|event| event["action"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(actions(&log), ["session.confirmed", "session.created"]);
        let rest = dana.get(&format!("/v1/auth/security-log?after={}", log.at("/pagination/next_cursor"))).await;
        assert_eq!(actions(&rest.expect(200)), ["user.registered"]);
        let session = log.at("/data/0/resource_id");
        assert!(sessions(&dana).await.iter().any(|entry| id(entry) == session), "the log names sessions as the list does");
        assert!(!log.text().contains(PASSWORD));
    }

    async fn a_change_of_password_ends_other_sessions(t: TestApp) {
        let dana = t.person("dana").await;
        let elsewhere = dana.signs_in_again().await;
        let body = json!({ "current_password": PASSWORD, "new_password": NEW });
        dana.post("/v1/auth/password", body).await.expect(204).ok();
        assert!(is_signed_in(dana.client()).await && !is_signed_in(elsewhere.client()).await);
        let login = |password: &'static str| json!({ "email": "dana@example.com", "password": password });
        t.anonymous().post("/v1/auth/login", login(PASSWORD)).await.problem(401, "invalid_credentials");
        t.anonymous().post("/v1/auth/login", login(NEW)).await.expect(200).ok();
        assert_eq!(t.number("SELECT auth_epoch FROM users").await, 1);
        assert_eq!(t.number("SELECT COUNT(*) FROM mails WHERE template = 'password_changed_v1'").await, 1);
    }

    async fn a_password_changes_only_with_the_old_one_to_a_good_one(t: TestApp) {
        let dana = t.person("dana").await;
        let token = dana.token(json!({ "name": "ci" })).await;
        let change = |current: &str, new: &str| json!({ "current_password": current, "new_password": new });
        dana.post("/v1/auth/password", change("wrong horse", NEW)).await.problem(401, "invalid_credentials");
        let weak = dana.post("/v1/auth/password", change(PASSWORD, "dana@example.com")).await;
        assert_eq!(weak.problem(422, "invalid_field").at("/errors/0/field"), "new_password");
        token.post("/v1/auth/password", change(PASSWORD, NEW)).await.problem(403, "session_required");
        t.anonymous().post("/v1/auth/login", json!({ "email": dana.email, "password": PASSWORD })).await.expect(200).ok();
        t.sql("UPDATE users SET password_hash = NULL").await;
        dana.post("/v1/auth/password", change(PASSWORD, NEW)).await.problem(409, "conflict");
    }

    async fn a_password_is_one_however_the_keyboard_composes_it(t: TestApp) {
        let (composed, decomposed) = ("h\u{f4}rse b\u{e4}ttery st\u{e4}ple", "ho\u{302}rse ba\u{308}ttery sta\u{308}ple");
        let body = json!({ "email": "dana@example.com", "password": decomposed });
        t.anonymous().post("/v1/auth/register", body).await.expect(201).ok();
        for password in [composed, decomposed] {
            let body = json!({ "email": "dana@example.com", "password": password });
            t.anonymous().post("/v1/auth/login", body).await.expect(200).ok();
        }
    }
}

//! Accounts: finding them, switching them off and on, giving and taking a superuser's rights, deleting them.

use std::time::Duration;

use harness::app::Options;
use harness::people::PASSWORD;
use harness::{TestApp, on_both, on_each_backend};
use serde_json::{Value, json};

use super::{column, newest, root, superuser, told};

const USERS: &str = "/v1/admin/users";
const ME: &str = "/v1/auth/me";

fn login(email: &str) -> Value {
    json!({ "email": email, "password": PASSWORD, "transport": "bearer" })
}

on_both! {
    async fn everybody_is_listed_and_found_by_name_and_address(t: TestApp) {
        let root = root(&t).await;
        let dana = t.proved_person("dana").await;
        t.person("erin").await;
        let all = root.get(USERS).await.expect(200);
        assert_eq!(column(&all, "email"), ["root@example.com", "dana@example.com", "erin@example.com"]);
        assert_eq!(column(&all, "is_superuser"), ["true", "false", "false"]);
        assert_eq!(column(&all, "email_verified"), ["false", "true", "false"]);
        let flags = ["/data/1/is_active", "/data/1/has_password", "/data/1/has_second_factor", "/data/1/orgs"];
        assert_eq!(flags.map(|flag| all.at(flag)), ["true", "true", "false", "1"]);
        dana.patch(ME, json!({ "first_name": "Dana", "last_name": "O'Hara_50%", "username": "dana.dee" })).await.expect(200).ok();
        for search in ["DANA", "o'hara", "_50%25", ".dee", "dana@", "na%20o"] {
            let found = root.get(&format!("{USERS}?search={search}")).await.expect(200);
            assert_eq!(column(&found, "id"), [dana.id.to_string()], "{search}");
        }
        for search in ["%25", "nobody"] {
            let expected = usize::from(search == "%25");
            let found = root.get(&format!("{USERS}?search={search}")).await.expect(200);
            assert_eq!(column(&found, "id").len(), expected, "{search}: taken to the letter");
        }
        let page = root.get(&format!("{USERS}?limit=1&offset=1")).await.expect(200);
        assert_eq!((page.at("/data/0/email"), page.at("/pagination/total")), ("dana@example.com".into(), "3".into()));
    }

    async fn switched_off_an_account_ends_at_the_next_request_and_for_good(t: TestApp) {
        let root = root(&t).await;
        let dana = t.person("dana").await;
        let token = dana.token(json!({ "name": "ci" })).await;
        let path = format!("{USERS}/{}", dana.id);
        let off = root.patch(&path, json!({ "is_active": false })).await.expect(200);
        assert_eq!((off.at("/is_active"), off.at("/disabled_at").is_empty()), ("false".into(), false));
        for credential in [dana.client(), &token] {
            credential.get(ME).await.problem(401, "unauthenticated");
        }
        let refresh = json!({ "refresh_token": dana.refresh_token });
        t.anonymous().post("/v1/auth/token/refresh", refresh.clone()).await.problem(401, "unauthenticated");
        t.anonymous().post("/v1/auth/login", login(&dana.email)).await.problem(401, "invalid_credentials");
        let same = root.patch(&path, json!({ "is_active": false })).await.expect(200);
        assert_eq!(same.json(), off.json());
        let on = root.patch(&path, json!({ "is_active": true })).await.expect(200);
        assert_eq!((on.at("/is_active"), on.at("/disabled_at")), ("true".into(), String::new()));
        for credential in [dana.client(), &token] {
            credential.get(ME).await.problem(401, "unauthenticated");
        }
        t.anonymous().post("/v1/auth/token/refresh", refresh).await.problem(401, "unauthenticated");
        let back = dana.signs_in_again().await;
        let log = back.get("/v1/auth/security-log?limit=5").await.expect(200);
        let flags = log.json()["data"].as_array().into_iter().flatten()
            .filter(|event| event["action"] == "user.flags_changed")
            .map(|event| (event["metadata"].clone(), event["actor"]["type"].clone()))
            .collect::<Vec<_>>();
        let told = |is_active: bool| (json!({ "is_active": is_active }), json!("superuser"));
        assert_eq!(flags, [told(true), told(false)], "and what changed nothing is not told");
    }

    async fn a_superuser_makes_another_and_takes_it_back(t: TestApp) {
        let root = root(&t).await;
        let dana = t.person("dana").await;
        let path = format!("{USERS}/{}", dana.id);
        dana.get(USERS).await.problem(403, "forbidden");
        let made = root.patch(&path, json!({ "is_superuser": true })).await.expect(200);
        assert_eq!(made.at("/is_superuser"), "true");
        assert_eq!(dana.get(ME).await.expect(200).at("/is_superuser"), "true");
        dana.get(USERS).await.expect(200).ok();
        assert_eq!(newest(&dana, "/v1/auth/security-log").await, told("user.flags_changed"));
        root.patch(&path, json!({ "is_superuser": false })).await.expect(200).ok();
        dana.get(USERS).await.problem(403, "forbidden");
    }

    async fn a_token_of_a_superuser_does_none_of_it(t: TestApp) {
        let root = root(&t).await;
        let dana = t.person("dana").await;
        let token = root.token(json!({ "name": "ci" })).await;
        token.get(USERS).await.problem(403, "session_required");
        let path = format!("{USERS}/{}", dana.id);
        token.patch(&path, json!({ "is_active": false })).await.problem(403, "session_required");
        token.delete(&path).await.problem(403, "session_required");
        dana.get(ME).await.expect(200).ok();
    }

    async fn nobody_does_it_to_themselves(t: TestApp) {
        let root = root(&t).await;
        superuser(&t, "other").await;
        let own = format!("{USERS}/{}", root.id);
        for flags in [json!({ "is_superuser": false }), json!({ "is_active": false })] {
            root.patch(&own, flags).await.problem(409, "conflict");
        }
        root.delete(&own).await.problem(409, "conflict");
        let same = root.patch(&own, json!({ "is_superuser": true, "is_active": true })).await.expect(200);
        assert_eq!(same.at("/email"), "root@example.com");
        root.get(USERS).await.expect(200).ok();
    }

    async fn deleted_an_account_goes_with_what_is_its_own_alone(t: TestApp) {
        let root = root(&t).await;
        let acme = t.org("acme").await;
        let dana = acme.developer("dana").await;
        dana.post("/v1/orgs", json!({ "name": "Alone", "slug": "alone" })).await.expect(201).ok();
        let owner = format!("{USERS}/{}", acme.owner.id);
        let refused = root.delete(&owner).await.problem(409, "last_owner");
        assert_eq!(refused.json()["organisations"], json!(["acme"]));
        let path = format!("{USERS}/{}", dana.id);
        root.delete(&path).await.expect(204).ok();
        dana.get(ME).await.problem(401, "unauthenticated");
        root.delete(&path).await.problem(404, "not_found");
        root.patch(&path, json!({ "is_active": false })).await.problem(404, "not_found");
        for nobody in ["usr_x", "root@example.com", "prj_01h455vb4pex5vsknk084sn02q"] {
            root.delete(&format!("{USERS}/{nobody}")).await.problem(404, "not_found");
        }
        let journal = "SELECT COUNT(*) FROM journal WHERE action = 'user.deleted' AND actor_type = 'superuser'";
        assert_eq!(t.number(journal).await, 1);
        assert_eq!(t.number("SELECT COUNT(*) FROM orgs WHERE slug IN ('alone', 'dana') AND deleted_at IS NOT NULL").await, 2);
        let members = acme.owner.get(&acme.path("/members")).await.expect(200);
        assert_eq!(members.at("/pagination/total"), "1");
    }
}

on_each_backend! {
    async fn what_is_dangerous_takes_a_recent_sign_in(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let root = root(&t).await;
        let dana = t.person("dana").await;
        t.advance(Duration::from_secs(601));
        let path = format!("{USERS}/{}", dana.id);
        root.patch(&path, json!({ "is_superuser": true })).await.problem(428, "step_up_required");
        root.patch(&path, json!({ "is_superuser": true, "is_active": false })).await.problem(428, "step_up_required");
        root.delete(&path).await.problem(428, "step_up_required");
        assert_eq!(dana.get(ME).await.expect(200).at("/is_superuser"), "false");
        root.patch(&path, json!({ "is_active": false })).await.expect(200).ok();
        let back = root.signs_in_again().await;
        back.patch(&path, json!({ "is_superuser": true })).await.expect(200).ok();
        back.delete(&path).await.expect(204).ok();
    }
}

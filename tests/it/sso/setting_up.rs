//! Setting the instance's provider up, and looking whether it works.

use harness::on_both;
use serde_json::json;

use super::{INSTANCE, OIDC, Way, certified, cookie, liar, root, set_up, settings, sign_in};

on_both! {
    async fn the_secret_is_never_shown_and_stars_leave_it(t: TestApp) {
        let provider = certified(&t);
        let root = root(&t).await;
        let unset = root.get(OIDC).await.expect(200);
        assert_eq!((unset.at("/enabled"), unset.at("/create_unknown_user"), unset.at("/discovery")), ("false".into(), "true".into(), "true".into()));
        assert_eq!(unset.json()["client_secret"], json!(null));
        assert_eq!(unset.at("/redirect_uri"), format!("{}{INSTANCE}/callback", t.url));
        let set = root.patch(OIDC, settings(&provider)).await.expect(200);
        assert_eq!(set.at("/client_secret"), "********");
        let shown = root.get(OIDC).await.expect(200);
        assert!(!shown.text().contains("blanks"), "{}", shown.text());
        root.patch(OIDC, json!({ "name": "Acme", "client_secret": "********" })).await.expect(200).ok();
        let _ = sign_in(&t).await.expect(303);
        let stored = t.number("SELECT COUNT(*) FROM sso_providers WHERE sealed_secret IS NOT NULL").await;
        assert_eq!(stored, 1);
    }

    async fn a_secret_goes_to_no_other_place_than_it_was_given_for(t: TestApp) {
        let (provider, other) = (liar(), liar());
        let root = set_up(&t, &provider).await;
        for change in [json!({ "issuer": other.url }), json!({ "token_endpoint": other.url }), json!({ "discovery": false })] {
            let refused = root.patch(OIDC, change.clone()).await.problem(422, "invalid_field");
            assert_eq!(refused.at("/errors/0/field"), "client_secret", "{change}");
        }
        root.patch(OIDC, json!({ "issuer": other.url, "client_secret": "new" })).await.expect(200).ok();
        let _ = sign_in(&t).await.expect(303);
        let gone = root.patch(OIDC, json!({ "client_secret": "" })).await.expect(200);
        assert_eq!(gone.json()["client_secret"], json!(null));
    }

    async fn endpoints_can_be_named_instead_of_asked_for(t: TestApp) {
        let provider = liar();
        let root = root(&t).await;
        let mut all = settings(&provider);
        all["discovery"] = json!(false);
        for (field, path) in [("authorization_endpoint", "/auth"), ("token_endpoint", "/token"), ("jwks_uri", "/jwks")] {
            let refused = root.patch(OIDC, all.clone()).await.problem(422, "invalid_field");
            assert_eq!(refused.at("/errors/0/field"), field);
            all[field] = json!(format!("{}{path}", provider.url));
        }
        root.patch(OIDC, all).await.expect(200).ok();
        let _ = sign_in(&t).await.expect(303);
    }

    async fn it_takes_a_superuser_who_signed_in_just_now(t: TestApp) {
        let provider = liar();
        let root = set_up(&t, &provider).await;
        let dana = t.person("dana").await;
        dana.get(OIDC).await.problem(403, "forbidden");
        dana.patch(OIDC, json!({ "enabled": false })).await.problem(403, "forbidden");
        let token = root.token(json!({ "name": "ci" })).await;
        token.get(OIDC).await.problem(403, "session_required");
        t.sql("UPDATE credentials SET auth_time = 1").await;
        root.patch(OIDC, json!({ "enabled": false })).await.problem(428, "step_up_required");
        root.get(OIDC).await.expect(200).ok();
    }

    async fn a_test_tells_what_can_be_reached_and_what_would_happen(t: TestApp) {
        let provider = certified(&t);
        let root = root(&t).await;
        root.post(&format!("{OIDC}/test"), json!({})).await.problem(409, "conflict");
        let mut off = settings(&provider);
        off["enabled"] = json!(false);
        root.patch(OIDC, off).await.expect(200).ok();
        let report = root.post(&format!("{OIDC}/test"), json!({ "login": true })).await.expect(200);
        let reached = ["/reachable", "/authorization_endpoint", "/token_endpoint", "/userinfo_endpoint", "/keys"].map(|at| report.at(at));
        assert_eq!(reached, ["true"; 5], "{}", report.text());
        assert_eq!(report.at("/discovery_url"), format!("{}/.well-known/openid-configuration", provider.url));
        let way = Way { url: report.at("/login_url"), half: cookie(&report, "strongroom-sso").unwrap() };
        let path = way.there(&t).await;
        let tried = way.back(root.client(), &path).await.expect(200);
        let shown = ["/ok", "/subject", "/email", "/email_verified", "/outcome"].map(|at| tried.at(at));
        assert_eq!(shown, ["true", "dana", "dana@example.com", "true", "makes"]);
        assert_eq!(tried.header("set-cookie"), None);
        assert_eq!(t.number("SELECT COUNT(*) FROM users").await, 1, "nobody was made");
        way.back(root.client(), &path).await.problem(403, "forbidden");
        let wrong = root.patch(OIDC, json!({ "client_secret": "wrong" })).await.expect(200);
        assert_eq!(wrong.at("/enabled"), "false");
        let report = root.post(&format!("{OIDC}/test"), json!({ "login": true })).await.expect(200);
        let way = Way { url: report.at("/login_url"), half: cookie(&report, "strongroom-sso").unwrap() };
        let path = way.there(&t).await;
        let tried = way.back(root.client(), &path).await.expect(200);
        assert_eq!(tried.at("/ok"), "false");
        assert!(tried.at("/error").contains("token endpoint"), "{}", tried.text());
    }

    async fn nobody_else_sees_what_a_test_came_to(t: TestApp) {
        let provider = liar();
        let root = set_up(&t, &provider).await;
        let report = root.post(&format!("{OIDC}/test"), json!({ "login": true })).await.expect(200);
        let way = Way { url: report.at("/login_url"), half: cookie(&report, "strongroom-sso").unwrap() };
        let path = way.there(&t).await;
        let eve = t.person("eve").await;
        way.back(eve.client(), &path).await.problem(403, "forbidden");
    }
}

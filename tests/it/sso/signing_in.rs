//! Signing in with a certified provider: `oidc-provider` of npm.

use harness::{Client, on_both};
use serde_json::json;

use super::{INSTANCE, OIDC, Way, certified, cookie, liar, session, set_up, sign_in, tell};

on_both! {
    async fn somebody_new_gets_an_account_and_the_next_time_the_same(t: TestApp) {
        let provider = certified(&t);
        set_up(&t, &provider).await;
        let way = Way::begin(&t, &format!("{INSTANCE}/start?next=/docs")).await;
        let arrived = way.there_and_back(&t).await.expect(303);
        assert_eq!(arrived.header("location"), Some("/docs"));
        let dana = session(&t, &arrived);
        let me = dana.get("/v1/auth/me").await.expect(200);
        let shown = ["/email", "/email_verified", "/first_name", "/last_name", "/has_password", "/sso_enabled"].map(|at| me.at(at));
        assert_eq!(shown, ["dana@example.com", "true", "Dana", "Doe", "false", "true"]);
        let again = session(&t, &sign_in(&t).await.expect(303));
        assert_eq!(again.get("/v1/auth/me").await.expect(200).at("/id"), me.at("/id"));
        let log = dana.get("/v1/auth/security-log").await.expect(200);
        assert_eq!(log.at("/data/0/action"), "session.created");
    }

    async fn signing_out_leads_to_the_end_of_the_providers_session(t: TestApp) {
        let provider = certified(&t);
        set_up(&t, &provider).await;
        let dana = session(&t, &sign_in(&t).await.expect(303));
        let out = dana.post("/v1/auth/sso/logout", json!({})).await.expect(200);
        let url = out.at("/logout_url");
        assert!(url.starts_with(&format!("{}/session/end?client_id=strongroom", provider.url)), "{url}");
        let shown = Client::new(&provider.url).get(url.strip_prefix(&provider.url).unwrap()).await;
        assert_eq!(shown.status(), 200, "the provider knows where it leads back to: {}", shown.text());
        dana.get("/v1/auth/me").await.problem(401, "unauthenticated");
        let nobody = t.anonymous().post("/v1/auth/sso/logout", json!({})).await.expect(200);
        assert_eq!(nobody.json(), json!({}));
        let own = t.person("own").await;
        assert_eq!(own.post("/v1/auth/sso/logout", json!({})).await.expect(200).json(), json!({}));
        own.get("/v1/auth/me").await.problem(401, "unauthenticated");
    }

    async fn without_a_provider_there_is_no_single_sign_on(t: TestApp) {
        let anyone = t.anonymous();
        assert_eq!(anyone.get("/v1/auth/sso").await.expect(200).json(), json!({ "enabled": false, "providers": [] }));
        for name in ["instance", "org_00000000000000000000000001", "nothing"] {
            anyone.get(&format!("/v1/auth/sso/{name}/start")).await.problem(503, "unavailable");
        }
        let provider = liar();
        let root = set_up(&t, &provider).await;
        assert_eq!(anyone.get("/v1/auth/sso").await.expect(200).at("/providers/0/start_path"), format!("{INSTANCE}/start"));
        let way = Way::begin(&t, &format!("{INSTANCE}/start")).await;
        root.patch(OIDC, json!({ "enabled": false })).await.expect(200).ok();
        anyone.get(&format!("{INSTANCE}/start")).await.problem(503, "unavailable");
        way.there_and_back(&t).await.problem(503, "unavailable");
    }

    async fn a_way_works_once_and_in_its_own_browser(t: TestApp) {
        let provider = liar();
        set_up(&t, &provider).await;
        let start = format!("{INSTANCE}/start");
        let (way, other) = (Way::begin(&t, &start).await, Way::begin(&t, &start).await);
        let path = way.there(&t).await;
        t.anonymous().get(&path).await.problem(403, "forbidden");
        other.back(&t.anonymous(), &path).await.problem(403, "forbidden");
        let elsewhere = path.replace("/instance/", "/org_00000000000000000000000001/");
        way.back(&t.anonymous(), &elsewhere).await.problem(403, "forbidden");
        let _ = way.back(&t.anonymous(), &path).await.expect(303);
        way.back(&t.anonymous(), &path).await.problem(403, "forbidden");
        // A second window keeps the half of the first.
        let second = t.anonymous().with("Cookie", &other.half).get(&start).await.expect(303);
        assert_eq!(cookie(&second, "strongroom-sso"), Some(other.half.clone()));
    }

    async fn it_goes_on_within_this_instance_only(t: TestApp) {
        let provider = liar();
        set_up(&t, &provider).await;
        for next in ["https://evil.example/", "//evil.example", "/%5Cevil.example", "docs", "/%0A/evil.example"] {
            let refused = t.anonymous().get(&format!("{INSTANCE}/start?next={next}")).await.problem(422, "invalid_field");
            assert_eq!(refused.at("/errors/0/field"), "next", "{next}");
        }
    }

    async fn a_second_factor_is_asked_for_after_the_provider(t: TestApp) {
        let provider = liar();
        set_up(&t, &provider).await;
        let dana = session(&t, &sign_in(&t).await.expect(303));
        let id = dana.get("/v1/auth/me").await.expect(200).at("/id");
        let seed = dana.post("/v1/auth/2fa/setup", json!({})).await.expect(200);
        assert!(!seed.at("/secret").is_empty() && id.starts_with("usr_"));
        t.sql("UPDATE second_factors SET confirmed_at = created_at").await;
        let arrived = sign_in(&t).await.expect(303);
        assert_eq!(cookie(&arrived, "strongroom"), None, "no session yet");
        let to = arrived.header("location").unwrap();
        assert_eq!(to, "/sign-in?step=code&next=%2Fdocs");
        let pending = cookie(&arrived, "strongroom-pending").unwrap();
        let page = t.anonymous().with("Cookie", &pending).get(to).await.expect(200);
        assert!(page.text().contains("name=\"challenge\""), "{}", page.text());
    }

    async fn the_page_to_sign_in_leads_to_the_provider(t: TestApp) {
        let provider = liar();
        assert!(!t.anonymous().get("/sign-in").await.expect(200).text().contains("/v1/auth/sso/"));
        let root = set_up(&t, &provider).await;
        root.patch(OIDC, json!({ "name": "<Acme> & Co" })).await.expect(200).ok();
        let page = t.anonymous().get("/sign-in?next=/device").await.expect(200).text();
        assert!(page.contains("href=\"/v1/auth/sso/instance/start?next=%2Fdevice\">Sign in with &lt;Acme&gt; &amp; Co<"), "{page}");
    }

    async fn people_who_are_refused_by_the_provider_are_refused_here(t: TestApp) {
        let provider = liar();
        set_up(&t, &provider).await;
        tell(&provider, "/control", json!({ "answer": { "code": null, "error": "access_denied" } })).await.expect(204).ok();
        let refused = sign_in(&t).await.problem(403, "forbidden");
        assert_eq!(refused.at("/reason"), "provider_denied");
    }
}

//! What a person is asked, and what comes of their answer.

use std::time::Duration;

use harness::app::Options;
use harness::people::PASSWORD;
use harness::{Authenticator, TestApp, on_both, on_each_backend};
use reqwest::Method;
use serde_json::json;

use super::{CHALLENGE, FORM, agrees, browser, cookie, decides, hidden, partner, post, sent};

on_both! {
    async fn the_page_says_who_asks_for_what_and_runs_no_script(t: TestApp) {
        let dana = t.person("dana").await;
        let name = "<script>alert(1)</script> & \"Co\"";
        let portal = partner(&dana, json!({ "name": name, "homepage": "https://portal.example.com/" })).await;
        let window = browser(&t, &dana).await;
        let page = window.get(&portal.asks(&[("scope", "openid email offline_access secrets:read@dev")])).await.expect(200);
        let html = page.text();
        assert!(!html.contains("<script"), "{html}");
        assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;Co&quot;"), "{html}");
        for said in ["dana@example.com", "know who you are", "see your e-mail address", "up to 90 days",
            "<code>secrets:read@dev</code>", "portal.example.com", "<label for=\"org\">", "lang=\"en\""] {
            assert!(html.contains(said), "{said}: {html}");
        }
        let policy = page.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(policy.contains("form-action 'self' https://portal.example.com;"), "{policy}");
        assert_eq!(page.header("cache-control"), Some("no-store"));
    }

    async fn who_agrees_sends_a_code_back_with_the_issuer(t: TestApp) {
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({})).await;
        let window = browser(&t, &dana).await;
        let answer = decides(&window, &portal.asks(&[]), "approve", &[]).await;
        let sent = sent(&answer);
        assert!(sent["code"].starts_with("srm_cod_"));
        assert_eq!((sent["state"].as_str(), sent["iss"].as_str()), ("st4te", t.url.as_str()));
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'oauth.granted'").await, 1);
        let again = window.get(&portal.asks(&[])).await;
        assert!(super::sent(&again).contains_key("code"), "asked once");
        let more = window.get(&portal.asks(&[("scope", "openid email profile")])).await;
        assert_eq!(more.status(), 200, "asked again for more");
        let wanted = window.get(&portal.asks(&[("prompt", "consent")])).await;
        assert_eq!(wanted.status(), 200, "asked again when the client wants it");
    }

    async fn who_cancels_sends_a_refusal_back(t: TestApp) {
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({})).await;
        let window = browser(&t, &dana).await;
        let sent = sent(&decides(&window, &portal.asks(&[]), "deny", &[]).await);
        assert_eq!((sent["error"].as_str(), sent["state"].as_str()), ("access_denied", "st4te"));
        assert_eq!(sent["iss"], t.url);
        assert_eq!(t.number("SELECT COUNT(*) FROM oauth_grants").await, 0);
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'oauth.denied'").await, 1);
    }

    async fn a_form_that_is_not_ours_agrees_to_nothing(t: TestApp) {
        let (dana, erin) = (t.person("dana").await, t.person("erin").await);
        let portal = partner(&dana, json!({})).await;
        let window = browser(&t, &dana).await;
        let asked = portal.asks(&[]);
        let fields = hidden(&window.get(&asked).await.expect(200).text());
        let form = fields["form"].clone();
        let (query, other) = (fields["query"].clone(), portal.asks(&[("scope", "secrets:read")]));
        let (_, other) = other.split_once('?').unwrap();
        let evil = window.with("Origin", "https://evil.example");
        let cross = window.with("Sec-Fetch-Site", "cross-site");
        let theirs = browser(&t, &erin).await;
        for (who, query, form) in [
            (&window, query.as_str(), ""),
            (&window, query.as_str(), "00"),
            (&window, other, form.as_str()),
            (&theirs, query.as_str(), form.as_str()),
            (&evil, query.as_str(), form.as_str()),
            (&cross, query.as_str(), form.as_str()),
        ] {
            let refused = post(who, "/oauth/authorize", &[("query", query), ("form", form), ("decision", "approve")]).await;
            assert_eq!(refused.status(), 403, "{}", refused.text());
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM oauth_grants").await, 0);
        let agreed = post(&window, "/oauth/authorize", &[("query", query.as_str()), ("form", form.as_str()), ("decision", "approve")]).await;
        assert!(sent(&agreed).contains_key("code"));
    }

    // OpenID Connect Core §3.1.2.1.
    async fn a_request_that_comes_as_a_form_is_put_as_a_query(t: TestApp) {
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({})).await;
        let asked = portal.asks(&[("state", "a b&c=\u{e4}")]);
        let (_, form) = asked.split_once('?').expect("a query");
        let form = || form.as_bytes().to_vec();
        let elsewhere = t.anonymous().with("Origin", "https://portal.example.com").with("Sec-Fetch-Site", "cross-site");
        let put = elsewhere.send_bytes(Method::POST, "/oauth/authorize", FORM, form()).await.expect(303);
        let to = put.header("location").unwrap_or_default().to_owned();
        assert!(to.starts_with("/oauth/authorize?"), "{to}");
        let window = browser(&t, &dana).await;
        let same = window.send_bytes(Method::POST, "/oauth/authorize", FORM, form()).await.expect(303);
        assert_eq!(same.header("location"), Some(to.as_str()), "nobody agrees to anything by it");
        assert_eq!(t.number("SELECT COUNT(*) FROM oauth_grants").await, 0);
        let sent = sent(&decides(&window, &to, "approve", &[]).await);
        assert!(sent.contains_key("code"));
        assert_eq!(sent["state"], "a b&c=\u{e4}");
    }

    async fn a_stranger_signs_in_on_the_way_without_a_script(t: TestApp) {
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({})).await;
        let asked = portal.asks(&[]);
        let away = t.anonymous().get(&asked).await.expect(303);
        let way = away.header("location").unwrap_or_default().to_owned();
        assert!(way.starts_with("/sign-in?next=%2Foauth%2Fauthorize"), "{way}");
        let page = t.anonymous().get(&way).await.expect(200);
        assert!(!page.text().contains("<script"));
        let window = t.anonymous().with("Cookie", &format!("strongroom-form={}", cookie(&page, "strongroom-form")));
        let policy = page.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("form-action 'self' https://portal.example.com;"), "{policy}");
        let fields = hidden(&page.text());
        let (next, form) = (fields["next"].as_str(), fields["form"].as_str());
        let with = |password: &'static str| [("next", next), ("form", form), ("email", "dana@example.com"), ("password", password)];
        let wrong = post(&window, "/sign-in", &with("wrong horse battery staple")).await;
        assert_eq!(wrong.status(), 401);
        assert!(wrong.text().contains("is wrong"), "{}", wrong.text());
        assert_eq!(post(&t.anonymous(), "/sign-in", &with(PASSWORD)).await.status(), 403, "without its cookie");
        let evil = window.with("Origin", "https://evil.example");
        assert_eq!(post(&evil, "/sign-in", &with(PASSWORD)).await.status(), 403);
        let back = post(&window, "/sign-in", &with(PASSWORD)).await.expect(303);
        assert_eq!(back.header("location"), Some(next));
        let window = t.anonymous().cookie(&cookie(&back, "strongroom"));
        assert!(sent(&agrees(&window, next, &[]).await).contains_key("code"));
    }

    async fn a_second_factor_is_shown_on_the_way_too(t: TestApp) {
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({})).await;
        let (generator, _) = Authenticator::enable(dana.client(), &t.clock).await;
        let page = t.anonymous().get("/sign-in?next=%2Fdevice").await.expect(200);
        let window = t.anonymous().with("Cookie", &format!("strongroom-form={}", cookie(&page, "strongroom-form")));
        let fields = hidden(&page.text());
        let form = fields["form"].as_str();
        let first = [("next", "/device"), ("form", form), ("email", "dana@example.com"), ("password", PASSWORD)];
        let asked = post(&window, "/sign-in", &first).await.expect(200);
        assert_eq!(cookie(&asked, "strongroom"), "", "no session yet");
        let challenge = hidden(&asked.text())["challenge"].clone();
        let second = |code: &str| vec![("next", "/device".to_owned()), ("form", form.to_owned()), ("challenge", challenge.clone()), ("code", code.to_owned())];
        let send = async |pairs: Vec<(&str, String)>| {
            let pairs: Vec<_> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
            post(&window, "/sign-in", &pairs).await
        };
        assert_eq!(send(second("000000")).await.status(), 401);
        let back = send(second(&generator.next_code())).await.expect(303);
        let window = t.anonymous().cookie(&cookie(&back, "strongroom"));
        let tokens = portal.signs_in(&t, &window, "openid").await;
        let amr = super::claims(&tokens.at("/id_token"))["amr"].clone();
        assert_eq!(amr, json!(["pwd", "otp"]));
    }

    async fn prompts_are_kept(t: TestApp) {
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({})).await;
        let window = browser(&t, &dana).await;
        let code = |answer| sent(&answer).get("error").cloned().unwrap_or_default();
        assert_eq!(code(t.anonymous().get(&portal.asks(&[("prompt", "none")])).await), "login_required");
        assert_eq!(code(window.get(&portal.asks(&[("prompt", "none")])).await), "consent_required");
        assert_eq!(code(window.get(&portal.asks(&[("prompt", "none login")])).await), "invalid_request");
        portal.code(&window, &[]).await;
        assert_eq!(code(window.get(&portal.asks(&[("prompt", "none")])).await), "", "agreed before");
        let again = window.get(&portal.asks(&[("prompt", "login")])).await.expect(303);
        let way = again.header("location").unwrap_or_default();
        assert!(way.starts_with("/sign-in?") && !way.contains("login%26") , "{way}");
    }

    async fn a_chosen_organisation_is_the_only_one(t: TestApp) {
        let acme = t.org("acme").await;
        let globex = t.org("globex").await;
        let owner = &acme.owner;
        let portal = partner(owner, json!({})).await;
        let window = browser(&t, owner).await;
        let asked = portal.asks(&[("scope", "org:read projects:read"), ("organization", "acme")]);
        let page = window.get(&asked).await.expect(200).text();
        let first = page.find("(acme)").zip(page.find(&format!("({})", owner.personal_org)));
        assert!(first.is_some_and(|(named, other)| named < other), "the named one comes first: {page}");
        let foreign = decides(&window, &asked, "approve", &[("org", globex.id.to_string().as_str())]).await;
        assert_eq!(foreign.status(), 400, "{}", foreign.text());
        let agreed = decides(&window, &asked, "approve", &[("org", acme.id.to_string().as_str())]).await;
        let tokens = portal.trades(&t, &sent(&agreed)["code"]).await.expect(200);
        assert_eq!(tokens.at("/org_id"), acme.id.to_string());
        assert_eq!(super::claims(&tokens.at("/access_token"))["org_id"], acme.id.to_string());
        let access = t.anonymous().bearer(&tokens.at("/access_token"));
        access.get("/v1/orgs/acme").await.expect(200).ok();
        access.get(&format!("/v1/orgs/{}", owner.personal_org)).await.problem(404, "not_found");
        assert_eq!(access.get("/v1/orgs").await.at("/pagination/total"), "1");
    }

    async fn a_client_is_held_to_what_it_was_registered_for(t: TestApp) {
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({ "scopes": ["openid", "secrets:read@dev"] })).await;
        let window = browser(&t, &dana).await;
        for scope in ["openid email", "secrets:read", "secrets:read@prod", "secrets:write@dev", "nonsense", "*"] {
            let sent = sent(&window.get(&portal.asks(&[("scope", scope)])).await);
            assert_eq!(sent["error"], "invalid_scope", "{scope}");
        }
        let none = sent(&window.get(&portal.asks(&[("scope", "")])).await);
        assert_eq!(none["error"], "invalid_scope");
        let code = partner(&dana, json!({ "grant_types": ["client_credentials"] })).await;
        assert_eq!(sent(&window.get(&code.asks(&[])).await)["error"], "unauthorized_client");
    }

    async fn pkce_cannot_be_left_out_or_weakened_by_any_client(t: TestApp) {
        let dana = t.person("dana").await;
        let public = json!({ "confidential": false, "redirect_uris": ["http://127.0.0.1/cb"] });
        for client in [partner(&dana, json!({})).await, partner(&dana, public).await] {
            let window = browser(&t, &dana).await;
            for other in [
                &[("code_challenge", "")][..],
                &[("code_challenge_method", "")],
                &[("code_challenge_method", "plain")],
                &[("code_challenge_method", "s256")],
                &[("code_challenge", "short")],
                &[("code_challenge", ""), ("code_challenge_method", "")],
            ] {
                let sent = sent(&window.get(&client.asks(other)).await);
                assert_eq!(sent["error"], "invalid_request", "{other:?}");
            }
        }
        assert_eq!(CHALLENGE.len(), 43);
    }

    async fn what_the_standards_do_not_let_us_do_is_refused_by_name(t: TestApp) {
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({})).await;
        let window = browser(&t, &dana).await;
        for (name, value, wanted) in [
            ("response_type", "token", "unsupported_response_type"),
            ("response_type", "code id_token", "unsupported_response_type"),
            ("response_type", "", "invalid_request"),
            ("response_mode", "fragment", "invalid_request"),
            ("request", "eyJ", "request_not_supported"),
            ("request_uri", "https://evil.example/", "request_uri_not_supported"),
            ("resource", "https://evil.example/", "invalid_target"),
            ("prompt", "create", "invalid_request"),
            ("max_age", "-1", "invalid_request"),
            ("max_age", "soon", "invalid_request"),
        ] {
            let sent = sent(&window.get(&portal.asks(&[(name, value)])).await);
            assert_eq!((sent["error"].as_str(), sent["iss"].as_str()), (wanted, t.url.as_str()), "{name}={value}");
        }
        let twice = format!("{}&scope=openid", portal.asks(&[]));
        assert_eq!(window.get(&twice).await.status(), 400);
    }
}

on_each_backend! {
    async fn a_sign_in_that_is_too_old_is_repeated(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({})).await;
        let window = browser(&t, &dana).await;
        portal.code(&window, &[("max_age", "600")]).await;
        t.advance(Duration::from_secs(601));
        let away = window.get(&portal.asks(&[("max_age", "600")])).await.expect(303);
        assert!(away.header("location").is_some_and(|way| way.starts_with("/sign-in?")));
        let quiet = sent(&window.get(&portal.asks(&[("max_age", "600"), ("prompt", "none")])).await);
        assert_eq!(quiet["error"], "login_required");
        let fresh = browser(&t, &dana).await;
        portal.code(&fresh, &[("max_age", "600")]).await;
    }
}

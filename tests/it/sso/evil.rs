//! A provider that lies, and one that leads elsewhere: nothing of it is taken.

use harness::on_both;
use serde_json::{Value, json};

use super::{INSTANCE, OIDC, Way, liar, root, set_up, settings, sign_in, tell};

/// An address of the metadata service of clouds.
const METADATA: &str = "http://169.254.169.254/latest/meta-data/";

on_both! {
    async fn tokens_that_are_not_what_they_must_be_are_refused(t: TestApp) {
        let provider = liar();
        set_up(&t, &provider).await;
        let lies: Vec<Value> = vec![
            json!({ "key": "none" }),
            json!({ "key": "none", "header": { "alg": "None" } }),
            json!({ "key": "none", "header": { "alg": "ES256" } }),
            json!({ "key": "hs256" }),
            json!({ "key": "other" }),
            json!({ "key": "other", "header": { "jku": provider.url } }),
            json!({ "header": { "kid": "k2" } }),
            json!({ "header": { "alg": "RS256" } }),
            json!({ "header": { "typ": "at+jwt" } }),
            json!({ "header": { "crit": ["x"] } }),
            json!({ "claims": { "iss": "https://idp.example.com" } }),
            json!({ "claims": { "iss": null } }),
            json!({ "claims": { "aud": "another" } }),
            json!({ "claims": { "aud": ["strongroom", "another"] } }),
            json!({ "claims": { "aud": ["strongroom", "another"], "azp": "another" } }),
            json!({ "claims": { "azp": "another" } }),
            json!({ "claims": { "aud": null } }),
            json!({ "claims": { "nonce": "replayed" } }),
            json!({ "claims": { "nonce": null } }),
            json!({ "claims": { "exp": 1 } }),
            json!({ "claims": { "exp": null } }),
            json!({ "claims": { "exp": "9999999999" } }),
            json!({ "claims": { "iat": null } }),
            json!({ "claims": { "iat": 9_999_999_999_u64 } }),
            json!({ "claims": { "nbf": 9_999_999_999_u64 } }),
            json!({ "claims": { "sub": null } }),
            json!({ "claims": { "sub": "" } }),
            json!({ "claims": { "sub": 7 } }),
            json!({ "claims": { "sub": "x".repeat(256) } }),
            // Userinfo of somebody else.
            json!({ "claims": { "email": null }, "userinfo": { "sub": "another" } }),
            json!({ "claims": { "email": null, "sub": "another" } }),
            // The answer of another provider.
            json!({ "answer": { "iss": "https://idp.example.com" } }),
            json!({ "answer": { "iss": null } }),
        ];
        for lie in lies {
            tell(&provider, "/control", lie.clone()).await.expect(204).ok();
            let refused = sign_in(&t).await;
            assert_eq!((refused.status(), refused.code()), (401, "invalid_credentials".to_owned()), "{lie}: {}", refused.text());
            assert_eq!(refused.header("set-cookie"), None, "{lie}");
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM users").await, 1, "nobody but root");
        assert_eq!(t.number("SELECT COUNT(*) FROM sso_identities").await, 0);
        // The same without a lie: what was refused was refused for the lie.
        tell(&provider, "/control", json!({})).await.expect(204).ok();
        let _ = sign_in(&t).await.expect(303);
        tell(&provider, "/control", json!({ "claims": { "aud": ["strongroom"], "azp": "strongroom" } })).await.expect(204).ok();
        let _ = sign_in(&t).await.expect(303);
    }

    async fn a_state_of_ones_own_making_is_refused(t: TestApp) {
        let provider = liar();
        set_up(&t, &provider).await;
        for state in [json!("guessed"), json!(null), json!("srm_chl_0000000000000000000000000000000000")] {
            tell(&provider, "/control", json!({ "answer": { "state": state } })).await.expect(204).ok();
            sign_in(&t).await.problem(403, "forbidden");
        }
    }

    async fn a_provider_that_leads_elsewhere_is_not_followed(t: TestApp) {
        let provider = liar();
        let root = set_up(&t, &provider).await;
        for to in [METADATA, &*format!("{}/jwks", provider.url)] {
            tell(&provider, "/control", json!({ "moved": to })).await.expect(204).ok();
            sign_in(&t).await.problem(503, "unavailable");
        }
        tell(&provider, "/control", json!({ "discovery_moved": METADATA })).await.expect(204).ok();
        let report = root.post(&format!("{OIDC}/test"), json!({})).await.expect(200);
        assert_eq!(report.at("/reachable"), "false");
        assert!(report.at("/errors/0").contains("302"), "{}", report.text());
        // It is remembered no longer, so that nobody is sent there.
        t.anonymous().get(&format!("{INSTANCE}/start")).await.problem(503, "unavailable");
    }

    async fn endpoints_inside_are_called_by_nobody(t: TestApp) {
        let provider = liar();
        let root = root(&t).await;
        for inside in [METADATA, "http://10.0.0.1/", "http://[::ffff:169.254.169.254]/", "http://localhost.internal/"] {
            for field in ["issuer", "token_endpoint", "authorization_endpoint", "userinfo_endpoint", "jwks_uri", "end_session_endpoint"] {
                let refused = root.patch(OIDC, json!({ field: inside })).await;
                // Names are looked up when they are called.
                if refused.status() == 200 {
                    assert_eq!(inside, "http://localhost.internal/", "{field}");
                    continue;
                }
                assert_eq!(refused.problem(422, "invalid_field").at("/errors/0/field"), field, "{inside}");
            }
        }
        let clean = json!({ "issuer": "", "token_endpoint": "", "authorization_endpoint": "", "userinfo_endpoint": "",
            "jwks_uri": "", "end_session_endpoint": "" });
        root.patch(OIDC, clean).await.expect(200).ok();
        root.patch(OIDC, settings(&provider)).await.expect(200).ok();
        for (field, address) in [("token_endpoint", METADATA), ("jwks_uri", METADATA), ("userinfo_endpoint", METADATA)] {
            let lie = json!({ "metadata": { field: address }, "claims": { "email": null } });
            tell(&provider, "/control", lie).await.expect(204).ok();
            let report = root.post(&format!("{OIDC}/test"), json!({})).await.expect(200);
            assert_eq!(report.at("/reachable"), "false", "{field}");
            assert!(report.text().contains("blocked"), "{field}: {}", report.text());
            let refused = sign_in(&t).await;
            assert_eq!(refused.status(), 503, "{field}: {}", refused.text());
        }
        for address in ["javascript:alert(1)", METADATA] {
            tell(&provider, "/control", json!({ "metadata": { "authorization_endpoint": address } })).await.expect(204).ok();
            root.post(&format!("{OIDC}/test"), json!({})).await.expect(200).ok();
            t.anonymous().get(&format!("{INSTANCE}/start")).await.problem(503, "unavailable");
        }
    }

    async fn a_discovery_document_of_another_issuer_is_refused(t: TestApp) {
        let provider = liar();
        set_up(&t, &provider).await;
        tell(&provider, "/control", json!({ "metadata": { "issuer": "https://idp.example.com" } })).await.expect(204).ok();
        t.anonymous().get(&format!("{INSTANCE}/start")).await.problem(503, "unavailable");
        tell(&provider, "/control", json!({})).await.expect(204).ok();
        Way::begin(&t, &format!("{INSTANCE}/start")).await;
    }
}

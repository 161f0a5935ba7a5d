//! What programs find out by themselves.

use harness::on_both;
use serde_json::Value;

on_both! {
    async fn the_document_names_what_is_there(t: TestApp) {
        let document = t.anonymous().get("/.well-known/openid-configuration").await.expect(200);
        assert_eq!(document.header("cache-control"), Some("public, max-age=300"));
        let said = document.json();
        assert_eq!(said["issuer"], t.url);
        for name in ["authorization_endpoint", "userinfo_endpoint", "jwks_uri", "token_endpoint", "revocation_endpoint",
            "introspection_endpoint", "device_authorization_endpoint"] {
            let path = said[name].as_str().and_then(|url| url.strip_prefix(&t.url)).expect("an address of ours");
            let status = t.anonymous().get(path).await.status();
            assert_ne!(status, 404, "{name}");
        }
        assert_eq!(said["code_challenge_methods_supported"], serde_json::json!(["S256"]));
        assert!(!said["grant_types_supported"].to_string().contains("password"));
        assert_eq!(said["authorization_response_iss_parameter_supported"], true);
        let other = t.anonymous().get("/.well-known/oauth-authorization-server").await.expect(200);
        assert_eq!(other.json(), said);
    }

    async fn the_keys_are_public_and_there_is_one_of_each_kind(t: TestApp) {
        let keys = t.anonymous().get("/.well-known/jwks.json").await.expect(200).json();
        let keys = keys["keys"].as_array().cloned().unwrap_or_default();
        let mut algs: Vec<_> = keys.iter().filter_map(|key| key["alg"].as_str()).collect();
        algs.sort_unstable();
        assert_eq!(algs, ["ES256", "EdDSA", "RS256"]);
        for key in &keys {
            assert!(key["kid"].as_str().is_some_and(|kid| kid.len() == 43) && key["use"] == "sig", "{key}");
            for secret in ["d", "p", "q", "dp", "dq", "qi", "k"] {
                assert_eq!(key.get(secret), None::<&Value>, "{secret}");
            }
        }
        let again = t.anonymous().get("/.well-known/jwks.json").await.expect(200).json();
        assert_eq!(again["keys"].as_array().map(Vec::len), Some(3));
        assert_eq!(t.number("SELECT COUNT(*) FROM signing_keys").await, 3);
    }
}

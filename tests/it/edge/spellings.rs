//! Other ways to write a protected path: none opens it, and none is a fault of ours.

use harness::client::Credential;
use harness::on_both;
use serde_json::json;

use super::raw;

/// A protected path with `acme` as `{}`, in spellings that a proxy or a router may read differently.
const SPELLINGS: [&str; 44] = [
    "//v1/orgs/acme",
    "/v1//orgs/acme",
    "/v1/orgs//acme",
    "/v1/orgs/acme/",
    "/v1/orgs/acme//",
    "/v1/orgs/acme/.",
    "/v1/orgs/./acme",
    "/v1/./orgs/acme",
    "/./v1/orgs/acme",
    "/v1/x/../orgs/acme",
    "/docs/../v1/orgs/acme",
    "/health/../v1/orgs/acme",
    "/v1/orgs/%2e/acme",
    "/v1/x/%2e%2e/orgs/acme",
    "/docs/%2e%2e/v1/orgs/acme",
    "/docs/..%2fv1/orgs/acme",
    "/docs/%2e%2e%2fv1%2forgs%2facme",
    "/v1/orgs%2facme",
    "/v1%2forgs/acme",
    "/v1/orgs/acme%2f",
    "/v1/orgs%252facme",
    "/v1/orgs/%252e%252e/orgs/acme",
    "/v1/orgs/acme;a=b",
    "/v1/orgs;a=b/acme",
    "/v1;a=b/orgs/acme",
    "/v1/orgs/acme%3ba=b",
    "/;/v1/orgs/acme",
    "/V1/orgs/acme",
    "/v1/ORGS/acme",
    "/v1/Orgs/acme",
    "\\v1\\orgs\\acme",
    "/v1\\orgs\\acme",
    "/v1/orgs\\acme",
    "/v1/orgs%5cacme",
    "/v1/orgs/acme%00",
    "/v1/orgs/acme%0a",
    "/v1/orgs/acme%20",
    "/v1/orgs/%ff",
    "/v1/orgs/%c0%af",
    "/v1/orgs/%zz",
    "/v1/orgs/acme%",
    "/v1/orgs/acme.json",
    "/v1/orgs/acme?/../../health",
    "http://localhost/v1/orgs/acme",
];

on_both! {
    async fn no_spelling_of_a_protected_path_opens_it(t: TestApp) {
        let acme = t.org("acme").await;
        acme.owner.patch("/v1/orgs/acme", json!({ "metadata": { "canary": "canary-1717" } })).await.ok();
        let stranger = t.person("mallory").await;
        let Credential::Bearer(token) = &stranger.client().credential else { unreachable!("by bearer") };
        for spelling in SPELLINGS {
            for token in [None, Some(token.as_str())] {
                let reply = raw::send(&t, format!("{}\r\n", raw::head(&format!("GET {spelling}"), token))).await;
                assert!(matches!(reply.status, 400 | 401 | 404), "{spelling}: {reply:?}");
                assert!(!reply.body.contains("canary-1717"), "{spelling}: {reply:?}");
            }
        }
    }

    async fn the_owner_reaches_the_path_by_its_one_spelling(t: TestApp) {
        let acme = t.org("acme").await;
        let Credential::Bearer(token) = &acme.owner.client().credential else { unreachable!("by bearer") };
        for spelling in SPELLINGS.iter().filter(|spelling| !spelling.contains(['?', ':'])) {
            let reply = raw::send(&t, format!("{}\r\n", raw::head(&format!("GET {spelling}"), Some(token)))).await;
            assert!(matches!(reply.status, 400 | 404), "{spelling}: {reply:?}");
        }
        acme.owner.get("/v1/orgs/acme").await.ok();
    }

    async fn odd_queries_are_refused_and_none_is_a_fault_of_ours(t: TestApp) {
        let acme = t.org("acme").await;
        for query in ["limit=%00", "limit=%ff", "limit=%", "limit=%zz", "search=%c0%af"] {
            acme.owner.get(&format!("/v1/orgs?{query}")).await.problem(400, "malformed_request");
        }
        for query in ["limit=1&limit=2", "&&&", "=", "limit", "a[]=1", "limit=\u{662}", "search=%F0%9F%94%91"] {
            let answer = acme.owner.get(&format!("/v1/orgs?{query}")).await;
            assert!(matches!(answer.status(), 200 | 400 | 422), "{query}: {} {}", answer.status(), answer.text());
        }
    }
}

//! Heads and methods that no client of ours sends.

use harness::client::Credential;
use harness::on_both;
use serde_json::json;

use super::raw;

on_both! {
    async fn unknown_methods_are_not_allowed_and_trace_echoes_nothing(t: TestApp) {
        let acme = t.org("acme").await;
        let Credential::Bearer(token) = &acme.owner.client().credential else { unreachable!("by bearer") };
        for method in ["TRACE", "CONNECT", "OPTIONS", "PROPFIND", "get", "GETT", "X", "PUT"] {
            let request = format!("{}X-Canary: canary-1717\r\n\r\n", raw::head(&format!("{method} /v1/orgs"), Some(token)));
            let reply = raw::send(&t, request).await;
            assert!(matches!(reply.status, 400 | 404 | 405 | 501), "{method}: {reply:?}");
            assert!(!reply.body.contains("canary-1717") && !reply.body.contains(token.as_str()), "{method}: {reply:?}");
            if reply.status == 405 {
                assert!(reply.head.to_lowercase().contains("allow: get, head, post"), "{method}: {reply:?}");
            }
        }
    }

    async fn header_floods_are_refused(t: TestApp) {
        let many = "X-A: b\r\n".repeat(5_000);
        let long = format!("X-A: {}\r\n", "b".repeat(1 << 20));
        let fair = format!("X-A: {}\r\n", "b".repeat(17 * 1024));
        let some = "X-A: b\r\n".repeat(99);
        for flood in [many.as_str(), &long, &fair] {
            let reply = raw::send(&t, format!("{}{flood}\r\n", raw::head("GET /health", None))).await;
            assert!(matches!(reply.status, 0 | 431), "{:?}", reply.status);
        }
        let reply = raw::send(&t, format!("{}{some}\r\n", raw::head("GET /health", None))).await;
        assert!(matches!(reply.status, 200 | 431), "{reply:?}");
        t.anonymous().get("/health").await.ok();
    }

    async fn heads_that_are_no_http_end_the_connection(t: TestApp) {
        let starts: [&[u8]; 8] = [
            b"\0\0\0\0\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", b"GET / HTTP/1.1\r\n folded: a\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\nX: a\0b\r\n\r\n",
        ];
        for start in starts {
            let reply = raw::send(&t, start).await;
            assert!(matches!(reply.status, 0 | 400 | 404 | 505), "{start:?}: {reply:?}");
        }
    }

    async fn what_a_stranger_says_of_its_address_is_not_believed(t: TestApp) {
        let acme = t.org("acme").await;
        let liar = acme.owner.with("X-Forwarded-For", "6.6.6.6").with("X-Real-IP", "6.6.6.6").with("Forwarded", "for=6.6.6.6");
        liar.post("/v1/orgs/acme/projects", json!({ "name": "Web" })).await.ok();
        let log = acme.owner.get("/v1/orgs/acme/audit-logs").await.ok();
        assert_eq!(log.at("/data/0/ip_address"), "127.0.0.1", "{}", log.text());
        assert!(!log.text().contains("6.6.6.6"));
    }

    async fn odd_credentials_are_refused_and_none_is_a_fault_of_ours(t: TestApp) {
        let long = "x".repeat(8_000);
        for value in ["Bearer", "Bearer ", "Basic YTpi", "Bearer \u{e9}", "Bearer srm_pat_", "Bearer srm_ses_!", long.as_str()] {
            let request = format!("{}Authorization: {value}\r\n\r\n", raw::head("GET /v1/orgs", None));
            let reply = raw::send(&t, request).await;
            assert_eq!((reply.status, reply.code().as_str()), (401, "unauthenticated"), "{value}: {reply:?}");
        }
        for key in ["x", "srm_sak_", &long] {
            t.anonymous().api_key(key).get("/v1/orgs").await.problem(401, "unauthenticated");
        }
    }
}

//! Bodies that break readers.

use harness::client::Credential;
use harness::{TestApp, on_both};

use super::raw::{self, Raw};

/// What reading hostile bodies may cost the process, KiB.
const MEMORY: i64 = 64 * 1024;

on_both! {
    async fn json_that_is_none_is_malformed(t: TestApp) {
        let token = bearer(&t).await;
        let deep = "[".repeat(100_000);
        let deep_objects = "{\"name\":".repeat(100_000);
        let bodies: [&[u8]; 14] = [
            b"{", b"{\"name\":}", b"nul", b"{\"name\":\"a\"} {}", b"{'name':'a'}", b"\xef\xbb\xbf{\"name\":\"a\"}",
            b"{\"name\":\"\\ud800\"}", b"{\"name\":\"\\udc00\\ud800\"}", b"{\"name\":1e400}", b"{\"name\":\"\xff\"}",
            b"{\"name\":\"a\",\"name\":\"b\"}", b"{\"name\":\"a\",\"n\\u0061me\":\"b\"}", deep.as_bytes(),
            deep_objects.as_bytes(),
        ];
        for body in bodies {
            let shown = String::from_utf8_lossy(body.get(..40.min(body.len())).unwrap_or_default()).into_owned();
            let reply = raw::send(&t, raw::post("/v1/orgs", Some(&token), body)).await;
            assert_eq!((reply.status, reply.code().as_str()), (400, "malformed_request"), "{shown}: {}", reply.body);
        }
        let nul: [&[u8]; 3] = [b"{\"name\":\"a\\u0000b\"}", b"{\"name\\u0000\":\"a\"}", b"{\"name\":\"a\0b\"}"];
        for body in nul {
            let reply = raw::send(&t, raw::post("/v1/orgs", Some(&token), body)).await;
            assert_eq!((reply.status, reply.code().as_str()), (422, "invalid_field"), "{}", reply.body);
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM orgs").await, 1, "the personal organisation alone");
    }

    async fn a_declared_gigabyte_and_an_endless_body_cost_no_memory(t: TestApp) {
        let token = bearer(&t).await;
        let before = resident();
        for _ in 0..5 {
            let head = raw::head("POST /v1/orgs", Some(&token));
            let head = format!("{head}Content-Type: application/json\r\n");
            let gigabyte = raw::send(&t, format!("{head}Content-Length: 1073741824\r\n\r\n{{")).await;
            assert_eq!((gigabyte.status, gigabyte.code().as_str()), (413, "body_too_large"), "{}", gigabyte.body);
            let mut endless = Raw::open(&t).await;
            endless.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes()).await;
            let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
            let mut sent = 0;
            while sent < 4096 && endless.send(chunk.as_bytes()).await {
                sent += 1;
            }
            assert!(sent < 4096, "the server took 256 MiB");
            let lengths = raw::send(&t, format!("{head}Content-Length: 18446744073709551617\r\n\r\n")).await;
            assert_eq!(lengths.status, 400);
        }
        assert!(resident() - before < MEMORY, "{} KiB more than before", resident() - before);
    }

    async fn ambiguous_framing_is_refused(t: TestApp) {
        let token = bearer(&t).await;
        let head = raw::head("POST /v1/orgs", Some(&token));
        for framing in [
            "Content-Length: 2\r\nContent-Length: 3",
            "Content-Length: -1",
            "Content-Length: 2\r\nTransfer-Encoding: chunked, gzip",
            "Transfer-Encoding: gzip",
        ] {
            let reply = raw::send(&t, format!("{head}Content-Type: application/json\r\n{framing}\r\n\r\n{{}}")).await;
            assert!((400..502).contains(&reply.status) && reply.status != 500, "{framing}: {reply:?}");
            assert!(!reply.body.contains("org_"), "{framing}: {reply:?}");
        }
        let encoded = format!("{head}Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{{}}");
        let reply = raw::send(&t, encoded).await;
        assert_eq!((reply.status, reply.code().as_str()), (415, "unsupported_media_type"));
    }
}

/// The token of a new person.
async fn bearer(t: &TestApp) -> String {
    match &t.person("dana").await.client().credential {
        Credential::Bearer(token) => token.clone(),
        other => unreachable!("people sign in by bearer: {other:?}"),
    }
}

/// Memory of this process, which the server runs in, KiB.
fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or_default()
}

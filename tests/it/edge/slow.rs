//! Clients that take their time.

use std::time::{Duration, Instant};

use harness::{TestApp, on_both};

use super::raw::{self, Raw};

on_both! {
    async fn who_does_not_finish_is_cut_off(t: TestApp) {
        let (head, body) = tokio::join!(slow_head(&t), slow_body(&t));
        assert!(head.as_secs() < 20, "{head:?}");
        assert!(body.as_secs() < 40, "{body:?}");
        t.anonymous().get("/health").await.ok();
    }
}

/// One byte of a header every half second: that does not renew its time.
async fn slow_head(t: &TestApp) -> Duration {
    let began = Instant::now();
    let mut raw = Raw::open(t).await;
    raw.send(b"GET /health HTTP/1.1\r\nX-Slow: ").await;
    while raw.send(b"a").await && began.elapsed().as_secs() < 30 {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let reply = raw.reply().await;
    assert!(matches!(reply.status, 0 | 408), "{reply:?}");
    began.elapsed()
}

/// Half a body: a 408 in the full shape.
async fn slow_body(t: &TestApp) -> Duration {
    let began = Instant::now();
    let head = raw::head("POST /v1/auth/login", None);
    let half = format!("{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{\"email\":");
    let reply = raw::send(t, half).await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (408, "request_timeout"),
        "{reply:?}"
    );
    assert!(
        reply
            .head
            .to_lowercase()
            .contains("content-type: application/problem+json"),
        "{reply:?}"
    );
    began.elapsed()
}

//! The client against real sockets.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::net::TcpListener;

use self::sink::{Answer, Sink};
use super::*;
use crate::kernel::{Clock, Timestamp};

mod sink;
mod spellings;

const WALL: Duration = Duration::from_secs(1);

/// Names whose answers are given in turn, the last one for ever.
struct Scripted {
    answers: Vec<&'static str>,
    asked: AtomicUsize,
}

impl Scripted {
    fn new(answers: &[&'static str]) -> Arc<Self> {
        Arc::new(Self {
            answers: answers.to_vec(),
            asked: AtomicUsize::new(0),
        })
    }
}

#[async_trait]
impl Lookup for Scripted {
    async fn lookup(&self, _: &str) -> Result<Vec<IpAddr>, LookupError> {
        let turn = self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self
            .answers
            .get(turn)
            .or(self.answers.last())
            .ok_or(LookupError::Failed)?;
        Ok(answer.split(' ').map(|ip| ip.parse().unwrap()).collect())
    }
}

fn egress(allow: &[&str], names: Arc<Scripted>) -> Egress {
    let policy = EgressPolicy {
        allow: allow.iter().map(|net| net.parse().unwrap()).collect(),
    };
    let timeouts = Timeouts {
        connect: Duration::from_millis(900),
        wall: WALL,
    };
    Egress::with_names(policy, timeouts, names).unwrap()
}

/// May call loopback; names resolve to 127.0.0.1.
fn open() -> Egress {
    egress(&["127.0.0.0/8", "::1/128"], Scripted::new(&["127.0.0.1"]))
}

fn request(url: impl Into<String>) -> OutboundRequest {
    let headers = vec![(Cow::Borrowed("webhook-id"), "evt_1".to_owned())];
    OutboundRequest {
        url: url.into(),
        headers,
        body: Bytes::from_static(b"{\"type\":\"secret.created\"}"),
    }
}

#[tokio::test]
async fn a_name_that_turns_to_a_forbidden_address_is_not_connected_to() {
    let sink = Sink::start(Answer::Close).await;
    let url = format!("https://rebind.example.com:{}/hook", sink.port);
    // 127.0.0.9 stands for a public address, which no test should dial.
    let names = Scripted::new(&["127.0.0.9", "127.0.0.1", "::1", "127.0.0.1 10.0.0.1"]);
    let egress = egress(&["127.0.0.9/32"], Arc::clone(&names));
    assert!(egress.policy().check_url(&url).is_ok());
    assert_eq!(
        (egress.post(request(url.as_str())).await.outcome, sink.hits()),
        (Outcome::Tls, 1)
    );
    for _ in 0..3 {
        assert_eq!(egress.post(request(url.as_str())).await.outcome, Outcome::Blocked);
    }
    // Asked each time, and nothing more arrived.
    assert_eq!((names.asked.load(Ordering::SeqCst), sink.hits()), (4, 1));
}

#[tokio::test]
async fn an_answer_of_both_kinds_is_dialled_at_its_permitted_address_only() {
    let sink = Sink::start(Answer::Close).await;
    let names = Scripted::new(&["127.0.0.1 127.0.0.9"]);
    let egress = egress(&["127.0.0.9/32"], names);
    // TLS drops the forbidden address and dials the other.
    let secure = egress
        .post(request(format!("https://hooks.example.com:{}/", sink.port)))
        .await;
    assert_eq!((secure.outcome, sink.hits()), (Outcome::Tls, 1));
    // Plain http wants all of them on the list.
    let plain = egress
        .post(request(format!("http://hooks.example.com:{}/", sink.port)))
        .await;
    assert_eq!((plain.outcome, sink.hits()), (Outcome::Blocked, 1));
}

#[tokio::test]
async fn a_listed_receiver_gets_the_request_and_its_answer_is_recorded() {
    let sink = Sink::start(Answer::Text(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nSet-Cookie: a=b\r\nX-Request-Id: r1\r\nContent-Length: 4\r\n\r\ndone",
    ))
    .await;
    let egress = open();
    let first = egress
        .post(request(format!("http://receiver:{}/hook?a=b", sink.port)))
        .await;
    assert_eq!(
        (first.outcome, first.status, first.error),
        (Outcome::Ok, Some(200), None)
    );
    assert_eq!(
        (first.body.as_slice(), first.body_truncated),
        (b"done".as_slice(), false)
    );
    assert_eq!(first.remote_ip, Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    let names: Vec<_> = first.response_headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["content-type", "content-length", "x-request-id"]);
    assert!(first.dns_us.is_some() && first.connect_us.is_some());
    assert!(first.first_byte_us.is_some_and(|us| us > 0 && us <= first.total_us));

    let head = sink.seen.lock().unwrap().clone();
    assert!(head.starts_with("post /hook?a=b http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nwebhook-id: evt_1\r\n"), "{head}");
    assert!(
        head.contains(concat!(
            "\r\nuser-agent: strongroom-webhooks/",
            env!("CARGO_PKG_VERSION"),
            "\r\n"
        )),
        "{head}"
    );
}

#[tokio::test]
async fn an_open_connection_is_used_again_and_has_no_connect_time() {
    let sink = Sink::start(Answer::Text("HTTP/1.1 204 No Content\r\n\r\n")).await;
    let egress = open();
    assert!(egress.post(request(sink.url())).await.connect_us.is_some());
    let second = egress.post(request(sink.url())).await;
    assert_eq!(
        (second.outcome, second.connect_us, second.dns_us),
        (Outcome::Ok, None, None)
    );
    assert_eq!(sink.hits(), 1);
}

#[tokio::test]
async fn redirects_are_an_answer_and_not_followed() {
    let target = Sink::start(Answer::Text("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")).await;
    for status in ["301", "302", "303", "307", "308"] {
        let text = format!(
            "HTTP/1.1 {status} Moved\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n",
            target.url()
        );
        let sink = Sink::start(Answer::Text(text.leak())).await;
        let exchange = open().post(request(sink.url())).await;
        assert_eq!(
            (exchange.outcome, exchange.status),
            (Outcome::Http, status.parse().ok())
        );
    }
    assert_eq!(target.hits(), 0);
}

#[tokio::test]
async fn refusals_carry_status_body_and_wait() {
    let sink = Sink::start(Answer::Text(
        "HTTP/1.1 429 Slow\r\nRetry-After: Wed, 01 Jan 2098 00:02:00 GMT\r\nContent-Length: 5\r\n\r\nlater",
    ))
    .await;
    let clock = Clock::manual(Timestamp::parse("2098-01-01T00:00:00Z").unwrap());
    let exchange = open().with_clock(clock).post(request(sink.url())).await;
    assert_eq!((exchange.outcome, exchange.status), (Outcome::Http, Some(429)));
    assert_eq!(exchange.retry_after, Some(Duration::from_mins(2)));
    assert_eq!(exchange.body, b"later");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_ends_within_the_wall() {
    for (answer, outcome, status) in [
        (Answer::Hang, Outcome::Timeout, None),
        (Answer::Drip, Outcome::Timeout, Some(200)),
        (Answer::Endless, Outcome::Ok, Some(200)),
    ] {
        let sink = Sink::start(answer).await;
        let started = Instant::now();
        let exchange = open().post(request(sink.url())).await;
        let took = started.elapsed();
        assert!(took < 2 * WALL, "{outcome:?} took {took:?}");
        assert_eq!(
            (exchange.outcome, exchange.status),
            (outcome, status),
            "{:?}",
            exchange.error
        );
        match outcome {
            Outcome::Timeout => assert!(took >= WALL && exchange.body.len() < 20),
            _ => assert!(exchange.body.len() == MAX_BODY && exchange.body_truncated),
        }
    }
}

#[tokio::test]
async fn broken_exchanges_are_told_apart() {
    let refused = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let broken = Sink::start(Answer::Break).await;
    let closed = Sink::start(Answer::Close).await;
    let text = Sink::start(Answer::Text("HTTP/1.1 400 Bad Request\r\n\r\n")).await;
    let half = open().post(request(broken.url())).await;
    assert_eq!(
        (half.outcome, half.status, half.body),
        (Outcome::Connect, Some(200), b"half".to_vec())
    );
    for (url, outcome) in [
        (closed.url(), Outcome::Connect),
        (format!("http://127.0.0.1:{refused}/"), Outcome::Connect),
        (format!("https://127.0.0.1:{}/", closed.port), Outcome::Tls),
        (format!("https://127.0.0.1:{}/", text.port), Outcome::Tls),
    ] {
        let exchange = open().post(request(url.as_str())).await;
        assert_eq!(
            (exchange.outcome, exchange.status),
            (outcome, None),
            "{url}: {:?}",
            exchange.error
        );
        assert!(exchange.error.is_some_and(|text| !text.contains("127.0.0.1")), "{url}");
    }
}

#[tokio::test]
async fn unknown_names_slow_names_and_bad_headers_have_outcomes() {
    struct Slow;
    #[async_trait]
    impl Lookup for Slow {
        async fn lookup(&self, _: &str) -> Result<Vec<IpAddr>, LookupError> {
            tokio::time::sleep(Duration::from_mins(1)).await;
            Err(LookupError::Failed)
        }
    }
    let unknown = egress(&[], Scripted::new(&[]))
        .post(request("https://hooks.example.com/"))
        .await;
    assert_eq!(
        (unknown.outcome, unknown.error.as_deref()),
        (Outcome::Dns, Some("the name could not be resolved"))
    );

    let timeouts = Timeouts {
        connect: Duration::from_millis(200),
        wall: WALL,
    };
    let slow = Egress::with_names(EgressPolicy::default(), timeouts, Arc::new(Slow)).unwrap();
    let exchange = slow.post(request("https://hooks.example.com/")).await;
    assert_eq!(exchange.outcome, Outcome::Timeout);
    assert!(exchange.total_us < 900_000);

    let mut bad = request("http://127.0.0.1:9999/");
    bad.headers.push((Cow::Borrowed("webhook-id"), "a\r\nb: c".to_owned()));
    assert_eq!(open().post(bad).await.outcome, Outcome::Blocked);
}

#[tokio::test]
async fn the_system_client_is_built_without_a_process_wide_tls_provider() {
    let egress = Egress::new(EgressPolicy::default(), Timeouts::default()).unwrap();
    let exchange = egress.post(request("https://127.0.0.1:8443/")).await;
    assert_eq!((exchange.outcome, exchange.error.is_some()), (Outcome::Blocked, true));
}

#[test]
fn outcomes_have_their_stored_names() {
    let all = [
        Outcome::Ok,
        Outcome::Http,
        Outcome::Timeout,
        Outcome::Dns,
        Outcome::Tls,
        Outcome::Connect,
        Outcome::Blocked,
    ];
    let names: Vec<_> = all.iter().map(|outcome| outcome.as_str()).collect();
    assert_eq!(names, ["ok", "http", "timeout", "dns", "tls", "connect", "blocked"]);
}

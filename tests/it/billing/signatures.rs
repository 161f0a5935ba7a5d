//! Who may tell us that something was paid: vectors of signatures, sent as Stripe sends events.

use harness::app::Options;
use harness::{Answer, Backend, Selling, TestApp, on_each_backend};
use reqwest::Method;
use serde_json::{Value, json};
use stripe_double::sign;

const SECRET: &str = "whsec_double";
const OTHER: &str = "whsec_of_another_year";
/// 2030-01-02T03:04:05Z: where the stopped clock stands.
const NOW: i64 = 1_893_553_445;

async fn selling(backend: Backend) -> Selling {
    Selling::start(Options::new(backend).stopped_clock()).await
}

/// An event of a customer whom nobody knows.
fn event(id: &str) -> Vec<u8> {
    json!({
        "id": id,
        "object": "event",
        "api_version": "2026-09-30.endive",
        "created": NOW - 5,
        "data": { "object": { "id": "in_1", "object": "invoice", "customer": "cus_of_somebody" } },
        "livemode": false,
        "type": "invoice.paid",
    })
    .to_string()
    .into_bytes()
}

async fn send(t: &TestApp, header: &str, body: &[u8]) -> Answer {
    let client = t.anonymous().with("Stripe-Signature", header);
    let content_type = "application/json; charset=utf-8";
    client
        .send_bytes(Method::POST, "/v1/billing/webhook", content_type, body.to_vec())
        .await
}

async fn stored(t: &TestApp) -> i64 {
    t.number("SELECT COUNT(*) FROM stripe_events").await
}

/// `v1=` of a body that is signed at some time.
fn v1(body: &[u8], at: i64, secret: &str) -> String {
    format!("v1={}", sign::signature(body, at, secret))
}

/// A header that is sent with a body.
struct Vector {
    name: &'static str,
    header: String,
    body: Vec<u8>,
}

/// A body that is signed with the right secret at the right time, under a header of another shape or of another time.
fn vector(name: &'static str, header: impl FnOnce(&[u8]) -> String) -> Vector {
    let body = event(&format!("evt_{}", name.replace(' ', "_")));
    Vector {
        name,
        header: header(&body),
        body,
    }
}

fn good() -> Vec<Vector> {
    let at = |time: i64| move |body: &[u8]| format!("t={time},{}", v1(body, time, SECRET));
    let mut vectors = vec![
        vector("right", at(NOW)),
        vector("as old as may be", at(NOW - 300)),
        vector("as far ahead as may be", at(NOW + 300)),
        vector("two v1", |body| {
            format!("t={NOW},{},{}", v1(body, NOW, OTHER), v1(body, NOW, SECRET))
        }),
        vector("two v1 and a v0, as the double sends it", |body| {
            sign::header(body, NOW, &[SECRET, OTHER])
        }),
    ];
    for (name, from, to) in [
        ("lines end as on Windows", ",", ",\r\n"),
        ("text of many scripts", "cus_of_somebody", "Zoë — 組織 \u{1f510}"),
    ] {
        let text = String::from_utf8(event(name)).expect("text").replace(from, to);
        let body = text.into_bytes();
        let header = at(NOW)(&body);
        vectors.push(Vector { name, header, body });
    }
    vectors
}

fn bad() -> Vec<Vector> {
    let at = |time: i64| move |body: &[u8]| format!("t={time},{}", v1(body, time, SECRET));
    let right = event("evt_changed");
    let header = at(NOW)(&right);
    let text = String::from_utf8(right).expect("text");
    let changed = |name, text: String| Vector {
        name,
        header: header.clone(),
        body: text.into_bytes(),
    };
    vec![
        vector("stale by a second", at(NOW - 301)),
        vector("ahead by a second too much", at(NOW + 301)),
        vector("wrong secret", |body| format!("t={NOW},{}", v1(body, NOW, OTHER))),
        vector("another time than is signed", |body| {
            format!("t={},{}", NOW + 1, v1(body, NOW, SECRET))
        }),
        vector("v0 only", |body| {
            format!("t={NOW},{}", v1(body, NOW, SECRET).replace("v1", "v0"))
        }),
        vector("no t", |body| v1(body, NOW, SECRET)),
        vector("no signature", |_| format!("t={NOW}")),
        vector("no header to speak of", |_| String::new()),
        vector("half a signature", |body| {
            format!("t={NOW},{}", &v1(body, NOW, SECRET)[..35])
        }),
        changed("a changed byte", text.replace("in_1", "in_2")),
        changed("a byte more", format!("{text}\n")),
        changed("other line ends", text.replace(',', ",\r\n")),
        changed("nothing", String::new()),
    ]
}

on_each_backend! {
    async fn what_stripe_signed_lately_is_taken(backend: Backend) {
        let t = selling(backend).await;
        for (number, Vector { name, header, body }) in (1..).zip(good()) {
            let answer = send(&t, &header, &body).await;
            assert_eq!(answer.status(), 200, "{name}: {}", answer.text());
            assert_eq!(stored(&t).await, number, "{name}");
        }
    }

    async fn anything_else_is_refused_and_leaves_nothing(backend: Backend) {
        let t = selling(backend).await;
        for Vector { name, header, body } in bad() {
            let answer = send(&t, &header, &body).await;
            assert_eq!((answer.status(), answer.code().as_str()), (400, "invalid_signature"), "{name}");
        }
        let path = "/v1/billing/webhook";
        let unsigned = t.anonymous().post(path, json!({ "id": "evt_1" })).await;
        unsigned.problem(400, "invalid_signature");
        assert_eq!(stored(&t).await, 0);
    }

    async fn an_empty_body_is_no_event_however_well_it_is_signed(backend: Backend) {
        let t = selling(backend).await;
        for body in [&b""[..], b"{}", b"[]", b"null"] {
            let answer = send(&t, &sign::header(body, NOW, &[SECRET]), body).await;
            assert_eq!(answer.status(), 400, "{}", answer.text());
        }
        assert_eq!(stored(&t).await, 0);
    }

    async fn while_a_secret_is_exchanged_both_are_good(backend: Backend) {
        let both = format!("{OTHER}, {SECRET}");
        let options = Options::new(backend).stopped_clock().with("STRONGROOM_STRIPE_WEBHOOK_SECRET", both);
        let t = Selling::start(options).await;
        for secret in [SECRET, OTHER] {
            let body = event(&format!("evt_{secret}"));
            send(&t, &format!("t={NOW},{}", v1(&body, NOW, secret)), &body).await.expect(200).ok();
        }
        let body = event("evt_of_a_third");
        let refused = send(&t, &format!("t={NOW},{}", v1(&body, NOW, "whsec_third")), &body).await;
        refused.problem(400, "invalid_signature");
        assert_eq!(stored(&t).await, 2);
    }

    async fn signatures_of_stripes_own_sdk_are_good(backend: Backend) {
        let both = format!("{SECRET},{OTHER}");
        let options = Options::new(backend).stopped_clock().with("STRONGROOM_STRIPE_WEBHOOK_SECRET", both);
        let t = Selling::start(options).await;
        let vectors: Value = serde_json::from_str(include_str!("../../stripe-double/fixtures/signatures.json")).unwrap();
        let mut taken = 0;
        for vector in vectors.as_array().unwrap() {
            let text = |name: &str| vector[name].as_str().unwrap();
            let header = format!("t={},v1={}", vector["at"], text("signature"));
            let answer = send(&t, &header, text("body").as_bytes()).await;
            if text("body").is_empty() {
                assert_eq!(answer.status(), 400);
                continue;
            }
            assert_eq!(answer.status(), 200, "{}: {}", text("name"), answer.text());
            taken += 1;
        }
        assert_eq!(taken, 6);
        assert_eq!(stored(&t).await, 1, "all of them are one event");
    }

    async fn an_event_is_stored_once_however_often_it_comes(backend: Backend) {
        let t = selling(backend).await;
        let body = event("evt_again");
        let header = sign::header(&body, NOW, &[SECRET]);
        let sent = (0..8).map(|_| send(&t, &header, &body));
        for answer in futures_util::future::join_all(sent).await {
            assert_eq!(answer.status(), 200, "{}", answer.text());
        }
        assert_eq!(stored(&t).await, 1);
        let ignored = "SELECT COUNT(*) FROM stripe_events WHERE status = 'ignored'";
        assert_eq!(t.number(ignored).await, 1, "it is about nobody whom we know");
    }
}

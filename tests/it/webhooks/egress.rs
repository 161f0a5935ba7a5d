//! Where webhooks may point.

use harness::app::Options;
use harness::{TestApp, on_each_backend};
use serde_json::json;

use super::{hook, path, says};

const REFUSED: [(&str, &str); 27] = [
    ("http://169.254.169.254/latest/meta-data", "address"),
    ("https://169.254.169.254/", "address"),
    ("https://[fd00:ec2::254]/", "address"),
    ("https://metadata.google.internal/", "local_name"),
    ("https://127.0.0.1/", "address"),
    ("https://2130706433/", "address"),
    ("https://0x7f.1/", "address"),
    ("https://[::1]/", "address"),
    ("https://[::ffff:127.0.0.1]/", "address"),
    ("https://[::ffff:a9fe:a9fe]/", "address"),
    ("https://[::7f00:1]/", "address"),
    ("https://[64:ff9b::169.254.169.254]/", "address"),
    ("https://[64:ff9b:1::7f00:1]/", "address"),
    ("https://[2002:7f00:1::]/", "address"),
    ("https://0177.0.0.1/", "address"),
    ("https://127.0.0.1.:8443/", "address"),
    ("https://0/", "address"),
    ("https://①②⑦.0.0.1/", "address"),
    ("https://localhost.:8443/", "local_name"),
    ("https://localhost/", "local_name"),
    ("https://10.0.0.1/", "address"),
    ("http://example.com/", "scheme"),
    ("ftp://example.com/", "scheme"),
    ("https://dana:pw@example.com/", "userinfo"),
    ("https://example.com@127.0.0.1/", "userinfo"),
    ("https://example.com:22/", "port"),
    ("nonsense", "format"),
];

on_each_backend! {
    async fn no_webhook_points_inside(backend: Backend) {
        let t = TestApp::start(Options::new(backend).with("STRONGROOM_EGRESS_ALLOW", "")).await;
        let acme = t.org("acme").await;
        let made = hook(&acme, "https://example.com/hook", json!({})).await;
        for (url, reason) in REFUSED {
            let body = json!({ "url": url, "events": ["*"] });
            for refused in [
                acme.owner.post(&acme.path("/webhooks"), body).await,
                acme.owner.patch(&path(&acme, &made, ""), json!({ "url": url })).await,
            ] {
                let refused = refused.problem(422, "invalid_field");
                assert_eq!((refused.at("/errors/0/field"), refused.at("/errors/0/reason")), ("url".into(), reason.into()), "{url}");
            }
        }
        assert_eq!(acme.owner.get(&path(&acme, &made, "")).await.at("/url"), "https://example.com/hook");
        assert_eq!(t.number("SELECT COUNT(*) FROM webhooks").await, 1);
    }

    async fn a_webhook_that_points_inside_in_the_database_is_not_called(backend: Backend) {
        let receiver = harness::Receiver::start().await;
        let t = TestApp::start(Options::new(backend).with("STRONGROOM_EGRESS_ALLOW", "")).await;
        let acme = t.org("acme").await;
        let made = hook(&acme, "https://example.com/hook", json!({})).await;
        t.sql(&format!("UPDATE webhooks SET url = '{}'", receiver.url)).await;
        let tested = acme.owner.post(&path(&acme, &made, "/test"), json!({})).await.expect(200);
        assert_eq!((tested.at("/state"), tested.at("/attempts/0/outcome")), ("failed".into(), "blocked".into()));
        assert!(receiver.received().is_empty());
    }

    async fn a_redirect_is_an_answer_and_is_not_followed(backend: Backend) {
        let (t, inside) = (TestApp::spawn(backend).await, harness::Receiver::start().await);
        let acme = t.org("acme").await;
        for (status, location) in [
            (301, inside.url.clone()), (302, "http://169.254.169.254/latest/meta-data".to_owned()),
            (303, inside.url.clone()), (307, inside.url.clone()), (308, inside.url.clone()),
        ] {
            let head = format!("HTTP/1.1 {status} Elsewhere\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
            let url = says(head).await;
            let made = hook(&acme, &url, json!({ "events": ["org.updated"] })).await;
            let tested = acme.owner.post(&path(&acme, &made, "/test"), json!({})).await.expect(200);
            let ended = [tested.at("/state"), tested.at("/attempts/0/outcome"), tested.at("/attempts/0/status")];
            assert_eq!(ended, ["failed".to_owned(), "http".to_owned(), status.to_string()]);
        }
        assert!(inside.received().is_empty());
    }

    async fn an_allowed_address_may_be_called_and_its_neighbours_may_not(backend: Backend) {
        let t = TestApp::start(Options::new(backend).with("STRONGROOM_EGRESS_ALLOW", "10.1.0.0/16")).await;
        let acme = t.org("acme").await;
        hook(&acme, "http://10.1.2.3/hook", json!({})).await;
        for url in ["http://10.2.0.1/hook", "https://127.0.0.1/hook", "http://169.254.169.254/"] {
            let body = json!({ "url": url, "events": ["*"] });
            acme.owner.post(&acme.path("/webhooks"), body).await.problem(422, "invalid_field");
        }
    }
}

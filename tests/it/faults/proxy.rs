//! Proxies that the environment names: an address that was vetted is dialled itself, and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use harness::Receiver;
use harness::app;
use harness::processes::{Installation, Tenant};
use serde_json::json;
use tokio::net::TcpListener;

/// A listener that counts who connects, and hangs up.
async fn trap() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let caught = Arc::new(AtomicUsize::new(0));
    let count = caught.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    (url, caught)
}

#[test]
fn a_proxy_of_the_environment_sees_no_delivery() {
    app::run(async {
        let (proxy, caught) = trap().await;
        let names = [
            "HTTP_PROXY",
            "http_proxy",
            "HTTPS_PROXY",
            "https_proxy",
            "ALL_PROXY",
            "all_proxy",
        ];
        let installation = names
            .iter()
            .fold(Installation::embedded(), |own, name| own.with(name, &proxy));
        let api = installation.api().await;
        let receiver = Receiver::start().await;
        let tenant = Tenant::create(&api.url, "acme", None).await;
        let hooks = format!("{}/webhooks", tenant.org);
        // Plain to a network that is open, and TLS to one that listens for none.
        for (url, outcome) in [
            (receiver.url.clone(), "ok"),
            (receiver.url.replace("http:", "https:"), "tls"),
        ] {
            let made = tenant
                .person
                .post(&hooks, json!({ "url": url, "events": ["org.updated"] }))
                .await
                .expect(201);
            let tested = tenant
                .person
                .post(&format!("{hooks}/{}/test", made.at("/id")), json!({}))
                .await
                .expect(200);
            assert_eq!(tested.at("/attempts/0/outcome"), outcome, "{}", tested.text());
        }
        assert_eq!(receiver.received().len(), 1);
        assert_eq!(caught.load(Ordering::Relaxed), 0, "the proxy was asked");
    });
}

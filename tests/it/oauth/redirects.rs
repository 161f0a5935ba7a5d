//! Where answers go: nowhere that was not registered, and when that is wrong the person is told and nobody else.

use harness::on_both;
use serde_json::json;

use super::{browser, partner, sent};

on_both! {
    async fn an_address_that_was_not_registered_gets_nothing(t: TestApp) {
        let dana = t.person("dana").await;
        let registered = "https://portal.example.com/cb";
        let public = json!({ "confidential": false, "redirect_uris": [registered, "http://127.0.0.1:8000/cb"] });
        for client in [partner(&dana, json!({})).await, partner(&dana, public).await] {
            let window = browser(&t, &dana).await;
            for bad in [
                "",
                "https://portal.example.com/cb/",
                "https://portal.example.com/CB",
                "https://portal.example.com/cb?x=1",
                "https://portal.example.com/cb#x",
                "https://portal.example.com:443/cb",
                "https://portal.example.com/cb/../evil",
                "https://portal.example.com/%63b",
                "https://portal.example.com.evil.example/cb",
                "https://portal.example.com@evil.example/cb",
                "https://evil.example/?https://portal.example.com/cb",
                "http://portal.example.com/cb",
                "//portal.example.com/cb",
                "/cb",
                "javascript:alert(1)",
                "http://127.0.0.1.evil.example/cb",
                "http://127.0.0.1:8000@evil.example/cb",
                "http://localhost:8000/cb",
            ] {
                for who in [&window, &t.anonymous()] {
                    let page = who.get(&client.asks(&[("redirect_uri", bad)])).await;
                    assert_eq!((page.status(), page.header("location")), (400, None), "{bad}");
                    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
                    assert!(!page.text().contains("evil.example"), "nothing of the request is repeated");
                }
            }
            for other in [("client_id", "cli_00000000000000000000000000"), ("client_id", "x"), ("client_id", "")] {
                let page = window.get(&client.asks(&[other])).await;
                assert_eq!((page.status(), page.header("location")), (400, None), "{other:?}");
            }
        }
    }

    async fn the_port_is_free_on_the_own_machine_for_public_clients(t: TestApp) {
        let dana = t.person("dana").await;
        let local = json!(["http://127.0.0.1/cb", "http://[::1]/cb"]);
        let public = partner(&dana, json!({ "confidential": false, "redirect_uris": local })).await;
        let server = partner(&dana, json!({ "redirect_uris": local })).await;
        let window = browser(&t, &dana).await;
        for port in ["", ":1", ":49152", ":65535"] {
            for host in ["127.0.0.1", "[::1]"] {
                let uri = format!("http://{host}{port}/cb");
                let mut client = public.clone();
                client.redirect.clone_from(&uri);
                let code = client.code(&window, &[]).await;
                let mut elsewhere = client.clone();
                "http://127.0.0.1:2/cb".clone_into(&mut elsewhere.redirect);
                if port == ":1" {
                    super::error(&elsewhere.trades(&t, &code).await, 400, "invalid_grant");
                } else {
                    client.trades(&t, &code).await.expect(200).ok();
                }
                let fixed = window.get(&server.asks(&[("redirect_uri", uri.as_str())])).await;
                assert_eq!(fixed.status(), if port.is_empty() { 200 } else { 400 }, "{uri}");
            }
        }
    }

    async fn a_query_of_the_address_is_kept(t: TestApp) {
        let dana = t.person("dana").await;
        let uri = "https://portal.example.com/cb?tenant=a%20b";
        let portal = partner(&dana, json!({ "redirect_uris": [uri] })).await;
        let window = browser(&t, &dana).await;
        let answer = super::agrees(&window, &portal.asks(&[]), &[]).await;
        assert!(answer.header("location").is_some_and(|to| to.starts_with(&format!("{uri}&code="))));
        assert_eq!(sent(&answer)["tenant"], "a b");
    }
}

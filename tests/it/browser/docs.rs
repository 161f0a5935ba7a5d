//! The interactive page of the API's document.

use std::collections::BTreeSet;
use std::time::Duration;

use harness::processes::within;
use harness::{Backend, TestApp};
use serde_json::Value;

use super::window::Window;

/// The operations of the document, those of webhooks too.
fn documented(document: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for list in ["paths", "webhooks"] {
        for path in document[list].as_object().expect("a list").values() {
            let parts = path.as_object().expect("its methods").values();
            let names = parts.filter_map(|part| part["operationId"].as_str());
            found.extend(names.map(str::to_owned));
        }
    }
    found
}

#[test]
fn it_shows_every_operation() {
    harness::app::run(async {
        let t = TestApp::spawn(Backend::Sqlite).await;
        let window = Window::open(&t);
        window.goes(&format!("{}/docs", t.url)).await;
        let patience = Duration::from_mins(2);
        within(patience, "the sections are there", || async {
            window.counts(".opblock-tag").await > 0
        })
        .await;
        let ids = window.unfolds(".opblock-tag", ".opblock").await;
        // `operations-Secrets-get_secret`
        let shown: BTreeSet<_> = ids
            .iter()
            .filter_map(|id| id.splitn(3, '-').nth(2))
            .map(str::to_owned)
            .collect();
        assert_eq!(shown, documented(t.document()));
        window.closes().await;
    });
}

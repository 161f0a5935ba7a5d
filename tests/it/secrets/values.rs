//! Writing and reading one secret.

use harness::on_both;
use serde_json::json;

on_both! {
    async fn a_stored_value_reads_back_exactly(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let value = "quotes \" and ' , # = \\ $HOME\n\ttwo lines \u{1F511} ";
        let put = acme.owner.put(&env.secret("DB_URL"), json!({ "value": value, "comment": "main" })).await.expect(201);
        assert_eq!((put.at("/version"), put.at("/revision"), put.at("/comment")), ("1".into(), "1".into(), "main".into()));
        assert!(!put.text().contains("quotes"), "the value is not echoed");
        let got = acme.owner.get(&env.secret("DB_URL")).await.expect(200);
        assert_eq!(got.at("/value"), value);
        assert_eq!(got.header("etag"), Some("\"1\""));
    }
}

//! Input that an operation on many secrets must refuse as a whole: the field or the code is named, and no row of any
//! table has changed.

use harness::client::Credential;
use harness::matrix::{Kept, State};
use harness::{Answer, Client, EnvPath, TestApp, on_both};
use reqwest::Method;
use serde_json::{Value, json};

use crate::edge::raw;

/// Secrets in production, and keys of one call at most.
const MANY: usize = 1000;
/// The one that the narrow tokens are not for; the others begin with `CI_`.
const FOREIGN: &str = "DB_URL";

/// A project with many secrets in production, and the database as it was then.
struct Place<'a> {
    t: &'a TestApp,
    /// May do everything.
    owner: Client,
    /// May do everything to the keys of production that begin with `CI_`.
    narrow: Client,
    /// May read all of production, and write what begins with `CI_` in staging.
    mover: Client,
    production: EnvPath,
    project: String,
    kept: Kept,
    before: State,
}

impl<'a> Place<'a> {
    async fn new(t: &'a TestApp) -> Self {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let production = web.env("production");
        let secrets: Value = own_keys(MANY - 1)
            .into_iter()
            .chain([FOREIGN.to_owned()])
            .map(|key| (key, json!("stored")))
            .collect();
        let bulk = format!("{}/bulk", production.0);
        acme.owner
            .post(&bulk, json!({ "secrets": secrets }))
            .await
            .expect(200)
            .ok();
        acme.owner
            .put(&production.secret(FOREIGN), json!({ "value": "again" }))
            .await
            .expect(200)
            .ok();
        let token = |patterns: &[&str]| json!({ "name": "narrow", "org": "acme", "patterns": patterns });
        let narrow = acme.owner.token(token(&["web/production/CI_*"])).await;
        let mover = acme.owner.token(token(&["web/production", "web/staging/CI_*"])).await;
        let kept = Kept::of(t).await;
        Self {
            before: kept.state(t).await,
            t,
            owner: acme.owner.client().clone(),
            narrow,
            mover,
            production,
            project: web.path,
            kept,
        }
    }

    /// Path of an operation on production.
    fn path(&self, rest: &str) -> String {
        format!("{}/{rest}", self.production.0)
    }

    /// Every operation on many secrets, and the one that goes back to a version, with the bytes that it takes.
    fn operations(&self) -> [(String, usize); 6] {
        const MIB: usize = 1024 * 1024;
        [
            (self.path("bulk"), 4 * MIB),
            (self.path("bulk-delete"), 4 * MIB),
            (self.path("import"), 4 * MIB),
            (format!("{}/promote", self.project), MIB),
            (self.path("rollback"), MIB),
            (format!("{}/rollback", self.production.secret(FOREIGN)), MIB),
        ]
    }

    async fn import(&self, query: &str, text: impl AsRef<[u8]>) -> Answer {
        let path = self.path(&format!("import{query}"));
        let bytes = text.as_ref().to_vec();
        self.owner.send_bytes(Method::POST, &path, "text/plain", bytes).await
    }

    async fn promote(&self, caller: &Client, keys: Vec<String>) -> Answer {
        let body = json!({ "from": "production", "to": "staging", "keys": keys });
        caller.post(&format!("{}/promote", self.project), body).await
    }

    /// A problem with this field and reason.
    async fn invalid(&self, answer: Answer, field: &str, reason: &str) {
        let answer = answer.problem(422, "invalid_field");
        let named = (answer.at("/errors/0/field"), answer.at("/errors/0/reason"));
        assert_eq!(named, (field.to_owned(), reason.to_owned()), "{}", answer.text());
        self.assert_unchanged().await;
    }

    async fn refused(&self, answer: Answer, status: u16, code: &str) -> Answer {
        let answer = answer.problem(status, code);
        self.assert_unchanged().await;
        answer
    }

    async fn assert_unchanged(&self) {
        let now = self.kept.state(self.t).await;
        assert_eq!(now.changed_since(&self.before), Vec::<&str>::new());
    }
}

/// So many keys that begin with `CI_`.
fn own_keys(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("CI_{n:04}")).collect()
}

/// 999 good keys, and one more.
fn with(key: &str) -> Vec<String> {
    let mut keys = own_keys(MANY - 1);
    keys.push(key.to_owned());
    keys
}

/// The same as values by key.
fn entries(keys: Vec<String>, last: &Value) -> Value {
    let count = keys.len();
    let value = |n: usize| if n + 1 == count { last.clone() } else { json!("new") };
    keys.into_iter().enumerate().map(|(n, key)| (key, value(n))).collect()
}

on_both! {
    async fn bodies_that_are_broken_or_too_large_are_refused_by_every_operation(t: TestApp) {
        let place = Place::new(&t).await;
        let Credential::Bearer(token) = &place.owner.credential else { unreachable!("by bearer") };
        for (path, limit) in place.operations() {
            let broken: [&[u8]; 4] = [b"{\"keys\":[\"\xff\xfe\"]}", b"\xef\xbb\xbf{}", b"{\"keys\":[", b"\x00\x01\x02\x03"];
            for bytes in broken {
                let answer = place.owner.send_bytes(Method::POST, &path, "application/json", bytes.to_vec()).await;
                assert!(matches!(answer.status(), 400 | 422), "{path} {bytes:?}: {}", answer.text());
            }
            let twice = br#"{"keys":["A"],"k\u0065ys":["B"]}"#.to_vec();
            let answer = place.owner.send_bytes(Method::POST, &path, "application/json", twice).await;
            place.refused(answer, 400, "malformed_request").await;
            // Refused by its head, before anything of it is read.
            let head = raw::head(&format!("POST {path}"), Some(token));
            let head = format!("{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{{", limit + 1);
            let reply = raw::send(&t, head).await;
            assert_eq!((reply.status, reply.code().as_str()), (413, "body_too_large"), "{path}: {}", reply.body);
        }
        place.assert_unchanged().await;
    }

    async fn values_among_which_one_is_wrong_are_not_stored(t: TestApp) {
        let place = Place::new(&t).await;
        let bulk = place.path("bulk");
        let set = |caller: &Client, secrets: Value| {
            let (caller, bulk) = (caller.clone(), bulk.clone());
            async move { caller.post(&bulk, json!({ "secrets": secrets, "mode": "replace" })).await }
        };
        let comment = json!({ "value": "v", "comment": "c".repeat(1025) });
        let answer = set(&place.owner, entries(with("ZZ"), &comment)).await;
        place.invalid(answer, "secrets.ZZ.comment", "too_long").await;
        let answer = set(&place.owner, entries(with("ZZ"), &json!("a\u{0}b"))).await;
        place.invalid(answer, "secrets.ZZ", "format").await;
        let answer = set(&place.owner, entries(with("ZZ"), &json!({ "value": "v", "note": "n" }))).await;
        place.refused(answer, 422, "invalid_field").await;
        let answer = set(&place.owner, entries(with(&"Z".repeat(256)), &json!("v"))).await;
        place.invalid(answer, "secrets[999]", "format").await;
        let answer = place.narrow.post(&bulk, json!({ "secrets": entries(with(FOREIGN), &json!("v")) })).await;
        place.refused(answer, 403, "forbidden").await;
        // It names none but its own, and the others would be deleted.
        let refused = place.refused(set(&place.narrow, entries(own_keys(3), &json!("v"))).await, 403, "forbidden").await;
        assert!(!refused.text().contains(FOREIGN), "{}", refused.text());
        let body = json!({ "secrets": { "A": "a" }, "mode": "upsert" });
        place.invalid(place.owner.post(&bulk, body).await, "mode", "type").await;
    }

    async fn keys_among_which_one_is_wrong_are_not_deleted(t: TestApp) {
        let place = Place::new(&t).await;
        let path = place.path("bulk-delete");
        let delete = |keys: Value| place.owner.post(&path, json!({ "keys": keys }));
        place.invalid(delete(json!(own_keys(MANY + 1))).await, "keys", "too_many").await;
        place.invalid(delete(json!([])).await, "keys", "required").await;
        place.invalid(delete(json!(with("no key"))).await, "keys[999]", "format").await;
        place.invalid(delete(json!(with("NONE"))).await, "keys[999]", "unknown").await;
        place.invalid(delete(json!(with("CI_0000"))).await, "keys", "duplicate").await;
        place.invalid(delete(json!(["CI_0000", 7])).await, "keys[1]", "type").await;
        let answer = place.narrow.post(&path, json!({ "keys": with(FOREIGN) })).await;
        place.refused(answer, 403, "forbidden").await;
    }

    async fn a_text_in_which_one_line_is_wrong_is_not_imported(t: TestApp) {
        let place = Place::new(&t).await;
        let lines = |keys: Vec<String>, last: &str| {
            let lines: Vec<_> = keys.iter().map(|key| format!("{key}=new")).collect();
            format!("{}\n{last}\n", lines.join("\n"))
        };
        let most = own_keys(MANY - 1);
        let answer = place.import("", lines(own_keys(MANY), "MORE=1")).await;
        assert_eq!(place.refused(answer, 422, "invalid_field").await.at("/errors/0/reason"), "too_many");
        for nothing in ["", "\n", "# only a comment\n"] {
            let answer = place.import("", nothing).await;
            assert_eq!(place.refused(answer, 422, "invalid_field").await.at("/errors/0/reason"), "required");
        }
        place.invalid(place.import("", lines(most.clone(), "9BAD=secret")).await, "body", "invalid_key").await;
        place.invalid(place.import("", lines(most.clone(), "no assignment")).await, "body", "no_value").await;
        place.invalid(place.import("", lines(most.clone(), "CI_0000=again")).await, "body", "duplicate").await;
        let long = format!("LONG={}", "x".repeat(64 * 1024 + 1));
        place.invalid(place.import("", lines(most, &long)).await, "body", "too_long").await;
        place.invalid(place.import("", b"A=a\0b\n").await, "body", "format").await;
        place.refused(place.import("", b"A=\xff\xfe\n").await, 400, "malformed_request").await;
        for json in [r#"{"A":"1","A":"2"}"#, r#"{"A":"1","\u0041":"2"}"#] {
            place.invalid(place.import("?format=json", json).await, "body", "duplicate").await;
        }
        for (query, field) in [("?mode=upsert", "mode"), ("?dry_run=perhaps", "dry_run")] {
            let answer = place.refused(place.import(query, "A=1").await, 422, "invalid_field").await;
            assert_eq!(answer.at("/errors/0/field"), field);
        }
        let path = place.path("import");
        let text = lines(with(FOREIGN), "").into_bytes();
        let answer = place.narrow.send_bytes(Method::POST, &path, "text/plain", text).await;
        place.refused(answer, 403, "forbidden").await;
    }

    async fn an_import_of_another_kind_is_refused(t: TestApp) {
        let place = Place::new(&t).await;
        let path = place.path("import");
        let kinds = [
            "application/octet-stream", "application/xml", "application/x-www-form-urlencoded", "application/yaml",
            "multipart/form-data; boundary=x", "text/html", "image/png",
        ];
        for kind in kinds {
            let answer = place.owner.send_bytes(Method::POST, &path, kind, b"A=1".to_vec()).await;
            place.refused(answer, 415, "unsupported_media_type").await;
        }
        let none = place.owner.send(Method::POST, &path, None).await;
        assert!(matches!(none.status(), 400 | 415 | 422), "{}", none.text());
        place.invalid(place.owner.post(&path, json!(["A"])).await, "body", "type").await;
        for value in [json!({}), json!(["a"]), json!(true), Value::Null] {
            place.invalid(place.owner.post(&path, json!({ "A": value })).await, "A", "type").await;
        }
        let long = json!({ "A": "x".repeat(64 * 1024 + 1) });
        place.invalid(place.owner.post(&path, long).await, "body", "too_long").await;
        place.invalid(place.owner.post(&path, json!({ "no key": "secret" })).await, "body", "invalid_key").await;
    }

    async fn keys_among_which_one_is_wrong_are_not_promoted(t: TestApp) {
        let place = Place::new(&t).await;
        let owner = &place.owner;
        place.invalid(place.promote(owner, own_keys(MANY + 1)).await, "keys", "too_many").await;
        place.invalid(place.promote(owner, with("NONE")).await, "keys[999]", "unknown").await;
        place.invalid(place.promote(owner, with("no key")).await, "keys[999]", "unknown").await;
        place.invalid(place.promote(owner, with("CI_0000")).await, "keys", "duplicate").await;
        let blocked = place.refused(place.promote(&place.mover, with(FOREIGN)).await, 403, "forbidden").await;
        assert_eq!(blocked.json()["keys"], json!([FOREIGN]));
        let path = format!("{}/promote", place.project);
        let other = json!({ "from": "production", "to": "staging", "digest": "0".repeat(64) });
        place.refused(owner.post(&path, other).await, 412, "version_mismatch").await;
        let unknown = json!({ "from": "production", "to": "staging", "mode": "upsert" });
        place.invalid(owner.post(&path, unknown).await, "mode", "type").await;
    }

    async fn nothing_goes_back_to_what_never_was(t: TestApp) {
        let place = Place::new(&t).await;
        let path = place.path("rollback");
        for revision in ["-1", "3", "", "1.0", " 1", "release-1", "99999999999999999999", "0x1"] {
            let answer = place.owner.post(&path, json!({ "revision": revision })).await;
            place.invalid(answer, "revision", "unknown").await;
        }
        let path = format!("{}/rollback", place.production.secret(FOREIGN));
        for version in [-1_i64, 0, 3, i64::MAX] {
            let answer = place.owner.post(&path, json!({ "version": version })).await;
            place.invalid(answer, "version", "unknown").await;
        }
    }
}

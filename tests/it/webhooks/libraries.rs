//! Real deliveries, verified by the official libraries of Standard Webhooks as receivers use them: `standardwebhooks` of
//! npm and of PyPI. Ed25519 signatures, which those do not know yet, are verified by Node.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::receiver::Received;
use harness::{Answer, Receiver, on_both, packages};
use serde_json::{Value, json};

use super::{hook, path};

const NPM: [&str; 1] = ["standardwebhooks@1.1.1"];
const PYPI: [&str; 1] = ["standardwebhooks==1.1.0"];

/// What a secret and its public key are to a delivery.
fn pair(answer: &Answer) -> Value {
    json!({ "secret": answer.at("/secret"), "public_key": answer.at("/public_key") })
}

/// A delivery with what must verify it and what must not.
fn case(request: &Received, right: &[&Value], wrong: &[&Value]) -> Value {
    json!({
        "headers": request.headers, "body": String::from_utf8_lossy(&request.body), "right": right, "wrong": wrong,
    })
}

fn folder() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("webhook-libraries");
    packages::install(&dir, &NPM, &PYPI);
    dir
}

/// Runs both libraries over the cases; each fails on the first surprise and else tells how much it verified.
fn assert_verified(cases: &[Value], verifications: usize) {
    let dir = folder();
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), Value::from(cases).to_string()).expect("write the deliveries");
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut node = Command::new("node");
    node.arg(fixtures.join("verify_webhooks.cjs"))
        .env("NODE_PATH", dir.join("node_modules"));
    let mut python = Command::new(dir.join("venv/bin/python"));
    python.arg(fixtures.join("verify_webhooks.py"));
    for mut command in [node, python] {
        let output = command.arg(file.path()).output().expect("start the library");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{command:?}: {said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(said.trim(), format!("{verifications} verified"), "{command:?}");
    }
}

on_both! {
    async fn the_official_libraries_verify_deliveries_before_during_and_after_a_rotation(t: TestApp) {
        let receiver = Receiver::start().await;
        let acme = t.org("acme").await;
        let made = hook(&acme, &receiver.url, json!({ "events": ["project.created"] })).await;
        let (rotate, mut arrived) = (path(&acme, &made, "/rotate-secret"), Vec::new());
        let deliver = async |slug: &str, count: usize| {
            // Characters of several bytes are signed as they are sent.
            let project = json!({ "name": "Schlüssel 🔑", "slug": slug });
            acme.owner.post(&acme.path("/projects"), project).await.expect(201).ok();
            receiver.expect(count).await.pop().expect("a delivery")
        };
        arrived.push(deliver("before", 1).await);
        let second = acme.owner.post(&rotate, json!({ "overlap_hours": 1 })).await.expect(200);
        arrived.push(deliver("during", 2).await);
        let third = acme.owner.post(&rotate, json!({ "overlap_hours": 168 })).await.expect(200);
        arrived.push(deliver("during-two", 3).await);
        let fourth = acme.owner.post(&rotate, json!({ "overlap_hours": 0 })).await.expect(200);
        arrived.push(deliver("after", 4).await);

        let [first, second, third, fourth] = [pair(&made), pair(&second), pair(&third), pair(&fourth)];
        let cases = [
            case(&arrived[0], &[&first], &[&second, &third, &fourth]),
            case(&arrived[1], &[&second, &first], &[&third, &fourth]),
            case(&arrived[2], &[&third, &second, &first], &[&fourth]),
            case(&arrived[3], &[&fourth], &[&first, &second, &third]),
        ];
        tokio::task::spawn_blocking(move || assert_verified(&cases, 7)).await.expect("the libraries agree");
    }
}

//! Software of others walks against a running server: `openid-client` (a certified relying party) and `jose` of npm,
//! `Authlib` and `PyJWT` of PyPI. In between the keys change.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use domain::signing;
use harness::{Backend, Person, TestApp, packages};
use serde_json::json;
use tokio::runtime::Runtime;

use super::{DEVICE_GRANT, Partner, REDIRECT, browser, partner};

const NPM: [&str; 2] = ["openid-client@6.8.9", "jose@6.2.17"];
const PYPI: [&str; 3] = ["Authlib==1.9.9", "PyJWT[crypto]==2.15.1", "requests==2.34.2"];

#[test]
fn openid_client_and_jose_of_npm_walk_through() {
    let script = tools().join("walk.mjs");
    fs::write(&script, include_str!("peers/walk.mjs")).unwrap();
    walk(Backend::Sqlite, Command::new("node").arg(&script));
}

#[test]
fn authlib_and_pyjwt_of_pypi_walk_through_on_postgresql() {
    let script = tools().join("walk.py");
    fs::write(&script, include_str!("peers/walk.py")).unwrap();
    let python = tools().join("venv/bin/python");
    walk(Backend::Postgres, Command::new(python).arg(&script));
}

/// What a walk needs to know.
struct World {
    t: TestApp,
    dana: Person,
    cookie: String,
    portal: Partner,
    small: Partner,
    tv: Partner,
}

async fn world(backend: Backend) -> World {
    let t = TestApp::spawn(backend).await;
    let dana = t.person("dana").await;
    let harness::client::Credential::Cookie(cookie) = browser(&t, &dana).await.credential else {
        unreachable!("a browser carries a cookie")
    };
    let tv = json!({
        "confidential": false, "redirect_uris": [], "grant_types": [DEVICE_GRANT, "refresh_token"],
        "scopes": ["openid", "email", "offline_access"],
    });
    World {
        portal: partner(&dana, json!({})).await,
        small: partner(&dana, json!({ "signing_alg": "ES256" })).await,
        tv: partner(&dana, tv).await,
        t,
        dana,
        cookie,
    }
}

/// Runs a script beside a server. A line `rotate` of its changes the keys, a line `approve CODE` lets a device in; each
/// is answered with an empty line.
fn walk(backend: Backend, command: &mut Command) {
    let runtime = Runtime::new().expect("a runtime");
    let world = runtime.block_on(world(backend));
    let secret = |partner: &Partner| partner.secret.clone().unwrap_or_default();
    let mut child = command
        .env("ISSUER", &world.t.url)
        .env("COOKIE", format!("strongroom={}", world.cookie))
        .env("REDIRECT", REDIRECT)
        .env("SUBJECT", world.dana.id.to_string())
        .env("PORTAL_ID", &world.portal.id)
        .env("PORTAL_SECRET", secret(&world.portal))
        .env("SMALL_ID", &world.small.id)
        .env("SMALL_SECRET", secret(&world.small))
        .env("TV_ID", &world.tv.id)
        .env("AUTHLIB_INSECURE_TRANSPORT", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start the script");
    let mut stdin = child.stdin.take().expect("its input");
    let stdout = BufReader::new(child.stdout.take().expect("its output"));
    let mut said = Vec::new();
    for line in stdout.lines().map(|line| line.expect("a line")) {
        if line == "rotate" {
            let app = world.t.app();
            runtime
                .block_on(signing::rotate(&app.db, &app.keys))
                .expect("other keys");
        } else if let Some(code) = line.strip_prefix("approve ") {
            let body = json!({ "user_code": code, "decision": "approve" });
            runtime.block_on(async { world.dana.post("/v1/auth/device/approve", body).await.ok() });
        } else {
            said.push(line);
            continue;
        }
        stdin.write_all(b"\n").expect("it listens");
    }
    let status = child.wait().expect("its end");
    assert!(
        status.success() && said.last().is_some_and(|line| line == "walk: ok"),
        "{said:#?}"
    );
    runtime.block_on(world.t.stop());
}

/// The packages, installed once into a folder that outlives the run.
fn tools() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("oauth-peers");
    packages::install(&dir, &NPM, &PYPI);
    dir
}

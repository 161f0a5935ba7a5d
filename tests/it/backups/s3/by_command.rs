//! The processes as they are run: what they print, what they log, what their commands do with a bucket.

use harness::people::PASSWORD;
use harness::processes::{Api, Installation, Process};
use harness::{Client, app};
use serde_json::json;

use super::super::{BACKUPS, ended, made};
use super::{Bucket, PREFIX, SECRET_KEY, with};

const EMAIL: &str = "root@example.com";

/// An installation with an administrator whose backups go to a bucket.
fn installation(settings: &[(&'static str, String)]) -> Installation {
    let own = [
        ("STRONGROOM_ADMIN_EMAIL", EMAIL),
        ("STRONGROOM_ADMIN_PASSWORD", PASSWORD),
        ("STRONGROOM_LOG", "trace"),
    ];
    let installation = own
        .iter()
        .fold(Installation::embedded(), |all, (name, value)| all.with(name, value));
    settings
        .iter()
        .fold(installation, |all, (name, value)| all.with(name, value))
}

async fn administrator(api: &Api) -> Client {
    let client = Client::new(&api.url);
    let body = json!({ "email": EMAIL, "password": PASSWORD, "transport": "bearer" });
    let session = client.post("/v1/auth/login", body).await.expect(200);
    client.bearer(&session.at("/access_token"))
}

/// Runs a command to its end; what it printed.
async fn run(installation: &Installation, arguments: &[&str]) -> String {
    let process = installation.run("strongroom-api", arguments);
    let status = process.wait().await;
    assert!(status.success(), "{arguments:?}: {}", process.log());
    process.output()
}

fn assert_silent(process: &Process, secret: &str) {
    for text in [process.log(), process.output()] {
        assert!(!text.contains(secret), "a secret is in the log");
        assert!(!text.contains("X-Amz-Signature"), "a signed URL is in the log");
    }
}

#[test]
fn commands_list_and_restore_what_is_in_a_bucket() {
    app::run(async {
        let bucket = Bucket::make().await;
        let installation = installation(&bucket.settings());
        let api = installation.api().await;
        let root = administrator(&api).await;
        let id = made(&root).await;
        api.process.kill();
        assert_silent(&api.process, SECRET_KEY);
        let listed = run(&installation, &["backups"]).await;
        let begin = format!("1 backups in s3://{}/{PREFIX}\n{id}  20", bucket.name);
        assert!(listed.starts_with(&begin), "{listed}");
        let shown = run(&installation, &["config"]).await;
        assert!(
            shown.contains("STRONGROOM_BACKUP_S3_SECRET_KEY = (hidden)") && !shown.contains(SECRET_KEY),
            "{shown}"
        );
        let object = format!("s3://{}/{PREFIX}{id}.srb", bucket.name);
        for (name, from) in [("first", object.as_str()), ("second", id.as_str())] {
            let to = format!("sqlite://{}", installation.dir().join(name).display());
            let told = run(&installation, &["restore", "--from", from, "--to", &to]).await;
            assert!(told.contains(&format!("Restored {id} of ")), "{told}");
            assert!(told.contains("In order:"), "{told}");
        }
    });
}

#[test]
fn a_wrong_secret_key_is_nowhere_in_the_log() {
    app::run(async {
        let wrong = "not-the-secret-key-of-the-store";
        let bucket = Bucket::make().await;
        let settings = with(&bucket.settings(), "STRONGROOM_BACKUP_S3_SECRET_KEY", wrong);
        let installation = installation(&settings);
        let api = installation.api().await;
        let root = administrator(&api).await;
        let id = root.post(BACKUPS, json!({})).await.expect(202).at("/id");
        let shown = ended(&root, &id).await;
        assert_eq!(shown.at("/state"), "failed", "{}", shown.text());
        api.process.kill();
        assert!(
            api.process.log().contains("STRONGROOM_BACKUP_S3_SECRET_KEY"),
            "{}",
            api.process.log()
        );
        assert_silent(&api.process, wrong);
    });
}

#[test]
fn a_bucket_without_its_keys_stops_the_start() {
    app::run(async {
        let installation = Installation::embedded().with("STRONGROOM_BACKUP_S3_BUCKET", "acme-backups");
        let Err(process) = installation.try_api().await else {
            panic!("it starts")
        };
        for missing in ["BACKUP_S3_ACCESS_KEY", "BACKUP_S3_SECRET_KEY", "BACKUP_KEY"] {
            let line = format!("STRONGROOM_{missing}: goes with STRONGROOM_BACKUP_S3_BUCKET");
            assert!(process.log().contains(&line), "{}", process.log());
        }
    });
}

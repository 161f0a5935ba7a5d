//! What is kept in a bucket: made, proved, listed, restored, let go.

use std::path::Path;

use domain::backups::{self, Tokens, let_go};
use domain::kernel::id::BackupId;
use harness::{Backend, EnvPath, Org, TestApp, on_each_backend};
use serde_json::{Map, json};

use super::super::{BACKUPS, empty, ended, keyring, made, root};
use super::{Bucket, PREFIX, is_proved, plan, start, until};

/// Values of so many bytes do not compress once they are sealed.
const VALUE: usize = 60_000;

/// The value of a setting.
fn setting(settings: &[(&'static str, String)], name: &str) -> String {
    let found = settings.iter().find(|(known, _)| *known == name);
    found.expect("it is set").1.clone()
}

/// Writes so many megabytes, about, in a few calls.
async fn fill(acme: &Org<'_>, env: &EnvPath, megabytes: usize) {
    let calls = megabytes.div_ceil(3);
    for call in 0..calls {
        let secrets: Map<_, _> = (0..50)
            .map(|number| (format!("KEY_{call}_{number}"), json!("v".repeat(VALUE))))
            .collect();
        acme.owner
            .post(&format!("{}/bulk", env.0), json!({ "secrets": secrets }))
            .await
            .expect(200)
            .ok();
    }
}

/// What lies in the folder of backups.
fn files(t: &TestApp) -> usize {
    std::fs::read_dir(t.dir.path().join("backups")).map_or(0, Iterator::count)
}

on_each_backend! {
    async fn a_backup_is_kept_in_a_bucket_and_restored_from_there(backend: Backend) {
        let bucket = Bucket::make().await;
        let settings = bucket.settings();
        let t = start(backend, &settings).await;
        let root = root(&t).await;
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        acme.owner.put(&env.secret("DB_URL"), json!({ "value": "postgres://db.internal/acme" })).await.ok();
        let id = made(&root).await;
        let key = format!("{PREFIX}{id}.srb");
        assert_eq!(bucket.objects().await, [key.as_str()]);
        assert_eq!((bucket.uploads().await, files(&t)), (0, 0), "nothing is left half-sent, and nothing lies here");
        let listed = root.get(BACKUPS).await.expect(200);
        assert_eq!((listed.at("/data/0/id"), listed.at("/store/kind")), (id.clone(), "s3".into()));
        assert_eq!(listed.at("/store/place"), format!("s3://{}/{PREFIX}", bucket.name));
        assert_eq!((listed.at("/store/reachable"), listed.at("/store/problem")), ("true".into(), String::new()));
        // Beside the live database.
        root.post(&format!("{BACKUPS}/{id}/restore"), json!({})).await.expect(202).ok();
        let shown = until(&root, &id, "it is restored", |shown| !shown.at("/restoration/restored_at").is_empty()).await;
        assert_eq!(shown.at("/restoration/state"), "completed", "{}", shown.text());
        // Into a database of the other kind, named as an object and by its id.
        let other = match backend {
            Backend::Sqlite => Backend::Postgres,
            Backend::Postgres => Backend::Sqlite,
        };
        let (folder, plan) = (tempfile::TempDir::new().unwrap(), plan(&settings));
        for (number, from) in [format!("s3://{}/{key}", bucket.name), id.clone()].iter().enumerate() {
            let (_, into) = empty(other, &folder, &format!("{number}.db")).await;
            let keys = keyring(&setting(&settings, "STRONGROOM_BACKUP_KEY"));
            let back = backups::restore_from(&plan, Path::new(from), keys, &into, Tokens::Keep).await.expect("restored");
            assert_eq!(back.header.id.to_string(), id);
            assert_eq!(back.sizes.size.to_string(), shown.at("/size_bytes"));
            let checked = backups::check(&into, &back.header, &t.app().keys).await.expect("it is in order");
            assert_eq!((checked.rows, checked.values), (back.header.rows(), 1));
            into.close().await;
        }
        root.delete(&format!("{BACKUPS}/{id}")).await.expect(204).ok();
        assert!(bucket.objects().await.is_empty(), "the object goes with it");
    }

    async fn a_store_that_fails_at_the_second_part_has_nothing_and_the_next_try_sends_three(backend: Backend) {
        let bucket = Bucket::make().await;
        let t = start(backend, &bucket.settings()).await;
        let root = root(&t).await;
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        fill(&acme, &env, 18).await;
        // As often as one try asks.
        let busy = json!({ "method": "PUT", "has": "partNumber=2", "status": 503, "code": "SlowDown", "times": 5 });
        bucket.tell(json!({ "faults": [busy] })).await;
        let id = root.post(BACKUPS, json!({})).await.expect(202).at("/id");
        let shown = until(&root, &id, "it is told why", |shown| !shown.at("/problem").is_empty()).await;
        assert_eq!(shown.at("/problem"), "the backup store: it answers 503 SlowDown");
        assert_ne!(shown.at("/state"), "completed", "{}", shown.text());
        assert!(bucket.objects().await.is_empty(), "half a backup is none");
        assert_eq!(bucket.uploads().await, 0, "and its parts are gone");
        let shown = until(&root, &id, "the next try gets through", is_proved).await;
        assert_eq!(shown.at("/problem"), "", "{}", shown.text());
        assert_eq!(bucket.objects().await, [format!("{PREFIX}{id}.srb")]);
        for (part, times) in [(1, 2), (2, 6), (3, 1), (4, 0)] {
            assert_eq!(bucket.asked(&format!("partNumber={part}")).await, times, "part {part}");
        }
        assert_eq!(bucket.uploads().await, 0);
    }

    async fn those_that_are_too_many_go_from_the_bucket_too(backend: Backend) {
        let bucket = Bucket::make().await;
        let settings = super::with(&bucket.settings(), "STRONGROOM_BACKUP_KEEP", "2");
        let t = start(backend, &settings).await;
        let root = root(&t).await;
        let (first, second) = (made(&root).await, made(&root).await);
        // What cannot be deleted now is not forgotten.
        bucket.tell(json!({ "faults": [{ "method": "DELETE", "has": first, "status": 503, "code": "SlowDown", "times": -1 }] })).await;
        let third = made(&root).await;
        let key = |id: &str| format!("{PREFIX}{id}.srb");
        assert_eq!(let_go(t.db(), &t.app().backups).await.unwrap(), 0);
        assert_eq!(bucket.objects().await, [key(&first), key(&second), key(&third)]);
        root.get(&format!("{BACKUPS}/{first}")).await.expect(200).ok();
        bucket.tell(json!({ "faults": [] })).await;
        let_go(t.db(), &t.app().backups).await.unwrap();
        assert_eq!(bucket.objects().await, [key(&second), key(&third)]);
        root.get(&format!("{BACKUPS}/{first}")).await.problem(404, "not_found");
    }

    async fn a_download_that_breaks_off_is_taken_up_where_it_broke(backend: Backend) {
        let bucket = Bucket::make().await;
        let t = start(backend, &bucket.settings()).await;
        let root = root(&t).await;
        bucket.tell(json!({ "faults": [{ "method": "GET", "has": ".srb", "cut": 1000, "times": 2 }] })).await;
        let id = root.post(BACKUPS, json!({})).await.expect(202).at("/id");
        let shown = ended(&root, &id).await;
        assert!(is_proved(&shown), "{}", shown.text());
        // It is read twice, and was taken up twice.
        assert_eq!(bucket.asked(&format!("GET /{}/{PREFIX}", bucket.name)).await, 4);
    }

    async fn what_an_earlier_try_left_half_sent_is_cleared(backend: Backend) {
        let bucket = Bucket::make().await;
        let t = start(backend, &bucket.settings()).await;
        let root = root(&t).await;
        bucket.tell(json!({ "faults": [
            { "method": "PUT", "has": "partNumber=1", "status": 403, "code": "AccessDenied", "times": -1 },
            { "method": "DELETE", "has": "uploadId", "status": 503, "code": "SlowDown", "times": -1 },
        ] })).await;
        let id = root.post(BACKUPS, json!({})).await.expect(202).at("/id");
        let shown = ended(&root, &id).await;
        assert_eq!(shown.at("/state"), "failed", "{}", shown.text());
        assert!(shown.at("/problem").contains("s3:PutObject"), "{}", shown.text());
        assert_eq!((bucket.objects().await.len(), bucket.uploads().await), (0, 1), "half of it cannot be cleared now");
        bucket.tell(json!({ "faults": [] })).await;
        let id = made(&root).await;
        assert_eq!(bucket.objects().await, [format!("{PREFIX}{id}.srb")]);
        assert_eq!(bucket.uploads().await, 0, "the next one has cleared it");
    }
}

/// A store gives a thousand at a time.
#[test]
fn more_backups_than_one_page_are_listed() {
    harness::app::run(async {
        let bucket = Bucket::make().await;
        let ids: Vec<_> = (1..=1001)
            .map(|number| BackupId(uuid::Uuid::from_u128(number)))
            .collect();
        let keys: Vec<_> = ids.iter().map(|id| format!("{PREFIX}{id}.srb")).collect();
        bucket.tell(json!({ "fill": keys })).await;
        let strange = [format!("{PREFIX}notes.txt"), "bak_elsewhere.srb".to_owned()];
        bucket.tell(json!({ "fill": strange })).await;
        let stored = plan(&bucket.settings()).stored().await.expect("a list");
        let listed: Vec<_> = stored.iter().map(|one| one.id).collect();
        assert_eq!(listed, ids);
        assert_eq!(bucket.asked("continuation-token=").await, 1);
    });
}

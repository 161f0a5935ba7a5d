//! Stores that say no or nothing, and backups that were changed in theirs.

use std::net::TcpListener;
use std::path::Path;

use domain::backups::{self, Fault, StoreKind, Tokens};
use harness::{Backend, on_each_backend};
use serde_json::json;

use super::super::{BACKUPS, empty, ended, keyring, made, root};
use super::{Bucket, PREFIX, plan, start, until, with};

on_each_backend! {
    async fn a_byte_that_was_changed_in_the_bucket_is_refused(backend: Backend) {
        let bucket = Bucket::make().await;
        let settings = with(&bucket.settings(), "STRONGROOM_BACKUP_KEY", &harness::app::fresh_root_key());
        let t = start(backend, &settings).await;
        let root = root(&t).await;
        let id = made(&root).await;
        let size: usize = root.get(&format!("{BACKUPS}/{id}")).await.expect(200).at("/size_bytes").parse().unwrap();
        let key = format!("{PREFIX}{id}.srb");
        bucket.tell(json!({ "flip": { "key": key, "at": size - 100 } })).await;
        root.post(&format!("{BACKUPS}/{id}/restore"), json!({})).await.expect(202).ok();
        let shown = until(&root, &id, "it has ended", |shown| !shown.at("/restoration/restored_at").is_empty()).await;
        assert_eq!(shown.at("/restoration/state"), "failed", "{}", shown.text());
        assert!(shown.at("/restoration/problem").contains("altered"), "{}", shown.text());
        let backup_key = settings.iter().find(|(name, _)| *name == "STRONGROOM_BACKUP_KEY").unwrap().1.clone();
        let folder = tempfile::TempDir::new().unwrap();
        let (_, into) = empty(backend, &folder, "into.db").await;
        let from = format!("s3://{}/{key}", bucket.name);
        let outcome = backups::restore_from(&plan(&settings), Path::new(&from), keyring(&backup_key), &into, Tokens::Keep).await;
        assert!(matches!(&outcome, Err(Fault::Refused(why)) if why.contains("altered")), "{outcome:?}");
        into.close().await;
    }

    async fn a_wrong_secret_key_is_named_and_not_tried_again(backend: Backend) {
        let bucket = Bucket::make().await;
        let settings = with(&bucket.settings(), "STRONGROOM_BACKUP_S3_SECRET_KEY", "another");
        let t = start(backend, &settings).await;
        let root = root(&t).await;
        let id = root.post(BACKUPS, json!({})).await.expect(202).at("/id");
        let shown = ended(&root, &id).await;
        assert_eq!(shown.at("/state"), "failed", "{}", shown.text());
        assert!(shown.at("/problem").contains("STRONGROOM_BACKUP_S3_SECRET_KEY"), "{}", shown.text());
        let listed = root.get(BACKUPS).await.expect(200);
        assert_eq!((listed.at("/store/kind"), listed.at("/store/reachable")), ("s3".into(), "false".into()));
        assert!(listed.at("/store/problem").contains("STRONGROOM_BACKUP_S3_SECRET_KEY"), "{}", listed.text());
        assert!(!shown.text().contains("another") && !listed.text().contains("another"));
        assert!(bucket.objects().await.is_empty());
    }

    async fn an_object_that_is_gone_is_told(backend: Backend) {
        let bucket = Bucket::make().await;
        let t = start(backend, &bucket.settings()).await;
        let root = root(&t).await;
        let id = made(&root).await;
        t.app().backups.remove(id.parse().unwrap()).await.expect("it is deleted");
        assert!(bucket.objects().await.is_empty());
        root.post(&format!("{BACKUPS}/{id}/restore"), json!({})).await.expect(202).ok();
        let shown = until(&root, &id, "it has ended", |shown| !shown.at("/restoration/restored_at").is_empty()).await;
        assert_eq!(shown.at("/restoration/state"), "failed", "{}", shown.text());
        assert_eq!(shown.at("/restoration/problem"), "The backup is not in its bucket.");
    }
}

#[test]
fn what_is_wrong_with_a_store_is_named() {
    harness::app::run(async {
        let bucket = Bucket::make().await;
        let right = bucket.settings();
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let nowhere = format!("http://{closed}");
        let cases = [
            (
                "STRONGROOM_BACKUP_S3_ACCESS_KEY",
                "AKIDNOBODY",
                "does not know the access key",
            ),
            (
                "STRONGROOM_BACKUP_S3_SECRET_KEY",
                "another",
                "STRONGROOM_BACKUP_S3_SECRET_KEY",
            ),
            ("STRONGROOM_BACKUP_S3_BUCKET", "acme-nowhere", "no such bucket"),
            (
                "STRONGROOM_BACKUP_S3_REGION",
                "us-east-1",
                "STRONGROOM_BACKUP_S3_REGION",
            ),
            ("STRONGROOM_BACKUP_S3_ENDPOINT", nowhere.as_str(), "the backup store: "),
        ];
        for (name, value, word) in cases {
            let health = plan(&with(&right, name, value)).health().await;
            let problem = health.problem.expect("a problem");
            assert!(problem.contains(word), "{name}: {problem}");
            for hidden in ["another", "AKIDNOBODY", "X-Amz-", super::SECRET_KEY] {
                assert!(!problem.contains(hidden), "{name}: {problem}");
            }
        }
        let health = plan(&right).health().await;
        assert_eq!((health.kind, health.problem), (StoreKind::S3, None));
        for ahead in [7200, -7200] {
            bucket.tell(json!({ "offset": ahead })).await;
            let problem = plan(&right).health().await.problem.expect("a problem");
            assert!(
                problem.contains("120 minutes apart") || problem.contains("119 minutes apart"),
                "{problem}"
            );
        }
    });
}

#[test]
fn an_object_is_named_in_full_and_needs_a_store() {
    harness::app::run(async {
        let folder = tempfile::TempDir::new().unwrap();
        let (_, into) = empty(Backend::Sqlite, &folder, "into.db").await;
        let key = harness::app::fresh_root_key();
        let without = plan(&[("STRONGROOM_BACKUP_KEY", key.clone())]);
        let bucket = Bucket::make().await;
        let with_store = plan(&bucket.settings());
        for (plan, from, word) in [
            (&without, "s3://acme/bak.srb", "No store is set"),
            (&with_store, "s3://acme", "s3://bucket/key"),
            (&with_store, "s3://acme/../other/bak.srb", "s3://bucket/key"),
            (&with_store, "bak_01h455vb4pex5vsknk084sn02q", "not in its bucket"),
            (&without, "bak_01h455vb4pex5vsknk084sn02q", "not there"),
        ] {
            let outcome = backups::restore_from(plan, Path::new(from), keyring(&key), &into, Tokens::Keep).await;
            assert!(
                matches!(&outcome, Err(Fault::Refused(why)) if why.contains(word)),
                "{from}: {outcome:?}"
            );
        }
        into.close().await;
    });
}

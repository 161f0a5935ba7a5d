//! What is not whole is not restored, and nothing is written over.

use std::fs;

use domain::backups::{self, Fault, Tokens};
use domain::kernel::{Db, Reads};
use harness::app::fresh_root_key;
use harness::{Backend, on_both};
use sea_orm::ConnectionTrait;
use serde_json::json;
use tempfile::TempDir;

use super::{empty, keyring, restored, write};

/// A chunk with its tag, as it lies in the file.
const CHUNK: usize = 64 * 1024 + 16;

/// The refusal of a file, and that the database is as empty as before.
async fn refused(bytes: &[u8], key: &str, into: &Db, folder: &TempDir) -> String {
    let path = folder.path().join("other.srb");
    fs::write(&path, bytes).unwrap();
    let outcome = backups::restore_file(&path, keyring(key), into, Tokens::Keep).await;
    let Err(Fault::Refused(why)) = outcome else {
        panic!("it is not refused: {outcome:?}");
    };
    let tables = match into.backend() {
        domain::kernel::Backend::Sqlite => "SELECT COUNT(*) FROM sqlite_master",
        domain::kernel::Backend::Postgres => {
            "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'public'"
        }
    };
    let row = into.conn().query_one_raw(into.sql(tables, [])).await.unwrap().unwrap();
    assert_eq!(row.try_get_by_index::<i64>(0).unwrap(), 0, "nothing was written");
    why.into_owned()
}

/// Where the sealed stream begins: behind the header, the prefix and the wrapped key.
fn stream_of(bytes: &[u8]) -> usize {
    let length = u32::from_be_bytes(bytes[9..13].try_into().unwrap()) as usize;
    let at = 13 + length + 7;
    let wrapped = u16::from_be_bytes(bytes[at..at + 2].try_into().unwrap());
    at + 2 + usize::from(wrapped)
}

on_both! {
    async fn an_altered_file_is_refused_before_anything_is_written(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        // Sealed values do not compress: enough of them for several chunks.
        for number in 0..5 {
            let body = json!({ "value": "v".repeat(60_000) });
            acme.owner.put(&env.secret(&format!("KEY_{number}")), body).await.ok();
        }
        let (folder, key) = (TempDir::new().unwrap(), fresh_root_key());
        let (file, _) = write(t.db(), &key, &folder, "one.srb").await;
        let bytes = fs::read(file).unwrap();
        let stream = stream_of(&bytes);
        let (head, sealed) = bytes.split_at(stream);
        let chunks: Vec<&[u8]> = sealed.chunks(CHUNK).collect();
        assert!(chunks.len() >= 4, "{} chunks", chunks.len());
        let (_, into) = empty(t.backend, &folder, "into.db").await;
        for at in [0, 8, 9, 20, stream - 70, stream - 1, stream, stream + CHUNK, bytes.len() - 1] {
            let mut other = bytes.clone();
            other[at] ^= 1;
            refused(&other, &key, &into, &folder).await;
        }
        let with = |chunks: &[&[u8]]| [head, &chunks.concat()].concat();
        for dropped in 0..chunks.len() {
            let mut rest = chunks.clone();
            rest.remove(dropped);
            refused(&with(&rest), &key, &into, &folder).await;
        }
        let mut swapped = chunks.clone();
        swapped.swap(0, 1);
        refused(&with(&swapped), &key, &into, &folder).await;
        for cut in [0, 5, stream, stream + CHUNK, bytes.len() - 1] {
            refused(&bytes[..cut], &key, &into, &folder).await;
        }
        let why = refused(&bytes, &fresh_root_key(), &into, &folder).await;
        assert!(why.contains("another backup key"), "{why}");
        // And as it is, it is restored.
        let path = folder.path().join("whole.srb");
        fs::write(&path, &bytes).unwrap();
        restored(&path, &key, &into).await;
        into.close().await;
    }

    async fn a_database_with_anything_in_it_is_not_restored_into(t: TestApp) {
        let (folder, key) = (TempDir::new().unwrap(), fresh_root_key());
        let (file, _) = write(t.db(), &key, &folder, "one.srb").await;
        for backend in [Backend::Sqlite, Backend::Postgres] {
            let (_, into) = empty(backend, &folder, "into.db").await;
            harness::processes::sql(&into, "CREATE TABLE theirs (id BIGINT)").await;
            let outcome = backups::restore_file(&file, keyring(&key), &into, Tokens::Keep).await;
            let Err(Fault::Refused(why)) = outcome else {
                panic!("it is not refused: {outcome:?}");
            };
            assert!(why.contains("not empty"), "{why}");
            into.close().await;
        }
        let live = backups::restore_file(&file, keyring(&key), t.db(), Tokens::Keep).await;
        assert!(matches!(live, Err(Fault::Refused(_))), "{live:?}");
    }

    async fn the_second_key_of_a_keyring_opens_what_it_sealed(t: TestApp) {
        let (folder, old) = (TempDir::new().unwrap(), fresh_root_key());
        let (file, header) = write(t.db(), &format!("old:{old}"), &folder, "one.srb").await;
        assert_eq!(header.key_id, "old");
        let (_, into) = empty(t.backend, &folder, "into.db").await;
        restored(&file, &format!("new:{},old:{old}", fresh_root_key()), &into).await;
        into.close().await;
    }
}

#[test]
fn the_root_key_is_no_backup_key() {
    use domain::kernel::config::Config;
    let root = fresh_root_key();
    let load = |backup: &str| {
        let env = [
            ("STRONGROOM_DATABASE_URL", "postgres://db/acme"),
            ("STRONGROOM_BACKUP_KEY", backup),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = Config::load(env.into_iter(), |_| Err(std::io::ErrorKind::NotFound.into())).unwrap();
        backups::Plan::from_config(&config, &keyring(&root)).map(|_| ())
    };
    assert!(load(&fresh_root_key()).is_ok());
    assert!(load("").is_ok(), "without a key there are no backups");
    let refused = load(&root).unwrap_err().to_string();
    assert!(
        refused.contains("is the root key") && !refused.contains(&root),
        "{refused}"
    );
    let refused = load("c2hvcnQ=").unwrap_err().to_string();
    assert!(refused.contains("STRONGROOM_BACKUP_KEY: key 1"), "{refused}");
}

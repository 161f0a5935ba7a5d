//! The quick start: one binary in an empty folder, SQLite, the worker inside.

use std::os::unix::fs::PermissionsExt;

use harness::processes::{Installation, Tenant};
use harness::{Receiver, app};

use super::{ENV_FILE, assert_delivered, dotenv, read_with_curl, reading_token, store};

#[test]
fn one_binary_in_an_empty_folder_keeps_a_real_env_file_byte_for_byte() {
    app::run(async {
        let installation = Installation::embedded();
        let receiver = Receiver::start().await;
        let entries = dotenv::parse(ENV_FILE);
        let api = installation.api().await;
        let tenant = Tenant::create(&api.url, "acme", Some(&receiver)).await;
        store(&tenant, &entries).await;
        let token = reading_token(&tenant).await;
        assert_eq!(read_with_curl(&api.url, &tenant, &token), entries);
        assert_delivered(&receiver, &tenant, &entries).await;

        assert_eq!(api.process.terminate().await, 0);
        let api = installation.api().await;
        assert_eq!(read_with_curl(&api.url, &tenant, &token), entries, "after a restart");
        tenant.at(&api.url).verify().await;
        assert_eq!(receiver.received().len(), entries.len() + 1, "nothing is sent again");
    });
}

#[test]
fn data_folder_and_root_key_are_for_the_owner_alone() {
    app::run(async {
        let installation = Installation::embedded();
        let _api = installation.api().await;
        let mode = |path: &str| {
            let file = std::fs::metadata(installation.dir().join(path)).expect(path);
            file.permissions().mode() & 0o777
        };
        assert_eq!((mode("data"), mode("data/root.key")), (0o700, 0o600));
    });
}

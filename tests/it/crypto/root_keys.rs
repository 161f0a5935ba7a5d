//! A new root key takes over: keys are wrapped anew with it, and the old one is needed no more.

use domain::crypto::key_store::{KeyStore, roots};
use domain::crypto::keyring::RootKeyring;
use domain::kernel::Secret;
use harness::app::Options;
use harness::{TestApp, on_each_backend, sealed};
use serde_json::json;

const ONE: &str = "one:cm9vdC1rZXktcm9vdC1rZXktcm9vdC1rZXktcm9vdC0=";
const TWO: &str = "two:b3RoZXIga2V5IG90aGVyIGtleSBvdGhlciBrZXkgMDE=";

fn keyring(keys: &[&str]) -> RootKeyring {
    RootKeyring::parse(&Secret::new(keys.join(","))).expect("root keys")
}

/// Each root key: whether it is configured, and whether keys are wrapped with it.
async fn uses(t: &TestApp, keys: &[&str]) -> Vec<(String, bool, bool)> {
    let uses = roots::in_use(t.db(), &keyring(keys)).await.expect("the root keys");
    uses.into_iter()
        .map(|root| (root.id, root.is_set, root.keys > 0))
        .collect()
}

fn root(id: &str, is_set: bool, is_used: bool) -> (String, bool, bool) {
    (id.to_owned(), is_set, is_used)
}

async fn refusal(t: &TestApp, keys: &[&str]) -> String {
    let refused = KeyStore::check_roots(t.db(), &keyring(keys)).await;
    refused.expect_err("a refusal").to_string()
}

on_each_backend! {
    async fn keys_are_wrapped_anew_with_the_new_root_key_and_the_old_one_can_go(backend: Backend) {
        let t = TestApp::start(Options::new(backend).with("STRONGROOM_ROOT_KEY", ONE)).await;
        let acme = t.org("acme").await;
        let path = acme.project("web").await.env("production").secret("A");
        acme.owner.put(&path, json!({ "value": "kept" })).await.expect(201).ok();
        assert!(refusal(&t, &[TWO]).await.contains("root key `one` is missing"));
        assert_eq!(uses(&t, &[TWO]).await, [root("two", true, false), root("one", false, true)]);

        let both = KeyStore::open(t.db(), keyring(&[TWO, ONE])).await.expect("both are there");
        let keys = t.number("SELECT COUNT(*) FROM data_keys").await;
        let wrapped = both.rewrap(t.db()).await.expect("wrap");
        assert_eq!(i64::try_from(wrapped).ok(), Some(keys));
        assert_eq!(both.rewrap(t.db()).await.expect("wrap"), 0);
        assert_eq!(uses(&t, &[TWO, ONE]).await, [root("two", true, true), root("one", true, false)]);

        let blob = sealed::version(&t, "A", 1).await.sealed_value.unwrap_or_default();
        let new = KeyStore::open(t.db(), keyring(&[TWO])).await.expect("the new one is enough");
        assert!(new.of_blob(t.db(), &blob).await.is_ok());
        assert!(refusal(&t, &[ONE]).await.contains("root key `two` is missing"));
        // A process of before goes on: the open keys are the same.
        assert_eq!(acme.owner.get(&path).await.expect(200).at("/value"), "kept");
    }

    async fn a_damaged_key_is_passed_over_and_keeps_its_root_key_in_use(backend: Backend) {
        let t = TestApp::start(Options::new(backend).with("STRONGROOM_ROOT_KEY", ONE)).await;
        let acme = t.org("acme").await;
        acme.project("web").await;
        let store = KeyStore::open(t.db(), keyring(&[TWO, ONE])).await.expect("both are there");
        let keys = t.number("SELECT COUNT(*) FROM data_keys").await;
        t.sql("UPDATE data_keys SET wrapped = (SELECT wrapped FROM data_keys WHERE purpose = 'token_mac') WHERE purpose = 'fingerprint'").await;
        let fingerprints = t.number("SELECT COUNT(*) FROM data_keys WHERE purpose = 'fingerprint'").await;
        let wrapped = store.rewrap(t.db()).await.expect("wrap");
        assert_eq!(i64::try_from(wrapped).ok(), Some(keys - fingerprints));
        assert!(fingerprints > 0 && refusal(&t, &[TWO]).await.contains("root key `one` is missing"));
    }
}

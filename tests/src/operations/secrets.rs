//! Secrets and the history of environments.

use domain::access::Permission::{SecretsBulkDelete, SecretsDelete, SecretsList, SecretsRead, SecretsWrite};
use serde_json::json;

use super::{Gate, Operation, change, read, write};

pub(super) const ROWS: &[Operation] = &[
    read("list_secrets", Gate::AnyKey(SecretsRead)),
    read("list_secret_keys", Gate::AnyKey(SecretsList)),
    write(
        "create_secret",
        Gate::Key(SecretsWrite),
        201,
        |_, _| json!({ "key": "NEW_KEY", "value": "new" }),
    ),
    read("get_secret", Gate::Key(SecretsRead)),
    write(
        "put_secret",
        Gate::Key(SecretsWrite),
        200,
        |_, _| json!({ "value": "changed" }),
    ),
    change("delete_secret", Gate::Key(SecretsDelete), 200),
    write(
        "update_secret",
        Gate::Key(SecretsWrite),
        200,
        |_, _| json!({ "comment": "changed" }),
    ),
    Operation {
        prepare: Some("UPDATE secrets SET deleted_at = updated_at WHERE key = 'API_KEY'"),
        ..change("restore_secret", Gate::Key(SecretsWrite), 200)
    },
    read("list_secret_versions", Gate::Key(SecretsList)),
    read("get_secret_version", Gate::Key(SecretsRead)),
    change("destroy_secret_version", Gate::Key(SecretsBulkDelete), 204),
    write(
        "rollback_secret",
        Gate::Key(SecretsWrite),
        200,
        |_, _| json!({ "version": 1 }),
    ),
    write(
        "set_secrets",
        Gate::AnyKey(SecretsWrite),
        200,
        |_, _| json!({ "secrets": { "NEW_KEY": "new", "OTHER_KEY": { "value": "other", "comment": "why" } } }),
    ),
    write(
        "delete_secrets",
        Gate::AnyKey(SecretsBulkDelete),
        200,
        |_, place| json!({ "keys": [place.side.key] }),
    ),
    write(
        "import_secrets",
        Gate::AnyKey(SecretsWrite),
        200,
        |_, _| json!({ "NEW_KEY": "new" }),
    ),
    read("export_secrets", Gate::AnyKey(SecretsRead)),
    read("list_revisions", Gate::AnyKey(SecretsList)),
    Operation {
        // It tells what was missed, and ends.
        query: "?wait=0",
        ..read("watch_environment", Gate::AnyKey(SecretsList))
    },
    write("put_revision_pin", Gate::AnyKey(SecretsWrite), 200, |_, _| json!({})),
    Operation {
        prepare: Some(
            "INSERT INTO revision_pins (environment_id, name, revision, created_at)
             SELECT id, 'release-42', 1, 1 FROM environments WHERE deleted_at IS NULL",
        ),
        ..change("delete_revision_pin", Gate::AnyKey(SecretsWrite), 204)
    },
    read("diff_environment", Gate::AnyKey(SecretsRead)),
    write(
        "rollback_environment",
        Gate::AnyKeyBoth(SecretsWrite, SecretsDelete),
        200,
        |_, _| json!({ "revision": "1" }),
    ),
    write(
        "promote_secrets",
        Gate::Promotion,
        200,
        |_, place| json!({ "from": place.promoted_from().slug, "to": place.env.slug }),
    ),
];

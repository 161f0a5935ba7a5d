//! What superusers do.

use serde_json::json;

use super::{Doer, Gate, Operation, ask, change, read, write};

/// Has every delivery given up.
const GIVEN_UP: &str = "UPDATE jobs SET state = 3 WHERE kind = 'webhook'";

/// An operation of superusers.
const fn by_root(operation: Operation) -> Operation {
    Operation {
        doer: Doer::Superuser,
        ..operation
    }
}

/// Gives the instance an identity provider, which nobody answers for. Its id is that of the realm that is none.
const OIDC: &str = "INSERT INTO sso_providers (id, name, enabled, issuer, client_id, discovery,
        authorization_endpoint, token_endpoint, jwks_uri, scopes, create_unknown_user, allowed_domains, created_at, updated_at)
    SELECT realm_id, 'Instance', TRUE, 'http://127.0.0.1:9999', 'strongroom', FALSE, 'http://127.0.0.1:9999/auth',
        'http://127.0.0.1:9999/token', 'http://127.0.0.1:9999/jwks', 'openid', TRUE, '[]', 1, 1
    FROM users LIMIT 1";

pub(super) const ROWS: &[Operation] = &[
    by_root(read("get_admin_stats", Gate::Superuser)),
    by_root(read("get_admin_config", Gate::Superuser)),
    by_root(read("get_metrics_summary", Gate::Superuser)),
    by_root(read("list_admin_users", Gate::Superuser)),
    by_root(write(
        "update_admin_user",
        Gate::Superuser,
        200,
        |_, _| json!({ "is_active": false }),
    )),
    by_root(change("delete_admin_user", Gate::Superuser, 204)),
    by_root(read("list_admin_projects", Gate::Superuser)),
    by_root(read("get_admin_project", Gate::Superuser)),
    by_root(write(
        "update_admin_project",
        Gate::Superuser,
        200,
        |_, _| json!({ "name": "Renamed" }),
    )),
    by_root(change("delete_admin_project", Gate::Superuser, 204)),
    by_root(read("list_admin_project_members", Gate::Superuser)),
    by_root(write(
        "add_admin_project_member",
        Gate::Superuser,
        201,
        |world, _| json!({ "user_id": world.outsider.id.to_string(), "role": "viewer" }),
    )),
    by_root(write(
        "update_admin_project_member",
        Gate::Superuser,
        200,
        |_, _| json!({ "role": "developer" }),
    )),
    by_root(change("remove_admin_project_member", Gate::Superuser, 204)),
    by_root(read("list_admin_project_invites", Gate::Superuser)),
    by_root(read("list_admin_invites", Gate::Superuser)),
    by_root(change("revoke_admin_invite", Gate::Superuser, 204)),
    by_root(read("list_admin_jobs", Gate::Superuser)),
    by_root(change("create_backup", Gate::Superuser, 202)),
    by_root(read("list_backups", Gate::Superuser)),
    by_root(read("get_backup", Gate::Superuser)),
    by_root(change("delete_backup", Gate::Superuser, 204)),
    by_root(change("restore_backup", Gate::Superuser, 202)),
    Operation {
        prepare: Some(GIVEN_UP),
        ..by_root(change("retry_admin_job", Gate::Superuser, 202))
    },
    by_root(read("get_admin_oidc", Gate::Superuser)),
    by_root(write(
        "update_admin_oidc",
        Gate::Superuser,
        200,
        |_, _| json!({ "issuer": "https://idp.example.com", "client_id": "strongroom", "enabled": true }),
    )),
    Operation {
        prepare: Some(OIDC),
        ..by_root(ask("test_admin_oidc", Gate::Superuser, |_, _| json!({})))
    },
];

//! Realms: users of an organisation's own application, their tokens, and what a token is good for.

use domain::access::Permission::{AccessRead, UsersManage, UsersRead};
use serde_json::json;

use super::{Gate, Operation, ask, change, read, write};
use crate::people::PASSWORD;

pub(super) const ROWS: &[Operation] = &[
    read("list_realm_users", Gate::Org(UsersRead)),
    write(
        "create_realm_user",
        Gate::Org(UsersManage),
        201,
        |_, _| json!({ "email": "another-reader@example.com", "role": "app-author" }),
    ),
    read("get_realm_user", Gate::Org(UsersRead)),
    write(
        "update_realm_user",
        Gate::Org(UsersManage),
        200,
        |_, _| json!({ "display_name": "Renamed" }),
    ),
    change("delete_realm_user", Gate::Org(UsersManage), 204),
    write(
        "add_realm_user_role",
        Gate::Org(UsersManage),
        201,
        |_, _| json!({ "role": "app-author" }),
    ),
    change("remove_realm_user_role", Gate::Org(UsersManage), 204),
    write(
        "create_realm_token",
        Gate::Public,
        200,
        |world, _| json!({ "grant_type": "password", "email": world.realm.email, "password": PASSWORD }),
    ),
    write(
        "revoke_realm_token",
        Gate::Public,
        204,
        |world, _| json!({ "token": world.realm.refresh_token }),
    ),
    ask(
        "authorize_access",
        Gate::AnyScope(AccessRead),
        |world, _| json!({ "token": world.realm.access_token, "permission": "comments:write" }),
    ),
];

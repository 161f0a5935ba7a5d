//! Templates of projects.

use domain::access::Permission::{SecretsRead, TemplatesManage, TemplatesRead};
use serde_json::json;

use super::{Gate, Operation, change, read, write};

pub(super) const ROWS: &[Operation] = &[
    read("list_template_keys", Gate::Project(TemplatesRead)),
    write(
        "create_template_key",
        Gate::Project(TemplatesManage),
        201,
        |_, _| json!({ "key": "NEW_KEY", "environments": ["@prod"], "pattern": "^new" }),
    ),
    write(
        "put_template_key",
        Gate::Project(TemplatesManage),
        200,
        |_, _| json!({ "description": "changed" }),
    ),
    change("delete_template_key", Gate::Project(TemplatesManage), 204),
    read("validate_template", Gate::SomeEnv(SecretsRead)),
    read("get_env_example", Gate::SomeEnv(SecretsRead)),
];

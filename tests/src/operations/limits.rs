//! Plans, limits and what is used of them; what superusers set.

use domain::access::Permission::BillingRead;
use serde_json::json;

use super::{Doer, Gate, Operation, read, write};

/// An operation of superusers.
const fn administration(operation: Operation) -> Operation {
    Operation {
        gate: Gate::Superuser,
        doer: Doer::Superuser,
        ..operation
    }
}

pub(super) const ROWS: &[Operation] = &[
    read("get_plans", Gate::Public),
    read("get_billing", Gate::Org(BillingRead)),
    Operation {
        query: "?plan=free",
        ..read("preview_downgrade", Gate::Org(BillingRead))
    },
    administration(read("get_admin_plans", Gate::Superuser)),
    administration(write(
        "put_admin_plan",
        Gate::Superuser,
        200,
        |_, _| json!({ "limits": { "projects": 7 } }),
    )),
    administration(read("list_admin_orgs", Gate::Superuser)),
    administration(read("get_admin_org", Gate::Superuser)),
    administration(write(
        "update_admin_org",
        Gate::Superuser,
        200,
        |_, _| json!({ "limits": { "projects": 70 }, "reason": "asked for" }),
    )),
];

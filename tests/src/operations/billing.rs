//! Billing. Without a key for Stripe, as here, whoever may ask is told that nothing is sold; what it does with one is shown
//! by the tests of `billing`.

use domain::access::Permission::BillingManage;
use serde_json::json;

use super::{Gate, Operation, ask, read};

/// `billing_disabled`.
const DISABLED: u16 = 501;

pub(super) const ROWS: &[Operation] = &[
    Operation {
        success: DISABLED,
        ..ask(
            "create_checkout_session",
            Gate::Org(BillingManage),
            |_, _| json!({ "plan": "team" }),
        )
    },
    Operation {
        success: DISABLED,
        ..read("create_portal_session", Gate::Org(BillingManage))
    },
    Operation {
        success: DISABLED,
        ..read("receive_stripe_event", Gate::Public)
    },
];

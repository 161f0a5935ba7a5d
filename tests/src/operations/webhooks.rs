//! Webhooks, the feed of events, and the audit log.

use domain::access::Permission::{AuditRead, EventsRead, WebhooksManage, WebhooksRead};
use serde_json::json;

use super::{Gate, Operation, change, read, write};

pub(super) const ROWS: &[Operation] = &[
    write(
        "create_webhook",
        Gate::Org(WebhooksManage),
        201,
        |world, _| json!({ "url": world.receiver.url, "events": ["secret.updated"] }),
    ),
    read("list_webhooks", Gate::Org(WebhooksRead)),
    read("get_webhook", Gate::Org(WebhooksRead)),
    write(
        "update_webhook",
        Gate::Org(WebhooksManage),
        200,
        |_, _| json!({ "description": "changed" }),
    ),
    change("delete_webhook", Gate::Org(WebhooksManage), 204),
    change("test_webhook", Gate::Org(WebhooksManage), 200),
    write(
        "rotate_webhook_secret",
        Gate::Org(WebhooksManage),
        200,
        |_, _| json!({ "overlap_hours": 1 }),
    ),
    write(
        "recover_webhook",
        Gate::Org(WebhooksManage),
        202,
        |_, _| json!({ "since": "2020-01-02T03:04:05Z", "mode": "missing" }),
    ),
    change("resend_webhook_delivery", Gate::Org(WebhooksManage), 202),
    read("list_webhook_deliveries", Gate::Org(WebhooksRead)),
    read("get_webhook_delivery", Gate::Org(WebhooksRead)),
    read("list_webhook_events", Gate::Public),
    read("list_events", Gate::Org(EventsRead)),
    read("list_audit_logs", Gate::Org(AuditRead)),
    read("verify_audit_log", Gate::Org(AuditRead)),
    read("get_audit_log", Gate::Org(AuditRead)),
];

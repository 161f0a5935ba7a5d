//! Which class of requests each operation is counted in: see [`Class`]. A test holds the document to this table, so a new
//! operation needs a place in it.

use std::collections::HashMap;
use std::sync::LazyLock;

use domain::rates::Class;

/// Every operation, by its id. What is served and is no operation stands here by its path as documented, `/oauth/token`,
/// unless it is a page or a document: those are read.
pub const CLASSES: &[(Class, &[&str])] = &[
    (Class::Probe, &["get_health", "get_ready"]),
    (
        Class::Admin,
        &[
            "get_admin_stats",
            "get_admin_config",
            "get_metrics_summary",
            "list_admin_users",
            "update_admin_user",
            "delete_admin_user",
            "list_admin_projects",
            "get_admin_project",
            "update_admin_project",
            "delete_admin_project",
            "list_admin_project_members",
            "add_admin_project_member",
            "update_admin_project_member",
            "remove_admin_project_member",
            "list_admin_project_invites",
            "list_admin_invites",
            "revoke_admin_invite",
            "list_admin_jobs",
            "retry_admin_job",
        ],
    ),
    // What takes no credential, and what takes a password or a code beside one.
    (
        Class::SignIn,
        &[
            "register_account",
            "verify_registration",
            "complete_registration",
            "login",
            "refresh_session",
            "sign_in_with_code",
            "verify_second_factor",
            "reset_password",
            "verify_email",
            "get_invite",
            "accept_invite",
            "apply_setup_config",
            "restart_instance",
            "create_admin",
            "confirm_session",
            "change_password",
            "enable_second_factor",
            "disable_second_factor",
            "verify_email_address",
            "/oauth/token",
            "/oauth/revoke",
            "/oauth/device",
            "/device",
            "/sign-in",
        ],
    ),
    (
        Class::Mail,
        &[
            "resend_registration_code",
            "request_sign_in_code",
            "request_password_reset",
            "send_email_verification",
            "resend_email_verification",
            "add_email",
        ],
    ),
    (
        Class::Invite,
        &[
            "create_invite",
            "resend_invite",
            "create_project_invite",
            "resend_project_invite",
        ],
    ),
    (
        Class::Authorize,
        &[
            "explain_access",
            "who_can",
            "/oauth/authorize",
            "/oauth/introspect",
            "/oauth/userinfo",
        ],
    ),
    (
        Class::Read,
        &[
            "list_sessions",
            "list_security_events",
            "get_second_factor",
            "get_me",
            "list_emails",
            "search_users",
            "list_tokens",
            "list_orgs",
            "get_org",
            "list_roles",
            "get_role",
            "list_access_rules",
            "list_service_accounts",
            "get_service_account",
            "list_service_keys",
            "list_members",
            "list_project_members",
            "list_invites",
            "list_project_invites",
            "list_projects",
            "get_project",
            "list_environments",
            "get_environment",
            "list_template_keys",
            "validate_template",
            "get_env_example",
            "list_secrets",
            "list_secret_keys",
            "get_secret",
            "list_secret_versions",
            "get_secret_version",
            "list_revisions",
            "diff_environment",
            "export_secrets",
            "list_project_keys",
            "watch_environment",
            "list_webhooks",
            "get_webhook",
            "list_webhook_deliveries",
            "get_webhook_delivery",
            "list_webhook_events",
            "list_events",
            "list_audit_logs",
            "verify_audit_log",
            "get_audit_log",
            "get_setup_status",
        ],
    ),
    (
        Class::Write,
        &[
            "logout",
            "revoke_other_sessions",
            "revoke_session",
            "prepare_second_factor",
            "make_recovery_codes",
            "update_me",
            "delete_me",
            "set_default_email",
            "delete_email",
            "create_token",
            "delete_token",
            "create_org",
            "update_org",
            "delete_org",
            "restore_org",
            "create_role",
            "update_role",
            "delete_role",
            "put_access_rule",
            "delete_access_rule",
            "create_service_account",
            "update_service_account",
            "delete_service_account",
            "create_service_key",
            "revoke_service_key",
            "add_member",
            "update_member",
            "remove_member",
            "add_member_role",
            "remove_member_role",
            "join_org",
            "leave_org",
            "transfer_org_ownership",
            "add_project_member",
            "update_project_member",
            "remove_project_member",
            "join_project",
            "leave_project",
            "transfer_project_ownership",
            "revoke_invite",
            "revoke_project_invite",
            "create_project",
            "update_project",
            "replace_project",
            "delete_project",
            "restore_project",
            "create_environment",
            "update_environment",
            "replace_environment",
            "delete_environment",
            "create_template_key",
            "put_template_key",
            "delete_template_key",
            "create_secret",
            "put_secret",
            "update_secret",
            "delete_secret",
            "restore_secret",
            "destroy_secret_version",
            "rollback_secret",
            "set_secrets",
            "delete_secrets",
            "put_revision_pin",
            "delete_revision_pin",
            "rollback_environment",
            "promote_secrets",
            "import_secrets",
            "rotate_project_key",
            "verify_project",
            "create_webhook",
            "update_webhook",
            "delete_webhook",
            "test_webhook",
            "rotate_webhook_secret",
            "recover_webhook",
            "resend_webhook_delivery",
        ],
    ),
];

/// The class of an operation, or of a path where there is none. `None`: it is not in the table.
pub fn class_of(operation: &str) -> Option<Class> {
    static BY_OPERATION: LazyLock<HashMap<&str, Class>> = LazyLock::new(|| {
        let classes = CLASSES.iter();
        classes
            .flat_map(|(class, operations)| operations.iter().map(move |operation| (*operation, *class)))
            .collect()
    });
    BY_OPERATION.get(operation).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_operation_has_two_classes_and_no_class_two_entries() {
        let mut operations: Vec<_> = CLASSES.iter().flat_map(|(_, operations)| operations.iter()).collect();
        let all = operations.len();
        operations.sort_unstable();
        operations.dedup();
        assert_eq!(operations.len(), all);
        let mut classes: Vec<_> = CLASSES.iter().map(|(class, _)| *class).collect();
        classes.sort_unstable();
        let entries = classes.len();
        classes.dedup();
        assert_eq!(classes.len(), entries);
        assert_eq!(class_of("login"), Some(Class::SignIn));
        assert_eq!(class_of("nothing"), None);
    }
}

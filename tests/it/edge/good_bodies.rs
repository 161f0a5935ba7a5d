//! A body that each operation takes.

use harness::people::PASSWORD;
use serde_json::{Value, json};

/// # Panics
/// When an operation has none here yet.
pub fn good_body(id: &str) -> Value {
    let found = of_people(id)
        .or_else(|| of_federation(id))
        .or_else(|| of_realms(id))
        .or_else(|| of_projects(id));
    found.unwrap_or_else(|| panic!("give the operation {id} a body here"))
}

/// Users of realms, their tokens, and questions about tokens.
fn of_realms(id: &str) -> Option<Value> {
    Some(match id {
        "create_realm_user" => json!({ "email": "new@example.com" }),
        "update_realm_user" => json!({ "display_name": "New" }),
        "add_realm_user_role" => json!({ "role": "editor" }),
        "create_realm_token" => {
            json!({ "grant_type": "password", "email": "new@example.com", "password": PASSWORD })
        }
        "revoke_realm_token" => json!({ "token": "srm_rrt_x" }),
        "authorize_access" => {
            let resource = json!({ "org": "acme", "project": "web", "environment": "production", "key": "DB_URL" });
            json!({ "token": "srm_pat_x", "permission": "secrets:read", "resource": resource })
        }
        _ => return None,
    })
}

/// Accounts, members, roles and rules.
fn of_people(id: &str) -> Option<Value> {
    Some(match id {
        "register_account" | "login" => json!({ "email": "new@example.com", "password": PASSWORD }),
        "verify_registration" | "sign_in_with_code" => json!({ "challenge_token": "srm_chl_x", "code": "123456" }),
        "complete_registration" => json!({ "registration_token": "srm_chl_x", "password": PASSWORD }),
        "resend_registration_code" => json!({ "challenge_token": "srm_chl_x" }),
        "request_sign_in_code" | "request_password_reset" | "add_email" | "create_invite" | "create_project_invite" => {
            json!({ "email": "new@example.com" })
        }
        "reset_password" => json!({ "token": "srm_lnk_x", "password": PASSWORD }),
        "update_me" => json!({ "first_name": "New" }),
        "verify_email_address" => json!({ "code": "123456" }),
        "set_default_email" => json!({ "is_default": true }),
        "refresh_session" => json!({ "refresh_token": "srm_ref_x" }),
        "verify_email" => json!({ "token": "srm_lnk_x" }),
        "create_admin" => json!({ "setup_token": "srm_set_x", "email": "new@example.com", "password": PASSWORD }),
        "apply_setup_config" => json!({ "setup_token": "srm_set_x", "base_url": "https://secrets.example.com" }),
        "restart_instance" => json!({ "setup_token": "srm_set_x" }),
        "create_service_account" | "update_oauth_client" => json!({ "name": "new" }),
        "update_service_account" | "create_service_key" => json!({ "name": "newer" }),
        "confirm_session" | "accept_invite" => json!({ "password": PASSWORD }),
        "change_password" => json!({ "current_password": PASSWORD, "new_password": "another horse battery staple" }),
        "enable_second_factor" => json!({ "code": "000000" }),
        "verify_second_factor" => json!({ "challenge_token": "srm_chl_x", "code": "000000" }),
        "create_role" => json!({ "name": "new", "level": "org", "permissions": ["org:read"] }),
        "update_role" => json!({ "display_name": "New" }),
        "put_access_rule" => {
            let subject = json!({ "type": "role", "name": "viewer" });
            json!({ "subject": subject, "pattern": "web", "permissions": ["secrets:read"] })
        }
        "explain_access" => {
            let rule = json!({ "subject": { "type": "role", "name": "viewer" }, "pattern": "web", "permissions": [] });
            let subject = json!({ "type": "user", "id": "usr_x" });
            json!({ "permission": "org:read", "subject": subject, "what_if": { "rule": rule } })
        }
        "add_member" | "add_project_member" | "add_admin_project_member" => {
            json!({ "email": "new@example.com", "role": "viewer" })
        }
        "update_member" | "update_project_member" | "add_member_role" | "update_admin_project_member" => {
            json!({ "role": "viewer" })
        }
        "transfer_org_ownership" | "transfer_project_ownership" => json!({ "member": "usr_x" }),
        _ => return None,
    })
}

/// Partner apps, identity providers, and what superusers and buyers do.
fn of_federation(id: &str) -> Option<Value> {
    Some(match id {
        "update_admin_user" => json!({ "is_active": true }),
        "begin_device" => json!({ "device_name": "laptop" }),
        "approve_device" => json!({ "user_code": "BCDF-GHJK" }),
        "create_oauth_client" => {
            json!({ "name": "new", "confidential": true, "redirect_uris": ["https://app.example.com/cb"] })
        }
        "put_admin_plan" => json!({ "limits": { "projects": 5 } }),
        "update_admin_org" => json!({ "limits": { "projects": 5 }, "reason": "asked for" }),
        "create_checkout_session" => json!({ "plan": "team" }),
        "update_org_sso" | "update_admin_oidc" => json!({ "issuer": "https://idp.example.com", "client_id": "x" }),
        "test_org_sso" | "test_admin_oidc" => json!({ "login": false }),
        "create_federated_identity" => {
            json!({ "issuer": "https://idp.example.com", "audience": "x", "claims": { "sub": "a" } })
        }
        "exchange_token" => json!({ "service_account": "sa_x", "token": "e30.e30.AAAA" }),
        _ => return None,
    })
}

/// Organisations, projects, secrets and webhooks.
fn of_projects(id: &str) -> Option<Value> {
    Some(match id {
        "create_token"
        | "create_org"
        | "create_project"
        | "create_environment"
        | "update_org"
        | "update_project"
        | "update_environment"
        | "update_admin_project" => json!({ "name": "New" }),
        "replace_project" => json!({ "name": "New", "slug": "new" }),
        "replace_environment" => json!({ "name": "New", "slug": "new", "class": "dev" }),
        "create_secret" => json!({ "key": "NEW", "value": "x" }),
        "create_template_key" => json!({ "key": "NEW" }),
        "put_template_key" => json!({ "required": true }),
        "put_secret" => json!({ "value": "x" }),
        "update_secret" => json!({ "comment": "x" }),
        "rollback_secret" => json!({ "version": 1 }),
        "set_secrets" => json!({ "secrets": { "A": "a" } }),
        "delete_secrets" => json!({ "keys": ["DB_URL"] }),
        "put_revision_pin" => json!({ "revision": 1 }),
        "rollback_environment" => json!({ "revision": "1" }),
        "promote_secrets" => json!({ "from": "production", "to": "staging" }),
        "create_webhook" => json!({
            "url": "http://127.0.0.1:9999/new",
            "events": ["*"],
            "rate": { "deliveries": 10, "per": "second" },
        }),
        "update_webhook" => json!({ "description": "new", "rate": { "deliveries": 10, "per": "minute" } }),
        "rotate_webhook_secret" | "rotate_oauth_client_secret" => json!({ "overlap_hours": 1 }),
        "recover_webhook" => json!({ "since": "2020-01-02T03:04:05Z", "mode": "missing" }),
        _ => return None,
    })
}

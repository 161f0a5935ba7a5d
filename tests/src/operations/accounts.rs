//! Accounts, sign-in, sessions, tokens, and the first run.

use serde_json::json;

use super::{Gate, Operation, change, read, unrecorded, write};
use crate::people::PASSWORD;

/// Puts the owner's prepared second factor in force.
const FACTOR_ON: &str = "UPDATE second_factors SET confirmed_at = created_at WHERE kind = 'totp'";

/// Makes the colleagues on both sides owners, so that either owner may go.
const COLLEAGUES_OWN: &str = "UPDATE memberships
    SET org_id = (SELECT id FROM orgs WHERE slug = 'acme'), scope_id = (SELECT id FROM orgs WHERE slug = 'acme')
    WHERE org_id = (SELECT id FROM orgs WHERE slug = 'acme-colleague');
    UPDATE memberships
    SET org_id = (SELECT id FROM orgs WHERE slug = 'globex'), scope_id = (SELECT id FROM orgs WHERE slug = 'globex')
    WHERE org_id = (SELECT id FROM orgs WHERE slug = 'globex-colleague')";

pub(super) const ROWS: &[Operation] = &[
    write(
        "register_account",
        Gate::Public,
        201,
        |_, _| json!({ "email": "newcomer@example.com", "password": PASSWORD, "transport": "bearer" }),
    ),
    unrecorded("verify_registration", 200, |world, _| {
        let (token, code) = &world.mailed.registration;
        json!({ "challenge_token": token, "code": code })
    }),
    write("complete_registration", Gate::Public, 201, |world, _| {
        let token = &world.mailed.registering;
        json!({ "registration_token": token, "password": PASSWORD, "transport": "bearer" })
    }),
    unrecorded(
        "resend_registration_code",
        202,
        |world, _| json!({ "challenge_token": world.mailed.registration.0 }),
    ),
    unrecorded(
        "request_sign_in_code",
        200,
        |_, _| json!({ "email": "nobody@example.com" }),
    ),
    write("sign_in_with_code", Gate::Public, 200, |world, _| {
        let (token, code) = &world.mailed.sign_in;
        json!({ "challenge_token": token, "code": code, "transport": "bearer" })
    }),
    unrecorded(
        "request_password_reset",
        200,
        |_, _| json!({ "email": "nobody@example.com" }),
    ),
    write(
        "reset_password",
        Gate::Public,
        204,
        |world, _| json!({ "token": world.mailed.reset, "password": "another horse, another battery" }),
    ),
    write(
        "login",
        Gate::Public,
        200,
        |world, _| json!({ "email": world.owner_email, "password": PASSWORD, "transport": "bearer" }),
    ),
    write(
        "refresh_session",
        Gate::Public,
        200,
        |world, _| json!({ "refresh_token": world.refresh_token }),
    ),
    write(
        "verify_email",
        Gate::Public,
        204,
        |world, _| json!({ "token": world.link }),
    ),
    write(
        "verify_second_factor",
        Gate::Public,
        200,
        |world, _| json!({ "challenge_token": world.challenge_token, "code": world.locked.next_code() }),
    ),
    read("get_setup_status", Gate::Public),
    write("create_admin", Gate::Public, 201, |world, _| {
        let email = "chief@example.com";
        json!({ "setup_token": world.setup_token, "email": email, "password": PASSWORD, "transport": "bearer" })
    }),
    read("get_health", Gate::Public),
    read("get_ready", Gate::Public),
    read("get_me", Gate::Person),
    write(
        "update_me",
        Gate::Session,
        200,
        |_, _| json!({ "first_name": "Renamed" }),
    ),
    Operation {
        prepare: Some(COLLEAGUES_OWN),
        ..change("delete_me", Gate::Session, 204)
    },
    read("list_emails", Gate::Session),
    write(
        "add_email",
        Gate::Session,
        201,
        |_, _| json!({ "email": "another@example.com" }),
    ),
    write(
        "verify_email_address",
        Gate::OwnToken,
        204,
        |world, _| json!({ "code": world.mailed.address_code }),
    ),
    change("resend_email_verification", Gate::OwnToken, 204),
    Operation {
        prepare: Some("UPDATE user_emails SET verified_at = 1 WHERE NOT is_primary"),
        ..write(
            "set_default_email",
            Gate::OwnToken,
            200,
            |_, _| json!({ "is_default": true }),
        )
    },
    change("delete_email", Gate::OwnToken, 204),
    Operation {
        query: "?q=ac",
        ..read("search_users", Gate::Session)
    },
    change("logout", Gate::Session, 204),
    Operation {
        prepare: Some("UPDATE user_emails SET verified_at = NULL WHERE is_primary"),
        ..change("send_email_verification", Gate::Session, 204)
    },
    write(
        "confirm_session",
        Gate::Session,
        200,
        |_, _| json!({ "password": PASSWORD }),
    ),
    read("list_sessions", Gate::Session),
    change("revoke_session", Gate::OwnToken, 204),
    Operation {
        // The refresh token of every session becomes a session of its own.
        prepare: Some("UPDATE credentials SET family_id = id WHERE kind = 'refresh'"),
        ..change("revoke_other_sessions", Gate::Session, 204)
    },
    read("list_security_events", Gate::Session),
    write(
        "change_password",
        Gate::Session,
        204,
        |_, _| json!({ "current_password": PASSWORD, "new_password": "another horse battery staple" }),
    ),
    read("get_second_factor", Gate::Session),
    change("prepare_second_factor", Gate::Session, 200),
    write(
        "enable_second_factor",
        Gate::OwnFactor,
        200,
        |world, _| json!({ "code": world.prepared.code() }),
    ),
    Operation {
        prepare: Some(FACTOR_ON),
        ..change("disable_second_factor", Gate::OwnFactor, 204)
    },
    Operation {
        prepare: Some(FACTOR_ON),
        ..change("make_recovery_codes", Gate::OwnFactor, 200)
    },
    read("list_tokens", Gate::Person),
    write("create_token", Gate::Session, 201, |_, _| json!({ "name": "ci" })),
    change("delete_token", Gate::OwnToken, 204),
    unrecorded("begin_device", 200, |_, _| json!({ "device_name": "laptop" })),
    write(
        "approve_device",
        Gate::Session,
        200,
        |world, _| json!({ "user_code": world.user_code, "decision": "approve" }),
    ),
    read("list_oauth_clients", Gate::Session),
    write(
        "create_oauth_client",
        Gate::Session,
        201,
        |_, _| json!({ "name": "shop", "confidential": true, "redirect_uris": ["https://shop.example.com/cb"] }),
    ),
    read("get_oauth_client", Gate::OwnToken),
    write(
        "update_oauth_client",
        Gate::OwnToken,
        200,
        |_, _| json!({ "name": "renamed" }),
    ),
    write(
        "rotate_oauth_client_secret",
        Gate::OwnToken,
        200,
        |_, _| json!({ "overlap_hours": 1 }),
    ),
    change("delete_oauth_client", Gate::OwnToken, 204),
];

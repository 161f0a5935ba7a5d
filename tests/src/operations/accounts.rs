//! Accounts, sign-in, sessions, tokens, and the first run.

use serde_json::json;

use super::orgs::SSO;
use super::{Gate, Operation, ask, change, read, unrecorded, write};
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

/// Gives the owners an identity; it has the id of its account.
const IDENTITIES: &str = "INSERT INTO sso_providers (id, org_id, name, enabled, issuer, client_id, discovery, scopes,
        create_unknown_user, allowed_domains, created_at, updated_at)
    SELECT id, id, 'Acme', TRUE, 'http://127.0.0.1:9999', 'strongroom', FALSE, 'openid', TRUE, '[]', 1, 1 FROM orgs
    WHERE slug = 'acme';
    INSERT INTO sso_identities (id, provider_id, issuer, subject, user_id, created_at, last_used_at)
    SELECT u.id, o.id, 'http://127.0.0.1:9999', u.first_name, u.id, 1, 1 FROM users u JOIN orgs o ON o.slug = 'acme'
    WHERE u.first_name IN ('acme-owner', 'globex-owner')";

/// Lets everybody's OAuth clients act for their makers; each consent has the id of its client.
const GRANTS: &str = "INSERT INTO oauth_grants (id, client_id, user_id, scopes, created_at, ends_at)
    SELECT id, id, owner_id, 'openid', 1, 9000000000000000 FROM oauth_clients";

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
    Operation {
        // Only where there is none yet.
        prepare: Some("UPDATE users SET is_superuser = FALSE"),
        ..write("create_admin", Gate::Public, 201, |world, _| {
            let email = "chief@example.com";
            json!({ "setup_token": world.setup_token, "email": email, "password": PASSWORD, "transport": "bearer" })
        })
    },
    // Settings would make the next start another one: here it asks for none.
    Operation {
        prepare: Some("UPDATE users SET is_superuser = FALSE"),
        ..ask(
            "apply_setup_config",
            Gate::Public,
            |world, _| json!({ "setup_token": world.setup_token }),
        )
    },
    // Nothing waits for it. Those who restart have processes of their own: see `setup::restarting`.
    Operation {
        prepare: Some("UPDATE users SET is_superuser = FALSE"),
        success: 409,
        ..ask(
            "restart_instance",
            Gate::Public,
            |world, _| json!({ "setup_token": world.setup_token }),
        )
    },
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
    read("get_sso_providers", Gate::Public),
    // A way to a provider is nobody's event yet.
    Operation {
        journal_rows: 0,
        prepare: Some(SSO),
        ..change("start_sso", Gate::Public, 303)
    },
    // Nobody began it.
    Operation {
        success: 403,
        ..read("finish_sso", Gate::Public)
    },
    Operation {
        journal_rows: 0,
        prepare: Some(SSO),
        ..change("link_sso", Gate::Session, 200)
    },
    change("logout_sso", Gate::Ending, 200),
    read("list_sso_identities", Gate::Session),
    Operation {
        prepare: Some(IDENTITIES),
        ..change("unlink_sso", Gate::OwnToken, 204)
    },
    // No rule lets it stand for anybody.
    Operation {
        success: 401,
        ..ask(
            "exchange_token",
            Gate::Public,
            |_, place| json!({ "service_account": place.side.service_account, "token": "e30.e30.AAAA" }),
        )
    },
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
    read("list_oauth_grants", Gate::Session),
    Operation {
        prepare: Some(GRANTS),
        ..change("revoke_oauth_grant", Gate::OwnToken, 204)
    },
];

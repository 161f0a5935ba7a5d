//! Every operation of the service, and the document that describes them.

use std::sync::Arc;

use poem_openapi::{ContactObject, LicenseObject, OpenApiService};
use serde_json::Value;

use crate::app::App;
use crate::health::HealthApi;
use crate::setup::SetupApi;
use crate::{
    admin, audit, auth, billing, limits, members, oauth, orgs, policy, projects, realms, secrets, service_accounts,
    sso, templates, webhooks,
};

/// The operations that need no credential. A test holds the document to this list, so it can only shrink.
pub const PUBLIC: &[&str] = &[
    "register_account",
    "verify_registration",
    "complete_registration",
    "resend_registration_code",
    "login",
    "request_sign_in_code",
    "sign_in_with_code",
    "request_password_reset",
    "reset_password",
    "refresh_session",
    "verify_email",
    "verify_second_factor",
    "get_sso_providers",
    "start_sso",
    "finish_sso",
    "logout_sso",
    // Its token is the credential.
    "exchange_token",
    "begin_device",
    // Of an organisation's own application, for its users.
    "create_realm_token",
    "revoke_realm_token",
    "get_invite",
    "accept_invite",
    "get_setup_status",
    "apply_setup_config",
    "restart_instance",
    "create_admin",
    "get_health",
    "get_ready",
    // What the published document says too.
    "list_webhook_events",
    // Signed by Stripe.
    "receive_stripe_event",
    // What an offer says.
    "get_plans",
];

/// Response fields that may carry a credential or a secret: shown once, or the very thing that was asked for.
pub const SECRET_FIELDS: &[&str] = &[
    "Session.access_token",
    "Session.refresh_token",
    "SignIn.access_token",
    "SignIn.challenge_token",
    "SignIn.refresh_token",
    "PreparedSecondFactor.secret",
    "CodeChallenge.challenge_token",
    "ProvedAddress.registration_token",
    "CreatedToken.token",
    "CreatedWebhook.secret",
    "RotatedWebhookSecret.secret",
    "CreatedServiceAccount.client_secret",
    // Stars, if there is one.
    "SsoSettings.client_secret",
    "ExchangedToken.token",
    "CreatedInvite.token",
    "CreatedOAuthClient.client_secret",
    "RealmTokens.access_token",
    "RealmTokens.refresh_token",
    "AcceptedInvite.access_token",
    "AcceptedInvite.refresh_token",
    // Hashes of the audit log's chain: public, they prove that nothing was altered.
    "AuditAnchor.hash",
    "AuditEvent.hash",
    "AuditVerification.head_hash",
];

/// All operations, area by area: a tuple of APIs has sixteen members at most, so an area is one of them,
/// or two that belong together.
pub type Apis = (
    auth::Apis,
    (oauth::Apis, sso::Apis),
    orgs::Apis,
    policy::Apis,
    service_accounts::Apis,
    realms::Apis,
    members::Apis,
    projects::Apis,
    templates::Apis,
    secrets::Apis,
    webhooks::Apis,
    (limits::Apis, billing::Apis),
    audit::Apis,
    admin::Apis,
    SetupApi,
    HealthApi,
);

/// The service over an application.
pub fn service(app: &Arc<App>) -> OpenApiService<Apis, ()> {
    let apis = (
        auth::apis(app),
        (oauth::apis(app), sso::apis(app)),
        orgs::apis(app),
        policy::apis(app),
        service_accounts::apis(app),
        realms::apis(app),
        members::apis(app),
        projects::apis(app),
        templates::apis(app),
        secrets::apis(app),
        webhooks::apis(app),
        (limits::apis(app), billing::apis(app)),
        audit::apis(app),
        admin::apis(app),
        SetupApi(app.clone()),
        HealthApi(app.clone()),
    );
    OpenApiService::new(apis, "Strongroom", env!("CARGO_PKG_VERSION"))
        .summary("Secrets for teams: encrypted, versioned, audited.")
        .description(
            "Organisations hold projects, projects hold environments, environments hold secrets. Every change is recorded \
             and delivered as a signed webhook.\n\nErrors are `application/problem+json` (RFC 9457); branch on `code`. Send \
             `Idempotency-Key` with any change to repeat it safely for 24 hours.\n\nEvery answer tells in `X-RateLimit-Limit`, \
             `X-RateLimit-Remaining` and `X-RateLimit-Reset` how many requests of its kind you have a minute, how many may \
             follow at once, and in how many seconds all may. After a 429 wait for `Retry-After` seconds.",
        )
        .license(LicenseObject::new("Apache-2.0").identifier("Apache-2.0"))
        .contact(ContactObject::new().name("Strongroom"))
}

/// The published document: OpenAPI 3.1, with every type of event that is delivered.
///
/// # Errors
/// What poem-openapi emits cannot be read: a fault of ours.
pub fn document(spec: &str) -> Result<Value, openapi::UpgradeError> {
    let mut document = openapi::upgrade(spec)?;
    if let Some(root) = document.as_object_mut() {
        root.insert("webhooks".to_owned(), webhooks::catalogue::section().into());
    }
    Ok(document)
}

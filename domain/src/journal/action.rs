//! The closed list of what the journal can say.

macro_rules! actions {
    ($($name:ident = $text:literal, $deliverable:literal, $doc:literal;)*) => {
        /// What happened. The text form is the event type that webhooks subscribe to and audit filters name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Action {
            $(#[doc = $doc] $name,)*
        }

        impl Action {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// One sentence for people.
            pub const fn description(self) -> &'static str {
                match self { $(Self::$name => $doc,)* }
            }

            /// Whether webhooks may subscribe to it.
            pub const fn is_deliverable(self) -> bool {
                match self { $(Self::$name => $deliverable,)* }
            }

            /// Reads the text form.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$name),)* _ => None }
            }
        }
    };
}

actions! {
    UserRegistered = "user.registered", false, "An account was made, with its personal organisation.";
    UserEmailVerified = "user.email_verified", false, "An e-mail address was proved to belong to the account.";
    UserVerificationRequested = "user.verification_requested", false, "A verification mail was asked for.";
    UserUpdated = "user.updated", false, "An account's names changed.";
    UserDeleted = "user.deleted", false, "An account was deleted, by its person or a superuser.";
    UserFlagsChanged = "user.flags_changed", false, "A superuser switched an account on or off, or gave or took the rights of a superuser.";
    UserPasswordChanged = "user.password_changed", false, "The password was changed; other sessions ended.";
    UserPasswordResetRequested = "user.password_reset_requested", false, "A link to reset the password was asked for.";
    UserPasswordReset = "user.password_reset", false, "The password was reset by a mailed link; every session ended.";
    UserEmailAdded = "user.email_added", false, "An e-mail address was added to the account.";
    UserEmailRemoved = "user.email_removed", false, "An e-mail address was removed from the account.";
    UserEmailDefaultChanged = "user.default_email_changed", false, "Another address became the account's default.";
    UserCodeRequested = "user.code_requested", false, "A sign-in code was asked for.";
    UserSecondFactorPrepared = "user.2fa_prepared", false, "A one-time-password seed was made; it is not in force yet.";
    UserSecondFactorEnabled = "user.2fa_enabled", false, "Two-factor sign-in was switched on.";
    UserSecondFactorDisabled = "user.2fa_disabled", false, "Two-factor sign-in was switched off.";
    UserRecoveryCodesMade = "user.recovery_codes_made", false, "New recovery codes were made; the old ones stopped working.";
    SessionConfirmed = "session.confirmed", false, "The person confirmed who they are, for dangerous acts.";
    SessionCreated = "session.created", false, "Somebody signed in.";
    SessionRefreshed = "session.refreshed", false, "A session was prolonged with its refresh token.";
    SessionRevoked = "session.revoked", false, "A session ended by signing out.";
    SessionReuseDetected = "session.reuse_detected", false, "A refresh token was used twice; its whole session family was ended.";
    UserIdentityLinked = "user.identity_linked", false, "An identity of another provider signs in to the account from now on.";
    UserIdentityUnlinked = "user.identity_unlinked", false, "An identity of another provider signs in to the account no more.";
    SsoUpdated = "sso.updated", false, "The identity provider was set up differently, or switched on or off.";
    SsoDeleted = "sso.deleted", false, "The identity provider was removed.";
    SsoTested = "sso.tested", false, "Somebody looked whether the identity provider can be reached.";
    TokenCreated = "token.created", false, "A personal token was made.";
    TokenRevoked = "token.revoked", false, "A personal token was revoked.";
    OAuthClientCreated = "oauth_client.created", false, "An OAuth client was made.";
    OAuthClientUpdated = "oauth_client.updated", false, "An OAuth client changed, or was switched on or off.";
    OAuthClientDeleted = "oauth_client.deleted", false, "An OAuth client was deleted; everything that it was given ended.";
    OAuthClientSecretRotated = "oauth_client.secret_rotated", false, "An OAuth client has a new secret.";
    OAuthGranted = "oauth.granted", false, "A person let an application act for them.";
    OAuthDenied = "oauth.denied", false, "A person refused an application or a device.";
    OAuthTokensIssued = "oauth.tokens_issued", false, "An application was given tokens.";
    OAuthTokensRefreshed = "oauth.tokens_refreshed", false, "An application renewed its tokens.";
    OAuthRevoked = "oauth.revoked", false, "An application gave up tokens.";
    OAuthGrantRevoked = "oauth.grant_revoked", false, "A person took back what they had let an application do.";
    OAuthReuseDetected = "oauth.reuse_detected", false, "A code or refresh token of an application was used twice; all that came of it was ended.";
    OrgCreated = "org.created", true, "An organisation was made.";
    OrgUpdated = "org.updated", true, "An organisation's settings changed.";
    OrgDeleted = "org.deleted", true, "An organisation was deleted; it can be restored for 30 days.";
    OrgRestored = "org.restored", true, "A deleted organisation was restored.";
    OrgPurged = "org.purged", false, "A deleted organisation was removed for good, with everything in it.";
    OrgLimitsSet = "org.limits_set", false, "An administrator of the instance set the organisation's plan or limits.";
    PlanLimitsSet = "plan.limits_set", false, "An administrator of the instance set what a plan allows.";
    LimitApproaching = "limit.approaching", true, "Four fifths of a limit of the plan are used.";
    LimitReached = "limit.reached", true, "A limit of the plan is reached.";
    AuditPurged = "audit.purged", false, "Events older than the plan keeps them were removed; the chain goes on from the last of them.";
    ProjectsFrozen = "org.projects_frozen", false, "Other projects than before are too many for the plan: nothing new is written in them.";
    OrgOwnershipTransferred = "org.ownership_transferred", true, "The organisation was handed over to another of its people.";
    MemberAdded = "member.added", true, "Somebody was given a role in the organisation or a project.";
    MemberUpdated = "member.updated", true, "A member's roles changed.";
    MemberRemoved = "member.removed", true, "A member was removed from the organisation or a project.";
    MemberJoined = "member.joined", true, "Somebody joined by the organisation's or project's join policy.";
    MemberLeft = "member.left", true, "A member left the organisation or a project.";
    InviteCreated = "invite.created", true, "An invitation was made.";
    InviteResent = "invite.resent", true, "An invitation was sent again under a new token; the old one stopped working.";
    InviteRevoked = "invite.revoked", true, "An invitation was revoked.";
    InviteAccepted = "invite.accepted", true, "An invitation was accepted.";
    RoleCreated = "role.created", true, "A role was made.";
    RoleUpdated = "role.updated", true, "A role's names or permissions changed.";
    RoleDeleted = "role.deleted", true, "A role was deleted.";
    AccessRuleCreated = "access_rule.created", true, "An allow or deny rule was made.";
    AccessRuleUpdated = "access_rule.updated", true, "An allow or deny rule changed.";
    AccessRuleDeleted = "access_rule.deleted", true, "An allow or deny rule was deleted.";
    ServiceAccountCreated = "service_account.created", true, "A service account was made.";
    ServiceAccountUpdated = "service_account.updated", true, "A service account changed, or was switched on or off.";
    ServiceAccountDeleted = "service_account.deleted", true, "A service account was deleted with its keys, roles and rules.";
    ServiceAccountKeyCreated = "service_account.key_created", true, "A key of a service account was made.";
    ServiceAccountKeyRevoked = "service_account.key_revoked", true, "A key of a service account was revoked.";
    RealmUserCreated = "realm_user.created", false, "A user of the organisation's realm was made.";
    RealmUserUpdated = "realm_user.updated", false, "A user of the realm changed, or was switched on or off.";
    RealmUserDeleted = "realm_user.deleted", false, "A user of the realm was deleted with its roles and tokens.";
    RealmUserRoleAdded = "realm_user.role_added", false, "A user of the realm was given a role of the application.";
    RealmUserRoleRemoved = "realm_user.role_removed", false, "A role of the application was taken from a user of the realm.";
    RealmTokensIssued = "realm.tokens_issued", false, "A user of the realm signed in, or a service account traded its key for a token.";
    RealmTokensRefreshed = "realm.tokens_refreshed", false, "A user of the realm renewed its tokens.";
    RealmTokensRevoked = "realm.tokens_revoked", false, "Tokens of the realm were given up.";
    RealmReuseDetected = "realm.reuse_detected", false, "A refresh token of the realm was used twice; all that came of that sign-in was ended.";
    BillingCheckoutStarted = "billing.checkout_started", false, "Somebody went to buy a plan.";
    BillingPortalOpened = "billing.portal_opened", false, "Somebody went to manage what was bought.";
    BillingPlanChanged = "billing.plan_changed", true, "The organisation is on another plan.";
    BillingUpdated = "billing.updated", false, "The subscription changed, and the plan did not.";
    FederatedIdentityCreated = "service_account.federated_identity_created", false, "Tokens of another issuer stand for a service account from now on.";
    FederatedIdentityDeleted = "service_account.federated_identity_deleted", false, "Tokens of another issuer stand for a service account no more.";
    ServiceAccountTokenIssued = "service_account.token_issued", false, "A token of another issuer was traded for one of a service account.";
    ProjectCreated = "project.created", true, "A project was made, with its three environments.";
    ProjectUpdated = "project.updated", true, "A project's name, slug or description changed.";
    ProjectDeleted = "project.deleted", true, "A project was deleted; it can be restored.";
    ProjectRestored = "project.restored", true, "A deleted project was restored.";
    ProjectKeyRotated = "project.key_rotated", true, "A project has a new data key; its values are being sealed anew.";
    ProjectKeyReencrypted = "project.key_reencrypted", false, "Some values of a project were sealed anew under its new data key.";
    ProjectKeyDestroyed = "project.key_destroyed", true, "An old data key of a project was destroyed: nothing was sealed under it any more.";
    ProjectVerified = "project.verified", false, "Every stored value of a project was checked.";
    ProjectOwnershipTransferred = "project.ownership_transferred", true, "The project was handed over to another of its people.";
    EnvironmentCreated = "environment.created", true, "An environment was made.";
    EnvironmentUpdated = "environment.updated", true, "An environment's name, slug, class or protection changed.";
    EnvironmentDeleted = "environment.deleted", true, "An environment was deleted.";
    TemplateKeyCreated = "template.key_created", true, "A key was added to a project's template.";
    TemplateKeyUpdated = "template.key_updated", true, "A key of a project's template changed.";
    TemplateKeyDeleted = "template.key_deleted", true, "A key was removed from a project's template.";
    SecretCreated = "secret.created", true, "A secret was made, or made again after it was deleted.";
    SecretUpdated = "secret.updated", true, "A secret has a new version.";
    SecretDeleted = "secret.deleted", true, "A secret was deleted; its versions are kept.";
    SecretRestored = "secret.restored", true, "A deleted secret was brought back.";
    SecretBulkSet = "secret.bulk_set", true, "Several secrets were stored at once.";
    SecretBulkDeleted = "secret.bulk_delete", true, "Several secrets were deleted at once.";
    SecretPromoted = "secret.promoted", true, "Secrets were carried over from another environment.";
    SecretVersionDestroyed = "secret.version_destroyed", true, "The value of one version was destroyed for good.";
    SecretVersionsPruned = "secret.versions_pruned", false, "The values of old versions were destroyed, as many as the plan does not keep.";
    EnvironmentRolledBack = "environment.rolled_back", true, "An environment was brought back to an earlier revision.";
    RevisionPinned = "environment.pinned", true, "A revision of an environment was given a name.";
    RevisionUnpinned = "environment.unpinned", true, "A name of a revision was taken away.";
    SecretRead = "secret.read", false, "The values of secrets were read.";
    WebhookCreated = "webhook.created", false, "A webhook endpoint was made.";
    WebhookUpdated = "webhook.updated", false, "A webhook endpoint changed.";
    WebhookDeleted = "webhook.deleted", false, "A webhook endpoint was deleted; its waiting deliveries were cancelled.";
    WebhookTested = "webhook.tested", false, "A test event was sent to a webhook endpoint.";
    WebhookDisabled = "webhook.disabled", true, "A webhook endpoint was switched off by itself: its receiver is gone, or failed for five days.";
    WebhookSecretRotated = "webhook.secret_rotated", false, "A webhook endpoint has a new signing secret; the old ones end after the overlap.";
    WebhookResent = "webhook.resent", false, "An event was sent to a webhook endpoint once more.";
    JobRetried = "job.retried", false, "A job that was given up is being tried again.";
    BackupRequested = "backup.requested", false, "A backup of the instance was asked for, or its time had come.";
    BackupRestoreRequested = "backup.restore_requested", false, "A backup was asked to be restored into a database beside the live one.";
    BackupDeleted = "backup.deleted", false, "A backup was deleted, or its time was over.";
    WebhookRecoveryStarted = "webhook.recovery_started", false, "Past events are being delivered to a webhook endpoint once more.";
}

/// What a webhook subscribes to: one event type, a family of them, `secret.*`, or all, `*`.
pub fn subscribes(subscription: &str, action: Action) -> bool {
    if !action.is_deliverable() {
        return false;
    }
    match subscription.strip_suffix('*') {
        Some("") => true,
        Some(family) => family.ends_with('.') && action.as_str().starts_with(family),
        None => subscription == action.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_reads_back_from_its_text() {
        for action in Action::ALL {
            assert_eq!(Action::parse(action.as_str()), Some(*action));
        }
        assert_eq!(Action::parse("secret.exploded"), None);
    }

    #[test]
    fn subscriptions_name_one_a_family_or_all() {
        let updated = Action::SecretUpdated;
        for yes in ["secret.updated", "secret.*", "*"] {
            assert!(subscribes(yes, updated), "{yes}");
        }
        for no in ["secret.created", "project.*", "sec*", "secret*", "", "**"] {
            assert!(!subscribes(no, updated), "{no}");
        }
        assert!(!subscribes("*", Action::SecretRead), "reads are never delivered");
    }
}

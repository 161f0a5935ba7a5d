//! The sections of the API document; each is a room of its own in `domain`, `api` and the tests.

use poem_openapi::Tags;

#[derive(Tags)]
pub enum Tag {
    /// Registration, sign-in, sessions, personal tokens.
    Auth,
    /// Applications that sign people in and act for them by OAuth 2 and OpenID Connect.
    OAuth,
    /// The tenants: everything else belongs to one.
    Organisations,
    /// Who belongs to an organisation or project: people, their roles, invitations.
    Members,
    /// Roles of your own, allow and deny rules, and why a decision is what it is.
    Policy,
    /// Accounts of machines, and their keys.
    ServiceAccounts,
    /// The users of an organisation's own application, their tokens, and what a token is good for.
    Realms,
    /// What secrets are grouped by.
    Projects,
    /// Where secrets live; the class decides who may read.
    Environments,
    /// Which keys the environments of a project must have, and what their values must be like.
    Templates,
    /// Values under keys, every change a version, every environment a history.
    Secrets,
    /// Signed events to your own servers.
    Webhooks,
    /// Plans, what they allow and how much of it is used; buying them, and what Stripe says of that.
    Billing,
    /// Who did what, in an order that cannot be rewritten.
    Audit,
    /// The whole instance, for its superusers.
    Administration,
    /// The first run of a new instance: its settings, and its first administrator.
    Setup,
    /// Liveness and readiness.
    Health,
}

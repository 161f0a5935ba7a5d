//! What each type of event says beside what all of them say: the other half of every `journal::record`.

use serde_json::{Value, json};

use crate::journal::Action;

/// Where events of a type happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the organisation as a whole.
    Org,
    /// In the organisation, or in one project.
    Either,
    Project,
    Environment,
}

impl Place {
    /// The JSON type of the project's id.
    pub fn project_type(self) -> Value {
        match self {
            Self::Org => json!("null"),
            Self::Either => json!(["string", "null"]),
            Self::Project | Self::Environment => json!("string"),
        }
    }

    /// The JSON type of what only environments have.
    pub fn environment_type(self, there: &'static str) -> Value {
        match self {
            Self::Org | Self::Either | Self::Project => json!("null"),
            Self::Environment => json!(there),
        }
    }
}

/// What a fact is, with an example of it.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Text(&'static str),
    /// One of these.
    Choice(&'static [&'static str]),
    Texts(&'static [&'static str]),
    Number(i64),
    Flag(bool),
    Instant,
    /// A number for each of some names.
    Counts,
}

impl Kind {
    pub fn schema(self) -> Value {
        match self {
            Self::Text(_) => json!({ "type": "string" }),
            Self::Choice(all) => json!({ "type": "string", "enum": all }),
            Self::Texts(_) => json!({ "type": "array", "items": { "type": "string" } }),
            Self::Number(_) => json!({ "type": "integer" }),
            Self::Flag(_) => json!({ "type": "boolean" }),
            Self::Instant => json!({ "type": "string", "format": "date-time" }),
            Self::Counts => json!({ "type": "object", "additionalProperties": { "type": "integer" } }),
        }
    }

    pub fn example(self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Choice(all) => json!(all.first()),
            Self::Texts(texts) => json!(texts),
            Self::Number(number) => json!(number),
            Self::Flag(flag) => json!(flag),
            Self::Instant => json!("2030-01-09T03:04:05.678Z"),
            Self::Counts => json!({ "created": 2, "updated": 1 }),
        }
    }
}

/// A member of `data`.
#[derive(Clone, Copy, Debug)]
pub struct Fact {
    pub name: &'static str,
    pub kind: Kind,
    /// Whether every event of the type has it.
    pub is_always: bool,
    pub description: &'static str,
}

const fn always(name: &'static str, kind: Kind, description: &'static str) -> Fact {
    Fact {
        name,
        kind,
        is_always: true,
        description,
    }
}

const fn sometimes(name: &'static str, kind: Kind, description: &'static str) -> Fact {
    Fact {
        is_always: false,
        ..always(name, kind, description)
    }
}

/// What the events of a type look like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub place: Place,
    /// The kinds of thing that they happen to; never empty.
    pub resources: &'static [&'static str],
    /// Whether they change secrets.
    pub has_keys: bool,
    pub facts: &'static [Fact],
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the arms of the table are read beside those of events that are not told"
)]
const fn told(place: Place, resources: &'static [&'static str], facts: &'static [Fact]) -> Option<Shape> {
    Some(Shape {
        place,
        resources,
        has_keys: false,
        facts,
    })
}

/// A change of secrets.
#[expect(
    clippy::unnecessary_wraps,
    reason = "the arms of the table are read beside those of events that are not told"
)]
const fn keyed(resources: &'static [&'static str], facts: &'static [Fact]) -> Option<Shape> {
    Some(Shape {
        place: Place::Environment,
        resources,
        has_keys: true,
        facts,
    })
}

const ORG: &[&str] = &["org"];
const PERSON: &[&str] = &["user"];
const MEMBER: &[&str] = &["user", "service_account"];
const INVITE: &[&str] = &["invite"];
const ROLE: &[&str] = &["role"];
const RULE: &[&str] = &["access_rule"];
const ACCOUNT: &[&str] = &["service_account"];
const PROJECT: &[&str] = &["project"];
const ENVIRONMENT: &[&str] = &["environment"];
const TEMPLATE_KEY: &[&str] = &["template_key"];
const SECRET: &[&str] = &["secret"];
const WEBHOOK: &[&str] = &["webhook"];

const NAME: Fact = always("name", Kind::Text("web"), "Its name.");
const SLUG: Fact = always("slug", Kind::Text("web"), "Its slug.");
const CHANGED: Fact = always("changed", Kind::Texts(&["name"]), "The fields that were set.");
const KEY_ID: Fact = always("key_id", Kind::Text("tok_01h455vb4pex5vsknk084sn02q"), "Id of the key.");
const DATA_KEY_ID: Fact = always(
    "key_id",
    Kind::Text("key_01h455vb4pex5vsknk084sn02q"),
    "Id of the data key.",
);
const GENERATION: Fact = always(
    "generation",
    Kind::Number(2),
    "Number of the key among the project's keys.",
);
const COUNTS: Fact = always("counts", Kind::Counts, "How many keys came to which end.");
const KEY: Fact = always(
    "key",
    Kind::Text("DB_URL"),
    "The key; its hash for a webhook with `hash_key_names`.",
);
const ENV_CLASSES: Fact = sometimes(
    "env_classes",
    Kind::Text("dev,staging"),
    "The classes of environment that the role is for; absent for all.",
);

const NAMED: &[Fact] = &[NAME, SLUG];
const SLUGGED: &[Fact] = &[SLUG];
const SETTINGS: &[Fact] = &[CHANGED];
const GIVEN: &[Fact] = &[
    always("role", Kind::Text("developer"), "Name of the role."),
    ENV_CLASSES,
    sometimes("expires_at", Kind::Instant, "When the role ends; absent for never."),
];
const REGIVEN: &[Fact] = &[
    sometimes("role", Kind::Text("developer"), "Name of the role that was given."),
    ENV_CLASSES,
    sometimes("expires_at", Kind::Instant, "When the role ends; absent for never."),
    sometimes(
        "removed_role",
        Kind::Text("viewer"),
        "Name of the role that was taken away.",
    ),
];
const JOINED: &[Fact] = &[always(
    "role",
    Kind::Text("member"),
    "Name of the role that joining gave.",
)];
const OFFER_EMAIL: Fact = sometimes(
    "email",
    Kind::Text("guest@example.com"),
    "The address that it was sent to; absent for an open link.",
);
const OFFER_ROLE: Fact = always("role", Kind::Text("viewer"), "Name of the role that it gives.");
const OFFER_USES: Fact = always("max_uses", Kind::Number(1), "How often it can be accepted.");
const OFFER_END: Fact = always("expires_at", Kind::Instant, "When it stops working.");
const OFFERED: &[Fact] = &[OFFER_EMAIL, ENV_CLASSES, OFFER_ROLE, OFFER_USES, OFFER_END];
const ACCEPTED: &[Fact] = &[
    OFFER_EMAIL,
    ENV_CLASSES,
    OFFER_ROLE,
    OFFER_USES,
    OFFER_END,
    always(
        "user_id",
        Kind::Text("usr_01h455vb4pex5vsknk084sn02q"),
        "Id of who accepted.",
    ),
];
const ROLE_NAME: Fact = always("name", Kind::Text("release"), "Its name.");
const LEVEL: Fact = always("level", Kind::Choice(&["org", "project"]), "Where it is given.");
const AUDIENCE: Fact = always(
    "audience",
    Kind::Choice(&["platform", "app"]),
    "Whether it is of this platform or of the organisation's own application.",
);
const PERMISSIONS: Fact = always("permissions", Kind::Texts(&["secrets:read@dev"]), "What it grants.");
const ROLE_MADE: &[Fact] = &[ROLE_NAME, LEVEL, AUDIENCE, PERMISSIONS];
const ROLE_CHANGED: &[Fact] = &[ROLE_NAME, LEVEL, AUDIENCE, CHANGED, PERMISSIONS];
const ROLE_GONE: &[Fact] = &[
    ROLE_NAME,
    LEVEL,
    AUDIENCE,
    always("held_by", Kind::Number(0), "Who lost it."),
    always("invites", Kind::Number(0), "Invitations that ended with it."),
    always("rules", Kind::Number(0), "Access rules that ended with it."),
];
const RULE_SAYS: &[Fact] = &[
    always(
        "subject_type",
        Kind::Choice(&["user", "service_account", "role"]),
        "Whom it is about.",
    ),
    always(
        "subject_id",
        Kind::Text("usr_01h455vb4pex5vsknk084sn02q"),
        "Id of whom it is about.",
    ),
    sometimes(
        "pattern",
        Kind::Text("web/@dev"),
        "Where it holds; absent for a webhook with `hash_key_names`.",
    ),
    always(
        "permissions",
        Kind::Texts(&["secrets:read"]),
        "What it allows or denies.",
    ),
    always("effect", Kind::Choice(&["allow", "deny"]), "Which of the two."),
];
const ACCOUNT_MADE: &[Fact] = &[
    NAME,
    sometimes("role", Kind::Text("viewer"), "Name of the role that it was given."),
    sometimes(
        "key_id",
        Kind::Text("tok_01h455vb4pex5vsknk084sn02q"),
        "Id of its first key.",
    ),
];
const ACCOUNT_CHANGED: &[Fact] = &[
    CHANGED,
    always("enabled", Kind::Flag(true), "Whether its keys work now."),
];
const ACCOUNT_GONE: &[Fact] = &[NAME];
const ACCOUNT_KEY: &[Fact] = &[KEY_ID, NAME];
const ACCOUNT_KEY_GONE: &[Fact] = &[KEY_ID];
const PROJECT_KEY: &[Fact] = &[
    DATA_KEY_ID,
    GENERATION,
    always(
        "remaining",
        Kind::Number(120),
        "Values that are still sealed under older keys.",
    ),
];
const PROJECT_KEY_GONE: &[Fact] = &[DATA_KEY_ID, GENERATION];
const TEMPLATE: &[Fact] = &[
    KEY,
    always("required", Kind::Flag(true), "Whether environments must have it."),
];
const SECRET_CHANGED: &[Fact] = &[
    sometimes(
        "renamed_from",
        Kind::Text("DATABASE_URL"),
        "The key that it had before, or its hash as in `keys`; absent when it kept its key.",
    ),
    sometimes(
        "rolled_back_to",
        Kind::Number(2),
        "The version whose value it has again; absent for a new value.",
    ),
];
const BULK: &[Fact] = &[COUNTS];
const PROMOTED: &[Fact] = &[
    always(
        "from",
        Kind::Text("staging"),
        "Slug of the environment that they came from.",
    ),
    always(
        "source_environment",
        Kind::Text("env_01h455vb4pex5vsknk084sn02q"),
        "Its id.",
    ),
    always("source_revision", Kind::Number(9), "Its revision."),
];
const DESTROYED: &[Fact] = &[KEY, always("version", Kind::Number(2), "Number of the version.")];
const ROLLED_BACK: &[Fact] = &[always(
    "rolled_back_to",
    Kind::Number(12),
    "The revision whose state the environment has again.",
)];
const PIN: &[Fact] = &[always("name", Kind::Text("release-42"), "The name.")];
const SWITCHED_OFF: &[Fact] = &[
    always("webhook", Kind::Text("whk_01h455vb4pex5vsknk084sn02q"), "Its id."),
    always(
        "reason",
        Kind::Choice(&["gone", "failing"]),
        "Why: the receiver answered 410, or every delivery failed for five days.",
    ),
];

const PLAN_CHANGED: &[Fact] = &[
    always("plan", Kind::Text("team"), "Name of the plan."),
    always("previous_plan", Kind::Text("free"), "Name of the plan of before."),
    always(
        "reason",
        Kind::Choice(&["subscription", "ended"]),
        "Why: what is paid for changed, or nothing is paid for any more.",
    ),
];
const LIMIT: &[Fact] = &[
    always("limit", Kind::Text("projects"), "Which limit."),
    always("used", Kind::Number(8), "How much of it is used."),
    always("max", Kind::Number(10), "What it allows."),
];

/// What the events of a type look like; `None` for those that are not delivered.
#[expect(clippy::too_many_lines, reason = "one table of every event")]
pub const fn shape(action: Action) -> Option<Shape> {
    use Place::{Either, Environment, Org, Project};
    match action {
        Action::OrgCreated => told(Org, ORG, NAMED),
        Action::OrgUpdated => told(Org, ORG, SETTINGS),
        Action::OrgDeleted | Action::OrgRestored => told(Org, ORG, &[]),
        Action::LimitApproaching | Action::LimitReached => told(Either, ORG, LIMIT),
        Action::OrgOwnershipTransferred => told(Org, PERSON, &[]),
        Action::MemberAdded => told(Either, MEMBER, GIVEN),
        Action::MemberUpdated => told(Either, MEMBER, REGIVEN),
        Action::MemberRemoved => told(Either, MEMBER, &[]),
        Action::MemberJoined => told(Either, PERSON, JOINED),
        Action::MemberLeft => told(Either, PERSON, &[]),
        Action::InviteCreated | Action::InviteResent | Action::InviteRevoked => told(Either, INVITE, OFFERED),
        Action::InviteAccepted => told(Either, INVITE, ACCEPTED),
        Action::RoleCreated => told(Org, ROLE, ROLE_MADE),
        Action::RoleUpdated => told(Org, ROLE, ROLE_CHANGED),
        Action::RoleDeleted => told(Org, ROLE, ROLE_GONE),
        Action::AccessRuleCreated | Action::AccessRuleUpdated | Action::AccessRuleDeleted => {
            told(Either, RULE, RULE_SAYS)
        }
        Action::ServiceAccountCreated => told(Either, ACCOUNT, ACCOUNT_MADE),
        Action::ServiceAccountUpdated => told(Either, ACCOUNT, ACCOUNT_CHANGED),
        Action::ServiceAccountDeleted => told(Either, ACCOUNT, ACCOUNT_GONE),
        Action::ServiceAccountKeyCreated => told(Either, ACCOUNT, ACCOUNT_KEY),
        Action::ServiceAccountKeyRevoked => told(Either, ACCOUNT, ACCOUNT_KEY_GONE),
        Action::ProjectCreated => told(Project, PROJECT, NAMED),
        Action::ProjectUpdated => told(Project, PROJECT, SETTINGS),
        Action::ProjectDeleted | Action::ProjectRestored => told(Project, PROJECT, &[]),
        Action::ProjectKeyRotated => told(Project, PROJECT, PROJECT_KEY),
        Action::ProjectKeyDestroyed => told(Project, PROJECT, PROJECT_KEY_GONE),
        Action::ProjectOwnershipTransferred => told(Project, PERSON, &[]),
        Action::EnvironmentCreated | Action::EnvironmentDeleted => told(Environment, ENVIRONMENT, SLUGGED),
        Action::EnvironmentUpdated => told(Environment, ENVIRONMENT, SETTINGS),
        Action::TemplateKeyCreated | Action::TemplateKeyUpdated | Action::TemplateKeyDeleted => {
            told(Project, TEMPLATE_KEY, TEMPLATE)
        }
        Action::SecretCreated | Action::SecretDeleted | Action::SecretRestored => keyed(SECRET, &[]),
        Action::SecretUpdated => keyed(SECRET, SECRET_CHANGED),
        Action::SecretBulkSet | Action::SecretBulkDeleted => keyed(ENVIRONMENT, BULK),
        Action::SecretPromoted => keyed(ENVIRONMENT, PROMOTED),
        Action::SecretVersionDestroyed => told(Environment, SECRET, DESTROYED),
        Action::EnvironmentRolledBack => keyed(ENVIRONMENT, ROLLED_BACK),
        Action::RevisionPinned | Action::RevisionUnpinned => told(Environment, ENVIRONMENT, PIN),
        Action::WebhookDisabled => told(Org, WEBHOOK, SWITCHED_OFF),
        Action::BillingPlanChanged => told(Org, ORG, PLAN_CHANGED),
        Action::UserRegistered
        | Action::UserEmailVerified
        | Action::UserVerificationRequested
        | Action::UserUpdated
        | Action::UserDeleted
        | Action::UserFlagsChanged
        | Action::AuditPurged
        | Action::JobRetried
        | Action::UserPasswordChanged
        | Action::UserPasswordResetRequested
        | Action::UserPasswordReset
        | Action::UserEmailAdded
        | Action::UserEmailRemoved
        | Action::UserEmailDefaultChanged
        | Action::UserCodeRequested
        | Action::UserSecondFactorPrepared
        | Action::UserSecondFactorEnabled
        | Action::UserSecondFactorDisabled
        | Action::UserRecoveryCodesMade
        | Action::SessionConfirmed
        | Action::SessionCreated
        | Action::SessionRefreshed
        | Action::SessionRevoked
        | Action::SessionReuseDetected
        | Action::TokenCreated
        | Action::TokenRevoked
        | Action::OAuthClientCreated
        | Action::OAuthClientUpdated
        | Action::OAuthClientDeleted
        | Action::OAuthClientSecretRotated
        | Action::OAuthGranted
        | Action::OAuthDenied
        | Action::OAuthTokensIssued
        | Action::OAuthTokensRefreshed
        | Action::OAuthRevoked
        | Action::OAuthGrantRevoked
        | Action::OAuthReuseDetected
        | Action::UserIdentityLinked
        | Action::UserIdentityUnlinked
        | Action::SsoUpdated
        | Action::SsoDeleted
        | Action::SsoTested
        | Action::FederatedIdentityCreated
        | Action::FederatedIdentityDeleted
        | Action::ServiceAccountTokenIssued
        | Action::OrgPurged
        | Action::RealmUserCreated
        | Action::RealmUserUpdated
        | Action::RealmUserDeleted
        | Action::RealmUserRoleAdded
        | Action::RealmUserRoleRemoved
        | Action::RealmTokensIssued
        | Action::RealmTokensRefreshed
        | Action::RealmTokensRevoked
        | Action::RealmReuseDetected
        | Action::BillingCheckoutStarted
        | Action::BillingPortalOpened
        | Action::BillingUpdated
        | Action::OrgLimitsSet
        | Action::PlanLimitsSet
        | Action::ProjectsFrozen
        | Action::SecretVersionsPruned
        | Action::ProjectKeyReencrypted
        | Action::ProjectVerified
        | Action::SecretRead
        | Action::WebhookCreated
        | Action::WebhookUpdated
        | Action::WebhookDeleted
        | Action::WebhookTested
        | Action::WebhookSecretRotated
        | Action::WebhookResent
        | Action::WebhookRecoveryStarted
        | Action::BackupRequested
        | Action::BackupRestoreRequested
        | Action::BackupDeleted => None,
    }
}

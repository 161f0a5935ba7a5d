//! The instance as its superusers see it.

use std::collections::BTreeMap;

use domain::admin::orgs::{Listed, OrgPatch, PlanChange, Shown};
use domain::kernel::{Problem, Result};
use domain::limits::overrides::{self, NewOverrides};
use domain::limits::plan::Standing;
use domain::limits::resolve::Override;
use domain::limits::{Limit, LimitKey};
use poem_openapi::Object;

use crate::http::time::Time;
use crate::limits::dto::{LimitName, Plan, UsedLimit};

/// Limits by name; -1 = unlimited. What is absent is left out.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct LimitValues {
    /// Projects of the organisation.
    pub projects: Option<i64>,
    /// Environments of one project.
    pub environments_per_project: Option<i64>,
    /// Secrets of one project, in all of its environments together.
    pub secrets_per_project: Option<i64>,
    /// People, and invitations that are out.
    pub members: Option<i64>,
    /// Service accounts.
    pub service_accounts: Option<i64>,
    /// Personal tokens that are bound to the organisation, and keys of its service accounts.
    pub tokens: Option<i64>,
    /// Webhooks.
    pub webhooks: Option<i64>,
    /// Projects that have a template.
    pub templates: Option<i64>,
    /// Allow and deny rules.
    pub acl_rules: Option<i64>,
    /// Versions of one secret whose values are kept.
    pub versions_retained: Option<i64>,
    /// Requests to the API in a calendar month, UTC.
    pub api_requests_month: Option<i64>,
    /// Requests a minute of one credential: so many reads, as many changes, and as many questions about access. 0
    /// leaves one.
    pub rate_limit_rpm: Option<i64>,
    /// Days that events of the audit log are kept. Seven are kept at least.
    pub audit_retention_days: Option<i64>,
}

impl LimitValues {
    /// # Errors
    /// `invalid_field` naming a limit that is none.
    pub fn checked(self) -> Result<Vec<(LimitKey, Limit)>> {
        let Self {
            projects,
            environments_per_project,
            secrets_per_project,
            members,
            service_accounts,
            tokens,
            webhooks,
            templates,
            acl_rules,
            versions_retained,
            api_requests_month,
            rate_limit_rpm,
            audit_retention_days,
        } = self;
        let given = [
            (LimitKey::Projects, projects),
            (LimitKey::EnvironmentsPerProject, environments_per_project),
            (LimitKey::SecretsPerProject, secrets_per_project),
            (LimitKey::Members, members),
            (LimitKey::ServiceAccounts, service_accounts),
            (LimitKey::Tokens, tokens),
            (LimitKey::Webhooks, webhooks),
            (LimitKey::Templates, templates),
            (LimitKey::AclRules, acl_rules),
            (LimitKey::VersionsRetained, versions_retained),
            (LimitKey::ApiRequestsMonth, api_requests_month),
            (LimitKey::RateLimitRpm, rate_limit_rpm),
            (LimitKey::AuditRetentionDays, audit_retention_days),
        ];
        given
            .into_iter()
            .filter_map(|(key, number)| Some((key, number?)))
            .map(|(key, number)| Ok((key, overrides::checked(key, number)?)))
            .collect()
    }
}

/// What a plan allows.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct NewPlanLimits {
    /// All that is set for the plan; what is absent has its built-in limit again.
    pub limits: LimitValues,
}

/// Changes to an organisation's plan and limits; what is absent stays.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct AdminOrgPatch {
    /// The plan from now on. It no longer follows a subscription.
    pub plan: Option<Plan>,
    /// `true`: the plan is no longer set by hand. It follows the subscription again, or is that of the instance where there
    /// is none. Not together with `plan`.
    #[oai(default)]
    pub reset_plan: bool,
    /// Limits of this organisation in place of the plan's.
    pub limits: Option<LimitValues>,
    /// Limits that are the plan's again.
    #[oai(default)]
    pub reset: Vec<LimitName>,
    /// When the given limits end by themselves; absent: never.
    pub expires_at: Option<Time>,
    /// Why, for whoever asks later; up to 2000 characters.
    #[oai(default)]
    pub reason: String,
}

impl AdminOrgPatch {
    /// # Errors
    /// `invalid_field`.
    pub fn checked(self) -> Result<OrgPatch> {
        let Self {
            plan,
            reset_plan,
            limits,
            reset,
            expires_at,
            reason,
        } = self;
        let plan = match (plan, reset_plan) {
            (Some(_), true) => {
                let message = "cannot be given together with `plan`";
                return Err(Problem::field("reset_plan", "conflict", message).into());
            }
            (Some(plan), false) => PlanChange::Set(plan.into()),
            (None, true) => PlanChange::Unset,
            (None, false) => PlanChange::Keep,
        };
        let given = limits.map(LimitValues::checked).transpose()?.unwrap_or_default();
        let reset = reset.into_iter().map(|key| (key.into(), None));
        let given = given.into_iter().map(|(key, limit)| (key, Some(limit)));
        Ok(OrgPatch {
            plan,
            overrides: NewOverrides {
                limits: reset.chain(given).collect(),
                reason,
                expires_at: expires_at.map(|at| at.0),
            },
        })
    }
}

/// An organisation of the instance.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct AdminOrg {
    /// Id of the organisation: `org_…`.
    pub id: String,
    /// Its name in paths.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// Whether it came with an account.
    pub is_personal: bool,
    /// Its plan.
    pub plan: Plan,
    /// Where the plan comes from: `default`, `admin` or `subscription`.
    pub plan_source: String,
    /// How much there is in the whole organisation, by the names of limits.
    pub usage: BTreeMap<String, u64>,
    /// When it was made.
    pub created_at: Time,
    /// When it was deleted; absent for one that is not.
    pub deleted_at: Option<Time>,
}

impl From<Listed> for AdminOrg {
    fn from(org: Listed) -> Self {
        let Listed {
            id,
            slug,
            name,
            is_personal,
            plan,
            plan_source,
            usage,
            created_at,
            deleted_at,
        } = org;
        Self {
            id: id.to_string(),
            slug,
            name,
            is_personal,
            plan: plan.into(),
            plan_source,
            usage,
            created_at: created_at.into(),
            deleted_at: deleted_at.map(Into::into),
        }
    }
}

/// A limit that was set for one organisation.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct LimitOverride {
    /// What is limited.
    pub key: LimitName,
    /// What is allowed; -1 = unlimited.
    pub limit: i64,
    /// Why.
    pub reason: String,
    /// When it ends by itself; absent: never.
    pub expires_at: Option<Time>,
    /// When it was set.
    pub set_at: Time,
}

impl From<Override> for LimitOverride {
    fn from(set: Override) -> Self {
        let Override {
            key,
            limit,
            reason,
            expires_at,
            set_at,
        } = set;
        Self {
            key: key.into(),
            limit: limit.to_number(),
            reason,
            expires_at: expires_at.map(Into::into),
            set_at: set_at.into(),
        }
    }
}

/// An organisation of the instance with its limits.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct AdminOrgDetails {
    /// The organisation.
    pub org: AdminOrg,
    /// How its subscription stands; `none` without one.
    pub status: String,
    /// Since when it has more than its plan allows; absent while it has not.
    pub over_limit_since: Option<Time>,
    /// One entry for each limit that is in force, with where it was set and what is used of it.
    pub limits: Vec<UsedLimit>,
    /// What was set for it.
    pub overrides: Vec<LimitOverride>,
}

impl From<Shown> for AdminOrgDetails {
    fn from(shown: Shown) -> Self {
        let Shown {
            org,
            standing,
            limits,
            overrides,
        } = shown;
        let Standing {
            plan: _,
            source: _,
            subscription,
            over_limit_since,
        } = standing;
        Self {
            org: org.into(),
            status: subscription.map_or_else(|| "none".to_owned(), |subscription| subscription.status),
            over_limit_since: over_limit_since.map(Into::into),
            limits: limits.into_iter().map(Into::into).collect(),
            overrides: overrides.into_iter().map(Into::into).collect(),
        }
    }
}

//! Plans and limits as the API shows them. A limit of -1 is none.

use domain::kernel::Billing;
use domain::kernel::config::Plan as DomainPlan;
use domain::kernel::id::ProjectId;
use domain::limits::plan::{Standing, Subscription};
use domain::limits::plans::PlanLimits;
use domain::limits::preview::{Over, Preview};
use domain::limits::usage::Used;
use domain::limits::{Effective, LimitKey, Source};
use poem_openapi::{Enum, Object};

use crate::http::time::Time;

/// What an organisation is allowed, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case", remote = "DomainPlan")]
pub enum Plan {
    /// For trying out.
    Free,
    /// For a team.
    Team,
    /// For a company.
    Business,
    /// Nothing is limited.
    SelfHosted,
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case", remote = "LimitKey")]
pub enum LimitName {
    Projects,
    EnvironmentsPerProject,
    SecretsPerProject,
    Members,
    ServiceAccounts,
    Tokens,
    Webhooks,
    Templates,
    AclRules,
    VersionsRetained,
    ApiRequestsMonth,
    RateLimitRpm,
    AuditRetentionDays,
}

/// Where a limit was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case", remote = "Source")]
pub enum LimitSource {
    /// For this organisation.
    Override,
    /// For the plan, by an administrator of the instance.
    Plan,
    /// Nowhere: it is what the plan has by itself.
    Builtin,
}

/// A limit that is in force.
#[derive(Clone, Debug, Object)]
pub struct EffectiveLimit {
    /// What is limited.
    pub key: LimitName,
    /// What is allowed; -1 = unlimited.
    pub limit: i64,
    /// Where it was set.
    pub source: LimitSource,
    /// What it counts, for people.
    pub description: String,
}

impl From<Effective> for EffectiveLimit {
    fn from(effective: Effective) -> Self {
        let Effective { key, limit, source } = effective;
        Self {
            key: key.into(),
            limit: limit.to_number(),
            source: source.into(),
            description: key.description().to_owned(),
        }
    }
}

/// A limit that is in force, and what is used of it.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct UsedLimit {
    /// What is limited.
    pub key: LimitName,
    /// What is allowed; -1 = unlimited.
    pub limit: i64,
    /// Where it was set.
    pub source: LimitSource,
    /// How much of it is used; of what is limited in each project, by the fullest one. Absent for settings.
    pub used: Option<u64>,
    /// Id of the fullest project, for what is limited in each: `prj_…`.
    pub project: Option<String>,
    /// What it counts, for people.
    pub description: String,
}

impl From<Used> for UsedLimit {
    fn from(row: Used) -> Self {
        let Used {
            effective: Effective { key, limit, source },
            used,
            project,
        } = row;
        Self {
            key: key.into(),
            limit: limit.to_number(),
            source: source.into(),
            used,
            project: project.map(|id| id.to_string()),
            description: key.description().to_owned(),
        }
    }
}

/// A plan with what it allows.
#[derive(Clone, Debug, Object)]
pub struct PlanTable {
    /// Its name.
    pub plan: Plan,
    /// One entry for each limit.
    pub limits: Vec<EffectiveLimit>,
}

impl From<PlanLimits> for PlanTable {
    fn from(row: PlanLimits) -> Self {
        let PlanLimits { plan, limits } = row;
        Self {
            plan: plan.into(),
            limits: limits.into_iter().map(Into::into).collect(),
        }
    }
}

/// Every plan, the smallest first.
#[derive(Clone, Debug, Object)]
pub struct Plans {
    /// The plans.
    pub data: Vec<PlanTable>,
}

impl From<Vec<PlanLimits>> for Plans {
    fn from(rows: Vec<PlanLimits>) -> Self {
        Self {
            data: rows.into_iter().map(Into::into).collect(),
        }
    }
}

/// How an organisation stands.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct BillingState {
    /// The plan that its limits come from.
    pub plan: Plan,
    /// Whether plans are sold on this instance.
    pub billing_enabled: bool,
    /// How its subscription stands, in the words of the payment service: `active`, `trialing`, `past_due`, `unpaid`,
    /// `canceled`, …; `none` without one.
    pub status: String,
    /// When what is paid for ends.
    pub period_end: Option<Time>,
    /// Whether the subscription ends with the period.
    pub cancel_at_period_end: bool,
    /// Until when an unpaid plan goes on.
    pub grace_until: Option<Time>,
    /// Since when it has more than its plan allows; absent while it has not. Thirty days later nothing new is written
    /// in the projects that are too many.
    pub over_limit_since: Option<Time>,
    /// Ids of the projects in which nothing new is written: `prj_…`.
    pub frozen_projects: Vec<String>,
    /// One entry for each limit.
    pub limits: Vec<UsedLimit>,
}

impl BillingState {
    pub fn of(standing: Standing, billing: Billing, frozen: &[ProjectId], limits: Vec<Used>) -> Self {
        let Standing {
            plan,
            source: _,
            subscription,
            over_limit_since,
        } = standing;
        let none = Subscription {
            status: "none".to_owned(),
            period_end: None,
            cancel_at_period_end: false,
            grace_until: None,
        };
        let Subscription {
            status,
            period_end,
            cancel_at_period_end,
            grace_until,
        } = subscription.unwrap_or(none);
        Self {
            plan: plan.into(),
            billing_enabled: billing.is_enabled,
            status,
            period_end: period_end.map(Into::into),
            cancel_at_period_end,
            grace_until: grace_until.map(Into::into),
            over_limit_since: over_limit_since.map(Into::into),
            frozen_projects: frozen.iter().map(ToString::to_string).collect(),
            limits: limits.into_iter().map(Into::into).collect(),
        }
    }
}

/// Something of which there would be too much.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct OverLimit {
    /// What is limited.
    pub key: LimitName,
    /// What the plan would allow.
    pub limit: i64,
    /// How much there is.
    pub used: u64,
    /// Id of the project that has too much, for what is limited in each: `prj_…`.
    pub project: Option<String>,
}

impl From<Over> for OverLimit {
    fn from(over: Over) -> Self {
        let Over {
            key,
            limit,
            used,
            project,
        } = over;
        Self {
            key: key.into(),
            limit: limit.to_number(),
            used,
            project: project.map(|id| id.to_string()),
        }
    }
}

/// What changing to a plan would mean.
#[derive(Clone, Debug, Object)]
pub struct DowngradePreview {
    /// The plan that was tried.
    pub plan: Plan,
    /// Whether everything that there is fits into it.
    pub fits: bool,
    /// What there would be too much of. It stays, and no more of it could be made.
    pub over: Vec<OverLimit>,
    /// Ids of the projects in which nothing new could be written after thirty days, the newest first: `prj_…`.
    pub would_freeze: Vec<String>,
    /// The limits that would be in force; what was set for the organisation stays.
    pub limits: Vec<EffectiveLimit>,
}

impl From<Preview> for DowngradePreview {
    fn from(preview: Preview) -> Self {
        let Preview {
            plan,
            limits,
            over,
            frozen,
        } = preview;
        Self {
            plan: plan.into(),
            fits: over.is_empty(),
            over: over.into_iter().map(Into::into).collect(),
            would_freeze: frozen.iter().map(ToString::to_string).collect(),
            limits: limits.into_iter().map(Into::into).collect(),
        }
    }
}

//! What is limited, and how much of it each plan allows when nobody says otherwise.

use crate::kernel::config::Plan;

/// How much is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    Unlimited,
    Max(u64),
}

/// How the database and the API write [`Limit::Unlimited`]. Nothing else knows it.
pub const UNLIMITED: i64 = -1;

impl Limit {
    /// Reads the number of the database or the API; `None` for one that is no limit.
    pub fn from_number(number: i64) -> Option<Self> {
        match u64::try_from(number) {
            Ok(max) => Some(Self::Max(max)),
            Err(_) => (number == UNLIMITED).then_some(Self::Unlimited),
        }
    }

    /// The number of the database and the API.
    pub fn to_number(self) -> i64 {
        match self {
            Self::Unlimited => UNLIMITED,
            Self::Max(max) => i64::try_from(max).unwrap_or(i64::MAX),
        }
    }

    /// Whether so many are within it.
    pub fn allows(self, used: u64) -> bool {
        match self {
            Self::Unlimited => true,
            Self::Max(max) => used <= max,
        }
    }
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Things of an organisation.
    Org,
    /// Things of one project.
    Project,
    /// Requests of a calendar month, UTC.
    Month,
    /// Nothing: it is a setting.
    Setting,
}

/// Where an effective limit comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Set for this organisation.
    Override,
    /// Set for the plan.
    Plan,
    /// What the plan has when nobody says otherwise.
    Builtin,
}

impl Source {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Override => "override",
            Self::Plan => "plan",
            Self::Builtin => "builtin",
        }
    }
}

macro_rules! limit_keys {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $reach:ident, [$free:literal, $team:literal, $business:literal];)*) => {
        /// Everything that a plan limits, in the order in which counters are locked.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum LimitKey {
            $($(#[doc = $doc])+ $name,)*
        }

        impl LimitKey {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name, as stored and published: `projects`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// One sentence for people.
            pub const fn description(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii(),)* }
            }

            pub const fn reach(self) -> Reach {
                match self { $(Self::$name => Reach::$reach,)* }
            }

            /// What a plan allows when nobody says otherwise, as a number.
            pub(super) const fn builtin_number(self, plan: Plan) -> i64 {
                match (self, plan) {
                    $((Self::$name, Plan::Free) => $free,
                    (Self::$name, Plan::Team) => $team,
                    (Self::$name, Plan::Business) => $business,)*
                    (_, Plan::SelfHosted) => UNLIMITED,
                }
            }
        }
    };
}

// Columns: free, team, business. On self_hosted nothing is limited.
limit_keys! {
    /// Projects of the organisation.
    Projects = "projects", Org, [3, 25, -1];
    /// Environments of one project.
    EnvironmentsPerProject = "environments_per_project", Project, [4, 10, -1];
    /// Secrets of one project, in all of its environments together.
    SecretsPerProject = "secrets_per_project", Project, [200, 2000, 20000];
    /// People in the organisation or its projects, and invitations that are out.
    Members = "members", Org, [5, 50, -1];
    /// Service accounts.
    ServiceAccounts = "service_accounts", Org, [3, 50, -1];
    /// Personal tokens that are bound to the organisation, and keys of its service accounts; the second key of an
    /// account does not count, so that keys can always be replaced.
    Tokens = "tokens", Org, [3, 50, -1];
    /// Webhooks, switched on or off.
    Webhooks = "webhooks", Org, [2, 20, 100];
    /// Projects that have a template.
    Templates = "templates", Org, [1, 20, -1];
    /// Allow and deny rules.
    AclRules = "acl_rules", Org, [20, 500, -1];
    /// Versions of one secret whose values are kept; the newest always is.
    VersionsRetained = "versions_retained", Setting, [10, 50, -1];
    /// Requests to the API in a calendar month, UTC. Reads are never refused.
    ApiRequestsMonth = "api_requests_month", Month, [100_000, 2_000_000, -1];
    /// Requests a minute of one credential: so many reads, as many changes, and as many questions about access.
    RateLimitRpm = "rate_limit_rpm", Setting, [120, 600, 3000];
    /// Days that events of the audit log are kept; seven at least.
    AuditRetentionDays = "audit_retention_days", Setting, [7, 90, 365];
}

impl LimitKey {
    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|key| key.as_str() == text)
    }

    /// What a plan allows when nobody says otherwise.
    pub fn builtin(self, plan: Plan) -> Limit {
        Limit::from_number(self.builtin_number(plan)).unwrap_or(Limit::Unlimited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minus_one_is_unlimited_and_zero_is_zero() {
        assert_eq!(Limit::from_number(-1), Some(Limit::Unlimited));
        assert_eq!(Limit::from_number(0), Some(Limit::Max(0)));
        for wrong in [-2, i64::MIN] {
            assert_eq!(Limit::from_number(wrong), None);
        }
        assert!(Limit::Unlimited.allows(u64::MAX));
        assert!(Limit::Max(3).allows(3) && !Limit::Max(3).allows(4) && !Limit::Max(0).allows(1));
        for number in [-1, 0, 1, i64::MAX] {
            assert_eq!(Limit::from_number(number).unwrap().to_number(), number);
        }
    }

    #[test]
    fn keys_read_back_and_a_larger_plan_never_allows_less() {
        for key in LimitKey::ALL {
            assert_eq!(LimitKey::parse(key.as_str()), Some(*key));
            assert!(key.description().ends_with('.'), "{key:?}");
            let size = |plan: Plan| match key.builtin(plan) {
                Limit::Unlimited => u64::MAX,
                Limit::Max(max) => max,
            };
            for pair in Plan::ALL.windows(2) {
                assert!(size(pair[0]) <= size(pair[1]), "{key:?} {pair:?}");
            }
            assert_eq!(key.builtin(Plan::SelfHosted), Limit::Unlimited);
        }
        assert_eq!(LimitKey::parse("planets"), None);
    }
}

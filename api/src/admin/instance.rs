//! The instance as a whole: how much is in it, and how it is set.

use std::sync::Arc;

use domain::admin::{Superuser, stats};
use domain::kernel::config::Described;
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};

use crate::app::App;
use crate::http::caller::Caller;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct InstanceApi(pub Arc<App>);

/// How much there is of everything. What is deleted and can be restored does not count.
#[derive(Clone, Debug, Object)]
pub struct InstanceStats {
    /// Accounts.
    pub users: i64,
    /// Accounts that are not switched off.
    pub active_users: i64,
    /// Accounts of superusers.
    pub superusers: i64,
    /// Organisations, personal ones too.
    pub orgs: i64,
    /// Projects of all organisations.
    pub projects: i64,
    /// Environments of those projects.
    pub environments: i64,
    /// Secrets in those environments, each counted once whatever its versions.
    pub secrets: i64,
    /// Service accounts.
    pub service_accounts: i64,
    /// Webhooks, switched on or off.
    pub webhooks: i64,
    /// Personal tokens and keys of service accounts, all that there ever were.
    pub tokens: i64,
    /// Those of them that are neither revoked nor expired.
    pub active_tokens: i64,
    /// Invitations that can be accepted.
    pub pending_invites: i64,
    /// Invitations that were accepted as often as they could be.
    pub accepted_invites: i64,
    /// Jobs that wait or run.
    pub open_jobs: i64,
    /// Jobs that were given up.
    pub dead_jobs: i64,
}

impl From<stats::Stats> for InstanceStats {
    fn from(counted: stats::Stats) -> Self {
        let stats::Stats {
            users,
            active_users,
            superusers,
            orgs,
            projects,
            environments,
            secrets,
            service_accounts,
            webhooks,
            tokens,
            active_tokens,
            pending_invites,
            accepted_invites,
            open_jobs,
            dead_jobs,
        } = counted;
        Self {
            users,
            active_users,
            superusers,
            orgs,
            projects,
            environments,
            secrets,
            service_accounts,
            webhooks,
            tokens,
            active_tokens,
            pending_invites,
            accepted_invites,
            open_jobs,
            dead_jobs,
        }
    }
}

/// One setting.
#[derive(Clone, Debug, Object)]
pub struct InstanceSetting {
    /// Its environment variable: `STRONGROOM_LISTEN`.
    pub name: String,
    /// What is in force; `(hidden)` for a secret that is set, `(unset)` for none.
    pub value: String,
    /// Where it comes from: `default`, `environment`, or a file.
    pub source: String,
    /// Whether its value is never shown.
    pub is_hidden: bool,
    /// What it does.
    pub description: String,
}

impl From<Described> for InstanceSetting {
    fn from(described: Described) -> Self {
        let Described { setting, value, source } = described;
        Self {
            name: setting.variable().to_owned(),
            value,
            source: source.to_string(),
            is_hidden: setting.is_secret(),
            description: setting.doc().to_owned(),
        }
    }
}

/// How the process that answers is set.
#[derive(Clone, Debug, Object)]
pub struct InstanceConfig {
    /// Version of Strongroom.
    pub version: String,
    /// `sqlite` or `postgres`.
    pub database: String,
    /// Whether mail goes out; otherwise it is written into the data folder.
    pub has_mail: bool,
    /// Whether several processes ring each other by Redis.
    pub has_redis: bool,
    /// Every setting, in the order of the documentation.
    pub settings: Vec<InstanceSetting>,
}

#[OpenApi(tag = "Tag::Administration")]
impl InstanceApi {
    /// Count everything
    ///
    /// For superusers, from a session.
    #[oai(path = "/v1/admin/stats", method = "get", operation_id = "get_admin_stats")]
    async fn get_admin_stats(&self, caller: Caller) -> Result<Json<InstanceStats>, ApiError> {
        let superuser = Superuser::require(&caller)?;
        Ok(Json(stats::stats(&self.0.db, &superuser).await?.into()))
    }

    /// Show the configuration
    ///
    /// Of the process that answers: every setting with the value in force and where it comes from, secrets hidden. The
    /// same as `strongroom-api config` prints. For superusers, from a session.
    #[oai(path = "/v1/admin/config", method = "get", operation_id = "get_admin_config")]
    async fn get_admin_config(&self, caller: Caller) -> Result<Json<InstanceConfig>, ApiError> {
        Superuser::require(&caller)?;
        let config = self.0.first_run.config();
        Ok(Json(InstanceConfig {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            database: config.database.kind().to_owned(),
            has_mail: config.smtp.is_some(),
            has_redis: config.redis.is_some(),
            settings: self.0.first_run.settings().iter().cloned().map(Into::into).collect(),
        }))
    }
}

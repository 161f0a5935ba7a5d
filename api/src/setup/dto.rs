//! The first run as the API shows it.

use domain::kernel::Secret;
use domain::kernel::config::{Applied, Config};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object};

use crate::auth::dto::Transport;

/// How a new instance is set, as far as the first run can change it.
#[derive(Clone, Debug, Object)]
pub struct SetupConfig {
    /// The origin that people and clients use.
    pub base_url: String,
    /// `sqlite` or `postgres`.
    pub database: String,
    /// Whether a root key is configured; otherwise it lies in the data folder.
    pub has_root_key: bool,
    /// Whether mail goes out; otherwise it is written into the data folder.
    pub has_mail: bool,
}

impl From<&Config> for SetupConfig {
    fn from(config: &Config) -> Self {
        Self {
            base_url: config.base_url.to_string(),
            database: config.database.kind().to_owned(),
            has_root_key: config.root_key.is_some(),
            has_mail: config.smtp.is_some(),
        }
    }
}

/// Whether the instance is set up.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct SetupStatus {
    /// Whether it still waits for its first administrator.
    pub setup_required: bool,
    /// While it waits: whether settings were applied that only the next start takes up.
    pub restart_required: Option<bool>,
    /// While it waits: how the process that answers is set.
    pub current: Option<SetupConfig>,
}

/// Settings for the next start. What is absent stays as it is.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct NewSetupConfig {
    /// The one-time token that the start of the api prints: `srm_set_…`. It stays good.
    #[oai(write_only)]
    pub setup_token: String,
    /// The origin that people and clients will use: `https://secrets.example.com`.
    pub base_url: Option<String>,
    /// `postgres://user:password@host:5432/database` or `sqlite://path`: an empty database, or one of this product's.
    #[oai(write_only)]
    pub database_url: Option<String>,
    /// 32 bytes in base64, or a keyring `id:key,id:key` whose first key is primary. Absent with a new database: one is
    /// made.
    #[oai(write_only)]
    pub root_key: Option<String>,
}

impl NewSetupConfig {
    /// The token, and what is to be applied.
    pub fn into_parts(self) -> (Secret<String>, Applied) {
        let Self {
            setup_token,
            base_url,
            database_url,
            root_key,
        } = self;
        let applied = Applied {
            base_url,
            database_url: database_url.map(Secret::new),
            root_key: root_key.map(Secret::new),
        };
        (Secret::new(setup_token), applied)
    }
}

/// What was applied.
#[derive(Clone, Debug, Object)]
pub struct AppliedSetup {
    /// Whether the next start is needed to take it up.
    pub restart_required: bool,
    /// Whether a root key was made. It lies beside the settings in the data folder; keep a copy apart from the backups.
    pub has_made_root_key: bool,
    /// The file in the data folder that holds the settings.
    pub written_to: String,
}

/// A restart that is wanted.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct RestartRequest {
    /// The one-time token that the start of the api prints: `srm_set_…`. The next start prints another.
    #[oai(write_only)]
    pub setup_token: String,
}

/// A restart under way.
#[derive(Clone, Debug, Object)]
pub struct Restarting {
    /// Always true.
    pub restarting: bool,
}

#[derive(Clone, ApiResponse)]
pub enum RestartBegun {
    /// The process ends in order, and whoever supervises it starts it anew.
    #[oai(status = 202)]
    Accepted(Json<Restarting>),
}

/// The first administrator.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct NewAdmin {
    /// The one-time token that the start of the api prints: `srm_set_…`.
    #[oai(write_only)]
    pub setup_token: String,
    /// The address, unique without regard to case.
    pub email: String,
    /// 8 to 1024 bytes, and hard to guess.
    #[oai(write_only)]
    pub password: String,
    /// How the client will carry its session.
    #[oai(default)]
    pub transport: Transport,
    /// Up to 100 characters.
    #[oai(default)]
    pub first_name: String,
    /// Up to 100 characters.
    #[oai(default)]
    pub last_name: String,
}

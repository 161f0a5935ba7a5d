//! Configuration: environment before TOML file before default, read once, typed, and wrong in one go.

mod applied;
mod backup_s3;
mod password_hash;
mod settings;
mod source;
#[cfg(test)]
mod tests;
mod traces;
mod values;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use lettre::message::Mailbox;
use url::Url;

use self::source::Sources;
use self::traces::{Collector, Headers, Share};
use self::values::{
    Address, Count, FromSetting, MebiBytes, Password, RedisUrl, RootKey, Scale, Seconds, SmtpUrl, StripeKey,
    StripeWebhookSecrets,
};
use super::{Billing, Secret};

pub use self::applied::Applied;
pub use self::backup_s3::{BackupBucket, BackupS3};
pub use self::password_hash::{CostsError, PasswordCosts};
pub use self::settings::Setting;
pub use self::source::Source;
pub use self::values::{
    AuditReads, BucketStyle, DatabaseChoice, LogFormat, MigrateMode, Plan, Registration, TraceCallers, WorkerMode,
};

/// Name of the SQLite file in the data folder.
const SQLITE_FILE: &str = "strongroom.db";

/// Name of the folder for backups in the data folder.
const BACKUP_FOLDER: &str = "backups";

/// One mistake. It never holds the value, which could be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: {message}")]
pub struct ConfigError {
    /// The variable, or the TOML key and its file.
    pub variable: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// Every mistake found, one a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl ConfigErrors {
    fn push(&mut self, variable: &str, message: String) {
        self.0.push(ConfigError {
            variable: variable.to_owned(),
            message,
        });
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration is wrong")?;
        self.0.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
}

impl std::error::Error for ConfigErrors {}

/// One line of [`Config::describe`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    pub setting: Setting,
    /// The value in force; `(hidden)` for a secret, `(unset)` for none.
    pub value: String,
    pub source: Source,
}

/// The configuration of a process.
#[derive(Clone)]
pub struct Config {
    pub listen: SocketAddr,
    pub data_dir: PathBuf,
    pub database: DatabaseChoice,
    /// The doorbell of workers and watchers. Without it they look once a second.
    pub redis: Option<Secret<String>>,
    pub worker: WorkerMode,
    /// Root key or keyring as text; `crypto` reads it. `None`: a key is made in the data folder.
    pub root_key: Option<Secret<String>>,
    /// The origin that people and clients use.
    pub base_url: Url,
    /// `None`: mail is written to the data folder.
    pub smtp: Option<Secret<String>>,
    pub mail_from: Mailbox,
    /// Proxies whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Ranges that webhooks may reach besides public addresses.
    pub egress_allow: Vec<IpNet>,
    pub registration: Registration,
    /// The first administrator's address, for an instance that sets itself up.
    pub admin_email: Option<String>,
    pub admin_password: Option<Secret<String>>,
    /// What hashing a password costs.
    pub password_hash: PasswordCosts,
    /// `None`: plans are not sold.
    pub stripe_secret_key: Option<Secret<String>>,
    /// They verify events of Stripe's; several while one replaces another.
    pub stripe_webhook_secrets: Vec<Secret<String>>,
    /// `None`: Stripe's own.
    pub stripe_api_base: Option<Url>,
    /// Multiplies every rate limit; 0 = off.
    pub rate_limit_scale: f64,
    /// Where Prometheus asks for metrics. `None`: nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// The collector that traces are sent to, without the path of traces. `None`: nothing is traced.
    pub otlp_endpoint: Option<Url>,
    /// What is sent along, by name.
    pub otlp_headers: Vec<(String, Secret<String>)>,
    /// Share of the traces that are recorded where no caller has decided, 0 to 1.
    pub trace_ratio: f64,
    pub trace_callers: TraceCallers,
    /// How long requests are still taken after the process was told to end.
    pub drain_delay: Duration,
    pub audit_reads: AuditReads,
    /// Memory for opened secrets between two reads, MiB; 0 = none.
    pub secret_cache: u64,
    /// Of every organisation while there is no payment service.
    pub default_plan: Plan,
    /// Folder for backups.
    pub backup_dir: PathBuf,
    /// The store that they are kept in instead, if it has a bucket.
    pub backup_s3: BackupS3,
    /// Backup key or keyring as text; `crypto` reads it.
    pub backup_key: Option<Secret<String>>,
    /// Hours between two backups; 0 = none are made unasked.
    pub backup_every: u64,
    /// How many backups are kept; 0 = any number.
    pub backup_keep: u64,
    /// Days that a backup is kept; 0 = for ever.
    pub backup_keep_days: u64,
    /// Filter directives of `tracing`.
    pub log: String,
    pub log_format: LogFormat,
    pub migrate: MigrateMode,
    /// Path of the TOML file that was read.
    pub config_file: Option<PathBuf>,
    sources: Vec<(Setting, Source)>,
}

impl Config {
    /// Reads the variables of `env`; `read_file` reads the TOML file and the files of secrets.
    ///
    /// # Errors
    /// Every mistake at once: unknown names, unreadable files, bad values, settings that do not go together.
    pub fn load(
        env: impl Iterator<Item = (String, String)>,
        read_file: impl Fn(&Path) -> io::Result<String>,
    ) -> Result<Self, ConfigErrors> {
        Self::finish(Sources::collect(env, &read_file))
    }

    /// Reads the environment of this process, the only place that does.
    ///
    /// # Errors
    /// See [`Config::load`].
    pub fn from_process() -> Result<Self, ConfigErrors> {
        let (env, not_utf8) = source::process_environment();
        let mut sources = Sources::collect(env.into_iter(), &|path| std::fs::read_to_string(path));
        sources.errors.0.extend(not_utf8);
        Self::finish(sources)
    }

    /// Whether plans are sold here, and on which plan an organisation begins.
    pub fn billing(&self) -> Billing {
        let is_enabled = self.stripe_secret_key.is_some();
        Billing {
            is_enabled,
            first_plan: if is_enabled { Plan::Free } else { self.default_plan },
        }
    }

    fn finish(sources: Sources) -> Result<Self, ConfigErrors> {
        let mut reader = Reader { sources };
        let config = reader.assemble();
        let mut errors = reader.sources.errors;
        if let Some(config) = &config {
            config.check(&mut errors);
        }
        match config {
            Some(config) if errors.0.is_empty() => Ok(config),
            Some(_) | None => Err(errors),
        }
    }

    /// Settings that are fine alone and wrong together.
    fn check(&self, errors: &mut ConfigErrors) {
        if self.worker == WorkerMode::External && self.database.is_sqlite() {
            let message = "external workers need PostgreSQL: SQLite serves one process, and a worker would be a second. \
                           Set STRONGROOM_DATABASE_URL to postgres://…, or STRONGROOM_WORKER to embedded";
            errors.push(Setting::Worker.variable(), message.to_owned());
        }
        let is_set = |setting| self.source_of(setting) != Source::Default;
        if is_set(Setting::AdminEmail) != is_set(Setting::AdminPassword) {
            let message = "goes together with STRONGROOM_ADMIN_PASSWORD or its file: set both or neither";
            errors.push(Setting::AdminEmail.variable(), message.to_owned());
        }
        let is_test =
            |key: &Secret<String>| key.expose().starts_with("sk_test_") || key.expose().starts_with("rk_test_");
        let is_plain = self
            .stripe_api_base
            .as_ref()
            .is_some_and(|base| base.scheme() != "https");
        if is_plain && self.stripe_secret_key.as_ref().is_some_and(|key| !is_test(key)) {
            let message = "must be https: a key of the live mode does not travel in the clear".to_owned();
            errors.push(Setting::StripeApiBase.variable(), message);
        }
        self.backup_s3.check(is_set, errors);
    }

    /// Every setting with the value in force and where it comes from, secrets hidden. For `strongroom-api config`.
    pub fn describe(&self) -> Vec<Described> {
        let described = |(setting, source): &(Setting, Source)| Described {
            setting: *setting,
            value: self.shown(*setting),
            source: source.clone(),
        };
        self.sources.iter().map(described).collect()
    }

    fn shown(&self, setting: Setting) -> String {
        let hidden = |is_set: bool| if is_set { "(hidden)" } else { "(unset)" }.to_owned();
        let or_unset = |text: Option<String>| text.unwrap_or_else(|| "(unset)".to_owned());
        let s3 = &self.backup_s3;
        match setting {
            Setting::Listen => self.listen.to_string(),
            Setting::DataDir => self.data_dir.display().to_string(),
            Setting::DatabaseUrl => match &self.database {
                DatabaseChoice::SqliteFile(path) => format!("SQLite at {}", path.display()),
                DatabaseChoice::SqliteUrl(_) => "SQLite (hidden)".to_owned(),
                DatabaseChoice::Postgres(_) => "PostgreSQL (hidden)".to_owned(),
            },
            Setting::RedisUrl => hidden(self.redis.is_some()),
            Setting::Worker => self.worker.as_str().to_owned(),
            Setting::RootKey => hidden(self.root_key.is_some()),
            Setting::BaseUrl => self.base_url.to_string(),
            Setting::SmtpUrl => hidden(self.smtp.is_some()),
            Setting::MailFrom => self.mail_from.to_string(),
            Setting::TrustedProxies => list(&self.trusted_proxies),
            Setting::EgressAllow => list(&self.egress_allow),
            Setting::Registration => self.registration.as_str().to_owned(),
            Setting::AdminEmail => or_unset(self.admin_email.clone()),
            Setting::AdminPassword => hidden(self.admin_password.is_some()),
            Setting::PasswordHash => self.password_hash.to_string(),
            Setting::StripeSecretKey => hidden(self.stripe_secret_key.is_some()),
            Setting::StripeWebhookSecret => hidden(!self.stripe_webhook_secrets.is_empty()),
            Setting::StripeApiBase => or_unset(self.stripe_api_base.as_ref().map(Url::to_string)),
            Setting::RateLimitScale => self.rate_limit_scale.to_string(),
            Setting::MetricsListen => or_unset(self.metrics_listen.map(|address| address.to_string())),
            Setting::OtlpEndpoint => or_unset(self.otlp_endpoint.as_ref().map(Url::to_string)),
            Setting::OtlpHeaders => hidden(!self.otlp_headers.is_empty()),
            Setting::TraceRatio => self.trace_ratio.to_string(),
            Setting::TraceCallers => self.trace_callers.as_str().to_owned(),
            Setting::DrainDelay => self.drain_delay.as_secs().to_string(),
            Setting::AuditReads => self.audit_reads.as_str().to_owned(),
            Setting::SecretCache => self.secret_cache.to_string(),
            Setting::DefaultPlan => self.default_plan.as_str().to_owned(),
            Setting::BackupDir => self.backup_dir.display().to_string(),
            Setting::BackupS3Bucket => or_unset(s3.name.clone()),
            Setting::BackupS3Endpoint => or_unset(s3.bucket().map(|bucket| bucket.endpoint.to_string())),
            Setting::BackupS3Region => s3.region.clone(),
            Setting::BackupS3Prefix => s3.prefix.clone(),
            Setting::BackupS3Style => s3.style().as_str().to_owned(),
            Setting::BackupS3AccessKey => hidden(s3.access_key.is_some()),
            Setting::BackupS3SecretKey => hidden(s3.secret_key.is_some()),
            Setting::BackupKey => hidden(self.backup_key.is_some()),
            Setting::BackupEvery => self.backup_every.to_string(),
            Setting::BackupKeep => self.backup_keep.to_string(),
            Setting::BackupKeepDays => self.backup_keep_days.to_string(),
            Setting::Log => self.log.clone(),
            Setting::LogFormat => self.log_format.as_str().to_owned(),
            Setting::Migrate => self.migrate.as_str().to_owned(),
            Setting::Config => or_unset(self.config_file.as_ref().map(|path| path.display().to_string())),
        }
    }
}

fn list(nets: &[IpNet]) -> String {
    if nets.is_empty() {
        return "(none)".to_owned();
    }
    nets.iter().map(IpNet::to_string).collect::<Vec<_>>().join(",")
}

/// Turns texts into values and notes what is wrong with them.
struct Reader {
    sources: Sources,
}

impl Reader {
    /// The value of a setting. A bad text is noted and its default stands in, so that reading goes on and finds the
    /// other mistakes.
    fn read<T: FromSetting>(&mut self, setting: Setting) -> Option<T> {
        let outcome = T::from_setting(self.sources.text(setting)?);
        outcome
            .map_err(|message| self.sources.errors.push(setting.variable(), message))
            .ok()
            .or_else(|| setting.default_text().and_then(|text| T::from_setting(text).ok()))
    }

    fn assemble(&mut self) -> Option<Config> {
        let listen = self.read(Setting::Listen)?;
        let data_dir: PathBuf = self.read(Setting::DataDir)?;
        let database = self
            .read(Setting::DatabaseUrl)
            .unwrap_or_else(|| DatabaseChoice::SqliteFile(data_dir.join(SQLITE_FILE)));
        let backup_dir = self
            .read(Setting::BackupDir)
            .unwrap_or_else(|| data_dir.join(BACKUP_FOLDER));
        let redis: Option<RedisUrl> = self.read(Setting::RedisUrl);
        let scaled = redis.is_some() && !database.is_sqlite();
        let worker = self.read(Setting::Worker);
        let base_url = self.read(Setting::BaseUrl).or_else(|| origin_of(listen))?;
        let mail_from = self.read(Setting::MailFrom).or_else(|| sender_at(&base_url))?;
        Some(Config {
            listen,
            data_dir,
            database,
            redis: redis.map(|url| url.0),
            worker: worker.unwrap_or(if scaled {
                WorkerMode::External
            } else {
                WorkerMode::Embedded
            }),
            root_key: self.read(Setting::RootKey).map(|key: RootKey| key.0),
            base_url,
            smtp: self.read(Setting::SmtpUrl).map(|url: SmtpUrl| url.0),
            mail_from,
            trusted_proxies: self.read(Setting::TrustedProxies)?,
            egress_allow: self.read(Setting::EgressAllow)?,
            registration: self.read(Setting::Registration)?,
            admin_email: self.read(Setting::AdminEmail).map(|email: Address| email.0),
            admin_password: self.read(Setting::AdminPassword).map(|password: Password| password.0),
            password_hash: self.read(Setting::PasswordHash)?,
            stripe_secret_key: self.read(Setting::StripeSecretKey).map(|key: StripeKey| key.0),
            stripe_webhook_secrets: self
                .read(Setting::StripeWebhookSecret)
                .map(|secrets: StripeWebhookSecrets| secrets.0)
                .unwrap_or_default(),
            stripe_api_base: self.read(Setting::StripeApiBase),
            rate_limit_scale: self.read(Setting::RateLimitScale).map(|scale: Scale| scale.0)?,
            metrics_listen: self.read(Setting::MetricsListen),
            otlp_endpoint: self.read(Setting::OtlpEndpoint).map(|url: Collector| url.0),
            otlp_headers: self
                .read(Setting::OtlpHeaders)
                .map(|headers: Headers| headers.0)
                .unwrap_or_default(),
            trace_ratio: self.read(Setting::TraceRatio).map(|ratio: Share| ratio.0)?,
            trace_callers: self.read(Setting::TraceCallers)?,
            drain_delay: self.read(Setting::DrainDelay).map(|delay: Seconds| delay.0)?,
            audit_reads: self.read(Setting::AuditReads)?,
            secret_cache: self.read(Setting::SecretCache).map(|size: MebiBytes| size.0)?,
            default_plan: self.read(Setting::DefaultPlan)?,
            backup_dir,
            backup_s3: BackupS3::read(self)?,
            backup_key: self.read(Setting::BackupKey).map(|key: RootKey| key.0),
            backup_every: self.read(Setting::BackupEvery).map(|hours: Count| hours.0)?,
            backup_keep: self.read(Setting::BackupKeep).map(|count: Count| count.0)?,
            backup_keep_days: self.read(Setting::BackupKeepDays).map(|days: Count| days.0)?,
            log: self.read(Setting::Log)?,
            log_format: self.read(Setting::LogFormat)?,
            migrate: self.read(Setting::Migrate)?,
            config_file: self.read(Setting::Config),
            sources: Setting::ALL
                .iter()
                .map(|setting| (*setting, self.sources.source(*setting)))
                .collect(),
        })
    }
}

/// `http://` and the listen address. "Every interface" is no address that a browser can open, so loopback stands in.
fn origin_of(listen: SocketAddr) -> Option<Url> {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    Url::parse(&format!("http://{}", SocketAddr::new(ip, listen.port()))).ok()
}

/// A sender at the host of the base URL, or at localhost when that is an address.
fn sender_at(base_url: &Url) -> Option<Mailbox> {
    let host = base_url.domain().unwrap_or("localhost");
    format!("Strongroom <noreply@{host}>").parse().ok()
}

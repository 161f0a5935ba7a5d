//! The table of settings: every name, default and doc line stands here and nowhere else.

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $key:ident = $name:literal, $kind:ident, $default:expr;)*) => {
        /// One setting; its variants carry the documentation of the settings.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Setting {
            $($(#[doc = $doc])+ $key,)*
        }

        impl Setting {
            /// Every setting, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$key,)*];

            /// The environment variable: `STRONGROOM_LISTEN`.
            pub const fn variable(self) -> &'static str {
                match self { $(Self::$key => concat!("STRONGROOM_", $name),)* }
            }

            /// The text that stands in when nothing sets it. `None`: unset, or derived from other settings.
            pub const fn default_text(self) -> Option<&'static str> {
                match self { $(Self::$key => $default,)* }
            }

            /// What it does, for people.
            pub const fn doc(self) -> &'static str {
                match self { $(Self::$key => concat!($($doc),+).trim_ascii(),)* }
            }

            const fn kind(self) -> Kind {
                match self { $(Self::$key => Kind::$kind,)* }
            }
        }
    };
}

/// Whether a value may be shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    /// Never printed; may also come from the file that `…_FILE` names.
    Secret,
}

settings! {
    /// Address and port that the API listens on.
    Listen = "LISTEN", Plain, Some("127.0.0.1:8080");
    /// Folder for the SQLite database, the generated root key and unsent mail.
    DataDir = "DATA_DIR", Plain, Some("./data");
    /// `postgres://…` or `sqlite://path`. Unset: `strongroom.db` in the data folder.
    DatabaseUrl = "DATABASE_URL", Secret, None;
    /// `redis://…` or `rediss://…`, the doorbell of workers and watchers. Unset: they look once a second.
    RedisUrl = "REDIS_URL", Secret, None;
    /// `embedded` runs jobs inside the API, `external` in strongroom-worker.
    /// Unset: `external` with both PostgreSQL and Redis, else `embedded`.
    Worker = "WORKER", Plain, None;
    /// 32 bytes in base64, or a keyring `id:key,id:key` whose first key is primary.
    /// Unset: a key is made in the data folder.
    RootKey = "ROOT_KEY", Secret, None;
    /// The origin that people and clients use: `https://secrets.example.com`. Unset: `http://` and the listen address.
    BaseUrl = "BASE_URL", Plain, None;
    /// `smtp://…` or `smtps://…`. Unset: mail is written to the data folder as `.eml` files.
    SmtpUrl = "SMTP_URL", Secret, None;
    /// Sender of mail: `Acme Secrets <secrets@example.com>`. Unset: `noreply` at the host of the base URL.
    MailFrom = "MAIL_FROM", Plain, None;
    /// Proxies whose `X-Forwarded-For` and `traceparent` are believed: addresses and CIDR ranges, comma-separated.
    TrustedProxies = "TRUSTED_PROXIES", Plain, Some("");
    /// Ranges that webhooks may reach besides public addresses, over http too: addresses and CIDR ranges,
    /// comma-separated.
    EgressAllow = "EGRESS_ALLOW", Plain, Some("");
    /// Who may make an account: `open`, `email_first`, `invite` or `closed`.
    Registration = "REGISTRATION", Plain, Some("open");
    /// Address of the first administrator, who is made when a new instance starts. Goes with the password.
    AdminEmail = "ADMIN_EMAIL", Plain, None;
    /// Password of that administrator, 8 to 1024 bytes and hard to guess. Not looked at once there is an administrator.
    AdminPassword = "ADMIN_PASSWORD", Secret, None;
    /// What hashing a password costs, Argon2id: KiB of memory, passes, lanes. `m=65536,t=3,p=1` costs whoever guesses five
    /// times as much, and this machine at every sign-in. A password is hashed anew when its person signs in.
    PasswordHash = "PASSWORD_HASH", Plain, Some("m=19456,t=2,p=1");
    /// Secret key of Stripe's: `sk_live_…`, `sk_test_…`, or a restricted one, `rk_…`. Unset: plans are not sold, and
    /// billing answers `billing_disabled`.
    StripeSecretKey = "STRIPE_SECRET_KEY", Secret, None;
    /// Signing secrets of Stripe's events, `whsec_…`, comma-separated while one replaces another. Unset: none are taken.
    StripeWebhookSecret = "STRIPE_WEBHOOK_SECRET", Secret, None;
    /// Origin of Stripe's API, for tests: `http` only with a key of the test mode. Unset: `https://api.stripe.com`.
    StripeApiBase = "STRIPE_API_BASE", Plain, None;
    /// Multiplies every rate limit; 0 switches them off.
    RateLimitScale = "RATE_LIMIT_SCALE", Plain, Some("1");
    /// Address and port of `/metrics` for Prometheus; nobody else should reach it. Unset: there is none.
    MetricsListen = "METRICS_LISTEN", Plain, None;
    /// Where traces are sent by OTLP over HTTP, without the `/v1/traces` at its end: `http://collector:4318`. Unset:
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`, and without that nothing is traced.
    OtlpEndpoint = "OTLP_ENDPOINT", Plain, None;
    /// Headers of what is sent there: `name=value`, comma-separated, with `%2C` for a comma. Unset:
    /// `OTEL_EXPORTER_OTLP_HEADERS`.
    OtlpHeaders = "OTLP_HEADERS", Secret, None;
    /// Share of the traces that are recorded, 0 to 1, where no caller has decided.
    TraceRatio = "TRACE_RATIO", Plain, Some("1");
    /// Whose `traceparent` is believed: that of `trusted` proxies, of `any` caller, or of `none`.
    TraceCallers = "TRACE_CALLERS", Plain, Some("trusted");
    /// Seconds from SIGTERM, when `/ready` begins to fail, until no connection is taken any more; 0 to 300.
    DrainDelay = "DRAIN_DELAY", Plain, Some("5");
    /// Journal rows for reads of secrets: `durable` before the answer, `buffered` soon after, or `off`.
    AuditReads = "AUDIT_READS", Plain, Some("durable");
    /// Memory for opened secrets between two reads, MiB, wiped after a minute; 0: every read decrypts what it answers.
    SecretCache = "SECRET_CACHE", Plain, Some("32");
    /// The plan of every organisation while there is no payment service: `free`, `team`, `business` or `self_hosted`,
    /// which limits nothing. With one, new organisations start on `free`.
    DefaultPlan = "DEFAULT_PLAN", Plain, Some("self_hosted");
    /// Folder for backups, the same for every process. Unset: `backups` in the data folder.
    BackupDir = "BACKUP_DIR", Plain, None;
    /// Bucket of an S3-compatible store that backups are kept in instead of the folder. Goes with both keys of the store
    /// and a backup key. Unset: they are kept in the folder.
    BackupS3Bucket = "BACKUP_S3_BUCKET", Plain, None;
    /// Origin of the store: `https://minio.example.com:9000`; at a private address too. Unset: Amazon's of the region.
    BackupS3Endpoint = "BACKUP_S3_ENDPOINT", Plain, None;
    /// Region of the bucket; stores without regions take the default.
    BackupS3Region = "BACKUP_S3_REGION", Plain, Some("us-east-1");
    /// Folder in the bucket: `acme/backups`. Unset: none.
    BackupS3Prefix = "BACKUP_S3_PREFIX", Plain, Some("");
    /// How URLs name the bucket: `path`, `https://store/bucket/key`, or `virtual`, `https://bucket.store/key`.
    /// Unset: `virtual` at Amazon, `path` where an endpoint is set.
    BackupS3Style = "BACKUP_S3_STYLE", Plain, None;
    /// Access key of the store, by which it knows whose secret key it is.
    BackupS3AccessKey = "BACKUP_S3_ACCESS_KEY", Secret, None;
    /// Secret key of the store. It signs requests and never travels.
    BackupS3SecretKey = "BACKUP_S3_SECRET_KEY", Secret, None;
    /// 32 bytes in base64, or a keyring as for the root key, and not the root key: what backups are sealed under.
    /// Unset: with SQLite in the data folder a key is made there, else there are no backups.
    BackupKey = "BACKUP_KEY", Secret, None;
    /// Hours between two backups that are made unasked; 0: none are.
    BackupEvery = "BACKUP_EVERY", Plain, Some("0");
    /// How many backups are kept; 0: any number.
    BackupKeep = "BACKUP_KEEP", Plain, Some("14");
    /// Days that a backup is kept; 0: for ever. The newest that was proved stays in any case.
    BackupKeepDays = "BACKUP_KEEP_DAYS", Plain, Some("0");
    /// Log filter, as `info` or `info,domain=debug`.
    Log = "LOG", Plain, Some("info,sea_orm_migration=warn");
    /// `pretty` or `json`.
    LogFormat = "LOG_FORMAT", Plain, Some("pretty");
    /// `auto` migrates the database at start, `manual` refuses to start until `strongroom-api migrate` ran.
    Migrate = "MIGRATE", Plain, Some("auto");
    /// Path of a TOML file with these settings: lower-case keys without the prefix.
    Config = "CONFIG", Plain, None;
}

/// Starts the name of every environment variable of ours.
pub const PREFIX: &str = "STRONGROOM_";
/// Ends the name of a variable that holds the path of a secret.
pub const FILE_SUFFIX: &str = "_FILE";

impl Setting {
    /// Whether its value must never be shown; such a setting can also come from a file.
    pub const fn is_secret(self) -> bool {
        matches!(self.kind(), Kind::Secret)
    }

    /// The variable that names a file with the value: `STRONGROOM_ROOT_KEY_FILE`. Secrets only.
    pub fn file_variable(self) -> Option<String> {
        self.is_secret().then(|| format!("{}{FILE_SUFFIX}", self.variable()))
    }

    /// The key in the TOML file: `database_url`.
    pub fn toml_key(self) -> String {
        self.variable()
            .strip_prefix(PREFIX)
            .unwrap_or_default()
            .to_ascii_lowercase()
    }
}

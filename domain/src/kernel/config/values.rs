//! The types of the settings and how each is read from text. No message repeats the text: a secret may have been put
//! into the wrong variable.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use lettre::message::Mailbox;
use url::Url;

use crate::kernel::{Db, Secret, text};

/// Text to value; the error says what it must be.
pub(super) trait FromSetting: Sized {
    fn from_setting(text: &str) -> Result<Self, String>;
}

/// A setting that takes one word of a few.
macro_rules! choice {
    ($(#[doc = $doc:literal])+ $name:ident { $($(#[doc = $variant_doc:literal])+ $variant:ident = $word:literal,)+ }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[doc = $variant_doc])+ $variant,)+
        }

        impl $name {
            const WORDS: &'static [&'static str] = &[$($word,)+];

            /// The word that selects it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl FromSetting for $name {
            fn from_setting(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(format!("must be one of: {}", Self::WORDS.join(", "))),
                }
            }
        }
    };
}

choice! {
    /// Where jobs run.
    WorkerMode {
        /// Inside the API process.
        Embedded = "embedded",
        /// In `strongroom-worker` processes.
        External = "external",
    }
}

choice! {
    /// Who may make an account.
    Registration {
        /// Anyone.
        Open = "open",
        /// Anyone who proves the address first.
        EmailFirst = "email_first",
        /// Whoever was invited.
        Invite = "invite",
        /// Nobody; existing accounts go on.
        Closed = "closed",
    }
}

choice! {
    /// When the journal row for a read of secrets is written.
    AuditReads {
        /// Before the read is answered; a read that cannot be recorded fails.
        Durable = "durable",
        /// Soon after; a crash may lose the last rows.
        Buffered = "buffered",
        /// Never.
        Off = "off",
    }
}

choice! {
    /// How log lines look.
    LogFormat {
        /// For people.
        Pretty = "pretty",
        /// One JSON object a line.
        Json = "json",
    }
}

choice! {
    /// Whose word it is which trace a request belongs to.
    TraceCallers {
        /// That of the trusted proxies.
        Trusted = "trusted",
        /// Anybody's.
        Any = "any",
        /// Nobody's: every request begins a trace.
        None = "none",
    }
}

choice! {
    /// Who brings the database schema up to date.
    MigrateMode {
        /// The API, when it starts.
        Auto = "auto",
        /// The operator, with `strongroom-api migrate`.
        Manual = "manual",
    }
}

choice! {
    /// How URLs name a bucket.
    BucketStyle {
        /// In the path: `https://store/bucket/key`.
        Path = "path",
        /// In the host: `https://bucket.store/key`.
        Virtual = "virtual",
    }
}

choice! {
    /// What an organisation is allowed, by name.
    Plan {
        /// For trying out.
        Free = "free",
        /// For a team.
        Team = "team",
        /// For a company.
        Business = "business",
        /// On one's own instance: nothing is limited.
        SelfHosted = "self_hosted",
    }
}

impl Plan {
    /// Every plan, the smallest first.
    pub const ALL: [Self; 4] = [Self::Free, Self::Team, Self::Business, Self::SelfHosted];
    /// Those that can be bought, or are given for nothing, the smallest first.
    pub const OFFERED: [Self; 3] = [Self::Free, Self::Team, Self::Business];

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|plan| plan.as_str() == text)
    }
}

/// Which database holds everything.
#[derive(Clone)]
pub enum DatabaseChoice {
    /// A SQLite file at the default place, in the data folder.
    SqliteFile(PathBuf),
    /// A SQLite database by URL.
    SqliteUrl(Secret<String>),
    /// PostgreSQL by URL; the URL holds the password.
    Postgres(Secret<String>),
}

impl DatabaseChoice {
    /// The URL to hand to `Db::connect`.
    pub fn url(&self) -> Secret<String> {
        match self {
            Self::SqliteFile(path) => Secret::new(Db::sqlite_url(path)),
            Self::SqliteUrl(url) | Self::Postgres(url) => url.clone(),
        }
    }

    /// Which database it is: `sqlite` or `postgres`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::SqliteFile(_) | Self::SqliteUrl(_) => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }

    /// Whether it is SQLite, which takes one process only.
    pub const fn is_sqlite(&self) -> bool {
        match self {
            Self::SqliteFile(_) | Self::SqliteUrl(_) => true,
            Self::Postgres(_) => false,
        }
    }
}

impl FromSetting for DatabaseChoice {
    fn from_setting(text: &str) -> Result<Self, String> {
        if text.starts_with("sqlite:") {
            // Reading and writing use separate pools: each would see a memory database of its own.
            if text.contains(":memory:") || text.contains("mode=memory") {
                return Err("must name a file: a SQLite database in memory is not supported".to_owned());
            }
            return Ok(Self::SqliteUrl(Secret::new(text.to_owned())));
        }
        let expected = "must be postgres://user:password@host:5432/database or sqlite://path/to/file.db";
        url_of(text, &["postgres", "postgresql"], expected)?;
        Ok(Self::Postgres(Secret::new(text.to_owned())))
    }
}

/// URL of the Redis doorbell.
pub(super) struct RedisUrl(pub(super) Secret<String>);

impl FromSetting for RedisUrl {
    fn from_setting(text: &str) -> Result<Self, String> {
        let schemes = ["redis", "rediss", "unix", "redis+unix"];
        url_of(text, &schemes, "must be redis://:password@host:6379 or rediss://…")?;
        Ok(Self(Secret::new(text.to_owned())))
    }
}

/// URL of the mail server.
pub(super) struct SmtpUrl(pub(super) Secret<String>);

impl FromSetting for SmtpUrl {
    fn from_setting(text: &str) -> Result<Self, String> {
        let expected = "must be smtp://user:password@host:587?tls=required or smtps://…";
        let url = url_of(text, &["smtp", "smtps"], expected)?;
        if url.host_str().is_none_or(str::is_empty) {
            return Err(expected.to_owned());
        }
        Ok(Self(Secret::new(text.to_owned())))
    }
}

/// Base64 of the root key or keyring; `crypto` reads it.
pub(super) struct RootKey(pub(super) Secret<String>);

impl FromSetting for RootKey {
    fn from_setting(text: &str) -> Result<Self, String> {
        Ok(Self(Secret::new(text.to_owned())))
    }
}

/// An e-mail address.
pub(super) struct Address(pub(super) String);

impl FromSetting for Address {
    fn from_setting(text: &str) -> Result<Self, String> {
        let checked =
            text::email("email", text).map_err(|_| "must be an address such as dana@example.com".to_owned())?;
        Ok(Self(checked.display))
    }
}

/// A password; whether it is good enough is told by what uses it.
pub(super) struct Password(pub(super) Secret<String>);

impl FromSetting for Password {
    fn from_setting(text: &str) -> Result<Self, String> {
        Ok(Self(Secret::new(text.to_owned())))
    }
}

/// Secret key of Stripe's.
pub(super) struct StripeKey(pub(super) Secret<String>);

impl FromSetting for StripeKey {
    fn from_setting(text: &str) -> Result<Self, String> {
        let is_key = ["sk_live_", "sk_test_", "rk_live_", "rk_test_"]
            .iter()
            .any(|prefix| text.len() > prefix.len() && text.starts_with(prefix));
        if is_key && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(Secret::new(text.to_owned())))
        } else {
            Err("must be a key of Stripe's that begins with sk_live_, sk_test_, rk_live_ or rk_test_".to_owned())
        }
    }
}

/// Signing secrets of Stripe's events.
pub(super) struct StripeWebhookSecrets(pub(super) Vec<Secret<String>>);

impl FromSetting for StripeWebhookSecrets {
    fn from_setting(text: &str) -> Result<Self, String> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let secret = |(index, entry): (usize, &str)| {
            let is_secret = entry.len() > "whsec_".len() && entry.starts_with("whsec_");
            is_secret
                .then(|| Secret::new(entry.to_owned()))
                .ok_or_else(|| format!("entry {} must be a signing secret that begins with whsec_", index + 1))
        };
        entries.enumerate().map(secret).collect::<Result<_, _>>().map(Self)
    }
}

impl FromSetting for SocketAddr {
    fn from_setting(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| "must be an IP address and a port, such as 127.0.0.1:8080 or [::]:8080".to_owned())
    }
}

impl FromSetting for PathBuf {
    fn from_setting(text: &str) -> Result<Self, String> {
        Ok(Self::from(text))
    }
}

impl FromSetting for String {
    fn from_setting(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

/// A factor for limits.
pub(super) struct Scale(pub(super) f64);

impl FromSetting for Scale {
    fn from_setting(text: &str) -> Result<Self, String> {
        let number = text.parse::<f64>().ok();
        number
            .filter(|number| (0.0..=1000.0).contains(number))
            .map(Self)
            .ok_or_else(|| "must be a number from 0 to 1000".to_owned())
    }
}

/// A short time.
pub(super) struct Seconds(pub(super) Duration);

impl FromSetting for Seconds {
    fn from_setting(text: &str) -> Result<Self, String> {
        let number = text.parse::<u64>().ok();
        number
            .filter(|number| *number <= 300)
            .map(|number| Self(Duration::from_secs(number)))
            .ok_or_else(|| "must be a whole number of seconds from 0 to 300".to_owned())
    }
}

/// An amount of memory, MiB.
pub(super) struct MebiBytes(pub(super) u64);

impl FromSetting for MebiBytes {
    fn from_setting(text: &str) -> Result<Self, String> {
        let number = text.parse::<u64>().ok();
        number
            .filter(|number| *number <= 65_536)
            .map(Self)
            .ok_or_else(|| "must be a whole number of MiB from 0 to 65536".to_owned())
    }
}

/// A number of something.
pub(super) struct Count(pub(super) u64);

impl FromSetting for Count {
    fn from_setting(text: &str) -> Result<Self, String> {
        let number = text.parse::<u64>().ok();
        number
            .filter(|number| *number <= 100_000)
            .map(Self)
            .ok_or_else(|| "must be a whole number from 0 to 100000".to_owned())
    }
}

impl FromSetting for Mailbox {
    fn from_setting(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| "must be an address such as Acme Secrets <secrets@example.com>".to_owned())
    }
}

impl FromSetting for Url {
    fn from_setting(text: &str) -> Result<Self, String> {
        let expected = "must be an origin such as https://secrets.example.com, without path, query or password";
        let url = url_of(text, &["http", "https"], expected)?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if bare && url.username().is_empty() && url.password().is_none() {
            return Ok(url);
        }
        Err(expected.to_owned())
    }
}

impl FromSetting for Vec<IpNet> {
    fn from_setting(text: &str) -> Result<Self, String> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        entries
            .enumerate()
            .map(|(index, entry)| {
                net_of(entry).ok_or_else(|| {
                    format!(
                        "entry {} must be an IP address or a range such as 10.0.0.0/8",
                        index + 1
                    )
                })
            })
            .collect()
    }
}

fn net_of(text: &str) -> Option<IpNet> {
    let single = |text: &str| text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse::<IpNet>()
        .ok()
        .map(|net| net.trunc())
        .or_else(|| single(text))
}

pub(super) fn url_of(text: &str, schemes: &[&str], expected: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| expected.to_owned())?;
    if schemes.contains(&url.scheme()) {
        Ok(url)
    } else {
        Err(expected.to_owned())
    }
}

//! The settings of an S3-compatible store for backups: all of them, or none.

use url::{Host, Url};

use super::values::FromSetting;
use super::{BucketStyle, ConfigErrors, Reader, Setting};
use crate::kernel::Secret;

/// The store as it is set. Without a bucket there is none.
#[derive(Clone)]
pub struct BackupS3 {
    pub name: Option<String>,
    pub endpoint: Option<Url>,
    pub region: String,
    /// With a slash at its end, or empty.
    pub prefix: String,
    pub style: Option<BucketStyle>,
    pub access_key: Option<Secret<String>>,
    pub secret_key: Option<Secret<String>>,
}

/// A bucket and all that it takes to use it.
#[derive(Clone)]
pub struct BackupBucket {
    pub name: String,
    pub endpoint: Url,
    pub region: String,
    /// With a slash at its end, or empty.
    pub prefix: String,
    pub style: BucketStyle,
    pub access_key: Secret<String>,
    pub secret_key: Secret<String>,
}

/// What makes no sense without a bucket.
const OF_BUCKET: [Setting; 5] = [
    Setting::BackupS3Endpoint,
    Setting::BackupS3Prefix,
    Setting::BackupS3Style,
    Setting::BackupS3AccessKey,
    Setting::BackupS3SecretKey,
];

/// What a bucket does not go without, and why.
const WITH_BUCKET: [(Setting, &str); 3] = [
    (
        Setting::BackupS3AccessKey,
        "goes with STRONGROOM_BACKUP_S3_BUCKET: set it or its file",
    ),
    (
        Setting::BackupS3SecretKey,
        "goes with STRONGROOM_BACKUP_S3_BUCKET: set it or its file",
    ),
    (
        Setting::BackupKey,
        "goes with STRONGROOM_BACKUP_S3_BUCKET: a key that lies only beside the database is lost with it. Make one with \
         `openssl rand -base64 32`, and set it or its file",
    ),
];

impl BackupS3 {
    pub(super) fn read(reader: &mut Reader) -> Option<Self> {
        Some(Self {
            name: reader.read(Setting::BackupS3Bucket).map(|name: BucketName| name.0),
            endpoint: reader.read(Setting::BackupS3Endpoint),
            region: reader.read(Setting::BackupS3Region).map(|region: Region| region.0)?,
            prefix: reader.read(Setting::BackupS3Prefix).map(|prefix: KeyPrefix| prefix.0)?,
            style: reader.read(Setting::BackupS3Style),
            access_key: reader.read(Setting::BackupS3AccessKey).map(|key: StoreKey| key.0),
            secret_key: reader.read(Setting::BackupS3SecretKey).map(|key: StoreKey| key.0),
        })
    }

    /// Notes what is missing. `is_set` tells what somebody has set, be it right or wrong.
    pub(super) fn check(&self, is_set: impl Fn(Setting) -> bool, errors: &mut ConfigErrors) {
        let bucket = Setting::BackupS3Bucket;
        if !is_set(bucket) {
            if let Some(setting) = OF_BUCKET.into_iter().find(|setting| is_set(*setting)) {
                let message = format!("is not set, and {} is: name the bucket", setting.variable());
                errors.push(bucket.variable(), message);
            }
            return;
        }
        for (setting, why) in WITH_BUCKET {
            if !is_set(setting) {
                errors.push(setting.variable(), why.to_owned());
            }
        }
        if self.style() == BucketStyle::Virtual && self.endpoint.as_ref().is_some_and(is_address) {
            let message = "must be path where the endpoint is an address: no name can stand before one".to_owned();
            errors.push(Setting::BackupS3Style.variable(), message);
        }
    }

    /// The style in force.
    pub fn style(&self) -> BucketStyle {
        self.style.unwrap_or(match self.endpoint {
            Some(_) => BucketStyle::Path,
            None => BucketStyle::Virtual,
        })
    }

    /// The endpoint in force.
    pub fn endpoint(&self) -> Option<Url> {
        let amazon = || Url::parse(&format!("https://s3.{}.amazonaws.com", self.region)).ok();
        self.endpoint.clone().or_else(amazon)
    }

    /// The bucket, if one is set.
    pub fn bucket(&self) -> Option<BackupBucket> {
        Some(BackupBucket {
            name: self.name.clone()?,
            endpoint: self.endpoint()?,
            region: self.region.clone(),
            prefix: self.prefix.clone(),
            style: self.style(),
            access_key: self.access_key.clone()?,
            secret_key: self.secret_key.clone()?,
        })
    }
}

fn is_address(url: &Url) -> bool {
    matches!(url.host(), Some(Host::Ipv4(_) | Host::Ipv6(_)))
}

/// Name of a bucket.
struct BucketName(String);

impl FromSetting for BucketName {
    fn from_setting(text: &str) -> Result<Self, String> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if (3..=63).contains(&text.len()) && text.bytes().all(is_name) && !text.contains("..") {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be the name of a bucket: 3 to 63 letters, digits, hyphens and dots".to_owned())
        }
    }
}

/// Name of a region.
struct Region(String);

impl FromSetting for Region {
    fn from_setting(text: &str) -> Result<Self, String> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if text.len() <= 64 && text.bytes().all(is_name) {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be the name of a region such as eu-central-1".to_owned())
        }
    }
}

/// A folder in a bucket, with a slash at its end; empty for none.
struct KeyPrefix(String);

impl FromSetting for KeyPrefix {
    fn from_setting(text: &str) -> Result<Self, String> {
        let bare = text.trim_matches('/');
        if bare.is_empty() {
            return Ok(Self(String::new()));
        }
        // What a URL or XML would have to escape is left out. Dots alone would lead out of the folder.
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        let is_step = |step: &str| {
            let is_dots = step.bytes().all(|byte| byte == b'.');
            !is_dots && step.bytes().all(is_name)
        };
        if bare.len() <= 512 && bare.split('/').all(is_step) {
            Ok(Self(format!("{bare}/")))
        } else {
            Err("must be a folder such as acme/backups, of letters, digits, hyphens, dots and underscores".to_owned())
        }
    }
}

/// One of the two keys of an object store.
struct StoreKey(Secret<String>);

impl FromSetting for StoreKey {
    fn from_setting(text: &str) -> Result<Self, String> {
        if text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(Secret::new(text.to_owned())))
        } else {
            Err("must be one word without blanks".to_owned())
        }
    }
}

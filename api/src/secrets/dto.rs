//! Secrets as the API shows them.

use std::sync::Arc;

use domain::kernel::id::{ServiceAccountId, UserId};
use domain::kernel::text::json_len;
use domain::kernel::{Result, Secret, Timestamp};
use domain::secrets::list::{KeyInfo, Listing};
use domain::secrets::read::Opened;
use domain::secrets::version::VersionInfo;
use domain::secrets::write::Written;
use domain::secrets::{NewValue, Stepped};
use poem_openapi::Object;
use poem_openapi::types::ToJSON;
use serde::Serialize;

use crate::http::page::{Pagination, pagination};
use crate::http::ready_json::{self, ReadyJson};
use crate::http::time::Time;

/// A secret to be made.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct NewSecret {
    /// `[A-Za-z_][A-Za-z0-9_.-]{0,254}`.
    pub key: String,
    /// Up to 64 KiB of UTF-8, without U+0000.
    #[oai(write_only)]
    pub value: String,
    /// Up to 1 KiB.
    #[oai(write_only, default)]
    pub comment: String,
}

impl NewSecret {
    pub fn into_parts(self) -> (String, NewValue) {
        let Self { key, value, comment } = self;
        (
            key,
            NewValue {
                value: Secret::new(value),
                comment: Some(Secret::new(comment)),
            },
        )
    }
}

/// A value to be stored.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct PutSecret {
    /// Up to 64 KiB of UTF-8, without U+0000.
    #[oai(write_only)]
    pub value: String,
    /// Up to 1 KiB. Absent: the comment stays.
    #[oai(write_only)]
    pub comment: Option<String>,
    /// The version that must be there; another one is answered with 412.
    pub expected_version: Option<i64>,
}

/// Changes to a secret; absent fields stay.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct PatchSecret {
    /// Another key for it. Its id and versions stay.
    pub key: Option<String>,
    /// Up to 64 KiB of UTF-8, without U+0000.
    #[oai(write_only)]
    pub value: Option<String>,
    /// Up to 1 KiB; empty takes it away.
    #[oai(write_only)]
    pub comment: Option<String>,
    /// The version that must be there; another one is answered with 412.
    pub expected_version: Option<i64>,
}

/// The version to go back to.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct RollbackSecret {
    /// Number of the version whose value and comment are to be stored again.
    pub version: i64,
    /// The version that must be there now; another one is answered with 412.
    pub expected_version: Option<i64>,
}

/// A secret after a write. The value is not echoed.
#[derive(Clone, Debug, Object)]
pub struct WrittenSecret {
    /// Id of the secret: `sec_…`. It stays when the key changes.
    pub id: String,
    /// Its key.
    pub key: String,
    /// Number of its current version, from 1.
    pub version: i64,
    /// The environment's revision.
    pub revision: i64,
    /// Its comment; may be empty.
    pub comment: String,
    /// When the secret was made.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
}

impl From<Written> for WrittenSecret {
    fn from(written: Written) -> Self {
        let Written { secret, revision } = written;
        let Stepped {
            outcome: _,
            id,
            key,
            version,
            comment,
            created_at,
            updated_at,
        } = secret;
        Self {
            id: id.to_string(),
            key,
            version,
            revision,
            comment: comment.expose().clone(),
            created_at: created_at.into(),
            updated_at: updated_at.into(),
        }
    }
}

/// A secret with its value.
#[derive(Object)]
pub struct SecretValue {
    /// Id of the secret: `sec_…`.
    pub id: String,
    /// Its key.
    pub key: String,
    /// The value, exactly as it was stored.
    pub value: String,
    /// Number of the version.
    pub version: i64,
    /// The comment of the version; may be empty.
    pub comment: String,
    /// When the secret was made.
    pub created_at: Time,
    /// When the version was written.
    pub updated_at: Time,
}

impl SecretValue {
    /// The secret as it is answered.
    ///
    /// # Errors
    /// [`domain::kernel::Error::Internal`].
    pub fn ready(opened: &Opened) -> Result<ReadyJson<Self>> {
        let Opened {
            id,
            key,
            value,
            comment,
            version,
            created_at,
            updated_at,
            entry: _,
        } = opened;
        let (value, comment) = (value.expose(), comment.expose());
        let content = SecretValueText {
            id: id.to_string(),
            key,
            value,
            version: *version,
            comment,
            created_at: *created_at,
            updated_at: *updated_at,
        };
        ReadyJson::write(&content, key.len() + value.len() + comment.len() + VALUE_ROOM)
    }
}

/// What a secret takes beside its texts, bytes, roughly.
const VALUE_ROOM: usize = 224;

/// [`SecretValue`], borrowed.
#[derive(Serialize)]
struct SecretValueText<'a> {
    id: String,
    key: &'a str,
    value: &'a str,
    version: i64,
    comment: &'a str,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// One secret of an environment.
#[derive(Object)]
pub struct SecretEntry {
    /// Its key.
    pub key: String,
    /// The value, exactly as it was stored.
    pub value: String,
    /// Number of its current version.
    pub version: i64,
    /// Its comment; may be empty.
    pub comment: String,
    /// When the version was written.
    pub updated_at: Time,
}

/// The secrets of an environment.
#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
pub struct SecretList {
    /// The secrets, by key.
    pub data: Vec<SecretEntry>,
    /// The environment's revision that they are of.
    pub revision: i64,
    /// Keys of a past revision whose values were destroyed since; absent if there is none.
    pub destroyed: Option<Vec<String>>,
    /// Where this page lies, when a page was asked for.
    pub pagination: Option<Pagination>,
}

impl SecretList {
    /// The list as it is answered.
    ///
    /// # Errors
    /// [`domain::kernel::Error::Internal`].
    pub fn ready(listing: &Listing<Arc<Opened>>) -> Result<ReadyJson<Self>> {
        let pagination = listing.is_paged.then(|| pagination(&listing.page, None));
        let content = SecretListText {
            revision: listing.revision,
            destroyed: listing.destroyed.as_slice(),
            pagination: pagination.and_then(|pagination| pagination.to_json()),
        };
        let entries = listing.page.data.iter().map(|opened| SecretEntryText::written(opened));
        ReadyJson::write_list("data", entries.collect::<Result<Vec<_>>>()?, &content)
    }
}

/// What an entry takes beside its texts, bytes, roughly.
const ENTRY_ROOM: usize = 128;

/// [`SecretList`] but for the secrets, borrowed.
#[derive(Serialize)]
struct SecretListText<'a> {
    revision: i64,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    destroyed: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    pagination: Option<serde_json::Value>,
}

/// [`SecretEntry`], borrowed.
#[derive(Serialize)]
struct SecretEntryText<'a> {
    key: &'a str,
    value: &'a str,
    version: i64,
    comment: &'a str,
    updated_at: Timestamp,
}

impl<'a> SecretEntryText<'a> {
    fn of(opened: &'a Opened) -> Self {
        let Opened {
            id: _,
            key,
            value,
            comment,
            version,
            created_at: _,
            updated_at,
            entry: _,
        } = opened;
        Self {
            key,
            value: value.expose(),
            version: *version,
            comment: comment.expose(),
            updated_at: *updated_at,
        }
    }

    /// A secret's entry as JSON, which is written once however often the secret is answered.
    fn written(opened: &'a Opened) -> Result<&'a [u8]> {
        opened.entry.or_make(|| {
            let content = Self::of(opened);
            // Enough at once: a text that grew would leave pieces of the secret in freed memory.
            let texts = content.key.len() + json_len(content.value) + json_len(content.comment);
            ready_json::bytes(&content, texts + ENTRY_ROOM)
        })
    }
}

/// A key, without its value.
#[derive(Clone, Debug, Object)]
pub struct KeyEntry {
    /// The key.
    pub key: String,
    /// Number of its current version.
    pub version: i64,
    /// When it last changed.
    pub updated_at: Time,
}

/// The keys of an environment.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct KeyList {
    /// The keys, sorted.
    pub data: Vec<KeyEntry>,
    /// The environment's revision that they are of.
    pub revision: i64,
    /// Where this page lies, when a page was asked for.
    pub pagination: Option<Pagination>,
}

impl From<Listing<KeyInfo>> for KeyList {
    fn from(listing: Listing<KeyInfo>) -> Self {
        let pagination = listing.is_paged.then(|| pagination(&listing.page, None));
        let entry = |info: KeyInfo| {
            let KeyInfo {
                key,
                version,
                updated_at,
            } = info;
            KeyEntry {
                key,
                version,
                updated_at: updated_at.into(),
            }
        };
        Self {
            data: listing.page.data.into_iter().map(entry).collect(),
            revision: listing.revision,
            pagination,
        }
    }
}

/// A secret that was deleted.
#[derive(Clone, Debug, Object)]
pub struct DeletedSecret {
    /// The key.
    pub key: String,
    /// Number of its last version.
    pub version: i64,
    /// The environment's revision.
    pub revision: i64,
}

impl From<Written> for DeletedSecret {
    fn from(written: Written) -> Self {
        let Written { secret, revision } = written;
        Self {
            key: secret.key,
            version: secret.version,
            revision,
        }
    }
}

/// Who wrote a version.
#[derive(Clone, Debug, Object)]
pub struct Author {
    /// `user`, `service_account` or `system`.
    #[oai(rename = "type")]
    pub kind: String,
    /// Id of the account or service account.
    pub id: String,
}

/// A version of a secret, without its value.
#[derive(Clone, Debug, Object)]
pub struct SecretVersion {
    /// Number of the version, from 1.
    pub version: i64,
    /// When it was written.
    pub created_at: Time,
    /// Who wrote it.
    pub created_by: Author,
    /// Whether its value is gone for good.
    pub destroyed: bool,
}

impl From<VersionInfo> for SecretVersion {
    fn from(info: VersionInfo) -> Self {
        let VersionInfo {
            version,
            created_at,
            created_by_type,
            created_by_id,
            destroyed,
        } = info;
        let id = match created_by_type.as_str() {
            "service_account" => ServiceAccountId(created_by_id).to_string(),
            _ => UserId(created_by_id).to_string(),
        };
        Self {
            version,
            created_at: created_at.into(),
            created_by: Author {
                kind: created_by_type,
                id,
            },
            destroyed,
        }
    }
}

//! Reading an environment: all of its secrets, or its keys.

use std::collections::BTreeSet;
use std::sync::Arc;

use sea_orm::{FromQueryResult, Value};

use super::past::{self, Moment, PastSecret};
use super::place::EnvPlace;
use super::read::{Opened, Rendered, open_with};
use super::warm::WarmReads;
use crate::access::grant::{Permitted, SecretsList, SecretsRead};
use crate::access::{Caller, EnvAccess};
use crate::crypto::envelope::{self, SecretField};
use crate::crypto::key_store::KeyStore;
use crate::journal::{Action, Entry, ReadEntry, Target};
use crate::kernel::id::SecretId;
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Error, Problem, Reads, Result, Secret, Timestamp};

/// Secrets of one page at most, when a page is asked for. Source: design of the API, lists.
pub const MAX_PAGE: u64 = 500;

/// Which secrets of an environment are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Selection {
    /// `None` = all of them.
    pub page: Option<PageRequest>,
    /// Keys that begin with this, case and all.
    pub prefix: Option<String>,
    /// As it was when.
    pub moment: Moment,
}

impl Selection {
    /// Checks what the caller sent.
    ///
    /// # Errors
    /// `invalid_field`.
    pub fn new(limit: Option<i64>, offset: Option<i64>, search: Option<String>, moment: Moment) -> Result<Self> {
        let page = match (limit, offset) {
            (None, None) => None,
            (limit, offset) => Some(PageRequest::new(limit.or(Some(100)), offset, MAX_PAGE)?),
        };
        Ok(Self {
            page,
            prefix: search.filter(|prefix| !prefix.is_empty()),
            moment,
        })
    }
}

/// An environment's secrets at one revision.
pub struct Listing<T> {
    pub revision: i64,
    /// The whole, or a page of it.
    pub page: Page<T>,
    pub is_paged: bool,
    /// Keys of the past whose values were destroyed since; they are not on the page.
    pub destroyed: Vec<String>,
}

/// A key without its value.
#[derive(Clone, Debug)]
pub struct KeyInfo {
    pub key: String,
    pub version: i64,
    pub updated_at: Timestamp,
}

#[derive(FromQueryResult)]
struct Row {
    revision: i64,
    id: Option<SecretId>,
    key: Option<String>,
    version: Option<i64>,
    created_at: Option<Timestamp>,
    updated_at: Option<Timestamp>,
    sealed_value: Option<Vec<u8>>,
    sealed_comment: Option<Vec<u8>>,
}

/// A live secret, sealed.
struct Sealed {
    id: SecretId,
    key: String,
    version: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
    value: Option<Vec<u8>>,
    comment: Option<Vec<u8>>,
}

impl Row {
    /// `None` for the row that stands for an empty environment.
    fn sealed(self) -> Option<Sealed> {
        let Self {
            revision: _,
            id,
            key,
            version,
            created_at,
            updated_at,
            sealed_value,
            sealed_comment,
        } = self;
        Some(Sealed {
            id: id?,
            key: key?,
            version: version?,
            created_at: created_at?,
            updated_at: updated_at?,
            value: sealed_value,
            comment: sealed_comment,
        })
    }
}

/// The revision that is meant, and those of its secrets that the caller may see.
async fn rows<A: Permitted>(
    from: &impl Reads,
    access: &EnvAccess<A>,
    selection: &Selection,
    texts: bool,
) -> Result<(i64, Vec<Sealed>)> {
    let (revision, mut rows) = match past::number(from, access.env.id, &selection.moment, "revision").await? {
        None => rows_now(from, access, selection, texts).await?,
        Some(revision) => (revision, rows_of(from, access, selection, revision).await?),
    };
    let is_allowed = access.allowed_keys();
    rows.retain(|row| is_allowed(&row.key));
    Ok((revision, rows))
}

/// The secrets of a revision of the past.
async fn rows_of<A: Permitted>(
    from: &impl Reads,
    access: &EnvAccess<A>,
    selection: &Selection,
    revision: i64,
) -> Result<Vec<Sealed>> {
    let secrets = past::secrets(from, access.env.id, revision).await?;
    let prefix = selection.prefix.as_deref().unwrap_or_default();
    let wanted = secrets.into_iter().filter(|secret| secret.key.starts_with(prefix));
    Ok(wanted.map(Sealed::from).collect())
}

impl From<PastSecret> for Sealed {
    fn from(secret: PastSecret) -> Self {
        let PastSecret {
            id,
            key,
            version,
            created_at,
            updated_at,
            fingerprint: _,
            sealed_value,
            sealed_comment,
        } = secret;
        Self {
            id,
            key,
            version,
            created_at,
            updated_at,
            value: sealed_value,
            comment: sealed_comment,
        }
    }
}

/// Revision and rows of the present in one statement, so that they belong together.
async fn rows_now<A: Permitted>(
    from: &impl Reads,
    access: &EnvAccess<A>,
    selection: &Selection,
    texts: bool,
) -> Result<(i64, Vec<Sealed>)> {
    let mut values: Vec<Value> = vec![access.env.id.into()];
    let mut prefix_clause = "";
    if let Some(prefix) = &selection.prefix {
        // `~` sorts behind every letter that a key can have.
        values.push(prefix.as_str().into());
        values.push(format!("{prefix}~").into());
        prefix_clause = " AND s.key >= $2 AND s.key < $3";
    }
    let (columns, join) = if texts {
        (
            "v.created_at AS updated_at, v.sealed_value, v.sealed_comment",
            " LEFT JOIN secret_versions v ON v.secret_id = s.id AND v.version = s.version",
        )
    } else {
        ("s.updated_at, NULL AS sealed_value, NULL AS sealed_comment", "")
    };
    let sql = format!(
        "SELECT e.revision, s.id, s.key, s.version, s.created_at, {columns}
         FROM environments e LEFT JOIN secrets s ON s.environment_id = e.id AND s.deleted_at IS NULL{prefix_clause}{join}
         WHERE e.id = $1 ORDER BY s.key"
    );
    let rows = Row::find_by_statement(from.sql(&sql, values)).all(from.conn()).await?;
    let revision = rows.first().ok_or_else(Problem::not_found)?.revision;
    Ok((revision, rows.into_iter().filter_map(Row::sealed).collect()))
}

fn paged<T>(all: Vec<T>, selection: &Selection) -> Page<T> {
    let everything = PageRequest {
        limit: (all.len() as u64).max(1),
        offset: 0,
    };
    Page::of(all, selection.page.unwrap_or(everything))
}

/// The keys that the caller may know of, sorted.
///
/// # Errors
/// [`Error::Db`].
pub async fn keys(
    from: &impl Reads,
    access: &EnvAccess<SecretsList>,
    selection: &Selection,
) -> Result<Listing<KeyInfo>> {
    let (revision, rows) = rows(from, access, selection, false).await?;
    let page = paged(rows, selection).map(|row| KeyInfo {
        key: row.key,
        version: row.version,
        updated_at: row.updated_at,
    });
    Ok(Listing {
        revision,
        page,
        is_paged: selection.page.is_some(),
        destroyed: Vec::new(),
    })
}

/// The secrets that the caller may read, opened, sorted by key.
///
/// # Errors
/// [`Error::Internal`] when one of them does not open: then none is returned.
pub async fn secrets(
    from: &impl Reads,
    store: &KeyStore,
    warm: &WarmReads,
    access: &EnvAccess<SecretsRead>,
    selection: &Selection,
) -> Result<Listing<Arc<Opened>>> {
    if warm.is_on() && selection.moment == Moment::Now {
        if let Some(all) = warm.at(access.env.id, access.env.revision) {
            return Ok(chosen(&all, access.env.revision, access, selection));
        }
        let (revision, rows) = rows_now(from, access, &Selection::default(), true).await?;
        // What does not open is left to the read of exactly what was asked for: a single bad row of somebody else's
        // must not keep the others from being read.
        if let Ok(opened) = open_all(from, store, access, rows).await {
            let all: Arc<[Arc<Opened>]> = opened.into_iter().map(Arc::new).collect();
            warm.keep(access.env.id, revision, &all);
            return Ok(chosen(&all, revision, access, selection));
        }
    }
    let (revision, rows) = rows(from, access, selection, true).await?;
    // Of the present every value is there: one that is missing is a fault, and found as such below.
    let (rows, destroyed): (Vec<_>, Vec<_>) = match selection.moment {
        Moment::Now => (rows, Vec::new()),
        Moment::Revision(_) | Moment::Pin(_) | Moment::At(_) => rows.into_iter().partition(|row| row.value.is_some()),
    };
    let Page { data, request, total } = paged(rows, selection);
    let opened = open_all(from, store, access, data).await?;
    Ok(Listing {
        revision,
        page: Page {
            data: opened.into_iter().map(Arc::new).collect(),
            request,
            total,
        },
        is_paged: selection.page.is_some(),
        destroyed: destroyed.into_iter().map(|row| row.key).collect(),
    })
}

/// What a caller asked for and may read of an environment's opened secrets.
fn chosen(
    all: &[Arc<Opened>],
    revision: i64,
    access: &EnvAccess<SecretsRead>,
    selection: &Selection,
) -> Listing<Arc<Opened>> {
    let prefix = selection.prefix.as_deref().unwrap_or_default();
    let is_allowed = access.allowed_keys();
    let wanted = |opened: &&Arc<Opened>| opened.key.starts_with(prefix) && is_allowed(&opened.key);
    Listing {
        revision,
        page: paged(all.iter().filter(wanted).cloned().collect(), selection),
        is_paged: selection.page.is_some(),
        destroyed: Vec::new(),
    }
}

async fn open_all(
    from: &impl Reads,
    store: &KeyStore,
    access: &EnvAccess<SecretsRead>,
    rows: Vec<Sealed>,
) -> Result<Vec<Opened>> {
    let mut opener = Opener {
        store,
        place: access.into(),
        key: None,
    };
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        all.push(opener.open(from, row).await?);
    }
    Ok(all)
}

/// Every key that a caller may read, at the current revision, sorted, with the values of those that were wanted.
pub struct Values {
    pub revision: i64,
    pub keys: Vec<(String, Option<Secret<String>>)>,
}

/// Opens the values of some keys, and tells of the others that they are there.
///
/// # Errors
/// [`Error::Internal`] when one of them does not open: then none is returned.
pub async fn values(
    from: &impl Reads,
    store: &KeyStore,
    access: &EnvAccess<SecretsRead>,
    wanted: &BTreeSet<&str>,
) -> Result<Values> {
    let (revision, rows) = rows(from, access, &Selection::default(), true).await?;
    let mut opener = Opener {
        store,
        place: access.into(),
        key: None,
    };
    let mut keys = Vec::with_capacity(rows.len());
    for row in rows {
        let mut value = None;
        if wanted.contains(row.key.as_str()) {
            let sealed = row.value.ok_or_else(no_value)?;
            let text = opener.text(from, &sealed, row.id, row.version, SecretField::Value);
            value = Some(text.await?);
        }
        keys.push((row.key, value));
    }
    Ok(Values { revision, keys })
}

fn no_value() -> Error {
    Error::internal("a live secret whose current version was destroyed")
}

/// Opens row after row; rows of one key, which is nearly all of them, look it up once.
struct Opener<'a> {
    store: &'a KeyStore,
    place: EnvPlace,
    key: Option<Arc<envelope::DataKey>>,
}

impl Opener<'_> {
    async fn open(&mut self, from: &impl Reads, row: Sealed) -> Result<Opened> {
        let Sealed {
            id,
            key,
            version,
            created_at,
            updated_at,
            value,
            comment,
        } = row;
        let value = value.ok_or_else(no_value)?;
        let value = self.text(from, &value, id, version, SecretField::Value).await?;
        let comment = match comment {
            Some(blob) => self.text(from, &blob, id, version, SecretField::Comment).await?,
            None => Secret::new(String::new()),
        };
        Ok(Opened {
            id,
            key,
            value,
            comment,
            version,
            created_at,
            updated_at,
            entry: Rendered::default(),
        })
    }

    async fn text(
        &mut self,
        from: &impl Reads,
        blob: &[u8],
        id: SecretId,
        version: i64,
        field: SecretField,
    ) -> Result<Secret<String>> {
        let aad = self.place.aad(id, version, field);
        let fits = self
            .key
            .as_ref()
            .filter(|key| envelope::key_id_of(blob) == Some(key.id()));
        let key = match fits {
            Some(key) => key,
            None => self.key.insert(self.store.of_blob(from, blob).await?),
        };
        open_with(key, blob, &aad)
    }
}

/// The event of an environment's being read.
pub fn event(caller: &Caller, access: &EnvAccess<SecretsRead>, listing: &Listing<Arc<Opened>>) -> ReadEntry {
    let entry = Entry::in_org(access.org.id, Action::SecretRead, Target::Environment(access.env.id))
        .project(access.project.id)
        .environment(access.env.id, listing.revision)
        .with("count", listing.page.data.len() as u64);
    ReadEntry {
        origin: caller.origin.clone(),
        entry,
    }
}

//! Environments as they were. At revision N a secret has the key that it got last at or before N, unless that was none, and the
//! newest of the versions that were stored until then.

use sea_orm::FromQueryResult;

use super::place::EnvPlace;
use super::read::SealedTexts;
use crate::crypto::key_store::KeyStore;
use crate::kernel::id::{EnvId, SecretId};
use crate::kernel::{Error, Problem, Reads, Result, Timestamp};

/// Which revision is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Moment {
    /// As it is now.
    #[default]
    Now,
    Revision(i64),
    /// A pin by name.
    Pin(String),
    /// As it was at an instant.
    At(Timestamp),
}

impl Moment {
    /// From what a caller sends: a number or the name of a pin, or an instant, or neither.
    ///
    /// # Errors
    /// `invalid_field` when both are given.
    pub fn new(revision: Option<&str>, at: Option<Timestamp>) -> Result<Self> {
        match (revision, at) {
            (None, None) => Ok(Self::Now),
            (None, Some(at)) => Ok(Self::At(at)),
            (Some(revision), None) => Ok(Self::named(revision)),
            (Some(_), Some(_)) => {
                Err(Problem::field("at", "conflict", "cannot be given together with `revision`").into())
            }
        }
    }

    /// A number, or else the name of a pin.
    pub fn named(revision: &str) -> Self {
        match revision.parse() {
            Ok(number) => Self::Revision(number),
            Err(_) => Self::Pin(revision.to_owned()),
        }
    }
}

#[derive(FromQueryResult)]
struct Number {
    revision: i64,
}

/// The number of the revision that is meant, `None` for now. `field` is named when there is none.
///
/// # Errors
/// `invalid_field`.
pub(super) async fn number(from: &impl Reads, env: EnvId, moment: &Moment, field: &'static str) -> Result<Option<i64>> {
    let sql = match moment {
        Moment::Now => return Ok(None),
        Moment::Revision(_) => "SELECT $2 AS revision FROM environments WHERE id = $1 AND revision >= $2 AND $2 >= 0",
        Moment::Pin(_) => "SELECT revision FROM revision_pins WHERE environment_id = $1 AND name = $2",
        Moment::At(_) => {
            "SELECT COALESCE(MAX(revision), 0) AS revision FROM environment_revisions
             WHERE environment_id = $1 AND created_at <= $2"
        }
    };
    let value = match moment {
        Moment::Now => return Ok(None),
        Moment::Revision(number) => (*number).into(),
        Moment::Pin(name) => name.as_str().into(),
        Moment::At(at) => (*at).into(),
    };
    let found = Number::find_by_statement(from.sql(sql, [env.into(), value]))
        .one(from.conn())
        .await?;
    Ok(Some(found.ok_or_else(|| unknown(field))?.revision))
}

pub(super) fn unknown(field: &'static str) -> Error {
    let message = "is no revision of this environment, nor the name of a pin";
    Problem::field(field, "unknown", message).into()
}

/// A secret as it was.
#[derive(Clone, FromQueryResult)]
pub(super) struct PastSecret {
    pub(super) id: SecretId,
    pub(super) key: String,
    pub(super) version: i64,
    pub(super) created_at: Timestamp,
    /// When that version was written.
    pub(super) updated_at: Timestamp,
    pub(super) fingerprint: Vec<u8>,
    /// `None` when it was destroyed since.
    pub(super) sealed_value: Option<Vec<u8>>,
    pub(super) sealed_comment: Option<Vec<u8>>,
}

/// The secrets of an environment at a revision, sorted by key.
pub(super) async fn secrets(from: &impl Reads, env: EnvId, revision: i64) -> Result<Vec<PastSecret>> {
    // Versions and the revisions that stored them grow together: which one was the newest then is found by halving, in as many
    // looks as its number has bits, be there ever so many. Mostly it is the newest still.
    let sql = "SELECT s.id, k.key, v.version, s.created_at, v.created_at AS updated_at, v.fingerprint, v.sealed_value,
            v.sealed_comment
        FROM secrets s
        JOIN secret_versions n ON n.secret_id = s.id AND n.version = s.version
        JOIN secret_keys k ON k.secret_id = s.id AND k.revision = (SELECT x.revision FROM secret_keys x
            WHERE x.secret_id = s.id AND x.revision <= $2 ORDER BY x.revision DESC LIMIT 1)
        JOIN secret_versions v ON v.secret_id = s.id AND v.version = CASE WHEN n.revision <= $2 THEN s.version ELSE (
            WITH RECURSIVE halves(low, high) AS (
                SELECT CAST(0 AS bigint), s.version - 1
                UNION ALL
                SELECT CASE WHEN x.revision <= $2 THEN x.version ELSE h.low END,
                       CASE WHEN x.revision <= $2 THEN h.high ELSE x.version - 1 END
                FROM halves h JOIN secret_versions x ON x.secret_id = s.id AND x.version = (h.low + h.high + 1) / 2
                WHERE h.low < h.high)
            SELECT MAX(low) FROM halves) END
        WHERE s.environment_id = $1 AND k.key IS NOT NULL";
    let mut rows = PastSecret::find_by_statement(from.sql(sql, [env.into(), revision.into()]))
        .all(from.conn())
        .await?;
    rows.sort_by(|left, right| left.key.cmp(&right.key));
    Ok(rows)
}

impl PastSecret {
    /// Its texts, to be stored again; `None` when they were destroyed.
    pub(super) async fn texts(
        &self,
        from: &impl Reads,
        keys: &KeyStore,
        place: &EnvPlace,
    ) -> Result<Option<super::editor::NewValue>> {
        let sealed = SealedTexts {
            secret: self.id,
            version: self.version,
            value: self.sealed_value.as_deref(),
            comment: self.sealed_comment.as_deref(),
        };
        sealed.open(from, keys, place).await
    }
}

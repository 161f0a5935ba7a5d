//! What whoever watches an environment is told: its revisions and the keys that they changed, never a value.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use sea_orm::{FromQueryResult, Value};

use super::change_set::{self, Line, MAX_KEYS};
use super::editor::Outcome;
use crate::access::grant::SecretsList;
use crate::access::{self, Caller, EnvAccess};
use crate::auth::authenticate;
use crate::kernel::id::EnvId;
use crate::kernel::lists::{id_param, is_one_of};
use crate::kernel::{Db, Problem, Reads, Result, Timestamp};

/// Revisions that are told one by one, with as many keys as one may change; who is farther behind reads the whole environment.
const MAX_REVISIONS: i64 = 1_000;
/// Longest stream, seconds. It is not endless, so that watchers spread anew over the processes that there are.
const MAX_WAIT: u64 = 3_600;

/// How long a stream stays open; the longest there is unless the caller says how many seconds.
///
/// # Errors
/// `invalid_field` naming `wait`.
pub fn wait(seconds: Option<i64>) -> Result<Duration> {
    let seconds = match seconds {
        None => MAX_WAIT,
        Some(seconds) => u64::try_from(seconds)
            .ok()
            .filter(|seconds| *seconds <= MAX_WAIT)
            .ok_or_else(|| Problem::field("wait", "range", format!("must be between 0 and {MAX_WAIT}")))?,
    };
    Ok(Duration::from_secs(seconds))
}

/// What a revision did to one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedKey {
    pub key: String,
    pub outcome: Outcome,
    /// Its version afterwards; of a deleted one the last.
    pub version: i64,
}

/// One revision, as far as the caller may know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub revision: i64,
    /// The journal's name for what made it: `secret.bulk_set`.
    pub action: String,
    pub at: Timestamp,
    /// Sorted by key. A renamed secret is there under both of its keys: deleted under the old one.
    pub keys: Vec<WatchedKey>,
}

/// What has happened in an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Oldest first; revisions that changed no key of the caller's are left out.
    Changes(Vec<Change>),
    /// It is too much to tell, or what the caller knows is none of this environment's past: read all of it.
    Reset,
}

/// The way back to an environment: by ids, so that a slug that another environment takes over leads nobody there.
#[derive(Clone, Debug)]
pub struct WatchPlace {
    org: String,
    project: String,
    env: String,
}

impl From<&EnvAccess<SecretsList>> for WatchPlace {
    fn from(access: &EnvAccess<SecretsList>) -> Self {
        Self {
            org: access.org.id.to_string(),
            project: access.project.id.to_string(),
            env: access.env.id.to_string(),
        }
    }
}

/// Asks anew whether the credential is good and the environment the caller's to watch, then tells what has happened
/// after one revision, up to another.
///
/// `until` must have been read before this is called. Then nothing is told that happened after the caller was sent
/// away: whatever is told was there before the caller was asked about.
///
/// # Errors
/// `unauthenticated`, `not_found`, `forbidden` or its kin for who may not watch any more.
pub async fn look(db: &Db, known: &Caller, place: &WatchPlace, after: i64, until: i64) -> Result<News> {
    let caller = authenticate::again(db, known).await?;
    let WatchPlace { org, project, env } = place;
    let access = access::env::<SecretsList>(db, &caller, org, project, env).await?;
    since(db, &access, after, until).await
}

#[derive(FromQueryResult)]
struct Row {
    revision: i64,
    action: String,
    created_at: Timestamp,
    change_set: Option<String>,
}

async fn since(from: &impl Reads, access: &EnvAccess<SecretsList>, after: i64, until: i64) -> Result<News> {
    if after == until {
        return Ok(News::Changes(Vec::new()));
    }
    // Revisions have no gaps.
    if !(0..=MAX_REVISIONS).contains(&until.saturating_sub(after)) {
        return Ok(News::Reset);
    }
    let sql = "SELECT revision, action, created_at, change_set FROM environment_revisions
        WHERE environment_id = $1 AND revision > $2 AND revision <= $3
          AND (SELECT SUM(changes) FROM environment_revisions
               WHERE environment_id = $1 AND revision > $2 AND revision <= $3) <= $4
        ORDER BY revision";
    let most = i64::try_from(MAX_KEYS).unwrap_or(i64::MAX);
    let values: [Value; 4] = [access.env.id.into(), after.into(), until.into(), most.into()];
    let rows = Row::find_by_statement(from.sql(sql, values)).all(from.conn()).await?;
    if rows.is_empty() {
        return Ok(News::Reset);
    }
    let mut changes = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(text) = &row.change_set else {
            return Ok(News::Reset);
        };
        let keys = keys(change_set::parse(text)?, |key| access.allows_key(key));
        if !keys.is_empty() {
            changes.push(Change {
                revision: row.revision,
                action: row.action,
                at: row.created_at,
                keys,
            });
        }
    }
    Ok(News::Changes(changes))
}

/// What a change set tells of the keys that the caller may know of, sorted by key.
fn keys(lines: Vec<Line>, allows: impl Fn(&str) -> bool) -> Vec<WatchedKey> {
    let mut keys = Vec::with_capacity(lines.len());
    let mut given_up = Vec::new();
    let mut live = BTreeSet::new();
    for Line {
        key,
        outcome,
        version,
        was,
    } in lines
    {
        if outcome != Outcome::Deleted {
            live.insert(key.clone());
        }
        given_up.extend(was.map(|key| (key, version)));
        keys.push(WatchedKey { key, outcome, version });
    }
    // A key that one secret gave up may be another's now.
    let gone = given_up.into_iter().filter(|(key, _)| !live.contains(key));
    keys.extend(gone.map(|(key, version)| WatchedKey {
        key,
        outcome: Outcome::Deleted,
        version,
    }));
    keys.retain(|changed| allows(&changed.key));
    keys.sort_by(|left, right| left.key.cmp(&right.key));
    keys
}

#[derive(FromQueryResult)]
struct Newest {
    id: EnvId,
    revision: i64,
}

/// The newest revisions of some environments, in one statement. Those that are gone are left out.
pub(super) async fn newest(from: &impl Reads, envs: &[EnvId]) -> Result<HashMap<EnvId, i64>> {
    let is_one = is_one_of(from.backend(), "id", "$1");
    let sql = format!("SELECT id, revision FROM environments WHERE deleted_at IS NULL AND {is_one}");
    let ids = id_param(envs.iter().map(|env| env.0));
    let rows = Newest::find_by_statement(from.sql(&sql, [ids]))
        .all(from.conn())
        .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.revision)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(outcome: Outcome, key: &str, was: Option<&str>) -> Line {
        Line {
            key: key.to_owned(),
            outcome,
            version: 3,
            was: was.map(str::to_owned),
        }
    }

    /// Keys with what is told of them, by who may know of keys that begin with a letter.
    fn told(lines: Vec<Line>, letter: &str) -> Vec<(String, Outcome)> {
        let keys = keys(lines, |key| key.starts_with(letter));
        keys.into_iter().map(|changed| (changed.key, changed.outcome)).collect()
    }

    #[test]
    fn a_renamed_secret_is_told_of_under_both_keys_to_whom_they_are() {
        let renamed = || vec![line(Outcome::Renamed, "B", Some("A"))];
        let (old, new) = (("A".to_owned(), Outcome::Deleted), ("B".to_owned(), Outcome::Renamed));
        assert_eq!(told(renamed(), ""), [old.clone(), new.clone()]);
        assert_eq!(told(renamed(), "A"), [old]);
        assert_eq!(told(renamed(), "B"), [new]);
        assert_eq!(keys(renamed(), |_| false), []);
    }

    #[test]
    fn a_key_that_goes_from_one_secret_to_another_is_not_gone() {
        let traded = vec![
            line(Outcome::Renamed, "B", Some("A")),
            line(Outcome::Renamed, "A", Some("B")),
            line(Outcome::Deleted, "C", None),
        ];
        let renamed = |key: &str| (key.to_owned(), Outcome::Renamed);
        assert_eq!(
            told(traded, ""),
            [renamed("A"), renamed("B"), ("C".to_owned(), Outcome::Deleted)]
        );
    }

    #[test]
    fn a_stream_is_open_for_an_hour_at_most() {
        assert_eq!(wait(None).unwrap(), Duration::from_hours(1));
        assert_eq!(wait(Some(0)).unwrap(), Duration::ZERO);
        assert_eq!(wait(Some(3_600)).unwrap(), Duration::from_hours(1));
        for bad in [-1, 3_601, i64::MIN, i64::MAX] {
            assert!(wait(Some(bad)).is_err(), "{bad}");
        }
    }
}

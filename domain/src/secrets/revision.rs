//! The history of an environment: its revisions, names for some of them, what differs, and going back.

use std::collections::BTreeMap;

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};
use serde_json::{Map, json};

use super::current::{self, Current};
use super::editor::Editor;
use super::entity::{pin, revision};
use super::past::{self, Moment, PastSecret};
use crate::access::grant::{SecretsDelete, SecretsList, SecretsRead, SecretsWrite};
use crate::access::{Caller, EnvAccess};
use crate::crypto::fingerprint;
use crate::crypto::key_store::KeyStore;
use crate::journal::{self, Action, Target};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Problem, ProblemCode, Reads, Result, WriteTx};

/// A revision, with the names that it was given.
#[derive(Clone, Debug)]
pub struct Revision {
    pub row: revision::Model,
    pub pins: Vec<String>,
}

/// Revisions of an environment, newest first.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn list(from: &impl Reads, access: &EnvAccess<SecretsList>, page: PageRequest) -> Result<Page<Revision>> {
    let query = revision::Entity::find().filter(revision::Column::EnvironmentId.eq(access.env.id));
    let total = query.clone().count(from.conn()).await?;
    let newest = query.order_by_desc(revision::Column::Revision);
    let rows = newest.offset(page.offset).limit(page.limit).all(from.conn()).await?;
    let numbers: Vec<i64> = rows.iter().map(|row| row.revision).collect();
    let pins = pin::Entity::find()
        .filter(pin::Column::EnvironmentId.eq(access.env.id))
        .filter(pin::Column::Revision.is_in(numbers))
        .order_by_asc(pin::Column::Name)
        .all(from.conn())
        .await?;
    let mut names: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for pin in pins {
        names.entry(pin.revision).or_default().push(pin.name);
    }
    let data = rows.into_iter().map(|row| Revision {
        pins: names.remove(&row.revision).unwrap_or_default(),
        row,
    });
    Ok(Page {
        data: data.collect(),
        request: page,
        total,
    })
}

/// Names a revision; a name that is there already moves.
///
/// # Errors
/// `invalid_field` for a name that is no slug or only digits, and for a revision that is not there.
pub async fn put_pin(
    tx: &WriteTx,
    caller: &Caller,
    access: &EnvAccess<SecretsWrite>,
    name: &str,
    at: Option<i64>,
) -> Result<pin::Model> {
    let name = crate::kernel::text::slug("name", name)?;
    if name.bytes().all(|letter| letter.is_ascii_digit()) {
        return Err(Problem::field("name", "format", "must not be a number: it would look like a revision").into());
    }
    let moment = at.map_or(Moment::Now, Moment::Revision);
    let number = past::number(tx, access.env.id, &moment, "revision").await?;
    let number = number.unwrap_or(access.env.revision);
    let row = pin::ActiveModel {
        environment_id: Set(access.env.id),
        name: Set(name),
        revision: Set(number),
        created_at: Set(tx.now()),
    };
    let moved = sea_orm::sea_query::OnConflict::columns([pin::Column::EnvironmentId, pin::Column::Name])
        .update_columns([pin::Column::Revision, pin::Column::CreatedAt])
        .to_owned();
    let row = pin::Entity::insert(row)
        .on_conflict(moved)
        .exec_with_returning(tx.conn())
        .await?;
    let place = super::place::EnvPlace::from(access);
    let entry = place.entry(Action::RevisionPinned, Target::Environment(place.env), number);
    journal::record(tx, &caller.origin, entry.with("name", row.name.clone())).await?;
    Ok(row)
}

/// Takes a name away.
///
/// # Errors
/// `not_found`.
pub async fn delete_pin(tx: &WriteTx, caller: &Caller, access: &EnvAccess<SecretsWrite>, name: &str) -> Result<()> {
    let sql = "DELETE FROM revision_pins WHERE environment_id = $1 AND name = $2";
    let gone = tx
        .conn()
        .execute_raw(tx.sql(sql, [access.env.id.into(), name.into()]))
        .await?;
    if gone.rows_affected() == 0 {
        return Err(Problem::not_found().into());
    }
    let place = super::place::EnvPlace::from(access);
    let entry = place.entry(
        Action::RevisionUnpinned,
        Target::Environment(place.env),
        access.env.revision,
    );
    journal::record(tx, &caller.origin, entry.with("name", name)).await?;
    Ok(())
}

/// How a key differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    Added,
    Changed,
    Removed,
    Same,
}

impl Difference {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Same => "same",
        }
    }
}

/// One key of a comparison. Values are compared by keyed fingerprint and never shown.
#[derive(Clone, Debug)]
pub struct KeyDifference {
    pub key: String,
    pub difference: Difference,
    pub from_version: Option<i64>,
    pub to_version: Option<i64>,
}

/// One side of a comparison. Who compares could guess values, so both sides must be the caller's to read.
pub struct DiffSide<'a> {
    pub access: &'a EnvAccess<SecretsRead>,
    pub moment: Moment,
    /// The parameter that named it.
    pub field: &'static str,
}

/// What two states of a project's environments differ in.
#[derive(Clone, Debug)]
pub struct Comparison {
    pub from_revision: i64,
    pub to_revision: i64,
    /// Sorted by key; only what the caller may read on both sides.
    pub keys: Vec<KeyDifference>,
}

/// # Errors
/// `invalid_field` for a revision that is not there.
pub async fn diff(from: &impl Reads, old: DiffSide<'_>, new: DiffSide<'_>) -> Result<Comparison> {
    let (from_revision, old_state) = state(from, &old).await?;
    let (to_revision, mut new_state) = state(from, &new).await?;
    let mut keys = Vec::new();
    for (key, before) in old_state {
        let after = new_state.remove(&key);
        let difference = match &after {
            None => Difference::Removed,
            Some(after) if fingerprint::same(&before.fingerprint, &after.fingerprint) => Difference::Same,
            Some(_) => Difference::Changed,
        };
        keys.push(KeyDifference {
            key,
            difference,
            from_version: Some(before.version),
            to_version: after.map(|after| after.version),
        });
    }
    keys.extend(new_state.into_iter().map(|(key, after)| KeyDifference {
        key,
        difference: Difference::Added,
        from_version: None,
        to_version: Some(after.version),
    }));
    keys.retain(|entry| old.access.allows_key(&entry.key) && new.access.allows_key(&entry.key));
    keys.sort_by(|left, right| left.key.cmp(&right.key));
    Ok(Comparison {
        from_revision,
        to_revision,
        keys,
    })
}

async fn state(from: &impl Reads, side: &DiffSide<'_>) -> Result<(i64, BTreeMap<String, PastSecret>)> {
    let env = &side.access.env;
    let number = past::number(from, env.id, &side.moment, side.field).await?;
    let revision = number.unwrap_or(env.revision);
    let secrets = past::secrets(from, env.id, revision).await?;
    Ok((
        revision,
        secrets.into_iter().map(|secret| (secret.key.clone(), secret)).collect(),
    ))
}

/// Proofs that a caller may bring an environment back to how it was: it writes, and it deletes.
pub struct RollbackAccess<'a> {
    pub writes: &'a EnvAccess<SecretsWrite>,
    pub deletes: &'a EnvAccess<SecretsDelete>,
}

/// Brings a whole environment back to a revision, as a new revision.
///
/// # Errors
/// `invalid_field` for a revision that is not there; `forbidden` when a key to be changed is not the caller's;
/// `conflict` naming the keys whose values were destroyed since; `template_violation`.
pub async fn roll_back(
    tx: &WriteTx,
    keys: &KeyStore,
    caller: &Caller,
    access: RollbackAccess<'_>,
    moment: &Moment,
    dry_run: bool,
) -> Result<super::bulk::BulkResult> {
    let env = access.writes.env.id;
    let mut editor = Editor::open(tx, keys, caller, access.writes).await?;
    let number = match moment {
        Moment::Now => editor.base(),
        // The environment is counted up already: the revision that this change makes is none to go back to.
        Moment::Revision(number) if !(0..=editor.base()).contains(number) => return Err(past::unknown("revision")),
        Moment::Revision(number) => *number,
        Moment::Pin(_) | Moment::At(_) => past::number(tx, env, moment, "revision")
            .await?
            .unwrap_or(editor.base()),
    };
    let mut wanted: BTreeMap<_, _> = past::secrets(tx, env, number)
        .await?
        .into_iter()
        .map(|secret| (secret.id, secret))
        .collect();
    let (mut results, mut destroyed) = (Vec::new(), Vec::new());
    for current in current::all(tx, env).await? {
        match wanted.remove(&current.id) {
            None if current.is_live() => {
                require(access.deletes.allows_key(&current.key), "secrets:delete", &current.key)?;
                results.push(editor.delete(&current));
            }
            None => {}
            Some(past) if is_as_it_was(&current, &past) => {}
            Some(past) => {
                require(access.writes.allows_key(&past.key), "secrets:write", &past.key)?;
                require(access.writes.allows_key(&current.key), "secrets:write", &current.key)?;
                match bring_back(&mut editor, &current, &past).await? {
                    Some(step) => results.push(step),
                    None => destroyed.push(past.key),
                }
            }
        }
    }
    if !destroyed.is_empty() {
        let detail = "Values of that revision were destroyed since. Roll back single keys instead.";
        return Err(Problem::new(ProblemCode::Conflict, detail)
            .with("keys", json!(destroyed))
            .into());
    }
    let facts = Map::from_iter([("rolled_back_to".to_owned(), number.into())]);
    let is_written = !dry_run && !editor.is_empty();
    let mut results: Vec<_> = results.into_iter().map(super::bulk::result).collect();
    results.sort_by(|left, right| left.key.cmp(&right.key));
    let revision = if is_written {
        editor.finish_many(Action::EnvironmentRolledBack, facts).await?
    } else {
        super::bulk::note(&mut results, editor.faults().await?);
        editor.base()
    };
    Ok(super::bulk::BulkResult {
        revision,
        results,
        is_written,
    })
}

fn require(allowed: bool, permission: &str, key: &str) -> Result<()> {
    if allowed {
        return Ok(());
    }
    Err(Problem::forbidden(format!("This needs the permission `{permission}` for `{key}`.")).into())
}

fn is_as_it_was(current: &Current, past: &PastSecret) -> bool {
    current.is_live() && current.key == past.key && current.version == past.version
}

/// `None` when the value was destroyed.
async fn bring_back(
    editor: &mut Editor<'_>,
    current: &Current,
    past: &PastSecret,
) -> Result<Option<super::editor::Stepped>> {
    if current.version == past.version {
        if past.sealed_value.is_none() {
            return Ok(None);
        }
        return Ok(Some(if current.is_live() {
            editor.rename(current, &past.key)
        } else {
            editor.restore(current, &past.key)
        }));
    }
    let (tx, store) = (editor.tx, editor.store);
    let Some(old) = past.texts(tx, store, &editor.place).await? else {
        return Ok(None);
    };
    editor.put(Some(current), &past.key, old).await.map(Some)
}

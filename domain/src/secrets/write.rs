//! Changing one secret: store, change in part, rename, delete, bring back. All of it can fail with
//! `template_violation` too, where a protected environment is held to the template of its project.

use serde_json::Map;

use super::current::{self, Current};
use super::editor::{Editor, NewValue, Stepped};
use super::key::{check_key, check_key_named, check_texts};
use super::precondition::{Precondition, key_taken};
use super::read;
use crate::access::grant::{SecretsDelete, SecretsWrite};
use crate::access::{Caller, EnvAccess};
use crate::crypto::key_store::KeyStore;
use crate::kernel::{Error, Problem, ProblemCode, Result, Secret, WriteTx};

pub use super::editor::Outcome;

/// A secret after a write, and the environment's revision. It does not carry the value.
#[derive(Clone)]
pub struct Written {
    pub secret: Stepped,
    pub revision: i64,
}

impl Written {
    /// Whether the same was stored already, so that there is nothing to commit.
    pub fn is_unchanged(&self) -> bool {
        self.secret.outcome == Outcome::Unchanged
    }
}

/// A value to be stored under a key.
#[derive(Clone)]
pub struct Put {
    pub key: String,
    pub new: NewValue,
    pub precondition: Precondition,
}

impl Put {
    /// # Errors
    /// `invalid_field`.
    pub(super) fn check(&self) -> Result<()> {
        check_key(&self.key)?;
        let comment = self.new.comment.as_ref().map_or("", |comment| comment.expose());
        check_texts(self.new.value.expose(), comment)
    }

    /// Stores it in an open change.
    pub(super) async fn edit(self, editor: &mut Editor<'_>, current: Option<&Current>) -> Result<Stepped> {
        self.precondition.check(current.and_then(Current::live_version))?;
        editor.put(current, &self.key, self.new).await
    }
}

/// Writes the one step of an editor. A change that came to nothing has the revision of before, and must be rolled
/// back.
async fn finish(editor: Editor<'_>, secret: Stepped, facts: Map<String, serde_json::Value>) -> Result<Written> {
    if editor.is_empty() {
        return Ok(Written {
            revision: editor.base(),
            secret,
        });
    }
    let revision = editor.finish_one(facts).await?;
    Ok(Written { secret, revision })
}

/// Stores a value under a key, making the secret or giving it a new version.
///
/// # Errors
/// `invalid_field`; `version_mismatch` or `key_taken` when the precondition does not hold.
pub async fn put(
    tx: &WriteTx,
    keys: &KeyStore,
    caller: &Caller,
    access: &EnvAccess<SecretsWrite>,
    put: Put,
) -> Result<Written> {
    put.check()?;
    let mut editor = Editor::open(tx, keys, caller, access).await?;
    let current = current::of_key(tx, access.env.id, &put.key).await?;
    let secret = put.edit(&mut editor, current.as_ref()).await?;
    finish(editor, secret, Map::new()).await
}

/// Changes to a secret; absent fields stay.
#[derive(Clone, Default)]
pub struct SecretPatch {
    pub value: Option<Secret<String>>,
    pub comment: Option<Secret<String>>,
    /// Another key for it.
    pub key: Option<String>,
}

/// Changes value, comment or key of a secret. A rename alone makes no new version.
///
/// # Errors
/// `not_found`; `forbidden` when the new key is not the caller's to write; `key_taken`; `version_mismatch`.
pub async fn patch(
    tx: &WriteTx,
    keys: &KeyStore,
    caller: &Caller,
    access: &EnvAccess<SecretsWrite>,
    key: &str,
    patch: SecretPatch,
    precondition: Precondition,
) -> Result<Written> {
    let SecretPatch {
        value,
        comment,
        key: new_key,
    } = patch;
    check_texts(
        value.as_ref().map_or("", |value| value.expose()),
        comment.as_ref().map_or("", |comment| comment.expose()),
    )?;
    let new_key = new_key.filter(|new_key| new_key != key);
    if let Some(new_key) = &new_key {
        check_key(new_key)?;
        if !access.allows_key(new_key) {
            return Err(Problem::forbidden("This needs the permission `secrets:write` for the new key too.").into());
        }
    }
    let mut editor = Editor::open(tx, keys, caller, access).await?;
    if let Some(new_key) = new_key.as_deref().filter(|_| value.is_none())
        && editor.may_read(new_key)
        && !editor.may_read(key)
    {
        let detail = "You may read the new key and not the old one: give a value with it.";
        return Err(Problem::forbidden(detail).into());
    }
    let current = live(current::of_key(tx, access.env.id, key).await?)?;
    precondition.check(Some(current.version))?;
    let mut facts = Map::new();
    if let Some(new_key) = &new_key {
        let there = current::of_key(tx, access.env.id, new_key).await?;
        if there.is_some_and(|there| there.is_live()) {
            return Err(key_taken());
        }
        facts.insert("renamed_from".to_owned(), key.into());
    }
    let target = new_key.as_deref().unwrap_or(key);
    let secret = if value.is_none() && comment.is_none() && new_key.is_some() {
        let comment = editor.shown_comment(&current).await?;
        Stepped {
            comment,
            ..editor.rename(&current, target)
        }
    } else {
        let value = match value {
            Some(value) => value,
            None => read::value_of(tx, keys, &editor.place, current.id, current.version).await?,
        };
        editor.put(Some(&current), target, NewValue { value, comment }).await?
    };
    finish(editor, secret, facts).await
}

fn live(found: Option<Current>) -> Result<Current> {
    Ok(found.filter(Current::is_live).ok_or_else(Problem::not_found)?)
}

/// Deletes a secret. Its versions stay stored and can be brought back.
///
/// # Errors
/// `not_found`; `version_mismatch`.
pub async fn delete(
    tx: &WriteTx,
    keys: &KeyStore,
    caller: &Caller,
    access: &EnvAccess<SecretsDelete>,
    key: &str,
    precondition: Precondition,
) -> Result<Written> {
    let mut editor = Editor::open(tx, keys, caller, access).await?;
    let current = live(current::of_key(tx, access.env.id, key).await?)?;
    precondition.check(Some(current.version))?;
    let secret = editor.delete(&current);
    finish(editor, secret, Map::new()).await
}

/// Brings the secret back that was deleted last under a key, with its versions.
///
/// # Errors
/// `not_found` when none was deleted under the key; `key_taken` when there is one again; `conflict` when its newest
/// version was destroyed.
pub async fn restore(
    tx: &WriteTx,
    keys: &KeyStore,
    caller: &Caller,
    access: &EnvAccess<SecretsWrite>,
    key: &str,
) -> Result<Written> {
    let mut editor = Editor::open(tx, keys, caller, access).await?;
    let current = current::of_key(tx, access.env.id, key)
        .await?
        .ok_or_else(Problem::not_found)?;
    if current.is_live() {
        return Err(Problem::new(ProblemCode::KeyTaken, "The secret is not deleted.").into());
    }
    if current.destroyed_at.is_some() {
        let detail = "Its newest version was destroyed, so there is nothing to bring back. Store a new value.";
        return Err(Problem::new(ProblemCode::Conflict, detail).into());
    }
    let secret = Stepped {
        comment: editor.shown_comment(&current).await?,
        ..editor.restore(&current, key)
    };
    finish(editor, secret, Map::new()).await
}

/// Gives a secret the value and comment of one of its versions again, as a new version.
///
/// # Errors
/// `not_found` for a secret that is not there; `invalid_field` for a version that is not, or was destroyed.
pub async fn roll_back(
    tx: &WriteTx,
    keys: &KeyStore,
    caller: &Caller,
    access: &EnvAccess<SecretsWrite>,
    key: &str,
    version: i64,
    precondition: Precondition,
) -> Result<Written> {
    let mut editor = Editor::open(tx, keys, caller, access).await?;
    let current = live(current::of_key(tx, access.env.id, key).await?)?;
    precondition.check(Some(current.version))?;
    let old = read::texts_of(tx, keys, &editor.place, current.id, version).await?;
    let old = old.ok_or_else(|| Problem::field("version", "unknown", "is no version whose value is kept"))?;
    let secret = editor.put(Some(&current), key, old).await?;
    let facts = Map::from_iter([("rolled_back_to".to_owned(), version.into())]);
    finish(editor, secret, facts).await
}

/// Checks what a caller sent for many keys: each error names its key.
///
/// # Errors
/// `invalid_field` naming `secrets.KEY`.
pub(super) fn check_entry(index: usize, key: &str, new: &NewValue) -> Result<()> {
    check_key_named("secrets", index, key)?;
    let comment = new.comment.as_ref().map_or("", |comment| comment.expose());
    check_texts(new.value.expose(), comment).map_err(|error| match error {
        Error::Problem(mut problem) => {
            for field in &mut problem.errors {
                field.field = format!("secrets.{key}.{}", field.field).into();
            }
            Error::Problem(problem)
        }
        other => other,
    })
}

//! One change of an environment: lock it, look, write versions, count the revision up, tell the journal.

use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter};

use super::entity::{change, secret};
use crate::access::{ActorKind, Caller, EnvAccess};
use crate::journal::{self, Action, Entry, KeyChange, Target};
use crate::kernel::id::{EnvId, SecretId};
use crate::kernel::{Backend, Error, Problem, ProblemCode, Reads, Result, WriteTx};

/// What the writer says of the version that it means to change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    #[default]
    None,
    /// The current version must be this one.
    Version(i64),
    /// There must be no such secret.
    Absent,
}

impl Precondition {
    /// `current` is the live version, `None` if there is none.
    ///
    /// # Errors
    /// `version_mismatch` with the current version.
    pub fn check(self, current: Option<i64>) -> Result<()> {
        let holds = match self {
            Self::None => true,
            Self::Version(wanted) => current == Some(wanted),
            Self::Absent => current.is_none(),
        };
        if holds {
            return Ok(());
        }
        let detail = "Somebody changed it in between, or it is not what you expected. Read it again and decide.";
        Err(Problem::new(ProblemCode::VersionMismatch, detail)
            .with("current_version", current.unwrap_or(0))
            .into())
    }
}

#[derive(FromQueryResult)]
struct Revision {
    revision: i64,
}

/// Locks an environment against other writers and returns its revision.
pub(super) async fn lock(tx: &WriteTx, env: EnvId) -> Result<i64> {
    let lock = match tx.backend() {
        Backend::Postgres => " FOR UPDATE",
        Backend::Sqlite => "",
    };
    let sql = format!("SELECT revision FROM environments WHERE id = $1 AND deleted_at IS NULL{lock}");
    let row = Revision::find_by_statement(tx.sql(&sql, [env.into()]))
        .one(tx.conn())
        .await?;
    Ok(row.ok_or_else(Problem::not_found)?.revision)
}

/// A secret by its key, deleted ones included.
pub(super) async fn find(from: &impl Reads, env: EnvId, key: &str) -> Result<Option<secret::Model>> {
    Ok(secret::Entity::find()
        .filter(secret::Column::EnvironmentId.eq(env))
        .filter(secret::Column::Key.eq(key))
        .one(from.conn())
        .await?)
}

/// What a change did to one secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    Created,
    Updated,
    Deleted,
}

impl Done {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
        }
    }

    const fn action(self) -> Action {
        match self {
            Self::Created => Action::SecretCreated,
            Self::Updated => Action::SecretUpdated,
            Self::Deleted => Action::SecretDeleted,
        }
    }
}

/// Counts the environment's revision up, stores its change set and records the event.
pub(super) async fn record<A>(
    tx: &WriteTx,
    caller: &Caller,
    access: &EnvAccess<A>,
    revision: i64,
    done: Done,
    changed: KeyChange,
) -> Result<()> {
    let sql = "UPDATE environments SET revision = $2, updated_at = $3 WHERE id = $1";
    tx.conn()
        .execute_raw(tx.sql(sql, [access.env.id.into(), revision.into(), tx.now().into()]))
        .await?;
    let row = change::ActiveModel {
        environment_id: Set(access.env.id),
        revision: Set(revision),
        secret_id: Set(changed.secret_id),
        action: Set(done.as_str().to_owned()),
        key: Set(changed.key.clone()),
        version: Set(changed.version),
        created_at: Set(tx.now()),
    };
    change::Entity::insert(row).exec_without_returning(tx.conn()).await?;
    let entry = Entry::in_org(access.org.id, done.action(), Target::Secret(changed.secret_id))
        .project(access.project.id)
        .environment(access.env.id, revision)
        .with("project", access.project.slug.clone())
        .with("environment", access.env.slug.clone())
        .keys(&[changed]);
    journal::record(tx, &caller.origin, entry).await?;
    Ok(())
}

/// Who wrote a version, as its row keeps it.
pub(super) fn author(caller: &Caller) -> Result<(&'static str, uuid::Uuid)> {
    let kind = match caller.origin.actor {
        ActorKind::User => "user",
        ActorKind::ServiceAccount => "service_account",
        ActorKind::System => "system",
    };
    let id = caller
        .origin
        .actor_id
        .ok_or_else(|| Error::internal("a write without an author"))?;
    Ok((kind, id))
}

/// Where the sealed texts of a version belong.
pub(super) fn place<A>(
    access: &EnvAccess<A>,
    secret: SecretId,
    version: i64,
    field: crate::crypto::envelope::SecretField,
) -> Vec<u8> {
    crate::crypto::envelope::SecretPlace {
        org: access.org.id,
        project: access.project.id,
        env: access.env.id,
        secret,
        version,
        field,
    }
    .aad()
}

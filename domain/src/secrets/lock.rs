//! The lock of an environment: whoever holds it is its only writer until the transaction ends.

use sea_orm::{ConnectionTrait, FromQueryResult};

use super::gate::Gate;
use crate::access::grant::{Permitted, SecretsBulkDelete, SecretsDelete, SecretsWrite};
use crate::access::{EnvAccess, Permission};
use crate::crypto::key_store::{Hold, KeyStore, ProjectKeys};
use crate::kernel::id::EnvId;
use crate::kernel::{Problem, Reads, Result, WriteTx};
use crate::limits;

/// Permissions that change secrets.
pub(super) trait Changes: Permitted {}

impl Changes for SecretsWrite {}
impl Changes for SecretsDelete {}
impl Changes for SecretsBulkDelete {}

/// A locked environment.
pub(super) struct Lock<'a> {
    pub(super) tx: &'a WriteTx,
    pub(super) store: &'a KeyStore,
    pub(super) keys: ProjectKeys,
    env: EnvId,
    /// The revision that it had.
    base: i64,
    /// By how many that was counted up.
    counted: i64,
    /// Whether what is stored there is held to the template of the project.
    pub(super) is_gated: bool,
}

#[derive(FromQueryResult)]
struct Counted {
    revision: i64,
    is_gated: i64,
    is_frozen: i64,
}

impl<'a> Lock<'a> {
    /// Locks the environment, waiting for whoever else has it, and counts its revision up by as many changes as are to be
    /// made.
    ///
    /// # Errors
    /// `not_found`; `plan_limit_exceeded` where nothing may be added.
    pub(super) async fn take<A: Changes>(
        tx: &'a WriteTx,
        store: &'a KeyStore,
        access: &EnvAccess<A>,
        changes: usize,
    ) -> Result<Self> {
        let hold = Hold::on(access.project.id);
        // Asking for the gate along with the lock, a change that is held to nothing pays nothing.
        let sql = format!(
            "UPDATE environments SET revision = revision + $5, updated_at = $2
             WHERE id = $1 AND deleted_at IS NULL
             RETURNING revision, CASE WHEN protected AND EXISTS
                    (SELECT 1 FROM projects p WHERE p.id = $4 AND p.template_gate = 'protected')
                THEN CAST(1 AS bigint) ELSE CAST(0 AS bigint) END AS is_gated,
                (SELECT COUNT(*) FROM projects p WHERE p.id = $4 AND p.frozen_at IS NOT NULL) AS is_frozen, {}",
            hold.column(tx, "$3")
        );
        let (env, project, counted) = (access.env.id, access.project.id, number(changes));
        let values = [
            env.into(),
            tx.now().into(),
            hold.number().into(),
            project.into(),
            counted.into(),
        ];
        let found = Counted::find_by_statement(tx.sql(&sql, values)).one(tx.conn()).await?;
        let Counted {
            revision,
            is_gated,
            is_frozen,
        } = found.ok_or_else(Problem::not_found)?;
        // What is too much can always be taken away.
        if is_frozen == 1 && A::PERMISSION == Permission::SecretsWrite {
            return Err(limits::frozen(tx, access.org.id).await);
        }
        Ok(Self {
            tx,
            store,
            keys: store.project(tx, hold).await?,
            env,
            base: revision - counted,
            counted,
            is_gated: is_gated == 1,
        })
    }

    /// What a change is held to, if to anything.
    pub(super) async fn gate<A>(&self, access: &EnvAccess<A>) -> Result<Option<Gate>> {
        if self.is_gated {
            return Ok(Some(Gate::open(self.tx, self.env, access.env.class).await?));
        }
        Ok(None)
    }

    /// The revision that a change makes, when so many come before it.
    pub(super) fn revision(&self, before: usize) -> i64 {
        self.base + 1 + number(before)
    }

    /// Sets the revision to what it is after so many changes, where fewer were made than were counted.
    pub(super) async fn settle(&self, changes: usize) -> Result<()> {
        if number(changes) == self.counted {
            return Ok(());
        }
        let sql = "UPDATE environments SET revision = $2 WHERE id = $1";
        let values = [self.env.into(), (self.base + number(changes)).into()];
        self.tx.conn().execute_raw(self.tx.sql(sql, values)).await?;
        Ok(())
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

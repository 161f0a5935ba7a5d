//! Who seals and who rotates must not overtake each other.

use sea_orm::{ConnectionTrait, Value};

use crate::kernel::id::ProjectId;
use crate::kernel::{Backend, Reads, Result, WriteTx};

/// The hold on a project's keys that everybody has who seals under them, from before the keys are read until the
/// transaction ends. A rotation waits for all holds, and whoever comes after it waits for the rotation. So nothing is
/// stored under a key that is no longer active, and a retiring key that seals nothing will never seal anything again.
///
/// On PostgreSQL it is an advisory lock: unlike row locks those are given in the order in which they were asked for, so
/// that writers in plenty do not keep a rotation waiting for ever. On SQLite the one write lock is enough.
#[derive(Clone, Copy, Debug)]
pub struct Hold(ProjectId);

impl Hold {
    /// A hold that is not taken yet.
    pub fn on(project: ProjectId) -> Self {
        Self(project)
    }

    pub(super) fn project(self) -> ProjectId {
        self.0
    }

    /// A column that takes it, for a statement that is run anyway; `mark` is where [`Hold::number`] is bound. It must
    /// not be the statement that reads the keys: that one would see them as they were before it waited.
    pub fn column(self, tx: &WriteTx, mark: &str) -> String {
        match tx.backend() {
            Backend::Postgres => format!("pg_advisory_xact_lock_shared({mark}) AS held"),
            Backend::Sqlite => format!("{mark} AS held"),
        }
    }

    /// The number of the lock: the random half of the id. Its first bit is always set, which the numbers of other
    /// locks of this product have not.
    pub fn number(self) -> i64 {
        self.0.0.as_u64_pair().1.cast_signed()
    }

    /// Takes it in a statement of its own.
    ///
    /// # Errors
    /// [`crate::kernel::Error::Db`].
    pub async fn take(self, tx: &WriteTx) -> Result<()> {
        self.lock(tx, "SELECT pg_advisory_xact_lock_shared($1)").await
    }

    /// Waits until nobody else has one, and keeps others waiting.
    pub(super) async fn take_alone(self, tx: &WriteTx) -> Result<()> {
        self.lock(tx, "SELECT pg_advisory_xact_lock($1)").await
    }

    async fn lock(self, tx: &WriteTx, sql: &str) -> Result<()> {
        match tx.backend() {
            Backend::Postgres => {
                let number = Value::from(self.number());
                tx.conn().execute_raw(tx.sql(sql, [number])).await?;
            }
            Backend::Sqlite => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Rng, Timestamp};

    #[test]
    fn numbers_are_distinct_and_none_of_another_lock() {
        let rng = Rng::seeded(1);
        let number = |n| Hold::on(ProjectId(rng.nth_uuid(Timestamp(1_900_000_000_000_000), n).unwrap())).number();
        let numbers: std::collections::BTreeSet<_> = (0..100).map(number).collect();
        assert_eq!(numbers.len(), 100);
        assert!(numbers.iter().all(|number| *number < 0));
    }
}

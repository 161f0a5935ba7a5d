//! What events that are gone told of stored secrets: taken over before the events go, so that what is stored can still be
//! held against what was written.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, FromQueryResult, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    Value,
};
use uuid::Uuid;

use super::Action;
use super::entity::{event, seal};
use super::sum::Sum;
use super::told::secrets_of;
use super::written::{Share, Written};
use crate::kernel::id::{ProjectId, SecretId};
use crate::kernel::lists::{id_param, is_one_of};
use crate::kernel::{Reads, Result, WriteTx};

/// Rows read at once.
const PAGE: usize = 1_000;
/// Events read at once. One of a thousand keys is long.
const CHUNK: u64 = 100;
/// Versions that are held in memory while they are taken over.
const HELD: usize = 20_000;
/// Rows written in one statement.
const BATCH: usize = 500;

/// A walk over what is told of a ledger, or of one project in it.
pub(super) struct Pages {
    ledger: Uuid,
    project: Option<ProjectId>,
    after: (SecretId, i64),
    is_over: bool,
}

impl Pages {
    pub(super) fn of_ledger(ledger: Uuid) -> Self {
        Self {
            ledger,
            project: None,
            after: (SecretId(Uuid::nil()), 0),
            is_over: false,
        }
    }

    pub(super) fn of_project(ledger: Uuid, project: ProjectId) -> Self {
        Self {
            project: Some(project),
            ..Self::of_ledger(ledger)
        }
    }

    /// The next rows, in the order of secrets and versions; `None` after the last.
    pub(super) async fn next(&mut self, from: &impl Reads) -> Result<Option<Vec<seal::Model>>> {
        if self.is_over {
            return Ok(None);
        }
        let mut values: Vec<Value> = vec![self.ledger.into(), self.after.0.into(), self.after.1.into()];
        let of_project = if let Some(project) = self.project {
            values.push(project.into());
            " AND project_id = $4"
        } else {
            ""
        };
        let sql = format!(
            "SELECT * FROM journal_seals WHERE ledger_id = $1 AND (secret_id, version) > ($2, $3){of_project}
             ORDER BY secret_id, version LIMIT {PAGE}"
        );
        let rows = seal::Model::find_by_statement(from.sql(&sql, values))
            .all(from.conn())
            .await?;
        self.is_over = rows.len() < PAGE;
        if let Some(last) = rows.last() {
            self.after = (last.secret_id, last.version);
        }
        Ok(Some(rows))
    }
}

/// What is taken over, as it grows.
#[derive(Default)]
struct Carried {
    written: Written,
    /// The rows that were there before.
    before: HashMap<(SecretId, i64), seal::Model>,
    projects: HashMap<SecretId, ProjectId>,
}

impl Carried {
    /// Takes over what an event tells. What was taken over of its secrets before must be there.
    fn note(&mut self, row: &event::Model) {
        self.written.note(row, Share::ALL);
    }

    /// Fetches what was taken over before of the secrets that these events tell of.
    async fn fetch(&mut self, tx: &WriteTx, ledger: Uuid, events: &[event::Model]) -> Result<()> {
        let mut news = Vec::new();
        for event in events {
            let project = event.project_id.unwrap_or(ProjectId(Uuid::nil()));
            for secret in secrets_of(event) {
                if let Entry::Vacant(place) = self.projects.entry(secret) {
                    place.insert(project);
                    news.push(secret.0);
                }
            }
        }
        for ids in news.chunks(BATCH) {
            let is_wanted = is_one_of(tx.backend(), "secret_id", "$2");
            let sql = format!("SELECT * FROM journal_seals WHERE ledger_id = $1 AND {is_wanted}");
            let values = [ledger.into(), id_param(ids.iter().copied())];
            let rows = seal::Model::find_by_statement(tx.sql(&sql, values))
                .all(tx.conn())
                .await?;
            for row in rows {
                self.written.recall(&row);
                self.before.insert((row.secret_id, row.version), row);
            }
        }
        Ok(())
    }

    /// Writes what is new; returns the sum with it.
    async fn write(self, tx: &WriteTx, ledger: Uuid, sum: Sum) -> Result<Sum> {
        let Self {
            written,
            before,
            projects,
        } = self;
        let mut sum = sum;
        let mut changed = Vec::new();
        for row in written.into_seals(ledger, &projects) {
            let was = before.get(&(row.secret_id, row.version));
            if was == Some(&row) {
                continue;
            }
            if let Some(was) = was {
                sum.take(was);
            }
            sum.put(&row);
            changed.push(row);
        }
        for rows in changed.chunks(BATCH) {
            store(tx, rows).await?;
        }
        Ok(sum)
    }
}

async fn store(tx: &WriteTx, rows: &[seal::Model]) -> Result<()> {
    let key = [seal::Column::LedgerId, seal::Column::SecretId, seal::Column::Version];
    let renewed = OnConflict::columns(key)
        .update_columns([
            seal::Column::ProjectId,
            seal::Column::Digest,
            seal::Column::Seq,
            seal::Column::IsLast,
            seal::Column::IsDeleted,
        ])
        .to_owned();
    let rows = rows.iter().map(|row| row.clone().into_active_model().reset_all());
    seal::Entity::insert_many(rows)
        .on_conflict(renewed)
        .exec_without_returning(tx.conn())
        .await?;
    Ok(())
}

/// Takes over what the events of a ledger between two numbers tell of secrets. Returns how far it came, which is less than
/// the second number when they tell of very much, and the sum with it.
pub(super) async fn carry(tx: &WriteTx, ledger: Uuid, after: i64, until: i64, sum: Sum) -> Result<(i64, Sum)> {
    let mut carried = Carried::default();
    let mut at = after;
    loop {
        let events = telling(tx, ledger, at, until).await?;
        let Some(newest) = events.last().map(|event| event.seq) else {
            break;
        };
        at = newest;
        carried.fetch(tx, ledger, &events).await?;
        for event in &events {
            carried.note(event);
        }
        if carried.written.count() > HELD {
            return Ok((at, carried.write(tx, ledger, sum).await?));
        }
    }
    Ok((until, carried.write(tx, ledger, sum).await?))
}

/// The next events that may tell of what is stored.
async fn telling(tx: &WriteTx, ledger: Uuid, after: i64, until: i64) -> Result<Vec<event::Model>> {
    Ok(event::Entity::find()
        .filter(event::Column::LedgerId.eq(ledger))
        .filter(event::Column::Seq.gt(after))
        .filter(event::Column::Seq.lte(until))
        .filter(event::Column::Action.ne(Action::SecretRead.as_str()))
        .order_by_asc(event::Column::Seq)
        .limit(CHUNK)
        .all(tx.conn())
        .await?)
}

//! Backups of the whole instance.

use std::sync::Arc;

use domain::admin::Superuser;
use domain::backups;
use domain::kernel::page::{MAX_LIMIT, PageRequest};
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;

use super::backup_dto::{Backup, BackupList, BackupQueued};
use crate::app::App;
use crate::auth::session::Done;
use crate::http::caller::Caller;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct BackupsApi(pub Arc<App>);

#[OpenApi(tag = "Tag::Administration")]
impl BackupsApi {
    /// Back the instance up
    ///
    /// A worker writes every row of one moment into a file in the backup folder, or into an object in the bucket that is set
    /// instead, compressed and encrypted under the backup key, while everything goes on. Then it restores it into a
    /// database of its own and looks whether it is whole: `last_verified_at` tells. A backup holds what the database holds: secrets stay encrypted under the root key, names
    /// do not. 409 where no backup key is set. For superusers, from a session.
    #[oai(path = "/v1/admin/backups", method = "post", operation_id = "create_backup")]
    async fn create_backup(&self, caller: Caller) -> Result<BackupQueued, ApiError> {
        let superuser = Superuser::require(&caller)?;
        let tx = self.0.begin_write().await?;
        let queued = backups::request(&tx, &superuser, &self.0.backups).await?;
        tx.commit(BackupQueued::Accepted(Json(queued.into()))).await
    }

    /// List backups
    ///
    /// Newest first, and where they are kept: `store` tells whether that can be reached at this moment. For superusers, from a
    /// session.
    #[oai(path = "/v1/admin/backups", method = "get", operation_id = "list_backups")]
    async fn list_backups(
        &self,
        caller: Caller,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<BackupList>, ApiError> {
        let superuser = Superuser::require(&caller)?;
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let found = backups::list(&self.0.db, &superuser, page).await?;
        Ok(Json(BackupList::of(found, self.0.backups.health().await)))
    }

    /// Show a backup
    ///
    /// How far it has come, what its file is, and whether it was found whole. For superusers, from a session.
    #[oai(path = "/v1/admin/backups/:backup", method = "get", operation_id = "get_backup")]
    async fn get_backup(
        &self,
        caller: Caller,
        /// Id of the backup: `bak_…`.
        backup: Path<String>,
    ) -> Result<Json<Backup>, ApiError> {
        let superuser = Superuser::require(&caller)?;
        Ok(Json(backups::get(&self.0.db, &superuser, &backup).await?.into()))
    }

    /// Delete a backup
    ///
    /// With its file or its object. 409 while it is being made or restored. Needs a sign-in of the last ten minutes. For superusers, from
    /// a session.
    #[oai(
        path = "/v1/admin/backups/:backup",
        method = "delete",
        operation_id = "delete_backup"
    )]
    async fn delete_backup(
        &self,
        caller: Caller,
        /// Id of the backup: `bak_…`.
        backup: Path<String>,
    ) -> Result<Done, ApiError> {
        let superuser = Superuser::require(&caller)?;
        let tx = self.0.begin_write().await?;
        let id = backups::delete(&tx, &superuser, &backup).await?;
        let done = tx.commit(Done::Done).await?;
        if let Err(fault) = self.0.backups.remove(id).await {
            tracing::warn!(%fault, backup = %id, "a backup is forgotten and cannot be deleted where it is kept");
        }
        Ok(done)
    }

    /// Restore a backup beside the live database
    ///
    /// A worker restores it into a new database: `<database>.restore.<id>`, a file beside a SQLite database, a database
    /// beside a PostgreSQL one. The live one is never touched: the operator stops the service, swaps the two, and starts
    /// it again. In the restored database every session has ended; tokens and keys work as they did when the backup was
    /// made. 409 for a backup that is not completed, or is being restored. Needs a sign-in of the last ten minutes. For
    /// superusers, from a session.
    #[oai(
        path = "/v1/admin/backups/:backup/restore",
        method = "post",
        operation_id = "restore_backup"
    )]
    async fn restore_backup(
        &self,
        caller: Caller,
        /// Id of the backup: `bak_…`.
        backup: Path<String>,
    ) -> Result<BackupQueued, ApiError> {
        let superuser = Superuser::require(&caller)?;
        let tx = self.0.begin_write().await?;
        let queued = backups::restore(&tx, &superuser, &backup).await?;
        tx.commit(BackupQueued::Accepted(Json(queued.into()))).await
    }
}

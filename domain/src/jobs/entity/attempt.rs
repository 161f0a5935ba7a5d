//! One attempt at a job.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;
use crate::kernel::id::JobId;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "job_attempts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: JobId,
    pub job_id: JobId,
    pub n: i32,
    pub worker: String,
    pub started_at: Timestamp,
    pub outcome: String,
    pub status: Option<i32>,
    pub dns_us: Option<i64>,
    pub connect_us: Option<i64>,
    pub first_byte_us: Option<i64>,
    pub total_us: Option<i64>,
    pub remote_ip: Option<String>,
    pub response_headers: Option<String>,
    pub response_body: Option<Vec<u8>>,
    pub error: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

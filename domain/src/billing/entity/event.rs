//! An event that Stripe sent, or that we found it had sent in vain.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "stripe_events")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_id: String,
    pub kind: String,
    pub api_version: Option<String>,
    pub livemode: bool,
    pub created: Timestamp,
    pub customer_id: Option<String>,
    pub payload: Vec<u8>,
    pub status: String,
    pub received_at: Timestamp,
    pub done_at: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

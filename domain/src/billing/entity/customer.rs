//! The customer at Stripe that an organisation is.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;
use crate::kernel::id::OrgId;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "billing_customers")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub org_id: OrgId,
    pub stripe_customer_id: String,
    pub livemode: bool,
    /// Fences: what was asked of Stripe under an older number is not written.
    pub sync_seq: i64,
    pub synced_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

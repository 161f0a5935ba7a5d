//! A price at Stripe and the plan that it is of. Prices that are no longer sold stay: somebody may still pay them.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "plan_prices")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub price_id: String,
    pub lookup_key: String,
    pub plan: String,
    pub billing_interval: String,
    pub version: i64,
    pub per_seat: bool,
    pub trial_days: Option<i32>,
    pub active: bool,
    pub updated_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

//! A short-lived one-time challenge.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;
use crate::kernel::id::{ChallengeId, EmailId, UserId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "challenges")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ChallengeId,
    pub purpose: String,
    pub user_id: Option<UserId>,
    pub email_id: Option<EmailId>,
    /// Canonical address that it concerns, known to us or not.
    pub email: Option<String>,
    pub secret_mac: Vec<u8>,
    /// Keyed hash of the token that only the asking client holds.
    pub binding_mac: Option<Vec<u8>>,
    /// What to go on with once it is met, as JSON; nothing secret.
    pub payload: Option<String>,
    pub attempts: i32,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub consumed_at: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

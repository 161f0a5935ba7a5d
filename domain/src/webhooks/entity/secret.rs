//! A signing secret of a webhook endpoint, sealed.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;
use crate::kernel::id::{KeyId, OrgId, WebhookId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "webhook_secrets")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: KeyId,
    pub webhook_id: WebhookId,
    pub org_id: OrgId,
    pub sealed: Vec<u8>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub hashes_names: bool,
    /// The private half of the key pair that signs beside the secret, sealed.
    pub sealed_key: Option<Vec<u8>>,
    /// Its public half: `whpk_…`.
    pub public_key: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

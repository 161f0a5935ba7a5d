//! Which tokens of another issuer stand for a service account.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;
use crate::kernel::id::{FederatedIdentityId, OrgId, ServiceAccountId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "federated_identities")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: FederatedIdentityId,
    pub org_id: OrgId,
    pub service_account_id: ServiceAccountId,
    pub name: String,
    pub issuer: String,
    /// Where the issuer's keys are; `None` = where it says itself.
    pub jwks_uri: Option<String>,
    pub audience: String,
    /// Patterns by the names of claims, as a JSON object.
    pub claims: String,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

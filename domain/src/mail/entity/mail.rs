//! A mail to be sent: who and which, never what it says.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;
use crate::kernel::id::{ChallengeId, EmailId, InviteId, MailId, UserId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "mails")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: MailId,
    pub user_id: Option<UserId>,
    pub email_id: Option<EmailId>,
    /// Where it goes when it goes to no address of an account.
    pub address: Option<String>,
    pub challenge_id: Option<ChallengeId>,
    pub invite_id: Option<InviteId>,
    pub template: String,
    /// What the text says besides, as JSON; nothing secret.
    pub data: String,
    pub created_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

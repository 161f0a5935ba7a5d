//! Mail: what is sent, to whom. A mail row says only which template goes to which address; the worker renders it as
//! it sends it, so that codes and links never lie in the queue.

pub mod entity;
mod template;

use sea_orm::{ActiveValue::Set, EntityTrait};

use crate::jobs::{self, Cause, Job, NewJob};
use crate::kernel::id::{EmailId, MailId, UserId};
use crate::kernel::{Reads, Result, WriteTx};

pub use template::{Rendered, Template};

/// Queues a mail in the transaction of the change that asks for it.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn queue(tx: &WriteTx, template: Template, user: UserId, email: EmailId) -> Result<()> {
    let id: MailId = tx.new_id()?;
    let row = entity::mail::ActiveModel {
        id: Set(id),
        user_id: Set(Some(user)),
        email_id: Set(Some(email)),
        template: Set(template.as_str().to_owned()),
        created_at: Set(tx.now()),
    };
    entity::mail::Entity::insert(row)
        .exec_without_returning(tx.conn())
        .await?;
    let job = NewJob {
        job: Job::SendMailV1 { mail_id: id },
        lane: user.0.simple().to_string(),
        org_id: None,
        webhook_id: None,
        event_id: None,
        cause: Cause::Event,
        idempotency_key: id.0.simple().to_string(),
    };
    jobs::emit(tx, vec![job]).await?;
    Ok(())
}

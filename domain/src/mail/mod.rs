//! Mail: what is sent, to whom. A mail row says only which template goes to which address; the worker renders it as
//! it sends it, so that codes and links never lie in the queue.

pub mod entity;
mod template;

use sea_orm::{ActiveValue::Set, EntityTrait};

use crate::jobs::{self, Cause, Job, NewJob};
use crate::kernel::id::{EmailId, MailId, UserId};
use crate::kernel::{Error, Reads, Result, WriteTx};

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
        address: Set(None),
        challenge_id: Set(None),
        invite_id: Set(None),
        template: Set(template.as_str().to_owned()),
        data: Set("{}".to_owned()),
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

/// A mail that waits to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Queued {
    pub template: Template,
    pub user: UserId,
    /// The address that it goes to.
    pub email: EmailId,
}

/// A queued mail; `None` when it, its account or its address is gone.
///
/// # Errors
/// [`Error::Internal`] for a template of a newer version.
pub async fn load(from: &impl Reads, id: MailId) -> Result<Option<Queued>> {
    let Some(row) = entity::mail::Entity::find_by_id(id).one(from.conn()).await? else {
        return Ok(None);
    };
    let (Some(user), Some(email)) = (row.user_id, row.email_id) else {
        return Ok(None);
    };
    let template =
        Template::parse(&row.template).ok_or_else(|| Error::internal(format!("mail {id} has an unknown template")))?;
    Ok(Some(Queued { template, user, email }))
}

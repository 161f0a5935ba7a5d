//! Mail: what is sent, to whom. A mail row says only which template goes to which address; the worker renders it as
//! it sends it, so that codes and links never lie in the queue.

pub mod entity;
mod letter;
pub mod letters;
mod purge;
mod template;

use sea_orm::{ActiveValue::Set, EntityTrait, FromQueryResult};
use serde_json::{Map, Value};

use crate::jobs::{self, Cause, Job, NewJob};
use crate::kernel::id::{ChallengeId, EmailId, InviteId, MailId, OrgId, UserId};
use crate::kernel::text::{self, Email};
use crate::kernel::{Error, Reads, Result, WriteTx};

pub use letter::Rendered;
pub use purge::delete_of_org;
pub use template::Template;

/// Whom a mail goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// One address of an account.
    Email { user: UserId, email: EmailId },
    /// Whatever address is the account's default when the mail is sent.
    Primary(UserId),
    /// An address that may belong to nobody.
    Address(Email),
}

/// A mail to be queued.
#[derive(Clone, Debug)]
pub struct NewMail {
    pub template: Template,
    pub to: To,
    /// What the text says besides; nothing secret.
    pub data: Map<String, Value>,
    /// The challenge whose code or link it brings.
    pub challenge: Option<ChallengeId>,
    /// The invitation whose link it brings.
    pub invite: Option<InviteId>,
}

impl NewMail {
    /// A mail without data, challenge or invitation.
    pub fn new(template: Template, to: To) -> Self {
        Self {
            template,
            to,
            data: Map::new(),
            challenge: None,
            invite: None,
        }
    }

    /// Adds what the text says besides. Never a code, a token or a password.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.data.insert(name.to_owned(), value.into());
        self
    }
}

/// Queues a mail in the transaction of the change that asks for it.
///
/// # Errors
/// [`Error::Db`].
pub async fn queue(tx: &WriteTx, mail: NewMail) -> Result<()> {
    let NewMail {
        template,
        to,
        data,
        challenge,
        invite,
    } = mail;
    let id: MailId = tx.new_id()?;
    let (user_id, email_id, address) = match to {
        To::Email { user, email } => (Some(user), Some(email), None),
        To::Primary(user) => (Some(user), None, None),
        To::Address(address) => (None, None, Some(address.display)),
    };
    // Mails of one account go one after another; nobody in particular has a lane of their own.
    let lane = user_id.map_or(id.0, |user| user.0).simple().to_string();
    let row = entity::mail::ActiveModel {
        id: Set(id),
        user_id: Set(user_id),
        email_id: Set(email_id),
        address: Set(address),
        challenge_id: Set(challenge),
        invite_id: Set(invite),
        template: Set(template.as_str().to_owned()),
        data: Set(Value::Object(data).to_string()),
        created_at: Set(tx.now()),
    };
    entity::mail::Entity::insert(row)
        .exec_without_returning(tx.conn())
        .await?;
    let job = NewJob {
        job: Job::SendMailV1 { mail_id: id },
        lane,
        org_id: None,
        webhook_id: None,
        event_id: None,
        cause: Cause::Event,
        idempotency_key: id.0.simple().to_string(),
    };
    jobs::emit(tx, vec![job]).await?;
    Ok(())
}

/// A queued mail; `None` when it, its account or its address is gone.
///
/// # Errors
/// [`Error::Internal`] for a template of a newer version.
pub async fn load(from: &impl Reads, id: MailId) -> Result<Option<NewMail>> {
    let Some(row) = entity::mail::Entity::find_by_id(id).one(from.conn()).await? else {
        return Ok(None);
    };
    let broken = |what: &str| Error::internal(format!("mail {id} has {what}"));
    let to = match (row.user_id, row.email_id, row.address) {
        (Some(user), Some(email), _) => To::Email { user, email },
        (Some(user), None, _) => To::Primary(user),
        (None, _, Some(address)) => To::Address(text::email("address", &address)?),
        (None, _, None) => return Ok(None),
    };
    let data = serde_json::from_str(&row.data).map_err(|_| broken("broken data"))?;
    Ok(Some(NewMail {
        template: Template::parse(&row.template).ok_or_else(|| broken("an unknown template"))?,
        to,
        data,
        challenge: row.challenge_id,
        invite: row.invite_id,
    }))
}

/// Whom a mail concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    Account(UserId),
    /// It brings an invitation of this organisation to somebody who may have no account.
    Org(OrgId),
    /// Somebody without an account, or it is gone.
    Nobody,
}

#[derive(FromQueryResult)]
struct Concerned {
    user_id: Option<UserId>,
    org_id: Option<OrgId>,
}

/// Whom a mail concerns: its account, or else the organisation that invites.
///
/// # Errors
/// [`Error::Db`].
pub async fn whose(from: &impl Reads, id: MailId) -> Result<Whose> {
    let sql = "SELECT m.user_id, i.org_id FROM mails m LEFT JOIN invites i ON i.id = m.invite_id WHERE m.id = $1";
    let found = Concerned::find_by_statement(from.sql(sql, [id.into()]));
    Ok(match found.one(from.conn()).await? {
        Some(Concerned {
            user_id: Some(user), ..
        }) => Whose::Account(user),
        Some(Concerned { org_id: Some(org), .. }) => Whose::Org(org),
        Some(Concerned { .. }) | None => Whose::Nobody,
    })
}

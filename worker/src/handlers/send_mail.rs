//! Sends a mail. It is rendered here and now: links and codes are made as they are sent and lie in no queue.

use std::sync::Arc;

use domain::auth::entity::email;
use domain::auth::{account, verification};
use domain::crypto::key_store::KeyStore;
use domain::jobs::{Claimed, Verdict};
use domain::kernel::id::MailId;
use domain::kernel::{Db, Error, ProblemCode, Reads, Result};
use domain::mail::{self, Queued, Rendered, Template};
use sea_orm::EntityTrait;
use url::Url;

use crate::mailer::{MailError, Mailer, Outgoing};
use crate::run::{Ending, retry};

/// Sends mails.
pub(crate) struct SendMail {
    pub(crate) db: Db,
    pub(crate) keys: Arc<KeyStore>,
    pub(crate) mailer: Mailer,
    pub(crate) base_url: Url,
}

/// Whom a mail goes to.
struct Recipient {
    queued: Queued,
    address: String,
    first_name: String,
}

impl SendMail {
    /// Sends one mail.
    pub(crate) async fn send(&self, job: &Claimed, mail: MailId) -> Ending {
        let sent = match self.recipient(mail).await {
            Ok(Some(recipient)) => self.send_to(job, mail, recipient).await,
            Ok(None) => Ok(Ending::cancelled("the mail is no longer wanted")),
            Err(error) => Err(error),
        };
        sent.unwrap_or_else(|error| {
            tracing::warn!(%error, %mail, "cannot prepare a mail");
            Ending::fault(&self.db, job)
        })
    }

    /// `None` when the account or address is gone, disabled, or needs the mail no more.
    async fn recipient(&self, mail: MailId) -> Result<Option<Recipient>> {
        let Some(queued) = mail::load(&self.db, mail).await? else {
            return Ok(None);
        };
        let account = match account::get(&self.db, queued.user).await {
            Ok(account) => account,
            Err(Error::Problem(problem)) if problem.code == ProblemCode::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let row = email::Entity::find_by_id(queued.email).one(self.db.conn()).await?;
        let address = row.filter(|row| row.user_id == account.id && row.verified_at.is_none());
        let is_live = account.disabled_at.is_none();
        Ok(address.filter(|_| is_live).map(|row| Recipient {
            queued,
            address: row.address,
            first_name: account.first_name,
        }))
    }

    async fn send_to(&self, job: &Claimed, mail: MailId, recipient: Recipient) -> Result<Ending> {
        let Recipient {
            queued,
            address,
            first_name,
        } = recipient;
        let rendered = match queued.template {
            Template::VerifyEmail => self.verify_email(queued, &first_name).await?,
        };
        let outgoing = Outgoing {
            id: mail,
            at: self.db.now(),
            // The same at every try, so that a mail that went out twice can be told to be one.
            message_id: format!("<{}@{}>", job.id, self.base_url.host_str().unwrap_or("localhost")),
            to: address,
            rendered,
        };
        Ok(match self.mailer.send(outgoing).await {
            Ok(()) => Ending::new(Verdict::Done, "ok", None),
            Err(MailError {
                is_final,
                status,
                outcome,
                text,
            }) => {
                let verdict = if is_final {
                    Verdict::Dead
                } else {
                    retry(&self.db, job, None)
                };
                tracing::warn!(%mail, outcome, error = text, "a mail was not sent");
                let mut ending = Ending::new(verdict, outcome, Some(text));
                ending.log.status = status;
                ending
            }
        })
    }

    async fn verify_email(&self, queued: Queued, first_name: &str) -> Result<Rendered> {
        let tx = self.db.begin_write().await?;
        let token = verification::issue_link(&tx, self.keys.token_mac(), queued.user, queued.email).await?;
        tx.commit_bookkeeping().await?;
        Ok(Rendered::verify_email(&self.base_url, first_name, &token))
    }
}

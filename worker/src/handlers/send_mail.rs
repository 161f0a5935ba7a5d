//! Sends a mail. It is rendered here and now: links and codes are made as they are sent and lie in no queue.

use std::sync::Arc;

use domain::auth::{code_sign_in, email_first, password_reset, recipient, verification};
use domain::crypto::key_store::KeyStore;
use domain::jobs::{Bell, Claimed, Verdict};
use domain::kernel::id::{ChallengeId, MailId};
use domain::kernel::{Db, Reads, Result, Secret, WriteTx};
use domain::mail::{self, NewMail, Rendered, Template, letters};
use domain::members::invite_mail;
use url::{Host, Url};

use crate::mailer::{MailError, Mailer, Outgoing};
use crate::run::{Ending, retry};

/// Sends mails.
pub(crate) struct SendMail {
    pub(crate) db: Db,
    pub(crate) keys: Arc<KeyStore>,
    pub(crate) bell: Arc<dyn Bell>,
    pub(crate) mailer: Mailer,
    pub(crate) base_url: Url,
}

/// A mail as it goes out.
struct Composed {
    to: String,
    rendered: Rendered,
}

impl SendMail {
    /// Sends one mail.
    pub(crate) async fn send(&self, job: &Claimed, id: MailId) -> Ending {
        let sent = match self.compose(id).await {
            Ok(Some(composed)) => Ok(self.hand_over(job, id, composed).await),
            Ok(None) => Ok(Ending::cancelled("the mail is no longer wanted")),
            Err(error) => Err(error),
        };
        sent.unwrap_or_else(|error| {
            tracing::warn!(%error, mail = %id, "cannot prepare a mail");
            Ending::failed(&self.db, job, &error)
        })
    }

    /// `None` when there is nobody to send it to, or nothing to tell any more.
    async fn compose(&self, id: MailId) -> Result<Option<Composed>> {
        let Some(mail) = mail::load(&self.db, id).await? else {
            return Ok(None);
        };
        match mail.template {
            Template::VerifyEmail => self.verify_email(&mail).await,
            Template::SignInCode => self.sign_in_code(mail.challenge).await,
            Template::RegistrationCode => self.registration_code(mail.challenge).await,
            Template::ResetPassword => self.reset_password(mail.challenge).await,
            Template::Invite => self.invite(&mail).await,
            Template::NewSignIn
            | Template::SessionReused
            | Template::PasswordChanged
            | Template::SecondFactorChanged
            | Template::RecoveryCodeUsed
            | Template::AddressAdded
            | Template::AddressRemoved
            | Template::WebhookDisabled
            | Template::PaymentFailed
            | Template::TrialEnding
            | Template::LimitNotice
            | Template::DefaultAddressChanged => self.notice(&mail).await,
        }
    }

    async fn hand_over(&self, job: &Claimed, id: MailId, composed: Composed) -> Ending {
        let Composed { to, rendered } = composed;
        let outgoing = Outgoing {
            id,
            at: self.db.now(),
            // The same at every try, so that a mail that went out twice can be told to be one.
            message_id: format!("<{}@{}>", job.id, self.base_url.host_str().unwrap_or("localhost")),
            to,
            rendered,
        };
        let Err(error) = self.mailer.send(outgoing).await else {
            return Ending::new(Verdict::Done, "ok", None);
        };
        let MailError {
            is_final,
            has_no_room,
            status,
            outcome,
            text,
        } = error;
        if has_no_room {
            tracing::warn!(mail = %id, error = text, "a mail was put off");
            return Ending::put_off(&self.db, &text);
        }
        let verdict = if is_final {
            Verdict::Dead
        } else {
            retry(&self.db, job, None)
        };
        tracing::warn!(mail = %id, outcome, error = text, "a mail was not sent");
        let mut ending = Ending::new(verdict, outcome, Some(text));
        ending.log.status = status;
        ending
    }

    async fn notice(&self, mail: &NewMail) -> Result<Option<Composed>> {
        let Some(person) = recipient::find(&self.db, &mail.to).await? else {
            return Ok(None);
        };
        let rendered = letters::notice(mail.template, &person.first_name, &mail.data);
        Ok(rendered.map(|rendered| Composed {
            to: person.address,
            rendered,
        }))
    }

    async fn verify_email(&self, mail: &NewMail) -> Result<Option<Composed>> {
        let person = recipient::find(&self.db, &mail.to).await?;
        let Some(person) = person.filter(|person| person.verified_at.is_none()) else {
            return Ok(None);
        };
        let (macs, tx) = (self.keys.token_mac(), self.db.begin_write().await?);
        let token = verification::issue_link(&tx, macs, person.user, person.email).await?;
        let code = verification::issue_code(&tx, macs, person.user, person.email).await?;
        self.keep(tx).await?;
        Ok(Some(Composed {
            rendered: letters::verify_email(&self.base_url, &person.first_name, &token, &code),
            to: person.address,
        }))
    }

    async fn sign_in_code(&self, challenge: Option<ChallengeId>) -> Result<Option<Composed>> {
        let Some(challenge) = challenge else { return Ok(None) };
        let tx = self.db.begin_write().await?;
        let made = code_sign_in::issue(&tx, self.keys.token_mac(), challenge).await?;
        self.keep(tx).await?;
        Ok(made.map(|mailing| {
            self.show_to_developer(&mailing.code);
            Composed {
                rendered: letters::sign_in_code(&mailing.first_name, &mailing.code),
                to: mailing.to,
            }
        }))
    }

    async fn registration_code(&self, challenge: Option<ChallengeId>) -> Result<Option<Composed>> {
        let Some(challenge) = challenge else { return Ok(None) };
        let tx = self.db.begin_write().await?;
        let made = email_first::issue(&tx, self.keys.token_mac(), challenge).await?;
        self.keep(tx).await?;
        Ok(made.map(|mailing| match mailing {
            email_first::Mailing::Code { to, code } => Composed {
                rendered: letters::registration_code(&code),
                to,
            },
            email_first::Mailing::Taken { to, first_name } => Composed {
                rendered: letters::address_taken(&self.base_url, &first_name),
                to,
            },
        }))
    }

    async fn reset_password(&self, challenge: Option<ChallengeId>) -> Result<Option<Composed>> {
        let Some(challenge) = challenge else { return Ok(None) };
        let tx = self.db.begin_write().await?;
        let made = password_reset::issue(&tx, self.keys.token_mac(), challenge).await?;
        self.keep(tx).await?;
        Ok(made.map(|mailing| Composed {
            rendered: letters::reset_password(&self.base_url, &mailing.first_name, &mailing.token),
            to: mailing.to,
        }))
    }

    async fn invite(&self, mail: &NewMail) -> Result<Option<Composed>> {
        let made = invite_mail::issue(&self.db, self.keys.token_mac(), mail).await?;
        Ok(made.map(|mailing| Composed {
            rendered: letters::invite(&self.base_url, mailing.says, &mailing.token),
            to: mailing.to,
        }))
    }

    /// Commits what the mail brings, before it goes out: nobody is mailed a code that is not stored.
    async fn keep(&self, tx: WriteTx) -> Result<()> {
        let lanes = tx.commit_bookkeeping().await?;
        if !lanes.is_empty() {
            self.bell.ring(&lanes).await;
        }
        Ok(())
    }

    /// Somebody who tries Strongroom on their own machine, without a mail server, finds the code in the log.
    fn show_to_developer(&self, code: &Secret<String>) {
        let is_here = match self.base_url.host() {
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        if is_here && self.mailer.writes_files() {
            tracing::info!(code = code.expose(), "no mail server is set: here is the sign-in code");
        }
    }
}

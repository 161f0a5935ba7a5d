//! What jobs do.

mod back_up;
mod billing;
mod deliver_webhook;
mod recover_webhook;
mod reencrypt;
mod secret_cache;
mod send_mail;

use std::sync::Arc;

use domain::jobs::{Job, Verdict};

use crate::run::{Ending, Step, Taken};

pub(crate) use back_up::BackUp;
pub(crate) use billing::ApplyBilling;
pub(crate) use deliver_webhook::DeliverWebhook;
pub(crate) use recover_webhook::RecoverWebhook;
pub(crate) use reencrypt::Reencrypt;
pub(crate) use secret_cache::SecretCache;
pub(crate) use send_mail::SendMail;

/// A handler for every kind of job.
pub(crate) struct Handlers {
    deliver: Arc<DeliverWebhook>,
    mail: Arc<SendMail>,
    reencrypt: Arc<Reencrypt>,
    recover: Arc<RecoverWebhook>,
    billing: Arc<ApplyBilling>,
    backup: Arc<BackUp>,
}

impl Handlers {
    pub(crate) fn new(
        deliver: DeliverWebhook,
        mail: SendMail,
        reencrypt: Reencrypt,
        recover: RecoverWebhook,
        billing: ApplyBilling,
        backup: BackUp,
    ) -> Self {
        Self {
            deliver: Arc::new(deliver),
            mail: Arc::new(mail),
            reencrypt: Arc::new(reencrypt),
            recover: Arc::new(recover),
            billing: Arc::new(billing),
            backup: Arc::new(backup),
        }
    }

    /// Looks at a claimed batch: reads payloads and loads what the jobs share, each thing once.
    pub(crate) async fn prepare(&self, batch: Vec<Taken>) -> Vec<(Taken, Step)> {
        let mut deliveries = self.deliver.load(batch.iter().map(|taken| &taken.job)).await;
        let step = |taken: Taken| {
            let step = match serde_json::from_str(&taken.job.payload) {
                Ok(Job::DeliverWebhookV1) => deliveries.step(&self.deliver, &taken.job),
                Ok(Job::SendMailV1 { mail_id }) => {
                    let mail = Arc::clone(&self.mail);
                    let job = taken.job.clone();
                    Step::Run(Box::pin(async move { mail.send(&job, mail_id).await }))
                }
                Ok(Job::ReencryptV1 { project_id }) => {
                    let reencrypt = Arc::clone(&self.reencrypt);
                    let job = taken.job.clone();
                    Step::Run(Box::pin(async move { reencrypt.run(&job, project_id).await }))
                }
                Ok(Job::RecoverWebhookV1 { recovery_id }) => {
                    let recover = Arc::clone(&self.recover);
                    let job = taken.job.clone();
                    Step::Run(Box::pin(async move { recover.run(&job, recovery_id).await }))
                }
                Ok(Job::ApplyStripeEventV1 { event_id }) => {
                    let billing = Arc::clone(&self.billing);
                    let job = taken.job.clone();
                    Step::Run(Box::pin(async move { billing.event(&job, &event_id).await }))
                }
                Ok(Job::SyncBillingV1 { org_id }) => {
                    let billing = Arc::clone(&self.billing);
                    let job = taken.job.clone();
                    Step::Run(Box::pin(async move { billing.org(&job, org_id).await }))
                }
                Ok(Job::MakeBackupV1 { backup_id }) => {
                    let backup = Arc::clone(&self.backup);
                    let job = taken.job.clone();
                    Step::Run(Box::pin(async move { backup.make(&job, backup_id).await }))
                }
                Ok(Job::RestoreBackupV1 { backup_id }) => {
                    let backup = Arc::clone(&self.backup);
                    let job = taken.job.clone();
                    Step::Run(Box::pin(async move { backup.restore(&job, backup_id).await }))
                }
                Err(error) => {
                    tracing::error!(job = %taken.job.id, %error, "the payload of a job cannot be read");
                    let why = "the payload cannot be read".to_owned();
                    Step::End(Ending::new(Verdict::Dead, "poison", Some(why)))
                }
            };
            (taken, step)
        };
        batch.into_iter().map(step).collect()
    }
}

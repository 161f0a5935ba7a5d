//! What a job is: a versioned payload that holds ids only, never a value, an address or a token.

use serde::{Deserialize, Serialize};

use crate::kernel::id::{BackupId, MailId, OrgId, ProjectId, RecoveryId};
use crate::kernel::{Error, Result};

/// The kinds of work, each with slots of its own in a worker, so that none starves another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobKind {
    Webhook,
    Mail,
    Keys,
    Recovery,
    Billing,
    Backup,
}

impl JobKind {
    pub const ALL: [Self; 6] = [
        Self::Webhook,
        Self::Mail,
        Self::Keys,
        Self::Recovery,
        Self::Billing,
        Self::Backup,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Mail => "mail",
            Self::Keys => "keys",
            Self::Recovery => "recovery",
            Self::Billing => "stripe",
            Self::Backup => "backup",
        }
    }

    /// What the names of its lanes start with.
    pub const fn lane_prefix(self) -> &'static str {
        match self {
            Self::Webhook => "wh:",
            Self::Mail => "mail:",
            Self::Keys => "keys:",
            Self::Recovery => "recover:",
            Self::Billing => "stripe:",
            Self::Backup => "backup:",
        }
    }
}

/// The kind of work that a lane carries; `None` for a lane of a newer version.
pub fn lane_kind(lane: &str) -> Option<JobKind> {
    JobKind::ALL
        .into_iter()
        .find(|kind| lane.starts_with(kind.lane_prefix()))
}

/// A payload as stored. A new shape gets a new name, and the old one stays readable for one release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "snake_case")]
pub enum Job {
    /// Deliver the event of the job's row to the webhook of the job's row.
    DeliverWebhookV1,
    SendMailV1 {
        mail_id: MailId,
    },
    /// Seal everything that retiring keys of the project sealed under its active key, and destroy them.
    ReencryptV1 {
        project_id: ProjectId,
    },
    /// Deliver past events to a webhook once more.
    RecoverWebhookV1 {
        recovery_id: RecoveryId,
    },
    /// Do what a stored event of Stripe's asks for.
    ApplyStripeEventV1 {
        event_id: String,
    },
    /// Ask Stripe what an organisation has.
    SyncBillingV1 {
        org_id: OrgId,
    },
    /// Back the instance up, and prove the backup.
    MakeBackupV1 {
        backup_id: BackupId,
    },
    /// Restore a backup into a database beside the live one.
    RestoreBackupV1 {
        backup_id: BackupId,
    },
}

impl Job {
    pub const fn kind(&self) -> JobKind {
        match self {
            Self::DeliverWebhookV1 => JobKind::Webhook,
            Self::SendMailV1 { .. } => JobKind::Mail,
            Self::ReencryptV1 { .. } => JobKind::Keys,
            Self::RecoverWebhookV1 { .. } => JobKind::Recovery,
            Self::ApplyStripeEventV1 { .. } | Self::SyncBillingV1 { .. } => JobKind::Billing,
            Self::MakeBackupV1 { .. } | Self::RestoreBackupV1 { .. } => JobKind::Backup,
        }
    }
}

/// What brought a job about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Event,
    Test,
    Resend,
    Recovery,
}

impl Cause {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Test => "test",
            Self::Resend => "resend",
            Self::Recovery => "recovery",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobState {
    Ready,
    Running,
    Done,
    Dead,
    Cancelled,
}

impl JobState {
    /// As it is stored. That a job runs is a matter of its lease.
    pub const fn as_i32(self) -> i32 {
        match self {
            Self::Ready | Self::Running => 0,
            Self::Done => 2,
            Self::Dead => 3,
            Self::Cancelled => 4,
        }
    }

    /// Reads what is stored of a job, and whether somebody has a lease of it.
    ///
    /// # Errors
    /// [`Error::Internal`] for a number that is none of these.
    pub fn stored(state: i32, is_held: bool) -> Result<Self> {
        match (state, is_held) {
            (0, false) => Ok(Self::Ready),
            (0, true) => Ok(Self::Running),
            (2, _) => Ok(Self::Done),
            (3, _) => Ok(Self::Dead),
            (4, _) => Ok(Self::Cancelled),
            _ => Err(Error::internal("a job's state is stored wrongly")),
        }
    }

    /// As the API names it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "pending",
            Self::Running => "running",
            Self::Done => "succeeded",
            Self::Dead => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    // Rows of this shape are in databases: a change here needs a new variant, not a new spelling.
    #[test]
    fn stored_payloads_stay_readable() {
        let job = Job::SendMailV1 {
            mail_id: MailId(Uuid::nil()),
        };
        let text = r#"{"job":"send_mail_v1","mail_id":"mai_00000000000000000000000000"}"#;
        assert_eq!(serde_json::to_string(&job).unwrap(), text);
        assert_eq!(serde_json::from_str::<Job>(text).unwrap(), job);
        assert_eq!(
            serde_json::from_str::<Job>(r#"{"job":"deliver_webhook_v1"}"#).unwrap(),
            Job::DeliverWebhookV1
        );
        let job = Job::ReencryptV1 {
            project_id: ProjectId(Uuid::nil()),
        };
        let text = r#"{"job":"reencrypt_v1","project_id":"prj_00000000000000000000000000"}"#;
        assert_eq!(serde_json::to_string(&job).unwrap(), text);
        assert_eq!(serde_json::from_str::<Job>(text).unwrap(), job);
        let job = Job::RecoverWebhookV1 {
            recovery_id: RecoveryId(Uuid::nil()),
        };
        let text = r#"{"job":"recover_webhook_v1","recovery_id":"rcv_00000000000000000000000000"}"#;
        assert_eq!(serde_json::to_string(&job).unwrap(), text);
        assert_eq!(serde_json::from_str::<Job>(text).unwrap(), job);
        let job = Job::ApplyStripeEventV1 {
            event_id: "evt_1".to_owned(),
        };
        let text = r#"{"job":"apply_stripe_event_v1","event_id":"evt_1"}"#;
        assert_eq!(serde_json::to_string(&job).unwrap(), text);
        assert_eq!(serde_json::from_str::<Job>(text).unwrap(), job);
        let job = Job::SyncBillingV1 {
            org_id: OrgId(Uuid::nil()),
        };
        let text = r#"{"job":"sync_billing_v1","org_id":"org_00000000000000000000000000"}"#;
        assert_eq!(serde_json::to_string(&job).unwrap(), text);
        assert_eq!(serde_json::from_str::<Job>(text).unwrap(), job);
        let job = Job::MakeBackupV1 {
            backup_id: BackupId(Uuid::nil()),
        };
        let text = r#"{"job":"make_backup_v1","backup_id":"bak_00000000000000000000000000"}"#;
        assert_eq!(serde_json::to_string(&job).unwrap(), text);
        assert_eq!(serde_json::from_str::<Job>(text).unwrap(), job);
        let text = r#"{"job":"restore_backup_v1","backup_id":"bak_00000000000000000000000000"}"#;
        assert!(matches!(serde_json::from_str(text), Ok(Job::RestoreBackupV1 { .. })));
        assert!(serde_json::from_str::<Job>(r#"{"job":"from_the_future"}"#).is_err());
    }
}

//! What a job is: a versioned payload that holds ids only, never a value, an address or a token.

use serde::{Deserialize, Serialize};

use crate::kernel::id::{MailId, OrgId, ProjectId, RecoveryId};

/// The kinds of work, each with slots of its own in a worker, so that none starves another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobKind {
    Webhook,
    Mail,
    Keys,
    Recovery,
    Billing,
}

impl JobKind {
    pub const ALL: [Self; 5] = [Self::Webhook, Self::Mail, Self::Keys, Self::Recovery, Self::Billing];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Mail => "mail",
            Self::Keys => "keys",
            Self::Recovery => "recovery",
            Self::Billing => "stripe",
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
}

impl Job {
    pub const fn kind(&self) -> JobKind {
        match self {
            Self::DeliverWebhookV1 => JobKind::Webhook,
            Self::SendMailV1 { .. } => JobKind::Mail,
            Self::ReencryptV1 { .. } => JobKind::Keys,
            Self::RecoverWebhookV1 { .. } => JobKind::Recovery,
            Self::ApplyStripeEventV1 { .. } | Self::SyncBillingV1 { .. } => JobKind::Billing,
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
    pub const fn as_i32(self) -> i32 {
        match self {
            Self::Ready => 0,
            Self::Running => 1,
            Self::Done => 2,
            Self::Dead => 3,
            Self::Cancelled => 4,
        }
    }

    pub const fn from_i32(state: i32) -> Option<Self> {
        match state {
            0 => Some(Self::Ready),
            1 => Some(Self::Running),
            2 => Some(Self::Done),
            3 => Some(Self::Dead),
            4 => Some(Self::Cancelled),
            _ => None,
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
        assert!(serde_json::from_str::<Job>(r#"{"job":"from_the_future"}"#).is_err());
    }
}

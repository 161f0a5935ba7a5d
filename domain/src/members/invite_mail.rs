//! The mail of an invitation: queued with a number, written by the worker as it is sent.

use std::time::Duration;

use sea_orm::FromQueryResult;

use super::invite::InviteStatus;
use super::invite_token::{self, Proof};
use super::membership::Scope;
use crate::crypto::token::{Token, TokenMacKey};
use crate::kernel::id::InviteId;
use crate::kernel::{Problem, ProblemCode, Reads, Result, Timestamp, WriteTx, text};
use crate::mail::letters::Invitation;
use crate::mail::{self, NewMail, Template, To};

/// Mails of one organisation to one address within an hour.
const MAILS_AN_HOUR: i64 = 3;
/// The same from all organisations together.
const MAILS_AN_HOUR_OF_ALL: i64 = 6;
/// Under this name the mail in the queue has its number.
const NUMBER: &str = "number";

/// Queues the mail of this number.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub(super) async fn queue(tx: &WriteTx, id: InviteId, address: &str, number: String) -> Result<()> {
    let to = To::Address(text::email("email", address)?);
    let mail = NewMail {
        invite: Some(id),
        ..NewMail::new(Template::Invite, to)
    };
    mail::queue(tx, mail.with(NUMBER, number)).await
}

#[derive(FromQueryResult)]
struct Sent {
    n: i64,
    first_at: Option<Timestamp>,
}

/// Nobody's mailbox is filled with invitations.
///
/// # Errors
/// `rate_limited` with the seconds to wait.
pub(super) async fn require_few(tx: &WriteTx, scope: Scope, canonical: &str) -> Result<()> {
    let hour = Duration::from_hours(1);
    // A mailbox is also one for all organisations, which anybody can make as many of as they like.
    for (of_all, most) in [(0_i64, MAILS_AN_HOUR), (1, MAILS_AN_HOUR_OF_ALL)] {
        let sql =
            "SELECT COUNT(*) AS n, MIN(m.created_at) AS first_at FROM invites i JOIN mails m ON m.invite_id = i.id
            WHERE i.canonical = $1 AND (i.org_id = $2 OR CAST($4 AS bigint) = 1) AND m.created_at > $3";
        let values = [
            canonical.into(),
            scope.org.into(),
            (tx.now() - hour).into(),
            of_all.into(),
        ];
        let sent = Sent::find_by_statement(tx.sql(sql, values)).one(tx.conn()).await?;
        let Some((n, first_at)) = sent.and_then(|sent| Some((sent.n, sent.first_at?))) else {
            continue;
        };
        if n >= most {
            let wait = (first_at + hour).since(tx.now());
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            let detail = "Several invitations went to this address within the hour. Wait before you send another.";
            let problem = Problem::new(ProblemCode::RateLimited, detail).with("retry_after", seconds);
            return Err(problem.into());
        }
    }
    Ok(())
}

/// What the mail of an invitation brings.
pub struct Mailing {
    pub to: String,
    pub token: Token,
    pub says: Invitation,
}

/// Makes the link of a mail, for the worker, as it sends the mail. `None` when the invitation is accepted, revoked or
/// expired, and when a later mail of it took this one's place.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn issue(from: &impl Reads, macs: &TokenMacKey, mail: &NewMail) -> Result<Option<Mailing>> {
    let number = mail.data.get(NUMBER).and_then(serde_json::Value::as_str);
    let (Some(id), Some(number)) = (mail.invite, number) else {
        return Ok(None);
    };
    let token = invite_token::mailed(macs, id, number);
    let found = invite_token::find(from, macs, token.expose()).await?;
    let Some((invite, Proof::Mailed)) = found else {
        return Ok(None);
    };
    let role = invite.role_name();
    let (InviteStatus::Pending, Some(to), Some(inviter)) = (invite.status, invite.email, invite.inviter) else {
        return Ok(None);
    };
    Ok(Some(Mailing {
        to,
        token,
        says: Invitation {
            org: invite.org.name,
            project: invite.project.map(|project| project.name),
            role,
            invited_by: inviter.label(),
            expires_at: invite.expires_at,
        },
    }))
}

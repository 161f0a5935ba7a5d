//! How many verification mails go to one address. They are counted by the address, whichever account it is added to, and
//! however often it is removed and added again: else somebody could have a stranger mailed for as long as they like.

use std::time::Duration;

use sea_orm::FromQueryResult;

use super::throttle::{Attempt, Subject};
use crate::crypto::token::TokenMacKey;
use crate::kernel::{Reads, Result, WriteTx};

/// Mails to one address before there is silence.
const MAILS: i32 = 3;
/// How long the silence lasts after the last of them.
const SILENCE: Duration = Duration::from_hours(1);

#[derive(FromQueryResult)]
struct Counted {
    failures: i32,
}

/// Counts a mail to an address; tells whether it may go out. `canonical` is canonical.
pub(super) async fn admits(tx: &WriteTx, macs: &TokenMacKey, canonical: &str) -> Result<bool> {
    let subject = Subject::name(macs, Attempt::VerificationMail, canonical);
    let sql = "INSERT INTO throttles (subject_mac, failures, last_at, blocked_until) VALUES ($1, 1, $2, NULL)
               ON CONFLICT (subject_mac) DO UPDATE
               SET failures = CASE WHEN throttles.last_at <= $3 THEN 1 ELSE throttles.failures + 1 END,
                   last_at = CASE WHEN throttles.last_at > $3 AND throttles.failures >= $4
                       THEN throttles.last_at ELSE $2 END
               RETURNING failures";
    let values = [
        subject.bytes().into(),
        tx.now().into(),
        (tx.now() - SILENCE).into(),
        MAILS.into(),
    ];
    let counted = Counted::find_by_statement(tx.sql(sql, values)).one(tx.conn()).await?;
    Ok(counted.is_none_or(|counted| counted.failures <= MAILS))
}

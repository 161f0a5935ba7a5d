//! Trading refresh tokens, whatever they renew: each is good for one trade. The token that follows one is made from it,
//! from the id of its row and from a key of ours. So a client whose answer was lost is given the very same once more, no
//! second line begins, and nothing that could be shown lies anywhere meanwhile. A token that is traded again once
//! something that came of it is in use was stolen, whoever was first.

use std::time::Duration;

use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::crypto::token::{Token, TokenKind, TokenMacKey};
use crate::kernel::id::CredentialId;
use crate::kernel::{Reads, Result, WriteTx};

/// A client whose answer was lost may use its refresh token once more within this time.
const LOST_ANSWER: Duration = Duration::from_secs(30);

/// A live refresh token that was shown. Its holder is locked: of two that trade it at once, the second sees what the
/// first did.
pub struct Shown<'a> {
    pub id: CredentialId,
    /// As it was read: see [`Token::parse`].
    pub text: &'a str,
    /// What it was traded for, if it was.
    pub replaced_by: Option<CredentialId>,
}

/// What trading it comes to.
pub enum Turn {
    /// It was never traded: this follows it. It is to be stored, and [`Shown::replaced`] to be told.
    First(Token),
    /// It was, and nothing that came of it was used: this followed it, and is stored already.
    Again(Token),
    /// It was, and something that came of it was used, or too much time has passed: its family is to end.
    Reuse,
}

#[derive(FromQueryResult)]
struct Count {
    n: i64,
}

impl Shown<'_> {
    /// The token of a kind that follows this one. Each kind has letters of its own.
    pub fn next(&self, macs: &TokenMacKey, kind: TokenKind) -> Token {
        macs.derive(kind, &format!("rotated|{}|{}", kind.prefix(), self.id), self.text)
    }

    /// Whose turn it is. `kind` is that of the token itself, and of the one that follows.
    ///
    /// # Errors
    /// [`crate::kernel::Error::Db`].
    pub async fn turn(&self, tx: &WriteTx, macs: &TokenMacKey, kind: TokenKind) -> Result<Turn> {
        let next = self.next(macs, kind);
        let Some(successor) = self.replaced_by else {
            return Ok(Turn::First(next));
        };
        // What was given with the successor, or renewed since, is as old as it or younger.
        let sql = "SELECT COUNT(*) AS n FROM credentials s
                   WHERE s.id = $1 AND s.secret_mac = $2 AND s.created_at >= $3
                     AND s.replaced_by IS NULL AND s.revoked_at IS NULL
                     AND NOT EXISTS (SELECT 1 FROM credentials u
                         WHERE u.family_id = s.family_id AND u.created_at >= s.created_at
                           AND u.last_used_at IS NOT NULL AND u.replaced_by IS NULL AND u.revoked_at IS NULL)";
        let values = [
            successor.into(),
            macs.mac(&next).to_vec().into(),
            (tx.now() - LOST_ANSWER).into(),
        ];
        let unused = Count::find_by_statement(tx.sql(sql, values)).one(tx.conn()).await?;
        Ok(match unused {
            Some(Count { n: 1 }) => Turn::Again(next),
            Some(_) | None => Turn::Reuse,
        })
    }

    /// Notes that it was traded for another.
    ///
    /// # Errors
    /// [`crate::kernel::Error::Db`].
    pub async fn replaced(&self, tx: &WriteTx, by: CredentialId) -> Result<()> {
        let sql = "UPDATE credentials SET replaced_by = $2, last_used_at = $3 WHERE id = $1";
        tx.conn()
            .execute_raw(tx.sql(sql, [self.id.into(), by.into(), tx.now().into()]))
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn shown(id: u128, text: &str) -> Shown<'_> {
        Shown {
            id: CredentialId(Uuid::from_u128(id)),
            text,
            replaced_by: None,
        }
    }

    #[test]
    fn what_follows_is_the_same_each_time_and_nobody_elses() {
        let (macs, other) = (TokenMacKey::new([1; 32]), TokenMacKey::new([2; 32]));
        let next = shown(1, "srm_ref_a").next(&macs, TokenKind::Refresh);
        assert_eq!(next.kind(), TokenKind::Refresh);
        let again = shown(1, "srm_ref_a").next(&macs, TokenKind::Refresh);
        assert_eq!(again.expose(), next.expose());
        for different in [
            shown(2, "srm_ref_a").next(&macs, TokenKind::Refresh),
            shown(1, "srm_ref_b").next(&macs, TokenKind::Refresh),
            shown(1, "srm_ref_a").next(&other, TokenKind::Refresh),
        ] {
            assert_ne!(different.expose(), next.expose());
        }
    }

    // Whoever sees an access token must not have the letters of the token that renews it.
    #[test]
    fn tokens_of_two_kinds_that_follow_one_have_no_letters_in_common() {
        let macs = TokenMacKey::new([1; 32]);
        let of = |kind: TokenKind| {
            let token = shown(1, "srm_ref_a").next(&macs, kind);
            let letters = token.expose().strip_prefix(kind.prefix()).map(str::to_owned);
            letters.unwrap_or_default()
        };
        assert_ne!(of(TokenKind::Session)[..30], of(TokenKind::Refresh)[..30]);
    }
}

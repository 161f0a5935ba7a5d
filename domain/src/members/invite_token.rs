//! The tokens of an invitation, and what each of them proves.
//!
//! An invitation to an address has two. One stands in the mail alone: whoever shows it reads that mailbox, so accepting
//! with it verifies the address, and may make the account of it. The other is shown to whoever makes the invitation, to
//! be handed over in any way: it proves nothing about the address, and so is good only for somebody signed in who has
//! verified it. Were they one, whoever invites could verify anybody's address, and make an account with it. An open link
//! has the second kind alone.
//!
//! Neither is stored, nor is anything that either follows from without the key. The mail in the queue has a number; the
//! mailed token is derived from it and the invitation's id, so the worker writes the mail as often as it must and the
//! link stays the same. The shown token is derived from the mailed one, never the other way round, so one stored hash,
//! that of the shown token, finds the invitation by either. Sending again draws a new number: both tokens change, the old
//! ones stop working, and a mail of before that still waits is not sent.

use super::invite::{self, Invite};
use crate::crypto::token::{Token, TokenKind, TokenMacKey};
use crate::kernel::id::InviteId;
use crate::kernel::{Reads, Result, WriteTx};

const MAILED: &str = "invite:mailed";
const SHOWN: &str = "invite:shown";

/// What a token of an invitation proves besides that its holder was let into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Nothing: it was shown to whoever made the invitation.
    Shown,
    /// Its holder reads the mailbox that was invited.
    Mailed,
}

/// The token of a new invitation, or of one that is sent again.
pub(super) struct Drawn {
    pub shown: Token,
    /// The number of its mail; `None` for an open link.
    pub number: Option<String>,
}

/// Draws the token of an open link.
///
/// # Errors
/// [`crate::kernel::Error::Internal`] without random numbers.
pub(super) fn open_link(tx: &WriteTx) -> Result<Drawn> {
    Ok(Drawn {
        shown: Token::generate(tx.rng(), TokenKind::Invite)?,
        number: None,
    })
}

/// Draws the number of a mail, and the token that is shown beside it.
///
/// # Errors
/// [`crate::kernel::Error::Internal`] without random numbers.
pub(super) fn to_address(tx: &WriteTx, macs: &TokenMacKey, id: InviteId) -> Result<Drawn> {
    let number = hex::encode(tx.rng().bytes::<16>()?);
    Ok(Drawn {
        shown: shown_beside(macs, &mailed(macs, id, &number)),
        number: Some(number),
    })
}

/// The token of the mail of this number.
pub(super) fn mailed(macs: &TokenMacKey, id: InviteId, number: &str) -> Token {
    macs.derive(TokenKind::Invite, MAILED, &format!("{id}:{number}"))
}

fn shown_beside(macs: &TokenMacKey, mailed: &Token) -> Token {
    macs.derive(TokenKind::Invite, SHOWN, mailed.expose())
}

/// The invitation of a token, however it stands, and what the token proves. `None` for one that is unknown or was
/// replaced, and where organisation or project is gone.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub(super) async fn find(from: &impl Reads, macs: &TokenMacKey, text: &str) -> Result<Option<(Invite, Proof)>> {
    let token = Token::parse(text).ok();
    let Some(token) = token.filter(|token| token.kind() == TokenKind::Invite) else {
        return Ok(None);
    };
    let (as_shown, as_mailed) = (macs.mac(&token), macs.mac(&shown_beside(macs, &token)));
    let found = invite::by_macs(from, [&as_shown, &as_mailed]).await?;
    Ok(found.map(|invite| {
        let proof = if invite.token_mac == as_mailed {
            Proof::Mailed
        } else {
            Proof::Shown
        };
        (invite, proof)
    }))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn each_mail_of_each_invitation_has_a_token_of_its_own_that_does_not_change() {
        let macs = TokenMacKey::new([1; 32]);
        let [one, two] = [1, 2].map(|id| InviteId(Uuid::from_u128(id)));
        let all = [
            mailed(&macs, one, "1"),
            mailed(&macs, one, "2"),
            mailed(&macs, two, "1"),
            shown_beside(&macs, &mailed(&macs, one, "1")),
            shown_beside(&macs, &mailed(&macs, one, "2")),
        ];
        for (index, token) in all.iter().enumerate() {
            assert_eq!(token.kind(), TokenKind::Invite);
            let mut others = all.iter().skip(index + 1);
            assert!(others.all(|other| other.expose() != token.expose()));
        }
        assert_eq!(mailed(&macs, one, "1").expose(), all[0].expose());
    }
}

//! Invitations of all organisations.

use crate::access::Superuser;
use crate::access::grant::MembersInvite;
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Reads, Result, WriteTx};
use crate::members::invite::{self, Invite, InviteStatus};
use crate::members::inviting;

/// The invitations, newest first; those that stand so, if that is asked for.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn list(
    from: &impl Reads,
    _: &Superuser,
    status: Option<InviteStatus>,
    page: PageRequest,
) -> Result<Page<Invite>> {
    invite::list_all(from, status, page).await
}

/// Takes an invitation back: its tokens stop working.
///
/// # Errors
/// `not_found`; `invite_unusable` when it was accepted or revoked.
pub async fn revoke(tx: &WriteTx, superuser: &Superuser, id: &str) -> Result<()> {
    let org = invite::org_of(tx, id).await?;
    let place = superuser.org::<MembersInvite>(tx, org).await?;
    inviting::revoke(tx, superuser.caller(), place, id).await
}

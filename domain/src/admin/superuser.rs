//! Who may administer the instance.

use crate::access::Caller;
use crate::kernel::id::UserId;
use crate::kernel::{Problem, Result};

/// Proof that the caller is a superuser who is signed in.
#[derive(Clone, Copy, Debug)]
pub struct Superuser(UserId);

impl Superuser {
    /// # Errors
    /// `forbidden` for everybody else; `session_required` for a superuser's token.
    pub fn require(caller: &Caller) -> Result<Self> {
        caller.mark_decided();
        if !caller.is_superuser {
            return Err(Problem::forbidden("This is for administrators of the instance.").into());
        }
        Ok(Self(caller.session_user()?))
    }

    /// The account.
    pub const fn user(&self) -> UserId {
        self.0
    }
}

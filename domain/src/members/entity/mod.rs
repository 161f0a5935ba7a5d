//! Tables of memberships and invitations.

pub mod invite;
pub mod membership;

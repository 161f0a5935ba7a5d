//! Who belongs to an organisation or a project: memberships, invitations, joining, leaving, handing over.

pub mod entity;
pub mod membership;

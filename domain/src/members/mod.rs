//! Who belongs to an organisation or a project: memberships, invitations, joining, leaving, handing over.

pub mod accepting;
pub mod assignment;
pub mod change;
pub mod coming;
pub mod entity;
pub mod invite;
pub mod invite_mail;
pub mod invite_token;
pub mod inviting;
pub mod member;
pub mod membership;
pub mod ownership;
pub mod place;
pub mod seats;
pub mod subject;

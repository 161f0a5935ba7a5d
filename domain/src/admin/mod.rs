//! What superusers see of the instance, and what they may change. Each function takes a [`Superuser`], the
//! proof that the caller is one; none shows a secret value.

pub mod invites;
pub mod jobs;
pub mod members;
pub mod orgs;
pub mod projects;
pub mod stats;
pub mod users;

pub use crate::access::Superuser;

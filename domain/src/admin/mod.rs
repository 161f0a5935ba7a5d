//! Administration of the instance by its superusers: they see what there is and how it is set, never a secret's value.

pub mod orgs;
mod superuser;

pub use superuser::Superuser;

//! Access in one place: what can be granted, to whom, and the one function that decides. Rules of other areas take
//! the typed proofs of [`grant`], which only this module can make.

pub mod caller;
pub mod class;
pub mod decide;
pub mod door;
pub mod environment;
pub mod envs;
pub mod everyone;
pub mod facts;
pub mod grant;
mod held;
pub mod inquiry;
mod load;
pub mod pattern;
pub mod permission;
mod rank;
pub mod recall;
pub mod role;
pub mod sight;
pub mod superior;
pub mod superuser;
pub mod trial;
pub mod vouch;

pub use caller::{ActorKind, Caller, CredentialKind, Mark, Origin};
pub use class::{ClassSet, EnvClass};
pub use decide::{Decision, decide, decide_any_key, decide_for, visible};
pub use environment::{EnvAccess, env, env_pair, key, keys};
pub use envs::{ProjectEnvs, envs};
pub use facts::{Actor, Ceiling, EnvRef, Facts, Principal, ProjectRef, Resource};
pub use grant::{OrgAccess, ProjectAccess, org, project};
pub use inquiry::{Inquiry, inquiry};
pub use permission::{GrantSet, Permission};
pub use recall::{AccessMemory, Recall};
pub use role::BuiltinRole;
pub use superuser::{OverseenOrg, OverseenProject, Superuser};

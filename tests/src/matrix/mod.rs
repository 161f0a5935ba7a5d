//! Who may do what, in a world with everything in it: the principals, what each was given, what the policy says of
//! each operation, and whether a request changed anything.

pub mod policy;
pub mod principals;
pub mod seed;
pub mod state;
pub mod world;

pub use principals::Principal;
pub use state::{Kept, State};
pub use world::{Place, Side, World};

//! How many requests a minute are answered: the classes of operations that are counted together, what a plan says,
//! and the buckets that are counted in. What counts against an account, whichever process is asked, lies in the database:
//! see `auth::throttle`.

pub mod bucket;
pub mod class;
pub mod plan;

pub use bucket::{Buckets, Rate, Standing, TooMany};
pub use class::{Class, CountedBy};

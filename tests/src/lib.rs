//! The harness of the tests: real servers, an application for each test, people who use it over HTTP, and receivers
//! for what it sends. A test reads as a sentence:
//!
//! ```text
//! let acme = t.org("acme").await;
//! let dana = acme.developer("dana").await;
//! let env = acme.project("web").await.env("production");
//! assert_eq!(dana.get(&env.secret("DB_URL")).await.status(), 403);
//! ```
//!
//! It is no test itself, so its own failures are panics with a reason.
#![expect(
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "harness: a failure ends the test"
)]

pub mod app;
pub mod authenticator;
pub mod client;
pub mod collector;
pub mod events;
pub mod mailbox;
pub mod matrix;
pub mod node;
pub mod operations;
pub mod packages;
pub mod people;
pub mod processes;
pub mod receiver;
pub mod schema;
pub mod sealed;
pub mod servers;
#[cfg(target_os = "linux")]
pub mod small_disk;
pub mod smtp;
pub mod statements;
pub mod stripe;
pub mod wrong_clock;

pub use app::{Backend, TestApp};
pub use authenticator::Authenticator;
pub use client::{Answer, Client};
pub use events::{Event, Events};
pub use people::{EnvPath, Org, Person, Project};
pub use receiver::Receiver;
pub use stripe::Selling;

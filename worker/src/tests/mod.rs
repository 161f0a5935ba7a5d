//! The worker against a SQLite database, real sockets and a clock that tests turn.

mod billing;
mod delivery;
mod drain;
mod faults;
mod housekeeping;
mod lanes;
mod mail;
mod metrics;
mod recovery;
mod rotation;
mod sink;
mod stripe;
mod traces;
mod world;

//! The one integration-test binary. Every test runs on SQLite with everything in one process, and on PostgreSQL with
//! Redis.

mod secrets;

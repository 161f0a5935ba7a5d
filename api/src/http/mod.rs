//! The HTTP edge: everything between the socket and an operation, and what all operations share.

pub mod authenticate;
pub mod body;
pub mod caller;
pub mod client_ip;
pub mod connection;
pub mod csrf;
pub mod edge;
pub mod etag;
pub mod events;
pub mod fields;
pub mod head;
pub mod headers;
pub mod idempotency;
pub mod json;
pub mod leftover;

pub mod metrics;
pub mod optional_body;
pub mod page;
pub mod problem;
pub mod rate_limit;
pub mod raw_body;
pub mod ready_json;
pub mod rejection;
pub mod request;
pub mod routes;
pub mod time;
pub mod traces;
pub mod write;

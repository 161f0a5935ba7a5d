//! The one way out. Requests to addresses that users chose (webhook receivers) go through [`Egress`], which dials
//! public addresses and those that the operator listed, and nothing else.
//!
//! A name is resolved here and the vetted address is the one dialled, so an answer that changes between check and use
//! gains nothing. Redirects are not followed, proxies are not read from the environment, and everything ends within
//! one wall.
//!
//! Servers that the operator named are another matter: they are reached wherever they are, by [`operator_client`].

mod address;
mod client;
mod exchange;
mod fetch;
mod operator;
mod probe;
mod resolve;
#[cfg(test)]
mod tests;
mod url;

pub use address::{EgressPolicy, is_public};
pub use client::{Egress, Timeouts};
pub use exchange::{Exchange, MAX_BODY, OutboundRequest, Outcome};
pub use fetch::{Fetch, Fetched};
pub use operator::{operator_client, why_unanswered};
pub use resolve::{Lookup, LookupError, SystemNames};
pub use url::Refused;

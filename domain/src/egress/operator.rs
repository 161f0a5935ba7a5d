//! A client for a server that the operator named in the settings, such as a store for backups. It may be anywhere, over
//! plain http too. Redirects are not followed and proxies are not read from the environment, as for everything else.

use std::time::Duration;

use reqwest::Client;
use reqwest::redirect::Policy;

use super::client::{public_roots, root_cause, tls, unusable};
use crate::kernel::Result;

const USER_AGENT: &str = concat!("Strongroom/", env!("CARGO_PKG_VERSION"));
/// Resolving, TCP and TLS together.
const CONNECT: Duration = Duration::from_secs(10);
/// Shorter than the idle time of common servers, so that a request seldom meets a connection about to be closed.
const POOL_IDLE: Duration = Duration::from_secs(15);

/// A client over HTTP/1.1. How long an answer may take is for the caller to say.
///
/// # Errors
/// [`crate::kernel::Error::Internal`] when TLS cannot be set up.
pub fn operator_client() -> Result<Client> {
    let built = Client::builder()
        .user_agent(USER_AGENT)
        .no_proxy()
        .redirect(Policy::none())
        .referer(false)
        .connect_timeout(CONNECT)
        .pool_idle_timeout(POOL_IDLE)
        .http1_only()
        .tls_backend_preconfigured(tls(public_roots(), &["http/1.1"])?)
        .build();
    built.map_err(|error| unusable(&error))
}

/// Why there is no answer, for people. Never the URL, which may be a signed one.
pub fn why_unanswered(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        "no answer in time".to_owned()
    } else {
        root_cause(error)
    }
}

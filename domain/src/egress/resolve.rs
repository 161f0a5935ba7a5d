//! Names to addresses. The client dials what it is given here, and is given only what the policy permits.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::EgressPolicy;
use super::probe::Probe;

/// One question to one name server. With the retry it stays below the time to connect, so that a dead name server is
/// reported as such.
const DNS_TIMEOUT: Duration = Duration::from_secs(2);
/// Tries after the first.
const DNS_RETRIES: usize = 1;

/// Why there is no address to dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// No such name, or no name server that answers.
    #[error("the name could not be resolved")]
    Failed,
    /// There are addresses, and none that may be dialled.
    #[error("the name resolves to an address that may not be called")]
    Forbidden,
}

/// A source of addresses.
#[async_trait]
pub trait Lookup: Send + Sync {
    /// All addresses of `name`, whether they may be dialled or not.
    ///
    /// # Errors
    /// [`LookupError::Failed`] when there is no answer.
    async fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, LookupError>;
}

/// The names that this machine knows: its hosts file and its name servers, as they were when the process started.
pub struct SystemNames {
    /// `None`: no readable `resolv.conf`; the C library is asked instead.
    resolver: Option<TokioResolver>,
}

impl SystemNames {
    /// Reads this machine's settings, or falls back to the C library.
    pub fn new() -> Self {
        Self {
            resolver: system_resolver(),
        }
    }
}

impl Default for SystemNames {
    fn default() -> Self {
        Self::new()
    }
}

fn system_resolver() -> Option<TokioResolver> {
    let mut builder = TokioResolver::builder_tokio()
        .inspect_err(|error| tracing::info!(%error, "no system name servers; names go through the C library"))
        .ok()?;
    let options = builder.options_mut();
    options.timeout = DNS_TIMEOUT;
    options.attempts = DNS_RETRIES;
    builder.build().ok()
}

#[async_trait]
impl Lookup for SystemNames {
    async fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, LookupError> {
        if let Some(resolver) = &self.resolver {
            let found = resolver.lookup_ip(name).await.map_err(|_| LookupError::Failed)?;
            return Ok(found.iter().collect());
        }
        let found = tokio::net::lookup_host((name, 0))
            .await
            .map_err(|_| LookupError::Failed)?;
        Ok(found.map(|addr| addr.ip()).collect())
    }
}

/// Resolves for the client and drops what may not be dialled.
pub(super) struct VettedNames {
    pub(super) names: Arc<dyn Lookup>,
    pub(super) policy: Arc<EgressPolicy>,
    /// For plain http: every address must be on the operator's list, or none is dialled.
    pub(super) listed_only: bool,
}

impl VettedNames {
    fn vet(policy: &EgressPolicy, listed_only: bool, found: &[IpAddr]) -> Result<Vec<SocketAddr>, LookupError> {
        if found.is_empty() {
            return Err(LookupError::Failed);
        }
        if listed_only && !found.iter().all(|&ip| policy.is_allow_listed(ip)) {
            return Err(LookupError::Forbidden);
        }
        // The client puts the URL's port in the place of 0.
        let dial: Vec<_> = found
            .iter()
            .filter(|&&ip| policy.permits(ip))
            .map(|ip| SocketAddr::new(ip.to_canonical(), 0))
            .collect();
        if dial.is_empty() {
            Err(LookupError::Forbidden)
        } else {
            Ok(dial)
        }
    }
}

impl Resolve for VettedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let (names, policy, listed_only) = (Arc::clone(&self.names), Arc::clone(&self.policy), self.listed_only);
        let probe = Probe::current();
        Box::pin(async move {
            let started = Instant::now();
            let found = names.lookup(name.as_str()).await;
            if let Some(probe) = probe {
                probe.note_dns(started.elapsed());
            }
            let dial = Self::vet(&policy, listed_only, &found?)?;
            Ok(Box::new(dial.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vet(allow: &[&str], listed_only: bool, found: &[&str]) -> Result<Vec<String>, LookupError> {
        let policy = EgressPolicy {
            allow: allow.iter().map(|net| net.parse().unwrap()).collect(),
        };
        let found: Vec<IpAddr> = found.iter().map(|ip| ip.parse().unwrap()).collect();
        VettedNames::vet(&policy, listed_only, &found)
            .map(|dial| dial.iter().map(|addr| addr.ip().to_string()).collect())
    }

    #[test]
    fn forbidden_addresses_are_dropped_from_an_answer() {
        assert_eq!(
            vet(&[], false, &["127.0.0.1", "8.8.8.8", "::ffff:10.0.0.1"]),
            Ok(vec!["8.8.8.8".to_owned()])
        );
        assert_eq!(
            vet(&[], false, &["169.254.169.254", "::1"]),
            Err(LookupError::Forbidden)
        );
        assert_eq!(vet(&[], false, &[]), Err(LookupError::Failed));
    }

    #[test]
    fn plain_http_needs_every_address_on_the_list() {
        let allow = ["10.0.0.0/8"];
        assert_eq!(
            vet(&allow, true, &["10.0.0.1", "10.0.0.2"]).map(|dial| dial.len()),
            Ok(2)
        );
        assert_eq!(vet(&allow, true, &["10.0.0.1", "8.8.8.8"]), Err(LookupError::Forbidden));
    }

    #[tokio::test]
    async fn the_hosts_file_is_read_with_and_without_name_servers() {
        for names in [SystemNames::new(), SystemNames { resolver: None }] {
            let found = names.lookup("localhost").await.unwrap();
            assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{found:?}");
        }
    }
}

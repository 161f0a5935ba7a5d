//! The client: one pool for TLS, one for the plain http that the operator opened.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};
use rustls::{ClientConfig, RootCertStore};

use super::EgressPolicy;
use super::exchange::{Exchange, OutboundRequest, Outcome};
use super::probe::{Probe, TimeConnects, micros};
use super::resolve::{Lookup, LookupError, SystemNames, VettedNames};
use crate::kernel::{Clock, Error, Result};

const USER_AGENT: &str = concat!("Strongroom-Webhooks/", env!("CARGO_PKG_VERSION"));
/// Shorter than the idle time of common proxies, so that a request seldom meets a connection about to be closed.
const POOL_IDLE: Duration = Duration::from_secs(30);
/// Idle connections to one host. As many as an endpoint may have in flight.
const POOL_PER_HOST: usize = 32;
/// Bytes of response headers over HTTP/2.
const MAX_HEADERS: u32 = 64 * 1024;

/// How long a request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Resolving, TCP and TLS together.
    pub connect: Duration,
    /// Everything, to the last byte of the body. Job leases count on it.
    pub wall: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            wall: Duration::from_secs(20),
        }
    }
}

/// The outbound client. Cheap to clone; make one per process.
#[derive(Clone)]
pub struct Egress {
    pub(super) policy: Arc<EgressPolicy>,
    clock: Clock,
    pub(super) wall: Duration,
    pub(super) secure: Client,
    pub(super) plain: Client,
}

impl Egress {
    /// A client with the names of this machine and the certificate authorities of Mozilla's list.
    ///
    /// # Errors
    /// [`Error::Internal`] when TLS cannot be set up.
    pub fn new(policy: EgressPolicy, timeouts: Timeouts) -> Result<Self> {
        Self::with_names(policy, timeouts, Arc::new(SystemNames::new()))
    }

    /// A client that asks `names`, as tests do. The answers are vetted all the same.
    ///
    /// # Errors
    /// See [`Egress::new`].
    pub fn with_names(policy: EgressPolicy, timeouts: Timeouts, names: Arc<dyn Lookup>) -> Result<Self> {
        Self::build(policy, timeouts, names, public_roots())
    }

    fn build(policy: EgressPolicy, timeouts: Timeouts, names: Arc<dyn Lookup>, roots: RootCertStore) -> Result<Self> {
        let policy = Arc::new(policy);
        let tls = tls(roots, &["h2", "http/1.1"])?;
        // Two pools, because a connection that was vetted for TLS is not vetted for plain http.
        let for_tls = VettedNames {
            names: Arc::clone(&names),
            policy: Arc::clone(&policy),
            listed_only: false,
        };
        let for_plain = VettedNames {
            names,
            policy: Arc::clone(&policy),
            listed_only: true,
        };
        let secure = builder(&timeouts, &tls, for_tls).https_only(true).build();
        let plain = builder(&timeouts, &tls, for_plain).build();
        Ok(Self {
            policy,
            clock: Clock::system(),
            wall: timeouts.wall,
            secure: secure.map_err(|error| unusable(&error))?,
            plain: plain.map_err(|error| unusable(&error))?,
        })
    }

    /// Reads dates in answers against `clock`.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// What may be dialled; it also checks URLs before they are stored.
    pub fn policy(&self) -> &EgressPolicy {
        &self.policy
    }

    /// Sends one POST. It never fails: whatever happens is the exchange's outcome, within the wall.
    pub async fn post(&self, request: OutboundRequest) -> Exchange {
        let started = Instant::now();
        let probe = Arc::new(Probe::default());
        let mut exchange = Exchange::begun();
        let run = probe.watch(self.run(request, started, &mut exchange));
        if tokio::time::timeout(self.wall, run).await.is_err() {
            exchange.fail(Outcome::Timeout, "no complete answer in time");
        }
        exchange.dns_us = probe.dns_us();
        exchange.connect_us = probe.connect_us();
        exchange.total_us = micros(started.elapsed());
        exchange
    }

    async fn run(&self, request: OutboundRequest, started: Instant, exchange: &mut Exchange) {
        // Checked on every call: the policy may be narrower than when the URL was stored, and the client dials an IP
        // address in a URL without asking the resolver.
        let url = match self.policy.check_url(&request.url) {
            Ok(url) => url,
            Err(refused) => return exchange.fail(Outcome::Blocked, &refused.to_string()),
        };
        let client = if url.scheme() == "https" {
            &self.secure
        } else {
            &self.plain
        };
        let mut post = client.post(url).body(request.body);
        for (name, value) in request.headers {
            post = post.header(name.as_ref(), value);
        }
        match post.send().await {
            Ok(response) => {
                exchange.first_byte_us = Some(micros(started.elapsed()));
                self.read(response, exchange).await;
            }
            Err(error) => fail(exchange, &error),
        }
    }

    async fn read(&self, mut response: reqwest::Response, exchange: &mut Exchange) {
        exchange.read_head(&response, self.clock.now());
        let success = response.status().is_success();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if exchange.read_body(&chunk) => {}
                Ok(_) => break,
                Err(error) => return fail(exchange, &error),
            }
        }
        exchange.outcome = if success { Outcome::Ok } else { Outcome::Http };
    }
}

/// The certificate authorities of Mozilla's list.
pub(super) fn public_roots() -> RootCertStore {
    RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    }
}

pub(super) fn unusable(error: &reqwest::Error) -> Error {
    Error::internal(format!("outbound client: {error}"))
}

fn builder(timeouts: &Timeouts, tls: &ClientConfig, names: VettedNames) -> ClientBuilder {
    Client::builder()
        .user_agent(USER_AGENT)
        .no_proxy()
        .redirect(Policy::none())
        .referer(false)
        .connect_timeout(timeouts.connect)
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(POOL_PER_HOST)
        .http2_max_header_list_size(MAX_HEADERS)
        .dns_resolver(names)
        .connector_layer(TimeConnects)
        .tls_backend_preconfigured(tls.clone())
}

/// TLS on ring, named outright: with no process-wide provider, or two compiled in, the default would panic. The peer
/// chooses one of the protocols.
pub(super) fn tls(roots: RootCertStore, protocols: &[&str]) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::internal(format!("outbound TLS: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(config)
}

fn fail(exchange: &mut Exchange, error: &reqwest::Error) {
    let text = if error.is_timeout() {
        "no connection in time".to_owned()
    } else {
        root_cause(error)
    };
    exchange.fail(classify(error), &text);
}

pub(super) fn classify(error: &reqwest::Error) -> Outcome {
    if let Some(lookup) = causes(error).find_map(|cause| cause.downcast_ref::<LookupError>()) {
        return match lookup {
            LookupError::Failed => Outcome::Dns,
            LookupError::Forbidden => Outcome::Blocked,
        };
    }
    if error.is_timeout() {
        Outcome::Timeout
    } else if error.is_builder() {
        // Nothing was sent: a header that cannot be one.
        Outcome::Blocked
    } else if causes(error).any(<dyn StdError>::is::<rustls::Error>) || (error.is_connect() && hung_up(error)) {
        Outcome::Tls
    } else {
        Outcome::Connect
    }
}

/// Whether the peer closed the connection in the middle. While connecting that can only be the TLS handshake.
fn hung_up(error: &reqwest::Error) -> bool {
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::UnexpectedEof)
}

/// The text of the innermost error; the outer ones hold the URL.
pub(super) fn root_cause(error: &reqwest::Error) -> String {
    causes(error)
        .skip(1)
        .last()
        .map_or_else(|| "the request could not be sent".to_owned(), ToString::to_string)
}

/// An error and what caused it. `io::Error` hides the error that it wraps from `source`.
fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>() {
        Some(io) => io.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
        None => error.source(),
    })
}

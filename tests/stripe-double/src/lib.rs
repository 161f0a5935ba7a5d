//! A stand-in for Stripe on loopback, for tests and development; what it does and how it is driven stands in README.md.
//!
//! It is no part of the product, so its own failures are panics with a reason.
#![recursion_limit = "256"]
#![expect(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "a double: a failure of its own ends the test"
)]

mod control;
mod delivery;
mod dispatch;
mod fault;
mod form;
mod life;
mod objects;
mod operations;
mod pages;
mod purchase;
mod schema;
mod server;
pub mod sign;
mod world;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::server::Inner;

/// The version that async-stripe 1.0.0-rc.10 speaks.
pub const API_VERSION: &str = "2026-09-30.endive";

/// Seconds since 1970, as whoever signs sees them.
pub type WallClock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// How a double is to be.
#[derive(Clone)]
pub struct Options {
    pub listen: SocketAddr,
    pub secret_key: String,
    pub webhook_secret: String,
    pub wall_clock: WallClock,
}

impl Options {
    /// One on a free port of loopback.
    pub fn new(wall_clock: WallClock) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            secret_key: "sk_test_double".to_owned(),
            webhook_secret: "whsec_double".to_owned(),
            wall_clock,
        }
    }
}

/// A running double; it ends when dropped.
pub struct StripeDouble {
    /// Its origin: `http://127.0.0.1:41234`.
    pub url: String,
    inner: Arc<Inner>,
    _guard: DropGuard,
}

impl StripeDouble {
    pub async fn start(options: Options) -> Self {
        let listener = TcpListener::bind(options.listen).await.expect("listen");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let inner = Arc::new(Inner::new(options, &url));
        let stop = CancellationToken::new();
        tokio::spawn(server::accept(listener, inner.clone(), stop.clone()));
        Self {
            url,
            inner,
            _guard: stop.drop_guard(),
        }
    }

    pub fn secret_key(&self) -> &str {
        &self.inner.options.secret_key
    }

    pub fn webhook_secret(&self) -> &str {
        &self.inner.options.webhook_secret
    }

    /// Where webhooks go from now on; there is one endpoint.
    pub fn send_webhooks_to(&self, url: &str) {
        self.inner
            .set_endpoint(url::Url::parse(url).expect("the URL of the webhook endpoint"));
    }

    /// A command of the control plane.
    ///
    /// # Panics
    /// When the double refuses it.
    pub async fn control(&self, name: &str, body: Value) -> Value {
        match self.try_control(name, body).await {
            Ok(answer) => answer,
            Err(why) => panic!("the Stripe double refuses {name}: {why}"),
        }
    }

    /// The same for a command that may be refused.
    ///
    /// # Errors
    /// Why it was.
    pub async fn try_control(&self, name: &str, body: Value) -> Result<Value, String> {
        let done = self.inner.control(name, &body).await;
        done.map_err(|fault| fault.message)
    }

    /// Waits until no webhook is on its way.
    pub async fn quiet(&self) {
        while self.inner.sending() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

//! The double as a program, for development.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use clap::Parser;
use stripe_double::{Options, StripeDouble};

/// A stand-in for Stripe on loopback, for development only.
#[derive(Parser)]
struct Arguments {
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1:8420")]
    listen: SocketAddr,
    /// Where webhooks go.
    #[arg(long, default_value = "http://127.0.0.1:8080/v1/billing/webhook")]
    webhook: String,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the double has a clock of its own, as Stripe has"
)]
fn now() -> i64 {
    let since = std::time::SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let mut options = Options::new(Arc::new(now));
    options.listen = arguments.listen;
    let double = StripeDouble::start(options).await;
    double.send_webhooks_to(&arguments.webhook);
    println!("Stripe double: {}, webhooks to {}", double.url, arguments.webhook);
    let _ = tokio::signal::ctrl_c().await;
}

//! Stripe behind `domain::billing::gateway`. This is the one crate that knows Stripe's client, which is large: with the
//! feature `stripe` off nothing of it is built, and no plan is sold.

// The compiler walks through all of Stripe's types, which name each other, to see that they may cross threads.
#![recursion_limit = "512"]

#[cfg(feature = "stripe")]
mod answers;
#[cfg(feature = "stripe")]
mod calls;
#[cfg(feature = "stripe")]
mod gateway;

use std::sync::Arc;

use domain::billing::Billing;
use domain::billing::gateway::BillingGateway;
use domain::kernel::config::Config;
use domain::kernel::{Clock, Result, Rng};

/// Billing as the configuration wants it; off without a key for Stripe. rustls must have its provider by now.
///
/// # Errors
/// The key or the address cannot be used.
pub fn open(config: &Config, clock: &Clock, rng: &Rng) -> Result<Billing> {
    let gateway = gateway(config, clock, rng)?;
    if gateway.is_some() && config.stripe_webhook_secrets.is_empty() {
        tracing::warn!("STRONGROOM_STRIPE_WEBHOOK_SECRET is not set: changes at Stripe are noticed late");
    }
    let secrets = config.stripe_webhook_secrets.clone();
    Ok(Billing::new(gateway, secrets, config.base_url.clone()))
}

#[cfg(feature = "stripe")]
fn gateway(config: &Config, clock: &Clock, rng: &Rng) -> Result<Option<Arc<dyn BillingGateway>>> {
    let Some(key) = &config.stripe_secret_key else {
        return Ok(None);
    };
    let base: Option<&str> = config.stripe_api_base.as_ref().map(AsRef::as_ref);
    let gateway = gateway::StripeGateway::open(key, base, clock.clone(), rng.clone())?;
    Ok(Some(Arc::new(gateway)))
}

#[cfg(not(feature = "stripe"))]
fn gateway(config: &Config, _clock: &Clock, _rng: &Rng) -> Result<Option<Arc<dyn BillingGateway>>> {
    if config.stripe_secret_key.is_some() {
        tracing::warn!("this build knows nothing of Stripe (cargo feature `stripe`): plans are not sold");
    }
    Ok(None)
}

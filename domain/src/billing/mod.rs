//! Billing through Stripe. Stripe's events are hints; one function, [`sync::sync_customer`], asks what there is and
//! writes it down. Without a key for Stripe there is no gateway, and everything else works as ever.
//!
//! | Part | What is in it |
//! |---|---|
//! | [`gateway`] | what is asked of Stripe, in our own words |
//! | [`standing`] | status → access, and which of several subscriptions counts |
//! | [`price`] | lookup key → plan |
//! | [`sync`] | the one writer of what Stripe says |
//! | [`checkout`] | buying, and managing what was bought |
//! | [`signature`] [`inbox`] | events as they come in |
//! | [`dunning`] | whom is told of what is due |
//! | [`reconcile`] | what finds out that we missed something |

pub mod checkout;
pub mod customer;
mod dunning;
pub mod entity;
pub mod gateway;
pub mod inbox;
mod plan;
pub mod price;
pub mod reconcile;
pub mod signature;
pub mod standing;
pub mod subscription;
pub mod sync;

use std::sync::Arc;

use url::Url;

use self::gateway::BillingGateway;
use crate::kernel::{Problem, ProblemCode, Result, Secret};

pub use self::plan::{PlanReason, apply_plan};

/// What billing works with; off without a gateway.
#[derive(Clone)]
pub struct Billing {
    gateway: Option<Arc<dyn BillingGateway>>,
    webhook_secrets: Vec<Secret<String>>,
    base_url: Url,
}

impl Billing {
    /// `webhook_secrets` verify events; several while one replaces another. Pages lead back to `base_url`.
    pub fn new(gateway: Option<Arc<dyn BillingGateway>>, webhook_secrets: Vec<Secret<String>>, base_url: Url) -> Self {
        Self {
            gateway,
            webhook_secrets,
            base_url,
        }
    }

    /// # Errors
    /// `billing_disabled`.
    pub fn gateway(&self) -> Result<&dyn BillingGateway> {
        let gateway = self.gateway.as_deref();
        gateway.ok_or_else(|| {
            let detail = "This instance does not sell plans: no key for the payment provider is set.";
            Problem::new(ProblemCode::BillingDisabled, detail).into()
        })
    }

    /// The secrets that verify events.
    ///
    /// # Errors
    /// `billing_disabled` without a gateway or without a secret.
    pub fn webhook_secrets(&self) -> Result<&[Secret<String>]> {
        self.gateway()?;
        if self.webhook_secrets.is_empty() {
            let detail = "This instance takes no events of the payment provider: no secret for them is set.";
            return Err(Problem::new(ProblemCode::BillingDisabled, detail).into());
        }
        Ok(&self.webhook_secrets)
    }

    /// What tells this installation from others that use the same account of Stripe's: its public address.
    pub fn deployment(&self) -> &str {
        self.base_url.as_str()
    }

    /// A page of ours that Stripe leads back to. Never built from a request.
    fn page(&self, result: &str) -> String {
        format!("{}billing?result={result}", self.base_url)
    }
}

//! What is asked of Stripe, over its generated client.

use async_trait::async_trait;
use domain::billing::gateway::{
    BillingGateway, GatewayError, GatewayResult, Listed, ListedEvent, NewCheckout, NewCustomer, Price, SeatChange,
    Subscription,
};
use domain::kernel::{Clock, Error, Result, Rng, Secret, Timestamp};
use stripe::ClientBuilder;
use stripe_billing::billing_portal_session::CreateBillingPortalSession;
use stripe_billing::invoice::ListInvoice;
use stripe_billing::subscription::{
    CancelSubscription, ListSubscription, ListSubscriptionStatus, UpdateSubscription, UpdateSubscriptionItems,
    UpdateSubscriptionProrationBehavior,
};
use stripe_checkout::checkout_session::{
    CreateCheckoutSession, CreateCheckoutSessionLineItems, CreateCheckoutSessionSubscriptionData,
    CreateCheckoutSessionSubscriptionDataTrialSettings, CreateCheckoutSessionSubscriptionDataTrialSettingsEndBehavior,
    CreateCheckoutSessionSubscriptionDataTrialSettingsEndBehaviorMissingPaymentMethod as MissingPaymentMethod,
};
use stripe_core::customer::CreateCustomer;
use stripe_core::event::ListEvent;
use stripe_product::price::ListPrice;

use crate::answers;
use crate::calls::{Calls, TIMEOUT};

/// Entries of a page; Stripe's most.
const PAGE: i64 = 100;
/// Pages of one customer's subscriptions: who ends and begins one a day needs years to fill them.
const MOST_PAGES: usize = 10;

/// Stripe.
pub(crate) struct StripeGateway {
    calls: Calls,
    is_live: bool,
}

impl StripeGateway {
    /// `base` is an origin; Stripe's own if absent.
    pub(crate) fn open(key: &Secret<String>, base: Option<&str>, clock: Clock, rng: Rng) -> Result<Self> {
        let is_live = !(key.expose().starts_with("sk_test_") || key.expose().starts_with("rk_test_"));
        let builder = ClientBuilder::new(key.expose().clone()).timeout(TIMEOUT).app_info(
            "Strongroom",
            Some(env!("CARGO_PKG_VERSION").to_owned()),
            None,
        );
        let builder = match base {
            // With its slash at the end: the client puts `v1` right behind it.
            Some(base) => builder.url(base),
            None => builder,
        };
        // The error could tell of the key.
        let client = builder
            .build()
            .map_err(|_| Error::internal("Stripe's client cannot be made: look at STRONGROOM_STRIPE_SECRET_KEY"))?;
        Ok(Self {
            calls: Calls { client, clock, rng },
            is_live,
        })
    }
}

#[async_trait]
impl BillingGateway for StripeGateway {
    fn is_live(&self) -> bool {
        self.is_live
    }

    async fn create_customer(&self, customer: NewCustomer, key: &str) -> GatewayResult<String> {
        let NewCustomer {
            name,
            org_id,
            deployment,
        } = customer;
        let request = CreateCustomer::new()
            .name(name)
            .metadata(answers::marks(org_id, deployment));
        let made = self.calls.change(&request, key).await?;
        Ok(made.id.as_str().to_owned())
    }

    async fn subscriptions(&self, customer: &str) -> GatewayResult<Vec<Subscription>> {
        let request = ListSubscription::new()
            .customer(customer)
            .status(ListSubscriptionStatus::All)
            .limit(PAGE);
        let mut all: Vec<Subscription> = Vec::new();
        for _ in 0..MOST_PAGES {
            let request = match all.last() {
                Some(last) => request.clone().starting_after(last.id.as_str()),
                None => request.clone(),
            };
            let page = self.calls.ask(&request).await?;
            all.extend(page.data.iter().map(answers::subscription));
            if !page.has_more || page.data.is_empty() {
                break;
            }
        }
        Ok(all)
    }

    async fn live_subscriptions(&self, after: Option<&str>) -> GatewayResult<Listed<Subscription>> {
        // Without a status Stripe lists those that have not ended.
        let request = ListSubscription::new().limit(PAGE);
        let request = match after {
            Some(after) => request.starting_after(after),
            None => request,
        };
        let page = self.calls.ask(&request).await?;
        Ok(Listed {
            data: page.data.iter().map(answers::subscription).collect(),
            has_more: page.has_more,
        })
    }

    async fn oldest_open_invoice(&self, subscription: &str) -> GatewayResult<Option<Timestamp>> {
        let request = ListInvoice::new()
            .subscription(subscription)
            .status(stripe_billing::InvoiceStatus::Open)
            .limit(PAGE);
        let page = self.calls.ask(&request).await?;
        let oldest = page.data.iter().map(|invoice| invoice.created).min();
        Ok(oldest.map(answers::instant))
    }

    async fn prices(&self, after: Option<&str>) -> GatewayResult<Listed<Price>> {
        let request = ListPrice::new().type_(stripe_product::PriceType::Recurring).limit(PAGE);
        let request = match after {
            Some(after) => request.starting_after(after),
            None => request,
        };
        let page = self.calls.ask(&request).await?;
        Ok(Listed {
            data: page.data.iter().map(answers::price).collect(),
            has_more: page.has_more,
        })
    }

    async fn create_checkout(&self, checkout: NewCheckout, key: &str) -> GatewayResult<String> {
        let request = checkout_request(checkout)?;
        let made = self.calls.change(&request, key).await?;
        let no_url = || GatewayError::Passing("a checkout session without an address".to_owned());
        made.url.ok_or_else(no_url)
    }

    async fn create_portal(&self, customer: &str, return_url: &str) -> GatewayResult<String> {
        let request = CreateBillingPortalSession::new()
            .customer(customer)
            .return_url(return_url);
        // Without a key: each is good for minutes, and a second one does no harm.
        let made = self.calls.ask(&request).await?;
        Ok(made.url)
    }

    async fn set_quantity(&self, change: SeatChange, key: &str) -> GatewayResult<()> {
        let SeatChange {
            subscription,
            item,
            quantity,
            prorate,
        } = change;
        let mut line = UpdateSubscriptionItems::new();
        line.id = Some(item);
        line.quantity = Some(count(quantity)?);
        let behaviour = if prorate {
            UpdateSubscriptionProrationBehavior::CreateProrations
        } else {
            UpdateSubscriptionProrationBehavior::None
        };
        let request = UpdateSubscription::new(subscription)
            .items(vec![line])
            .proration_behavior(behaviour);
        self.calls.change(&request, key).await?;
        Ok(())
    }

    async fn cancel(&self, subscription: &str, key: &str) -> GatewayResult<()> {
        let request = CancelSubscription::new(subscription);
        self.calls.change(&request, key).await?;
        Ok(())
    }

    async fn undelivered_events(&self, kinds: &[&str], after: Option<&str>) -> GatewayResult<Listed<ListedEvent>> {
        let kinds: Vec<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        let request = ListEvent::new().delivery_success(false).types(kinds).limit(PAGE);
        let request = match after {
            Some(after) => request.starting_after(after),
            None => request,
        };
        let page = self.calls.ask(&request).await?;
        Ok(Listed {
            data: page.data.iter().map(answers::event).collect(),
            has_more: page.has_more,
        })
    }
}

fn count(quantity: i64) -> GatewayResult<u64> {
    u64::try_from(quantity).map_err(|_| GatewayError::Refused("a quantity below zero".to_owned()))
}

fn checkout_request(checkout: NewCheckout) -> GatewayResult<CreateCheckoutSession> {
    let NewCheckout {
        customer,
        org_id,
        deployment,
        price_id,
        quantity,
        trial_days,
        success_url,
        cancel_url,
    } = checkout;
    let mut line = CreateCheckoutSessionLineItems::new();
    line.price = Some(price_id);
    line.quantity = Some(count(quantity)?);
    let mut data = CreateCheckoutSessionSubscriptionData::new();
    data.metadata = Some(answers::marks(org_id.clone(), deployment.clone()));
    if let Some(days) = trial_days {
        data.trial_period_days = Some(days);
        let end = CreateCheckoutSessionSubscriptionDataTrialSettingsEndBehavior::new(MissingPaymentMethod::Pause);
        data.trial_settings = Some(CreateCheckoutSessionSubscriptionDataTrialSettings::new(end));
    }
    Ok(CreateCheckoutSession::new()
        .mode(stripe_checkout::CheckoutSessionMode::Subscription)
        .customer(customer)
        .client_reference_id(org_id.clone())
        .metadata(answers::marks(org_id, deployment))
        .line_items(vec![line])
        .subscription_data(data)
        .allow_promotion_codes(true)
        .success_url(success_url)
        .cancel_url(cancel_url))
}

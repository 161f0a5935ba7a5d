//! An application that sells plans, with a double of Stripe beside it.
#![expect(clippy::expect_used, reason = "harness: a failure ends the test")]

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use domain::kernel::Clock;
use domain::kernel::id::OrgId;
use serde_json::json;
use stripe_double::StripeDouble;

use crate::app::{Options, TestApp, eventually};
use crate::client::Client;
use crate::people::{Org, PASSWORD, Person};

/// Plans, the smallest first.
pub const PLANS: [&str; 3] = ["free", "team", "business"];

/// An application and the Stripe through which it sells. Both have one clock.
pub struct Selling {
    app: TestApp,
    pub stripe: StripeDouble,
}

impl Deref for Selling {
    type Target = TestApp;

    fn deref(&self) -> &TestApp {
        &self.app
    }
}

impl Selling {
    pub async fn start(options: Options) -> Self {
        // The application has a clock only once it runs.
        let (clock, first) = (Arc::new(OnceLock::<Clock>::new()), options.clock);
        let seen = clock.clone();
        let wall = move || {
            let start = || first.unwrap_or_else(|| Clock::system().now());
            seen.get().map_or_else(start, Clock::now).secs()
        };
        let stripe = StripeDouble::start(stripe_double::Options::new(Arc::new(wall))).await;
        let mut options = options;
        for (name, value) in [
            ("STRONGROOM_STRIPE_SECRET_KEY", stripe.secret_key().to_owned()),
            ("STRONGROOM_STRIPE_WEBHOOK_SECRET", stripe.webhook_secret().to_owned()),
            ("STRONGROOM_STRIPE_API_BASE", stripe.url.clone()),
        ] {
            // What the test says counts.
            if options.settings.iter().all(|(said, _)| *said != name) {
                options = options.with(name, value);
            }
        }
        let app = TestApp::start(options).await;
        clock.set(app.clock.clone()).expect("one clock");
        stripe.send_webhooks_to(&format!("{}/v1/billing/webhook", app.url));
        Self { app, stripe }
    }

    /// Moves the clock of both, and lets happen at Stripe what is due.
    pub async fn advance_days(&self, days: u64) {
        self.advance(std::time::Duration::from_hours(24 * days));
        self.stripe.control("advance", json!({})).await;
    }

    /// Somebody whose session did not outlive the days that passed.
    pub async fn signed_in(&self, person: &Person) -> Client {
        let body = json!({ "email": person.email, "password": PASSWORD, "transport": "bearer" });
        let made = self.anonymous().post("/v1/auth/login", body).await.expect(200);
        self.anonymous().bearer(&made.at("/access_token"))
    }

    /// Goes to buy a plan by the month, and pays; returns the subscription.
    pub async fn subscribe(&self, org: &Org<'_>, plan: &str) -> String {
        let body = json!({ "plan": plan, "interval": "monthly" });
        org.owner.post(&org.path("/billing/checkout"), body).await.ok();
        let bought = self.stripe.control("complete_checkout", json!({})).await;
        self.expect_plan(&org.slug, plan).await;
        bought["subscription"].as_str().expect("a subscription").to_owned()
    }

    /// The place in [`PLANS`] of the plan that an organisation is on; 9 for another one.
    pub async fn plan_rank(&self, slug: &str) -> i64 {
        let plan = "CASE plan WHEN 'free' THEN 0 WHEN 'team' THEN 1 WHEN 'business' THEN 2 ELSE 9 END";
        self.number(&format!(
            "SELECT CAST({plan} AS BIGINT) FROM orgs WHERE slug = '{slug}'"
        ))
        .await
    }

    /// Waits until an organisation is on a plan.
    pub async fn expect_plan(&self, slug: &str, plan: &str) {
        let rank = PLANS.iter().position(|known| *known == plan).expect("a plan");
        let rank = i64::try_from(rank).expect("a few plans");
        let what = format!("{slug} is on {plan}");
        eventually(&what, || async { self.plan_rank(slug).await == rank }).await;
    }

    /// The customer at Stripe that an organisation is; `None` before it ever bought.
    pub async fn customer(&self, org: OrgId) -> Option<String> {
        let world = self.stripe.control("world", json!({})).await;
        let org = org.to_string();
        let mut customers = world["customers"].as_array().into_iter().flatten();
        let found = customers.find(|customer| customer["metadata"]["org_id"] == org.as_str());
        found.and_then(|customer| customer["id"].as_str()).map(str::to_owned)
    }
}

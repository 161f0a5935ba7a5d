//! Events of Stripe that come five times each, in any order, forged, or ten minutes late, and while processes are killed:
//! each is stored once, what was forged or is late is refused, and the plan is the one that Stripe says.

use std::sync::Arc;
use std::time::Duration;

use domain::billing::reconcile::Look;
use domain::kernel::{Clock, Timestamp};
use harness::app;
use harness::processes::{self, Api, Installation, Process, Tenant, number, within};
use serde_json::{Value, json};
use stripe_double::{Options, StripeDouble};

use super::jobs_end;

/// How often each event comes.
const TIMES: usize = 5;
/// Older than a signature may be, in seconds.
const LATE: i64 = 600;
/// Changes of the plan here, however many events tell of them: bought, larger, smaller.
const CHANGES: i64 = 3;

/// An installation that sells plans, and an organisation that buys.
struct Shop {
    api: Api,
    /// `None` when the API runs the jobs itself.
    worker: Option<Process>,
    stripe: StripeDouble,
    tenant: Tenant,
    installation: Installation,
}

impl Shop {
    async fn open(installation: Installation, is_embedded: bool) -> Self {
        let wall = || Clock::system().now().secs();
        let stripe = StripeDouble::start(Options::new(Arc::new(wall))).await;
        let installation = installation
            .with("STRONGROOM_STRIPE_SECRET_KEY", stripe.secret_key())
            .with("STRONGROOM_STRIPE_WEBHOOK_SECRET", stripe.webhook_secret())
            .with("STRONGROOM_STRIPE_API_BASE", &stripe.url);
        let opened = Clock::system().now();
        let api = installation.api().await;
        let worker = if is_embedded {
            None
        } else {
            Some(installation.worker().await)
        };
        let shop = Self {
            tenant: Tenant::create(&api.url, "acme", None).await,
            api,
            worker,
            stripe,
            installation,
        };
        shop.tell_stripe_where();
        shop.look_round(opened).await;
        shop
    }

    /// The first looks at Stripe are taken: the next are due when the test is long over.
    async fn look_round(&self, opened: Timestamp) {
        let taken = format!("SELECT COUNT(*) FROM billing_runs WHERE ran_at >= {}", opened.micros());
        let all = i64::try_from(Look::ALL.len()).expect("few");
        within(Duration::from_mins(1), "every look is taken", || async {
            self.count(&taken).await == all
        })
        .await;
    }

    fn tell_stripe_where(&self) {
        let url = format!("{}/v1/billing/webhook", self.api.url);
        self.stripe.send_webhooks_to(&url);
    }

    async fn buy(&self, plan: &str) {
        let checkout = format!("{}/billing/checkout", self.tenant.org);
        let wanted = json!({ "plan": plan, "interval": "monthly" });
        self.tenant.person.post(&checkout, wanted).await.ok();
        self.stripe.control("complete_checkout", json!({})).await;
        self.expect_plan(plan).await;
        // Whoever asks Stripe later than here sees what comes later, also without an event.
        self.stripe.quiet().await;
        jobs_end(&self.installation.db().await, Duration::from_mins(1)).await;
    }

    /// Much happens at Stripe, and nobody is told as yet.
    async fn change(&self, plans: &[&str]) {
        self.stripe.control("delivery", json!({ "mode": "hold" })).await;
        for plan in plans {
            let price = json!({ "price": format!("{plan}_monthly_v1") });
            self.stripe.control("portal_switch", price).await;
            self.stripe.control("portal_cancel", json!({})).await;
            self.stripe.control("portal_resume", json!({})).await;
        }
    }

    /// Sends what was not delivered; returns what was answered, 0 for no answer.
    async fn send(&self, manner: Value) -> Vec<u64> {
        let sent = self.stripe.control("emit", manner).await;
        let answers = sent["answers"].as_array().expect("answers");
        answers
            .iter()
            .map(|answer| answer["status"].as_u64().expect("a status"))
            .collect()
    }

    /// The same while the processes are killed, one after the other.
    async fn send_and_kill(&mut self, manner: Value) {
        let kill = async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            self.api.process.kill();
            if let Some(worker) = &self.worker {
                worker.kill();
            }
        };
        tokio::join!(self.send(manner), kill);
        self.api = self.installation.api().await;
        self.tenant = self.tenant.at(&self.api.url);
        if self.worker.is_some() {
            self.worker = Some(self.installation.worker().await);
        }
        self.tell_stripe_where();
    }

    async fn plan(&self) -> String {
        let path = format!("{}/billing", self.tenant.org);
        self.tenant.person.get(&path).await.expect(200).at("/plan")
    }

    async fn expect_plan(&self, plan: &str) {
        within(Duration::from_mins(1), plan, || async { self.plan().await == plan }).await;
    }

    async fn count(&self, query: &str) -> i64 {
        number(&self.installation.db().await, query).await
    }

    async fn stored(&self) -> i64 {
        self.count("SELECT COUNT(*) FROM stripe_events").await
    }

    /// The ids of everything that happened at Stripe, oldest first.
    async fn events(&self) -> Vec<Value> {
        let world = self.stripe.control("world", json!({})).await;
        let events = world["events"].as_array().expect("events");
        events.iter().map(|event| event["id"].clone()).collect()
    }
}

async fn events_in_any_shape(mut shop: Shop) {
    shop.buy("team").await;
    shop.change(&["business", "team", "business"]).await;
    let before = shop.stored().await;
    let sign_with = shop.stripe.webhook_secret().replace("double", "somebody");
    for bad in [json!({ "sign_with": sign_with }), json!({ "age_seconds": LATE })] {
        let answers = shop.send(bad).await;
        assert!(answers.len() > 3, "{answers:?}");
        assert!(answers.iter().all(|status| *status == 400), "{answers:?}");
    }
    assert_eq!(shop.stored().await, before, "nothing of that is kept");
    assert_eq!(shop.plan().await, "team", "and nothing came of it");

    let answers = shop.send(json!({ "duplicate": TIMES, "shuffle": 7 })).await;
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    assert!(answers.len().is_multiple_of(TIMES) && !answers.is_empty());
    shop.expect_plan("business").await;

    shop.change(&["team", "business", "team"]).await;
    let hasty = json!({ "duplicate": TIMES, "shuffle": 11, "delay_ms": 40 });
    shop.send_and_kill(hasty).await;
    let answers = shop.send(json!({ "duplicate": TIMES, "reorder": true })).await;
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    shop.expect_plan("team").await;
    // What is long over is sent once more.
    let events = shop.events().await;
    let oldest = json!({ "events": events[..2], "duplicate": TIMES });
    assert_eq!(shop.send(oldest).await, [200; 2 * TIMES]);

    let db = shop.installation.db().await;
    jobs_end(&db, Duration::from_mins(1)).await;
    assert_eq!(shop.plan().await, "team", "the plan is the one that Stripe says");
    assert_eq!(
        usize::try_from(shop.stored().await),
        Ok(events.len()),
        "each is stored once"
    );
    let open = "SELECT COUNT(*) FROM stripe_events WHERE status IN ('pending', 'dead')";
    assert_eq!(number(&db, open).await, 0, "and all were looked at");
    let changes = "SELECT COUNT(*) FROM journal WHERE action = 'billing.plan_changed'";
    assert_eq!(number(&db, changes).await, CHANGES, "each change was made once");
}

#[test]
fn embedded() {
    processes::run(async {
        events_in_any_shape(Shop::open(Installation::embedded(), true).await).await;
    });
}

#[test]
fn scaled() {
    processes::run(async {
        let installation = Installation::scaled(&app::postgres_database().await, &app::redis_url());
        events_in_any_shape(Shop::open(installation, false).await).await;
    });
}

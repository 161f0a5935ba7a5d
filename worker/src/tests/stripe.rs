//! A Stripe that says what a test wants, and notes what it is asked for.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use domain::billing::Billing;
use domain::billing::gateway::{
    BillingGateway, GatewayError, GatewayResult, Item, Listed, ListedEvent, NewCheckout, NewCustomer, Price,
    SeatChange, Subscription,
};
use domain::billing::standing::Status;
use domain::kernel::{Db, Reads, Timestamp};
use sea_orm::ConnectionTrait;

use super::world::{World, base_url};

/// The customer that the organisation of a world is.
pub(super) const CUSTOMER: &str = "cus_1";

/// What it has and what it was asked for.
#[derive(Default)]
pub(super) struct Says {
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) oldest_open_invoice: Option<Timestamp>,
    pub(super) undelivered: Vec<ListedEvent>,
    /// Whether it fails.
    pub(super) is_down: bool,
    /// Whether it never answers when it is asked for prices or for subscriptions that are alive.
    pub(super) is_silent: bool,
    /// Somebody else asks while we wait for an answer.
    pub(super) meanwhile: Option<Db>,
    /// How often it was asked for subscriptions.
    pub(super) asked: usize,
    pub(super) seats: Vec<SeatChange>,
    pub(super) cancelled: Vec<String>,
}

/// A Stripe without sockets.
#[derive(Clone, Default)]
pub(super) struct FakeStripe(Arc<Mutex<Says>>);

impl FakeStripe {
    pub(super) fn says<T>(&self, change: impl FnOnce(&mut Says) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    pub(super) fn billing(&self) -> Billing {
        Billing::new(Some(Arc::new(self.clone())), Vec::new(), base_url())
    }

    async fn answers(&self) {
        if self.says(|says| says.is_silent) {
            std::future::pending::<()>().await;
        }
    }

    /// Says that there is one subscription, of the team plan.
    pub(super) fn has(&self, status: &str) {
        let all = vec![subscription(status, price("price_team", Some("team_monthly_v1")))];
        self.says(|says| says.subscriptions = all);
    }
}

pub(super) fn price(id: &str, lookup_key: Option<&str>) -> Price {
    Price {
        id: id.to_owned(),
        lookup_key: lookup_key.map(str::to_owned),
        active: true,
        per_seat: false,
        trial_days: None,
    }
}

pub(super) fn subscription(status: &str, price: Price) -> Subscription {
    Subscription {
        id: "sub_1".to_owned(),
        customer: CUSTOMER.to_owned(),
        status: Status::parse(status),
        created: Timestamp(1),
        items: vec![Item {
            id: "si_1".to_owned(),
            price,
            quantity: Some(1),
            current_period_end: Timestamp(2_000_000_000_000_000),
        }],
        cancel_at_period_end: false,
        cancel_at: None,
        trial_end: None,
        org_id: None,
        deployment: Some(base_url().to_string()),
    }
}

impl World {
    /// Makes the organisation a customer.
    pub(super) async fn is_customer(&self) {
        let tx = self.db.begin_write().await.unwrap();
        let sql = "INSERT INTO billing_customers (org_id, stripe_customer_id, livemode, sync_seq, created_at)
            VALUES ($1, $2, FALSE, 0, $3)";
        let values = [self.org.into(), CUSTOMER.into(), tx.now().into()];
        tx.conn().execute_raw(tx.sql(sql, values)).await.unwrap();
        tx.commit_bookkeeping().await.unwrap();
    }
}

#[async_trait]
impl BillingGateway for FakeStripe {
    fn is_live(&self) -> bool {
        false
    }

    async fn create_customer(&self, _customer: NewCustomer, _key: &str) -> GatewayResult<String> {
        Ok(CUSTOMER.to_owned())
    }

    async fn subscriptions(&self, _customer: &str) -> GatewayResult<Vec<Subscription>> {
        if let Some(db) = self.says(|says| says.meanwhile.take()) {
            let tx = db.begin_write().await.unwrap();
            let sql = "UPDATE billing_customers SET sync_seq = sync_seq + 1";
            tx.conn().execute_raw(tx.sql(sql, [])).await.unwrap();
            tx.commit_bookkeeping().await.unwrap();
        }
        self.says(|says| {
            says.asked += 1;
            if says.is_down {
                return Err(GatewayError::Passing("it is down".to_owned()));
            }
            Ok(says.subscriptions.clone())
        })
    }

    async fn live_subscriptions(&self, _after: Option<&str>) -> GatewayResult<Listed<Subscription>> {
        self.answers().await;
        let data = self.says(|says| {
            let live = says.subscriptions.iter().filter(|one| !one.status.is_over());
            live.cloned().collect()
        });
        Ok(Listed { data, has_more: false })
    }

    async fn oldest_open_invoice(&self, _subscription: &str) -> GatewayResult<Option<Timestamp>> {
        Ok(self.says(|says| says.oldest_open_invoice))
    }

    async fn prices(&self, _after: Option<&str>) -> GatewayResult<Listed<Price>> {
        self.answers().await;
        let data = vec![price("price_team", Some("team_monthly_v1"))];
        Ok(Listed { data, has_more: false })
    }

    async fn create_checkout(&self, _checkout: NewCheckout, _key: &str) -> GatewayResult<String> {
        Ok("https://checkout.example.com".to_owned())
    }

    async fn create_portal(&self, _customer: &str, _return_url: &str) -> GatewayResult<String> {
        Ok("https://portal.example.com".to_owned())
    }

    async fn set_quantity(&self, change: SeatChange, _key: &str) -> GatewayResult<()> {
        self.says(|says| says.seats.push(change));
        Ok(())
    }

    async fn cancel(&self, subscription: &str, _key: &str) -> GatewayResult<()> {
        self.says(|says| {
            says.cancelled.push(subscription.to_owned());
            for one in &mut says.subscriptions {
                one.status = Status::Canceled;
            }
        });
        Ok(())
    }

    async fn undelivered_events(&self, kinds: &[&str], _after: Option<&str>) -> GatewayResult<Listed<ListedEvent>> {
        let data = self.says(|says| {
            let wanted = |event: &&ListedEvent| kinds.contains(&event.kind.as_str());
            says.undelivered.iter().filter(wanted).cloned().collect()
        });
        Ok(Listed { data, has_more: false })
    }
}

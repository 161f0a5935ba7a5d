//! What Stripe says, written down: in whatever order it is heard, and however often.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use domain::access;
use domain::billing::gateway::{ListedEvent, Price};
use domain::billing::inbox::{self, Envelope};
use domain::billing::reconcile::{self, Look};
use domain::billing::subscription::{self, Subscribed};
use domain::jobs::Verdict;
use domain::kernel::config::Plan;
use domain::kernel::id::OrgId;
use domain::kernel::{Clock, Reads, Timestamp};
use domain::orgs::{organisation, plan, purge};
use sea_orm::ConnectionTrait;
use tokio_util::sync::CancellationToken;

use super::stripe::{CUSTOMER, FakeStripe, price, subscription as of};
use super::world::{World, no_billing, until};
use crate::looks;
use crate::run::{Ending, Taken};

const DAY: Duration = Duration::from_hours(24);

/// A customer, and a clock that stands still.
async fn customer() -> (World, FakeStripe) {
    let world = World::with_clock(Clock::manual(Timestamp::parse("2030-01-02T03:04:05Z").unwrap())).await;
    world.is_customer().await;
    (world, FakeStripe::default())
}

/// An event arrives; the lanes to ring.
async fn hear(world: &World, id: &str, kind: &str, livemode: bool) -> Vec<String> {
    let envelope = Envelope {
        id: id.to_owned(),
        kind: kind.to_owned(),
        api_version: None,
        livemode,
        created: world.db.now(),
        customer: Some(CUSTOMER.to_owned()),
    };
    let tx = world.db.begin_write().await.unwrap();
    inbox::receive(&tx, envelope, b"{}", false).await.unwrap();
    tx.commit_bookkeeping().await.unwrap()
}

async fn number(world: &World, sql: &str) -> i64 {
    let row = world
        .db
        .conn()
        .query_one_raw(world.db.sql(sql, []))
        .await
        .unwrap()
        .unwrap();
    row.try_get_by_index(0).unwrap()
}

async fn plan_of(world: &World) -> String {
    plan::billed(&world.db, world.org).await.unwrap().unwrap().plan
}

async fn subscribed(world: &World) -> Subscribed {
    subscription::of_org(&world.db, world.org).await.unwrap().unwrap()
}

/// The jobs of the customer that are due.
async fn due_jobs(world: &World) -> Vec<Taken> {
    world.steal(&[format!("stripe:{CUSTOMER}")]).await
}

/// Hears of something and asks Stripe.
async fn sync(world: &World, stripe: &FakeStripe, event: &str) -> Ending {
    let lanes = hear(world, event, "customer.subscription.updated", false).await;
    let taken = world.steal(&lanes).await.remove(0);
    let ending = world.apply(stripe.billing()).event(&taken.job, event).await;
    over(world).await;
    ending
}

/// Nobody writes down what came of stolen jobs; a lane with one under way is not asked for more.
async fn over(world: &World) {
    world
        .sql("UPDATE jobs SET state = 2 WHERE kind = 'stripe' AND id IN (SELECT job_id FROM job_leases)")
        .await;
    world.sql("DELETE FROM job_leases").await;
}

/// Takes a look and carries out what it asks for.
async fn look(world: &World, stripe: &FakeStripe, look: Look) -> usize {
    reconcile::take(&world.db, &stripe.billing(), look, pending())
        .await
        .unwrap();
    let taken = due_jobs(world).await;
    for one in &taken {
        let apply = world.apply(stripe.billing());
        assert_eq!(apply.org(&one.job, world.org).await.verdict, Verdict::Done);
    }
    over(world).await;
    taken.len()
}

#[tokio::test]
async fn the_events_of_a_customer_are_answered_by_one_look() {
    let (world, stripe) = customer().await;
    stripe.has("active");
    let mut lanes = Vec::new();
    for n in 0..8 {
        lanes = hear(&world, &format!("evt_{n}"), "invoice.paid", false).await;
    }
    assert!(
        hear(&world, "evt_0", "invoice.paid", false).await.is_empty(),
        "it is known"
    );
    let taken = world.steal(&lanes).await;
    assert_eq!(taken.len(), 8);
    let apply = world.apply(stripe.billing());
    for (n, one) in taken.iter().enumerate() {
        let ending = apply.event(&one.job, &format!("evt_{n}")).await;
        assert_eq!(ending.verdict, Verdict::Done);
        assert_eq!(ending.log.outcome, if n == 0 { "ok" } else { "coalesced" });
    }
    assert_eq!(stripe.says(|says| says.asked), 1);
    assert_eq!(plan_of(&world).await, "team");
    let told = "SELECT COUNT(*) FROM journal WHERE action = 'billing.plan_changed'";
    assert_eq!(number(&world, told).await, 1);
    assert_eq!(
        number(&world, "SELECT COUNT(*) FROM stripe_events WHERE status = 'done'").await,
        8
    );
}

#[tokio::test]
async fn what_is_not_about_us_is_kept_and_ignored() {
    let (world, _) = customer().await;
    assert!(hear(&world, "evt_live", "invoice.paid", true).await.is_empty());
    assert!(hear(&world, "evt_other", "payout.paid", false).await.is_empty());
    world
        .sql("UPDATE billing_customers SET stripe_customer_id = 'cus_else'")
        .await;
    assert!(hear(&world, "evt_foreign", "invoice.paid", false).await.is_empty());
    assert_eq!(
        number(&world, "SELECT COUNT(*) FROM stripe_events WHERE status = 'ignored'").await,
        3
    );
    assert!(world.jobs("stripe").await.is_empty());
}

#[tokio::test]
async fn a_grace_has_reminders_and_an_end() {
    let (world, stripe) = customer().await;
    stripe.has("active");
    sync(&world, &stripe, "evt_1").await;
    let began = world.db.now();
    stripe.has("past_due");
    stripe.says(|says| says.oldest_open_invoice = Some(began));
    sync(&world, &stripe, "evt_2").await;
    let reminders = "SELECT COUNT(*) FROM mails WHERE template = 'payment_failed_v1'";
    assert_eq!(
        (plan_of(&world).await.as_str(), number(&world, reminders).await),
        ("team", 1)
    );
    assert_eq!(look(&world, &stripe, Look::Due).await, 0, "nothing is due");
    for (days, mails, plan) in [(3, 2, "team"), (7, 3, "team"), (12, 4, "team"), (14, 4, "free")] {
        world.db.clock().advance((began + DAY * days).since(world.db.now()));
        assert_eq!(look(&world, &stripe, Look::Due).await, 1, "day {days}");
        assert_eq!(
            (plan_of(&world).await.as_str(), number(&world, reminders).await),
            (plan, mails),
            "day {days}"
        );
    }
    stripe.has("active");
    sync(&world, &stripe, "evt_3").await;
    assert_eq!(plan_of(&world).await, "team", "it was paid");
    assert_eq!(subscribed(&world).await.grace_until, None);
}

#[tokio::test]
async fn an_older_answer_is_not_written() {
    let (world, stripe) = customer().await;
    stripe.has("active");
    let before = plan_of(&world).await;
    stripe.says(|says| says.meanwhile = Some(world.db.clone()));
    let ending = sync(&world, &stripe, "evt_1").await;
    assert!(matches!(ending.verdict, Verdict::Continue(_)));
    assert_eq!((ending.log.outcome, plan_of(&world).await), ("superseded", before));
    assert_eq!(
        number(&world, "SELECT COUNT(*) FROM stripe_events WHERE status = 'pending'").await,
        1
    );
    assert_eq!(sync(&world, &stripe, "evt_2").await.log.outcome, "ok");
    assert_eq!(plan_of(&world).await, "team");
    assert_eq!(
        number(&world, "SELECT COUNT(*) FROM stripe_events WHERE status = 'pending'").await,
        0
    );
}

#[tokio::test]
async fn a_price_of_no_plan_and_a_status_of_tomorrow_change_nothing() {
    let (world, stripe) = customer().await;
    stripe.has("active");
    sync(&world, &stripe, "evt_1").await;
    for (n, other) in [
        of("active", price("price_else", None)),
        of("hibernating", price("price_team", None)),
    ]
    .into_iter()
    .enumerate()
    {
        stripe.says(|says| says.subscriptions = vec![other]);
        assert_eq!(sync(&world, &stripe, &format!("evt_x{n}")).await.verdict, Verdict::Done);
        assert_eq!(plan_of(&world).await, "team");
    }
    // Its lookup key moved on to another price; who bought it goes on.
    stripe.says(|says| says.subscriptions = vec![of("active", price("price_team", None))]);
    sync(&world, &stripe, "evt_2").await;
    assert_eq!(subscribed(&world).await.plan, Some(Plan::Team));
    stripe.has("canceled");
    sync(&world, &stripe, "evt_3").await;
    assert_eq!(plan_of(&world).await, "free");
}

#[tokio::test]
async fn what_an_administrator_gives_stays() {
    let (world, stripe) = customer().await;
    stripe.has("active");
    sync(&world, &stripe, "evt_1").await;
    stripe.has("canceled");
    sync(&world, &stripe, "evt_2").await;
    world
        .sql("UPDATE orgs SET plan = 'business', plan_source = 'admin'")
        .await;
    sync(&world, &stripe, "evt_3").await;
    assert_eq!(plan_of(&world).await, "business");
    stripe.has("active");
    sync(&world, &stripe, "evt_4").await;
    assert_eq!(plan_of(&world).await, "business");
}

#[tokio::test]
async fn seats_follow_the_people() {
    let (world, stripe) = customer().await;
    let seat = Price {
        per_seat: true,
        ..price("price_team", Some("team_monthly_v1"))
    };
    let mut many = of("active", seat);
    many.items[0].quantity = Some(5);
    stripe.says(|says| says.subscriptions = vec![many]);
    sync(&world, &stripe, "evt_1").await;
    let changes = stripe.says(|says| std::mem::take(&mut says.seats));
    assert_eq!(changes.len(), 1);
    assert_eq!((changes[0].quantity, changes[0].prorate), (1, false));
    assert_eq!(subscribed(&world).await.quantity, Some(1));
}

#[tokio::test]
async fn an_organisation_that_goes_is_not_charged_any_more() {
    let (world, stripe) = customer().await;
    stripe.has("active");
    sync(&world, &stripe, "evt_1").await;
    let tx = world.db.begin_write().await.unwrap();
    let access = access::org(&tx, &world.caller, &world.org.to_string()).await.unwrap();
    organisation::delete(&tx, &world.caller, &access).await.unwrap();
    let lanes = tx.commit().await.unwrap();
    assert!(lanes.contains(&format!("stripe:{CUSTOMER}")), "{lanes:?}");
    // Stripe is not reached for a month: it stays until it is.
    world.db.clock().advance(DAY * 31);
    assert_eq!(purge::purge(&world.db).await.unwrap(), 0);
    stripe.says(|says| says.is_down = true);
    let taken = due_jobs(&world).await.remove(0);
    let ending = world.apply(stripe.billing()).org(&taken.job, world.org).await;
    assert!(matches!(ending.verdict, Verdict::Retry(_)));
    stripe.says(|says| says.is_down = false);
    let ending = world.apply(stripe.billing()).org(&taken.job, world.org).await;
    assert_eq!(ending.verdict, Verdict::Done);
    assert_eq!(stripe.says(|says| says.cancelled.clone()), ["sub_1"]);
    assert_eq!(purge::purge(&world.db).await.unwrap(), 1);
    // A late event finds whom it was about, and nothing to do.
    assert_eq!(sync(&world, &stripe, "evt_2").await.verdict, Verdict::Done);
}

#[tokio::test]
async fn events_that_did_not_arrive_are_taken_in_once() {
    let (world, stripe) = customer().await;
    stripe.has("trialing");
    let event = ListedEvent {
        id: "evt_1".to_owned(),
        kind: "customer.subscription.created".to_owned(),
        api_version: None,
        livemode: false,
        created: world.db.now().secs(),
        object: format!(r#"{{"id":"sub_1","object":"subscription","customer":"{CUSTOMER}"}}"#),
    };
    stripe.says(|says| says.undelivered = vec![event]);
    let billing = stripe.billing();
    let take = async || {
        reconcile::take(&world.db, &billing, Look::Undelivered, pending())
            .await
            .unwrap()
    };
    let lanes = take().await;
    assert_eq!(lanes, [format!("stripe:{CUSTOMER}")]);
    let taken = world.steal(&lanes).await.remove(0);
    world.apply(billing.clone()).event(&taken.job, "evt_1").await;
    assert_eq!(plan_of(&world).await, "team");
    assert!(take().await.is_empty(), "another process has just looked");
    world.db.clock().advance(Look::Undelivered.every());
    assert!(take().await.is_empty());
    assert_eq!(world.jobs("stripe").await.len(), 1);
}

#[tokio::test]
async fn what_was_missed_altogether_is_found_at_night_and_counted() {
    let (world, stripe) = customer().await;
    let mut missed = of("active", price("price_team", Some("team_monthly_v1")));
    missed.org_id = Some(world.org.to_string());
    let stranger = OrgId(world.db.rng().uuid(world.db.now()).unwrap());
    let mut orphan = missed.clone();
    orphan.id = "sub_2".to_owned();
    orphan.org_id = Some(stranger.to_string());
    let mut elsewhere = orphan.clone();
    elsewhere.deployment = Some("https://other.example.com/".to_owned());
    stripe.says(|says| says.subscriptions = vec![missed, orphan, elsewhere]);
    assert_eq!(look(&world, &stripe, Look::Everything).await, 1);
    assert_eq!(plan_of(&world).await, "team");
    let drift = reconcile::drift(&world.db).await.unwrap();
    let of_kind = |kind: &str| drift.get(kind).copied();
    assert_eq!(
        (of_kind("unknown"), of_kind("orphan"), of_kind("gone")),
        (Some(1), Some(1), None)
    );
    stripe.has("canceled");
    world.db.clock().advance(DAY);
    assert_eq!(look(&world, &stripe, Look::Everything).await, 1);
    assert_eq!(plan_of(&world).await, "free");
    assert_eq!(reconcile::drift(&world.db).await.unwrap().get("gone"), Some(&1));
}

#[tokio::test]
async fn without_stripe_nothing_is_lost() {
    let (world, stripe) = customer().await;
    stripe.says(|says| says.is_down = true);
    let ending = sync(&world, &stripe, "evt_1").await;
    assert!(matches!(ending.verdict, Verdict::Retry(_)));
    assert_eq!(ending.log.outcome, "unreachable");
    let lanes = hear(&world, "evt_2", "invoice.paid", false).await;
    let taken = world.steal(&lanes).await.remove(0);
    let ending = world.apply(no_billing()).event(&taken.job, "evt_2").await;
    assert!(matches!(ending.verdict, Verdict::Continue(_)), "no key uses up no try");
    assert_eq!(
        number(&world, "SELECT COUNT(*) FROM stripe_events WHERE status = 'pending'").await,
        2
    );
}

/// Whether somebody is to take a look now.
async fn is_due(world: &World, look: Look) -> bool {
    reconcile::due_looks(&world.db).await.unwrap().contains(&look)
}

#[tokio::test]
async fn a_look_that_a_shutdown_cuts_off_is_due_at_once_again() {
    let (world, stripe) = customer().await;
    stripe.says(|says| says.is_silent = true);
    let shutdown = CancellationToken::new();
    let bell = Arc::clone(&world.bell);
    let looking = tokio::spawn(looks::run(world.db.clone(), bell, stripe.billing(), shutdown.clone()));
    until(async || !is_due(&world, Look::Prices).await).await;
    shutdown.cancel();
    looking.await.unwrap();
    assert!(is_due(&world, Look::Prices).await);
    stripe.says(|says| says.is_silent = false);
    look(&world, &stripe, Look::Prices).await;
    assert!(!is_due(&world, Look::Prices).await);
}

#[tokio::test]
async fn a_look_whose_process_died_is_taken_by_another() {
    let (world, stripe) = customer().await;
    stripe.says(|says| says.is_silent = true);
    let billing = stripe.billing();
    for look in [Look::Prices, Look::Everything] {
        let taken = reconcile::take(&world.db, &billing, look, pending());
        let cut = tokio::time::timeout(Duration::from_millis(300), taken).await;
        assert!(cut.is_err(), "it waits for an answer");
        assert!(!is_due(&world, look).await, "it may be under way");
    }
    world.db.clock().advance(Duration::from_mins(5));
    assert!(is_due(&world, Look::Prices).await && is_due(&world, Look::Everything).await);
    stripe.says(|says| says.is_silent = false);
    look(&world, &stripe, Look::Everything).await;
    world.db.clock().advance(Duration::from_mins(5));
    assert!(!is_due(&world, Look::Everything).await, "it has come to its end");
}

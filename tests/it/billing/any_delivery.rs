//! Whatever happens at Stripe, and however Stripe's events come or do not come: in the end an organisation is on the plan
//! that Stripe's state says, and until then never on one that it was not entitled to.
//!
//! `STRONGROOM_TEST_HISTORIES` makes it more stories.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use harness::app::{Options, number_from_environment, run_for};
use harness::stripe::PLANS;
use harness::{Backend, Org, Selling};
use proptest::prelude::{Just, Strategy, prop_oneof};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};

const STORIES: u64 = 5;
const DAY: i64 = 86_400;

/// Something that happens at Stripe.
#[derive(Clone, Debug)]
enum Act {
    /// Goes to buy, and pays.
    Buy(usize),
    /// The next period begins, and its payment fails.
    FailPayment,
    DeclineNext,
    Recover,
    CancelAtEnd,
    CancelAtDate,
    CancelNow,
    Resume,
    Switch(usize),
    Days(u64),
}

/// How the events of it come.
#[derive(Clone, Debug)]
enum Delivery {
    Prompt,
    Twice,
    /// Not until somebody looks.
    Lost,
    /// With all that were not delivered before, in any order.
    Shuffled(u64),
    /// The newest first.
    Reversed,
    OfAnotherVersion,
    /// While Stripe's API has its troubles.
    Troubled(&'static str),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (1..PLANS.len()).prop_map(Act::Buy),
        1 => Just(Act::FailPayment),
        1 => Just(Act::DeclineNext),
        1 => Just(Act::Recover),
        1 => Just(Act::CancelAtEnd),
        1 => Just(Act::CancelAtDate),
        1 => Just(Act::CancelNow),
        1 => Just(Act::Resume),
        1 => (1..PLANS.len()).prop_map(Act::Switch),
        3 => (1_u64..20).prop_map(Act::Days),
    ]
}

fn delivery() -> impl Strategy<Value = Delivery> {
    let troubles = prop_oneof![Just("429"), Just("500"), Just("503"), Just("html"), Just("refused")];
    prop_oneof![
        2 => Just(Delivery::Prompt),
        1 => Just(Delivery::Twice),
        3 => Just(Delivery::Lost),
        2 => (0..u64::MAX).prop_map(Delivery::Shuffled),
        1 => Just(Delivery::Reversed),
        1 => Just(Delivery::OfAnotherVersion),
        1 => troubles.prop_map(Delivery::Troubled),
    ]
}

/// What becomes of who never pays, and what happens.
type Story = (&'static str, Vec<(Act, Delivery)>);

fn story() -> impl Strategy<Value = Story> {
    let outcome = prop_oneof![Just("cancel"), Just("unpaid"), Just("past_due")];
    (outcome, proptest::collection::vec((act(), delivery()), 3..12))
}

mod the_plan_is_the_one_that_stripe_says {
    use harness::Backend;

    #[test]
    fn sqlite() {
        super::stories(Backend::Sqlite);
    }

    #[test]
    fn postgres() {
        super::stories(Backend::Postgres);
    }
}

fn stories(backend: Backend) {
    let count = number_from_environment("STRONGROOM_TEST_HISTORIES").unwrap_or(STORIES);
    let limit = Duration::from_mins(3) + Duration::from_secs(20 * count);
    run_for(limit, async move {
        let t = Selling::start(Options::new(backend).stopped_clock()).await;
        let config = Config {
            cases: u32::try_from(count).unwrap(),
            max_shrink_iters: 20,
            failure_persistence: None,
            ..Config::default()
        };
        let next = AtomicU32::new(0);
        let ran = tokio::task::block_in_place(|| {
            TestRunner::new(config).run(&story(), |story| {
                let number = next.fetch_add(1, Ordering::Relaxed);
                tokio::runtime::Handle::current().block_on(told(&t, number, &story))
            })
        });
        ran.unwrap_or_else(|failure| panic!("{failure}"));
    });
}

/// One story, of an organisation of its own.
async fn told(t: &Selling, number: u32, (outcome, acts): &Story) -> Result<(), TestCaseError> {
    let slug = format!("story-{number}");
    let org = t.org(&slug).await;
    t.stripe.control("after_retries", json!({ "outcome": outcome })).await;
    let mut entitled = vec![0];
    for (act, delivery) in acts {
        happen(t, &org, act, delivery).await;
        entitled.push(entitlement(t, &org).await);
        let rank = t.plan_rank(&slug).await;
        let was_ever = entitled.iter().any(|plan| i64::try_from(*plan) == Ok(rank));
        if !was_ever {
            let message = format!("after {act:?}, {delivery:?}: on plan {rank}, entitled to {entitled:?}");
            return Err(TestCaseError::fail(message));
        }
    }
    // From now on no event comes; a day later everything has been looked at.
    t.stripe
        .control("fail_next", json!({ "kind": "500", "times": 0 }))
        .await;
    t.stripe.control("delivery", json!({ "mode": "drop" })).await;
    t.advance(Duration::from_hours(25));
    t.stripe.control("advance", json!({})).await;
    let plan = entitlement(t, &org).await;
    t.expect_plan(&slug, PLANS[plan]).await;
    Ok(())
}

async fn happen(t: &Selling, org: &Org<'_>, act: &Act, delivery: &Delivery) {
    let manner = match delivery {
        Delivery::Prompt => json!({ "mode": "send" }),
        Delivery::Twice => json!({ "mode": "send", "duplicate": 2 }),
        Delivery::Lost | Delivery::Shuffled(_) | Delivery::Reversed => json!({ "mode": "hold" }),
        Delivery::OfAnotherVersion => json!({ "mode": "send", "api_version": "2020-08-27" }),
        Delivery::Troubled(kind) => {
            t.stripe.control("fail_next", json!({ "kind": kind })).await;
            json!({ "mode": "send" })
        }
    };
    t.stripe.control("delivery", manner).await;
    perform(t, org, act).await;
    let late = match delivery {
        Delivery::Shuffled(seed) => Some(json!({ "shuffle": seed })),
        Delivery::Reversed => Some(json!({ "reorder": true })),
        Delivery::Prompt | Delivery::Twice | Delivery::Lost | Delivery::OfAnotherVersion | Delivery::Troubled(_) => {
            None
        }
    };
    if let Some(late) = late {
        let sent = t.stripe.control("emit", late).await;
        let answers = sent["answers"].as_array().into_iter().flatten();
        for answer in answers {
            assert_eq!(answer["status"], 200, "{answer}");
        }
    }
    t.stripe.quiet().await;
}

async fn perform(t: &Selling, org: &Org<'_>, act: &Act) {
    let (command, more) = match act {
        Act::Buy(plan) => return buy(t, org, PLANS[*plan]).await,
        Act::Days(days) => return t.advance_days(*days).await,
        Act::FailPayment => ("fail_payment", json!({})),
        Act::DeclineNext => ("decline_next", json!({})),
        Act::Recover => ("recover_payment", json!({})),
        Act::CancelAtEnd => ("portal_cancel", json!({})),
        Act::CancelAtDate => ("portal_cancel", json!({ "as_cancel_at": true })),
        Act::CancelNow => ("portal_cancel", json!({ "at_period_end": false })),
        Act::Resume => ("portal_resume", json!({})),
        Act::Switch(plan) => (
            "portal_switch",
            json!({ "price": format!("{}_monthly_v1", PLANS[*plan]) }),
        ),
    };
    let Some(customer) = customer(t, org).await else {
        return;
    };
    let mut body = more;
    body["customer"] = json!(customer);
    // Without a subscription that goes on there is nothing to do it to.
    let _ = t.stripe.try_control(command, body).await;
}

/// Who has a subscription is told so; whose card is declined has none afterwards.
async fn buy(t: &Selling, org: &Org<'_>, plan: &str) {
    let owner = t.signed_in(&org.owner).await;
    let wanted = json!({ "plan": plan, "interval": "monthly" });
    let answer = owner.post(&org.path("/billing/checkout"), wanted).await;
    match answer.status() {
        409 => return drop(answer.problem(409, "already_subscribed")),
        // Stripe had its troubles for too long.
        503 => return drop(answer.problem(503, "unavailable")),
        _ => {}
    }
    let page = answer.ok().at("/url");
    let session = page.rsplit('/').next().unwrap_or_default();
    let _ = t
        .stripe
        .try_control("complete_checkout", json!({ "session": session }))
        .await;
}

/// The customer that an organisation is: the newest. A call that Stripe answered with 500, for good under its key, may have
/// left another one that nobody knows and that buys nothing.
async fn customer(t: &Selling, org: &Org<'_>) -> Option<String> {
    let world = t.stripe.control("world", json!({})).await;
    let org = org.id.to_string();
    let customers = world["customers"].as_array().into_iter().flatten();
    let mut of_org = customers.filter(|customer| customer["metadata"]["org_id"] == org.as_str());
    of_org
        .next_back()
        .and_then(|customer| customer["id"].as_str())
        .map(str::to_owned)
}

/// The place in [`PLANS`] of the plan that Stripe's state entitles to, worked out from the double's own account of it.
async fn entitlement(t: &Selling, org: &Org<'_>) -> usize {
    let Some(customer) = customer(t, org).await else {
        return 0;
    };
    let world = t.stripe.control("world", json!({})).await;
    let list = |name: &str| world[name].as_array().cloned().unwrap_or_default();
    let number = |value: &Value| value.as_i64().unwrap();
    let mut all = list("subscriptions");
    all.retain(|it| it["customer"] == customer.as_str());
    // The best by status; of those the newest.
    let order = |it: &Value| {
        let ranks = ["active", "trialing", "past_due", "unpaid", "paused"];
        let rank = ranks.iter().position(|status| it["status"] == *status);
        (rank.unwrap_or(ranks.len()), -number(&it["created"]))
    };
    let Some(best) = all.into_iter().min_by_key(order) else {
        return 0;
    };
    let key = best["items"]["data"][0]["price"]["lookup_key"]
        .as_str()
        .unwrap()
        .to_owned();
    let plan = PLANS.iter().position(|plan| key.starts_with(plan)).unwrap();
    match best["status"].as_str().unwrap() {
        "active" | "trialing" => plan,
        "past_due" => {
            let mut open = list("invoices");
            open.retain(|it| {
                it["parent"]["subscription_details"]["subscription"] == best["id"] && it["status"] == "open"
            });
            let since = open.iter().map(|it| number(&it["created"])).min().unwrap();
            if number(&world["now"]) < since + 14 * DAY {
                plan
            } else {
                0
            }
        }
        _ => 0,
    }
}

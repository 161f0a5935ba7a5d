//! The double of Stripe by itself: a double that lets mistakes pass would prove nothing.

use std::sync::Arc;

use harness::app::run;
use harness::{Answer, Client};
use reqwest::Method;
use serde_json::{Value, json};
use stripe_double::{API_VERSION, Options, StripeDouble};

const START: i64 = 1_893_553_445;
const DAY: i64 = 86_400;

async fn double() -> (StripeDouble, Client) {
    let double = StripeDouble::start(Options::new(Arc::new(|| START))).await;
    let client = Client::new(&double.url)
        .bearer("sk_test_double")
        .with("Stripe-Version", API_VERSION);
    (double, client)
}

async fn post(by: &Client, path: &str, form: &str) -> Answer {
    let form_type = "application/x-www-form-urlencoded";
    by.send_bytes(Method::POST, path, form_type, form.as_bytes().to_vec())
        .await
}

/// With a key of its own.
async fn keyed(by: &Client, path: &str, form: &str, key: &str) -> Answer {
    post(&by.with("Idempotency-Key", key), path, form).await
}

/// Asserts Stripe's error of a type and a code.
fn refused(answer: &Answer, status: u16, kind: &str, code: &str) {
    let told = [answer.at("/error/type"), answer.at("/error/code")];
    assert_eq!(
        (answer.status(), [told[0].as_str(), told[1].as_str()]),
        (status, [kind, code]),
        "{}",
        answer.text()
    );
    assert!(!answer.at("/error/message").is_empty());
}

/// A customer with a subscription to `team`; its id.
async fn subscribed(double: &StripeDouble, by: &Client, more: &str) -> String {
    let customer = keyed(by, "/v1/customers", "name=Acme&metadata[org_id]=org_1", "customer")
        .await
        .expect(200);
    let form = format!(
        "mode=subscription&customer={}&success_url=https://acme.example/ok&line_items[0][price]=price_team_monthly\
         &line_items[0][quantity]=1&subscription_data[metadata][org_id]=org_1{more}",
        customer.at("/id")
    );
    keyed(by, "/v1/checkout/sessions", &form, "checkout")
        .await
        .expect(200)
        .ok();
    let bought = double.control("complete_checkout", json!({})).await;
    bought["subscription"].as_str().unwrap().to_owned()
}

async fn status_of(by: &Client, subscription: &str) -> String {
    by.get(&format!("/v1/subscriptions/{subscription}"))
        .await
        .expect(200)
        .at("/status")
}

/// The types of all events so far.
async fn kinds(double: &StripeDouble) -> Vec<String> {
    let world = double.control("world", json!({})).await;
    let events = world["events"].as_array().cloned().unwrap_or_default();
    events
        .iter()
        .map(|event| event["type"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn credential_version_and_key_are_asked_for() {
    run(async {
        let (double, client) = double().await;
        let request = "invalid_request_error";
        let nobody = Client::new(&double.url).with("Stripe-Version", API_VERSION);
        refused(&nobody.get("/v1/prices").await, 401, request, "");
        refused(
            &nobody.bearer("sk_test_other").get("/v1/prices").await,
            401,
            request,
            "",
        );
        let older = Client::new(&double.url)
            .bearer("sk_test_double")
            .with("Stripe-Version", "2025-03-31.basil");
        refused(&older.get("/v1/prices").await, 400, request, "");
        refused(&post(&client, "/v1/customers", "name=Acme").await, 400, request, "");
        refused(&client.get("/v1/planets").await, 404, request, "");
        assert_eq!(
            client.get("/v1/prices").await.expect(200).json()["data"]
                .as_array()
                .unwrap()
                .len(),
            6
        );
        let customer = keyed(&client, "/v1/customers", "name=Acme", "k")
            .await
            .expect(200)
            .at("/id");
        let portal = format!("customer={customer}&return_url=https://acme.example");
        post(&client, "/v1/billing_portal/sessions", &portal)
            .await
            .expect(200)
            .ok();
    });
}

#[test]
fn a_key_stands_for_one_answer() {
    run(async {
        let (double, client) = double().await;
        let first = keyed(&client, "/v1/customers", "name=Acme&metadata[a]=1&metadata[b]=2", "k")
            .await
            .expect(200);
        assert_eq!(first.header("idempotent-replayed"), None);
        let again = keyed(&client, "/v1/customers", "metadata[b]=2&metadata[a]=1&name=Acme", "k")
            .await
            .expect(200);
        assert_eq!(
            [again.at("/id").as_str(), again.header("idempotent-replayed").unwrap()],
            [first.at("/id").as_str(), "true"]
        );
        let other = keyed(&client, "/v1/customers", "name=Other", "k").await;
        refused(&other, 400, "idempotency_error", "");
        // A wrong parameter is refused before the work begins, so the key is still free.
        let wrong = keyed(&client, "/v1/customers", "nom=Acme", "other").await;
        refused(&wrong, 400, "invalid_request_error", "parameter_unknown");
        assert_eq!(wrong.at("/error/param"), "nom");
        keyed(&client, "/v1/customers", "name=Acme", "other")
            .await
            .expect(200)
            .ok();
        // A fault of Stripe's own is kept, and so is what it did.
        double.control("fail_next", json!({ "kind": 500 })).await;
        for _ in 0..2 {
            refused(
                &keyed(&client, "/v1/customers", "name=Third", "third").await,
                500,
                "api_error",
                "",
            );
        }
        let customers = client.get("/v1/customers").await.expect(200).json();
        let names: Vec<_> = customers["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["name"].clone())
            .collect();
        assert_eq!(json!(names), json!(["Third", "Acme", "Acme"]));
    });
}

#[test]
fn calls_fail_as_they_are_told() {
    run(async {
        let (double, client) = double().await;
        for (kind, status) in [("429", 429), ("503", 503), ("html", 502)] {
            double
                .control("fail_next", json!({ "kind": kind, "path": "/v1/prices" }))
                .await;
            assert_eq!(client.get("/v1/events").await.status(), 200, "of another path");
            assert_eq!(client.get("/v1/prices").await.status(), status);
            assert_eq!(client.get("/v1/prices").await.status(), 200);
        }
        double.control("fail_next", json!({ "kind": "refused" })).await;
        assert!(client.try_send(Method::GET, "/v1/prices", None).await.is_err());
        let seen = double.control("requests", json!({ "since": 9 })).await;
        assert_eq!(seen["requests"][0]["status"], 0, "{seen}");
    });
}

#[test]
fn a_trial_is_warned_of_and_then_paid_for() {
    run(async {
        let (double, client) = double().await;
        let more = "&subscription_data[trial_period_days]=14";
        let subscription = subscribed(&double, &client, more).await;
        assert_eq!(status_of(&client, &subscription).await, "trialing");
        assert!(!kinds(&double).await.contains(&"invoice.paid".to_owned()));
        double.control("advance", json!({ "days": 11 })).await;
        assert_eq!(
            kinds(&double).await.last().unwrap(),
            "customer.subscription.trial_will_end"
        );
        double.control("advance", json!({ "days": 3 })).await;
        assert_eq!(status_of(&client, &subscription).await, "active");
        assert!(kinds(&double).await.contains(&"invoice.paid".to_owned()));
    });
}

#[test]
fn who_never_pays_is_asked_four_times_and_then_it_ends() {
    run(async {
        let (double, client) = double().await;
        let subscription = subscribed(&double, &client, "").await;
        double.control("fail_payment", json!({})).await;
        assert_eq!(status_of(&client, &subscription).await, "past_due");
        double.control("advance", json!({ "days": 14 })).await;
        assert_eq!(status_of(&client, &subscription).await, "past_due");
        double.control("advance", json!({ "days": 1 })).await;
        assert_eq!(status_of(&client, &subscription).await, "canceled");
        let kinds = kinds(&double).await;
        assert_eq!(kinds.iter().filter(|kind| *kind == "invoice.payment_failed").count(), 4);
        assert_eq!(kinds.last().unwrap(), "customer.subscription.deleted");
        let open = client
            .get(&format!("/v1/invoices?subscription={subscription}&status=open"))
            .await
            .expect(200);
        assert_eq!(open.at("/data/0/created"), START.to_string());
        let gone = client.delete(&format!("/v1/subscriptions/{subscription}")).await;
        refused(&gone, 404, "invalid_request_error", "resource_missing");
    });
}

#[test]
fn what_falls_due_happens_at_its_own_time() {
    run(async {
        let (double, client) = double().await;
        let subscription = subscribed(&double, &client, "").await;
        double.control("portal_cancel", json!({})).await;
        let shown = client
            .get(&format!("/v1/subscriptions/{subscription}"))
            .await
            .expect(200)
            .json();
        let end = shown["items"]["data"][0]["current_period_end"].as_i64().unwrap();
        assert_eq!(
            [&shown["cancel_at_period_end"], &shown["cancel_at"]],
            [&json!(true), &json!(end)]
        );
        assert_eq!(end, START + 31 * DAY, "a month, January");
        double.control("advance", json!({ "days": 100 })).await;
        let world = double.control("world", json!({})).await;
        assert_eq!(world["now"], START + 100 * DAY);
        let last = world["events"].as_array().unwrap().last().unwrap();
        assert_eq!(
            [&last["type"], &last["created"]],
            [&json!("customer.subscription.deleted"), &json!(end)]
        );
        assert_eq!(last["data"]["object"]["ended_at"], end);
    });
}

#[test]
fn ids_become_objects_where_they_are_asked_for() {
    run(async {
        let (double, client) = double().await;
        let subscription = subscribed(&double, &client, "").await;
        let list = "/v1/subscriptions?status=all&expand[]=data.default_payment_method&expand[]=data.customer";
        let listed = client.get(list).await.expect(200).json();
        let found = &listed["data"][0];
        assert_eq!(found["id"], subscription.as_str());
        assert_eq!(
            [
                &found["default_payment_method"]["card"]["last4"],
                &found["customer"]["name"]
            ],
            [&json!("4242"), &json!("Acme")]
        );
        let wrong = client.get("/v1/subscriptions?expand[]=data.planet").await;
        refused(&wrong, 400, "invalid_request_error", "property_not_expandable");
        let unknown: Value = client
            .get("/v1/subscriptions?customer=cus_nobody")
            .await
            .expect(400)
            .json();
        assert_eq!(unknown["error"]["code"], "resource_missing");
    });
}

//! An instance without a key for Stripe sells nothing, and does everything else.

use harness::on_both;
use serde_json::json;

on_both! {
    async fn whoever_may_buy_is_told_that_nothing_is_sold(t: TestApp) {
        let acme = t.org("acme").await;
        let admin = acme.member("alex", "admin").await;
        let buy = json!({ "plan": "team" });
        for who in [acme.owner.client(), admin.client()] {
            who.post(&acme.path("/billing/checkout"), buy.clone()).await.problem(501, "billing_disabled");
            who.post(&acme.path("/billing/portal"), json!({})).await.problem(501, "billing_disabled");
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action LIKE 'billing.%'").await, 0);
    }

    async fn others_learn_no_more_than_elsewhere(t: TestApp) {
        let acme = t.org("acme").await;
        let (dana, mallory) = (acme.developer("dana").await, t.person("mallory").await);
        for path in ["/billing/checkout", "/billing/portal"] {
            let body = json!({ "plan": "team" });
            dana.post(&acme.path(path), body.clone()).await.problem(403, "forbidden");
            mallory.post(&acme.path(path), body.clone()).await.problem(404, "not_found");
            t.anonymous().post(&acme.path(path), body).await.problem(401, "unauthenticated");
        }
        let wrong = json!({ "plan": "Team!" });
        acme.owner.post(&acme.path("/billing/checkout"), wrong).await.problem(422, "invalid_field");
    }

    async fn no_event_is_taken_in(t: TestApp) {
        let event = json!({ "id": "evt_1", "type": "invoice.paid" });
        let signed = t.anonymous().with("Stripe-Signature", "t=1,v1=00");
        for client in [t.anonymous(), signed] {
            client.post("/v1/billing/webhook", event.clone()).await.problem(501, "billing_disabled");
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM stripe_events").await, 0);
    }

    async fn organisations_come_and_go_as_ever(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        acme.owner.put(&env.secret("DB_URL"), json!({ "value": "one" })).await.expect(201).ok();
        acme.owner.delete("/v1/orgs/acme").await.expect(204).ok();
        acme.owner.post("/v1/orgs/acme/restore", json!({})).await.expect(200).ok();
        assert_eq!(acme.owner.get(&env.secret("DB_URL")).await.at("/value"), "one");
        assert_eq!(t.number("SELECT COUNT(*) FROM jobs WHERE kind = 'stripe'").await, 0);
    }
}

//! The whole story of a subscription, offline: a free organisation meets a limit, buys, is let in, cancels, and has more
//! than its plan allows.

use std::time::Duration;

use domain::limits::freeze;
use harness::app::{Options, eventually};
use harness::{Answer, Client, Org, Project, Selling, on_each_backend};
use serde_json::{Value, json};

use super::limit;

async fn billing(by: &Client, acme: &Org<'_>) -> Answer {
    by.get(&acme.path("/billing")).await.expect(200)
}

/// A project with one secret, newer than those before.
async fn project(t: &Selling, acme: &Org<'_>, slug: &str) -> Project {
    t.advance(Duration::from_secs(1));
    let project = acme.project(slug).await;
    let path = project.env("production").secret("DB_URL");
    let value = json!({ "value": format!("postgres://{slug}") });
    acme.owner.put(&path, value).await.expect(201).ok();
    project
}

/// Another project would be one too many.
async fn one_too_many(by: &Client, acme: &Org<'_>) -> Answer {
    let body = json!({ "name": "One more", "slug": "one-more" });
    let refused = by.post(&acme.path("/projects"), body).await;
    refused.problem(402, "plan_limit_exceeded")
}

/// What never stops for money: reading, exporting, exchanging keys.
async fn can_be_used(by: &Client, project: &Project, slug: &str) {
    let env = project.env("production");
    let read = by.get(&env.secret("DB_URL")).await.expect(200);
    assert_eq!(read.at("/value"), format!("postgres://{slug}"));
    by.get(&env.secrets()).await.expect(200).ok();
    let exported = by.get(&format!("{}/export?format=dotenv", env.0)).await.expect(200);
    assert!(exported.text().contains("DB_URL"), "{}", exported.text());
    by.post(&format!("{}/rotate-key", project.path), json!({})).await.ok();
}

/// What would be if the organisation were free.
async fn preview(by: &Client, acme: &Org<'_>) -> Value {
    let path = acme.path("/billing/downgrade-preview?plan=free");
    by.get(&path).await.expect(200).json()
}

/// The limit, and how it is lifted.
async fn buys(t: &Selling, acme: &Org<'_>) -> Vec<Project> {
    let mut projects = Vec::new();
    for slug in ["one", "two", "three"] {
        projects.push(project(t, acme, slug).await);
    }
    let refused = one_too_many(&acme.owner, acme).await;
    let told = [
        "/limit",
        "/max",
        "/used",
        "/requested",
        "/plan",
        "/source",
        "/upgrade_to",
    ];
    let expected = ["projects", "3", "3", "1", "free", "builtin", "team"];
    assert_eq!(told.map(|pointer| refused.at(pointer)), expected);
    let wanted = json!({ "plan": "team", "interval": "monthly" });
    let checkout = acme.path("/billing/checkout");
    let page = acme.owner.post(&checkout, wanted.clone()).await.ok().at("/url");
    assert!(page.starts_with(&format!("{}/_pay/cs_test_", t.stripe.url)), "{page}");
    let again = acme.owner.post(&checkout, wanted.clone()).await.ok().at("/url");
    assert_eq!(page, again, "whoever clicks twice buys once");
    assert_eq!(
        billing(&acme.owner, acme).await.at("/plan"),
        "free",
        "nothing is paid yet"
    );
    one_too_many(&acme.owner, acme).await;

    t.stripe.control("complete_checkout", json!({})).await;
    t.expect_plan("acme", "team").await;
    let stands = billing(&acme.owner, acme).await;
    assert_eq!([stands.at("/plan"), stands.at("/status")], ["team", "active"]);
    assert_eq!(limit(&stands, "projects")["limit"], 25);
    for slug in ["four", "five"] {
        projects.push(project(t, acme, slug).await);
    }
    let twice = acme.owner.post(&checkout, wanted).await;
    twice.problem(409, "already_subscribed");
    projects
}

/// The end, as the owner wished it.
async fn cancels(t: &Selling, acme: &Org<'_>) -> Client {
    let portal = acme.owner.post(&acme.path("/billing/portal"), json!({})).await.ok();
    assert!(portal.at("/url").starts_with(&format!("{}/_portal/cus_", t.stripe.url)));
    let warned = preview(&acme.owner, acme).await;
    assert_eq!(warned["fits"], false);
    assert_eq!(
        [&warned["over"][0]["key"], &warned["over"][0]["used"]],
        [&json!("projects"), &json!(5)]
    );
    assert_eq!(warned["would_freeze"].as_array().map(Vec::len), Some(2));
    t.stripe.control("portal_cancel", json!({})).await;
    eventually("it will end with the period", || async {
        billing(&acme.owner, acme).await.at("/cancel_at_period_end") == "true"
    })
    .await;
    assert_eq!(
        billing(&acme.owner, acme).await.at("/plan"),
        "team",
        "what is paid for goes on"
    );
    t.advance_days(27).await;
    let owner = t.signed_in(&acme.owner).await;
    assert_eq!(billing(&owner, acme).await.at("/plan"), "team");
    t.advance_days(5).await;
    t.expect_plan("acme", "free").await;
    t.signed_in(&acme.owner).await
}

on_each_backend! {
    async fn a_free_organisation_buys_cancels_and_keeps_what_it_has(backend: Backend) {
        let t = Selling::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        let stands = billing(&acme.owner, &acme).await;
        assert_eq!([stands.at("/plan"), stands.at("/status"), stands.at("/billing_enabled")], ["free", "none", "true"]);
        let projects = buys(&t, &acme).await;
        let owner = cancels(&t, &acme).await;

        // Over the limit: nothing is deleted, nothing is switched off, and no more can be made of what is too much.
        let stands = billing(&owner, &acme).await;
        assert_eq!(stands.at("/status"), "canceled");
        assert!(!stands.at("/over_limit_since").is_empty());
        assert_eq!(stands.json()["frozen_projects"], json!([]));
        assert_eq!([&limit(&stands, "projects")["limit"], &limit(&stands, "projects")["used"]], [&json!(3), &json!(5)]);
        assert_eq!(one_too_many(&owner, &acme).await.at("/used"), "5");
        let slugs = ["one", "two", "three", "four", "five"];
        for (project, slug) in projects.iter().zip(slugs) {
            can_be_used(&owner, project, slug).await;
            let path = project.env("production").secret("ADDED");
            owner.put(&path, json!({ "value": "v" })).await.expect(201).ok();
        }

        // Thirty days later nothing new is written in the newest two.
        t.advance_days(31).await;
        freeze::sweep(t.db()).await.unwrap();
        let owner = t.signed_in(&acme.owner).await;
        let mut frozen = [projects[3].id, projects[4].id].map(|id| id.to_string());
        frozen.sort();
        assert_eq!(billing(&owner, &acme).await.json()["frozen_projects"], json!(frozen));
        for (number, (project, slug)) in projects.iter().zip(slugs).enumerate() {
            can_be_used(&owner, project, slug).await;
            let env = project.env("production");
            let written = owner.put(&env.secret("LATER"), json!({ "value": "v" })).await;
            if number < 3 {
                written.expect(201).ok();
            } else {
                written.problem(402, "plan_limit_exceeded");
            }
            owner.delete(&env.secret("ADDED")).await.ok();
        }

        // With one of the two gone there is still one too many; with both there is none.
        owner.delete(&projects[3].path).await.ok();
        assert_eq!(billing(&owner, &acme).await.json()["frozen_projects"], json!([frozen_one(&projects[4])]));
        owner.delete(&projects[4].path).await.ok();
        let stands = billing(&owner, &acme).await;
        assert_eq!(stands.json()["frozen_projects"], json!([]));
        assert_eq!(stands.at("/over_limit_since"), "");
    }

    async fn who_comes_back_is_let_in_again(backend: Backend) {
        let t = Selling::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        let first = t.subscribe(&acme, "team").await;
        t.stripe.control("portal_cancel", json!({ "at_period_end": false })).await;
        t.expect_plan("acme", "free").await;
        let second = t.subscribe(&acme, "business").await;
        assert_ne!(first, second);
        t.stripe.control("portal_switch", json!({ "price": "team_yearly_v1" })).await;
        t.expect_plan("acme", "team").await;
    }

    async fn who_does_not_pay_keeps_the_plan_for_fourteen_days(backend: Backend) {
        let t = Selling::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        t.subscribe(&acme, "team").await;
        t.stripe.control("after_retries", json!({ "outcome": "past_due" })).await;
        t.stripe.control("fail_payment", json!({})).await;
        eventually("it is past due", || async { billing(&acme.owner, &acme).await.at("/status") == "past_due" }).await;
        assert!(!billing(&acme.owner, &acme).await.at("/grace_until").is_empty());
        t.advance_days(13).await;
        let owner = t.signed_in(&acme.owner).await;
        assert_eq!(billing(&owner, &acme).await.at("/plan"), "team");
        t.advance_days(1).await;
        // No event tells of it: the time alone does.
        t.expect_plan("acme", "free").await;
        t.stripe.control("recover_payment", json!({})).await;
        t.expect_plan("acme", "team").await;
    }

    async fn an_organisation_that_is_deleted_pays_no_more(backend: Backend) {
        let t = Selling::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        let subscription = t.subscribe(&acme, "team").await;
        acme.owner.delete("/v1/orgs/acme").await.ok();
        eventually("its subscription has ended", || async {
            let world = t.stripe.control("world", json!({})).await;
            let mut all = world["subscriptions"].as_array().into_iter().flatten();
            all.any(|it| it["id"] == subscription.as_str() && it["status"] == "canceled")
        })
        .await;
    }
}

fn frozen_one(project: &Project) -> String {
    project.id.to_string()
}

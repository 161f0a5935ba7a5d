//! Owners are told once a month when they come near a limit, and when they reach it.

use std::time::Duration;

use domain::access::Origin;
use domain::billing::{PlanReason, apply_plan};
use domain::kernel::config::Plan;
use domain::limits::warnings;
use harness::app::Options;
use harness::mailbox::{expect_letter, letters};
use harness::{TestApp, on_each_backend};

use super::limit;
use crate::webhooks::catalogue::Catalogue;

/// Subject of the mail.
const SUBJECT: &str = "A limit of your plan";

on_each_backend! {
    async fn owners_are_told_at_four_fifths_and_at_the_limit_once_a_month(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        limit(&t, &acme, "projects", 5).await;
        for n in 0..3 {
            acme.project(&format!("p{n}")).await;
        }
        assert_eq!(warnings::sweep(t.db()).await.unwrap(), 0);
        acme.project("p3").await;
        assert_eq!(warnings::sweep(t.db()).await.unwrap(), 1);
        assert_eq!(warnings::sweep(t.db()).await.unwrap(), 0, "once");
        let mail = expect_letter(&t, &acme.owner.email, SUBJECT, 1).await;
        assert!(mail.contains("Used: 4") && mail.contains("Allowed: 5"), "{mail}");
        acme.project("p4").await;
        assert_eq!(warnings::sweep(t.db()).await.unwrap(), 1);
        expect_letter(&t, &acme.owner.email, SUBJECT, 2).await;
        let catalogue = Catalogue::of(&t).await;
        let feed = acme.owner.get(&acme.path("/events?types=limit.*")).await.expect(200).json();
        let told: Vec<_> = feed["data"].as_array().unwrap().iter().map(|event| catalogue.assert_fits(event)).collect();
        assert_eq!(told, ["limit.approaching", "limit.reached"]);
        t.advance(Duration::from_hours(31 * 24));
        assert_eq!(warnings::sweep(t.db()).await.unwrap(), 1, "another month");
        expect_letter(&t, &acme.owner.email, SUBJECT, 3).await;
        assert_eq!(letters(&t, &acme.owner.email, SUBJECT).len(), 3);
    }

    async fn a_plan_that_follows_its_subscription_is_told_as_the_catalogue_says(backend: Backend) {
        let t = TestApp::start(Options::new(backend)).await;
        let acme = t.org("acme").await;
        for expected in [true, false] {
            let tx = t.db().begin_write().await.unwrap();
            let reason = PlanReason::Subscription;
            let changed = apply_plan(&tx, &Origin::system(), acme.id, Plan::Team, reason).await.unwrap();
            assert_eq!(changed, expected);
            if changed {
                tx.commit().await.unwrap();
            }
        }
        let feed = acme.owner.get(&acme.path("/events?types=billing.plan_changed")).await.expect(200).json();
        assert_eq!(Catalogue::of(&t).await.assert_fits(&feed["data"][0]), "billing.plan_changed");
        let billing = acme.owner.get(&acme.path("/billing")).await.expect(200);
        assert_eq!((billing.at("/plan"), billing.at("/status")), ("team".into(), "none".into()));
    }
}

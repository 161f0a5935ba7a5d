//! An owner remains, whatever happens, in whatever order, at once.

use std::time::Duration;

use harness::app::Options;
use harness::people::Person;
use harness::{Answer, TestApp, on_both, on_each_backend};
use reqwest::Method;
use serde_json::{Value, json};

use super::{refused_field, roles};

/// Owners of the organisation for good, whose accounts are in order.
const OWNERS: &str =
    "SELECT COUNT(*) FROM memberships m JOIN orgs o ON o.id = m.scope_id JOIN users u ON u.id = m.subject_id
    WHERE o.slug = 'acme' AND m.expires_at IS NULL AND u.disabled_at IS NULL AND m.role_id =
        (SELECT x.role_id FROM memberships x JOIN orgs p ON p.id = x.org_id WHERE p.slug = 'acme-owner')";

on_both! {
    async fn the_last_owner_stays_one(t: TestApp) {
        let acme = t.org("acme").await;
        let (alex, temp) = (acme.member("alex", "admin").await, acme.member("temp", "admin").await);
        let me = acme.path(&format!("/members/{}", acme.owner.id));
        // Neither an owner for a while nor one whose account is disabled counts.
        let a_while = json!({ "role": "owner", "expires_at": "2100-01-02T03:04:05Z" });
        acme.owner.patch(&acme.path(&format!("/members/{}", alex.id)), a_while.clone()).await.expect(200).ok();
        acme.owner.patch(&acme.path(&format!("/members/{}", temp.id)), json!({ "role": "owner" })).await.expect(200).ok();
        t.sql("UPDATE users SET disabled_at = 1 WHERE first_name = 'temp'").await;
        acme.owner.post(&format!("{me}/roles"), json!({ "role": "viewer" })).await.expect(201).ok();
        let before = t.number("SELECT COUNT(*) FROM journal").await;
        let owner = &acme.owner;
        owner.post("/v1/orgs/acme/leave", json!({})).await.problem(409, "last_owner");
        owner.delete(&me).await.problem(409, "last_owner");
        owner.patch(&me, json!({ "role": "admin" })).await.problem(409, "last_owner");
        owner.patch(&me, a_while.clone()).await.problem(409, "last_owner");
        owner.post(&format!("{me}/roles"), a_while).await.problem(409, "last_owner");
        owner.delete(&format!("{me}/roles/owner")).await.problem(409, "last_owner");
        let body = json!({ "user_id": owner.id.to_string(), "role": "admin" });
        owner.post("/v1/orgs/acme/members", body).await.problem(409, "last_owner");
        alex.delete(&me).await.problem(409, "last_owner");
        assert_eq!(t.number("SELECT COUNT(*) FROM journal").await, before);
        t.sql("UPDATE users SET disabled_at = NULL WHERE first_name = 'temp'").await;
        owner.patch(&me, json!({ "role": "admin" })).await.expect(200).ok();
        assert_eq!(owner.get("/v1/orgs/acme").await.at("/role"), "admin");
    }

    async fn a_transfer_makes_an_owner_and_an_admin_at_once(t: TestApp) {
        let acme = t.org("acme").await;
        let dana = t.person("dana").await;
        let end = "2100-01-02T03:04:05Z";
        let body = json!({ "user_id": dana.id.to_string(), "role": "owner", "expires_at": end });
        acme.owner.post("/v1/orgs/acme/members", body).await.expect(201).ok();
        let path = acme.path("/transfer-ownership");
        let heir = acme.owner.post(&path, json!({ "member": dana.id.to_string() })).await.expect(200).json();
        assert_eq!((roles(&heir), &heir["roles"][0]["expires_at"]), (vec!["owner"], &Value::Null));
        assert_eq!(acme.owner.get("/v1/orgs/acme").await.at("/role"), "admin");
        let members = dana.get("/v1/orgs/acme/members?search=acme-owner").await.expect(200).json();
        assert_eq!(roles(&members["data"][0]), ["admin"]);
        let event = dana.get("/v1/orgs/acme/audit-logs?action=org.ownership_transferred").await.expect(200);
        assert_eq!(event.at("/data/0/resource_id"), dana.id.to_string());
        acme.owner.post(&path, json!({ "member": acme.owner.id.to_string() })).await.problem(403, "forbidden");
    }

    async fn an_heir_is_a_member_with_an_account_in_order(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let (gone, guest, eve) = (acme.developer("gone").await, t.person("guest").await, t.person("eve").await);
        acme.grant(guest.id, Some(web.id), "viewer").await;
        t.sql("UPDATE users SET disabled_at = 1 WHERE first_name = 'gone'").await;
        let heirs = [gone.id.to_string(), guest.id.to_string(), eve.id.to_string(), acme.owner.id.to_string(),
            "sa_7zzzzzzzzzzzzzzzzzzzzzzzzz".into(), "eve".into()];
        for heir in heirs {
            refused_field(acme.owner.post("/v1/orgs/acme/transfer-ownership", json!({ "member": heir })).await, "member");
        }
        assert_eq!(acme.owner.get("/v1/orgs/acme").await.at("/role"), "owner");
        let alex = acme.member("alex", "admin").await;
        let body = json!({ "member": alex.id.to_string() });
        alex.post("/v1/orgs/acme/transfer-ownership", body.clone()).await.problem(403, "forbidden");
        eve.post("/v1/orgs/acme/transfer-ownership", body.clone()).await.problem(404, "not_found");
        let token = acme.owner.token(json!({ "name": "all" })).await;
        token.post("/v1/orgs/acme/transfer-ownership", body).await.problem(403, "session_required");
    }

    async fn a_project_is_handed_over_by_its_owner_or_the_organisations(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let (dana, erin) = (t.person("dana").await, t.person("erin").await);
        acme.grant(dana.id, Some(web.id), "viewer").await;
        acme.grant(erin.id, Some(web.id), "viewer").await;
        let path = format!("{}/transfer-ownership", web.path);
        refused_field(acme.owner.post(&path, json!({ "member": acme.owner.id.to_string() })).await, "member");
        let heir = acme.owner.post(&path, json!({ "member": dana.id.to_string() })).await.expect(200).json();
        assert_eq!(heir["role"], "owner");
        // The organisation's owner had no role in the project to give up.
        assert_eq!(acme.owner.get("/v1/orgs/acme").await.at("/role"), "owner");
        let members = format!("{}/members", web.path);
        assert_eq!(acme.owner.get(&members).await.at("/pagination/total"), "2");
        dana.post(&path, json!({ "member": erin.id.to_string() })).await.expect(200).ok();
        assert_eq!((dana.get(&web.path).await.at("/role"), erin.get(&web.path).await.at("/role")), ("admin".into(), "owner".into()));
        erin.post(&format!("{}/leave", web.path), json!({})).await.expect(204).ok();
        let event = acme.owner.get("/v1/orgs/acme/audit-logs?action=project.ownership_transferred").await.expect(200);
        assert_eq!((event.at("/pagination/total"), event.at("/data/0/project_id")), ("2".into(), web.id.to_string()));
    }

    async fn two_owners_who_put_each_other_out_at_once_leave_one(t: TestApp) {
        let acme = t.org("acme").await;
        let (ann, bob) = (acme.member("ann", "owner").await, acme.member("bob", "owner").await);
        acme.owner.post("/v1/orgs/acme/leave", json!({})).await.expect(204).ok();
        for round in 0..24 {
            let (a, b) = tokio::join!(put_out(&ann, &bob, round), put_out(&bob, &ann, round));
            let done = [&a, &b].into_iter().filter(|answer| (200..300).contains(&answer.status())).count();
            assert_eq!(done, 1, "round {round}: {} and {}", a.text(), b.text());
            assert_eq!(t.number(OWNERS).await, 1, "round {round}");
            let (left, gone) = if (200..300).contains(&a.status()) { (&ann, &bob) } else { (&bob, &ann) };
            // Whichever way it went, both are owners again.
            left.delete(&format!("/v1/orgs/acme/members/{}", gone.id)).await;
            let body = json!({ "user_id": gone.id.to_string(), "role": "owner" });
            left.post("/v1/orgs/acme/members", body).await.expect(201).ok();
        }
    }

    async fn two_owners_who_leave_or_step_down_at_once_leave_one(t: TestApp) {
        let acme = t.org("acme").await;
        let (ann, bob) = (acme.member("ann", "owner").await, acme.member("bob", "owner").await);
        acme.owner.post("/v1/orgs/acme/leave", json!({})).await.expect(204).ok();
        for round in 0..24 {
            let (a, b) = tokio::join!(step_down(&ann, round), step_down(&bob, round + 1));
            let told = [a.status(), b.status()];
            assert_eq!(told.iter().filter(|status| **status == 409).count(), 1, "round {round}: {told:?}");
            assert_eq!(t.number(OWNERS).await, 1, "round {round}");
            let (left, gone) = if a.status() == 409 { (&ann, &bob) } else { (&bob, &ann) };
            let body = json!({ "user_id": gone.id.to_string(), "role": "owner" });
            left.post("/v1/orgs/acme/members", body).await.ok();
        }
    }

    async fn an_account_that_is_deleted_while_the_other_owner_steps_down_leaves_one(t: TestApp) {
        for round in 0..6 {
            let acme = t.org(&format!("acme{round}")).await;
            let bob = acme.member(&format!("bob{round}"), "owner").await;
            acme.developer(&format!("dana{round}")).await;
            let (leave, me) = (acme.path("/leave"), acme.path(&format!("/members/{}", bob.id)));
            let steps_down = async {
                match round % 3 {
                    0 => bob.post(&leave, json!({})).await,
                    1 => bob.patch(&me, json!({ "role": "viewer" })).await,
                    _ => bob.delete(&me).await,
                }
            };
            let (gone, left) = tokio::join!(acme.owner.delete("/v1/auth/me"), steps_down);
            let refused = [&gone, &left].into_iter().filter(|answer| answer.code() == "last_owner").count();
            assert_eq!(refused, 1, "round {round}: {} and {}", gone.text(), left.text());
        }
    }

    // A seeded walk; each step is checked against what must hold, not against a copy of the rules.
    async fn no_history_leaves_an_organisation_without_an_owner(t: TestApp) {
        let acme = t.org("acme").await;
        acme.owner.patch("/v1/orgs/acme", json!({ "join_policy": "open" })).await.expect(200).ok();
        let mut people = vec![acme.owner.clone()];
        for name in ["ann", "bob", "cleo"] {
            people.push(t.person(name).await);
        }
        let mut chance = Chance(0x5eed_0003);
        let (mut done, mut last) = (0, 0);
        for step in 0..400 {
            let actor = &people[chance.below(people.len())];
            let target = &people[chance.below(people.len())];
            let answer = anything(&mut chance, actor, target).await;
            assert!(answer.status() < 500, "step {step}: {}", answer.text());
            done += usize::from(answer.status() < 300);
            last += usize::from(answer.code() == "last_owner");
            assert!(t.number(OWNERS).await >= 1, "step {step}: {}", answer.text());
        }
        assert!(done > 50 && last > 10, "the walk went somewhere: {done} done, {last} refused for the last owner");
    }

    async fn several_at_once_never_leave_an_organisation_without_an_owner(t: TestApp) {
        let acme = t.org("acme").await;
        acme.owner.patch("/v1/orgs/acme", json!({ "join_policy": "open" })).await.expect(200).ok();
        let mut people = vec![acme.owner.clone()];
        for name in ["ann", "bob", "cleo"] {
            people.push(acme.member(name, "owner").await);
        }
        let mut chance = Chance(0x5eed_0004);
        for round in 0..40 {
            let mut seeds = Chance(chance.next());
            let all = people.iter().map(|actor| {
                let mut own = Chance(seeds.next());
                let target = &people[own.below(people.len())];
                async move { anything(&mut own, actor, target).await }
            });
            for answer in futures_util::future::join_all(all).await {
                assert!(answer.status() < 500, "round {round}: {}", answer.text());
            }
            assert!(t.number(OWNERS).await >= 1, "round {round}");
        }
    }
}

on_each_backend! {
    async fn an_old_sign_in_must_be_renewed_before_anybody_becomes_an_owner(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let dana = acme.developer("dana").await;
        acme.grant(dana.id, Some(web.id), "viewer").await;
        t.advance(Duration::from_secs(10 * 60 + 1));
        let body = json!({ "member": dana.id.to_string() });
        for place in [acme.path(""), web.path.clone()] {
            let path = format!("{place}/transfer-ownership");
            acme.owner.post(&path, body.clone()).await.problem(428, "step_up_required");
        }
        let member = acme.path(&format!("/members/{}", dana.id));
        acme.owner.patch(&member, json!({ "role": "owner" })).await.problem(428, "step_up_required");
        acme.owner.patch(&member, json!({ "role": "admin" })).await.expect(200).ok();
        let owner = acme.owner.signs_in_again().await;
        owner.post(&acme.path("/transfer-ownership"), body).await.expect(200).ok();
    }
}

/// One of the ways to put somebody out of ownership.
async fn put_out(actor: &Person, other: &Person, way: usize) -> Answer {
    let member = format!("/v1/orgs/acme/members/{}", other.id);
    match way % 3 {
        0 => actor.delete(&member).await,
        1 => actor.patch(&member, json!({ "role": "developer" })).await,
        _ => {
            actor
                .patch(
                    &member,
                    json!({ "role": "owner", "expires_at": "2100-01-02T03:04:05Z" }),
                )
                .await
        }
    }
}

/// One of the ways to give ownership up.
async fn step_down(actor: &Person, way: usize) -> Answer {
    let me = format!("/v1/orgs/acme/members/{}", actor.id);
    match way % 3 {
        0 => actor.post("/v1/orgs/acme/leave", json!({})).await,
        1 => actor.patch(&me, json!({ "role": "viewer" })).await,
        _ => actor.delete(&me).await,
    }
}

/// Anything that changes who belongs to the organisation.
async fn anything(chance: &mut Chance, actor: &Person, target: &Person) -> Answer {
    let id = target.id.to_string();
    let member = format!("/v1/orgs/acme/members/{id}");
    let role = ["owner", "owner", "admin", "developer", "member"][chance.below(5)];
    let end = (chance.below(4) == 0).then_some("2100-01-02T03:04:05Z");
    let mut held = json!({ "role": role });
    if let Some(end) = end {
        held["expires_at"] = json!(end);
    }
    match chance.below(8) {
        0 => {
            held["user_id"] = json!(id);
            actor.post("/v1/orgs/acme/members", held).await
        }
        1 => actor.patch(&member, held).await,
        2 => actor.delete(&member).await,
        3 => actor.post(&format!("{member}/roles"), held).await,
        4 => {
            actor
                .send(Method::DELETE, &format!("{member}/roles/{role}"), None)
                .await
        }
        5 => actor.post("/v1/orgs/acme/join", json!({})).await,
        6 => actor.post("/v1/orgs/acme/leave", json!({})).await,
        _ => {
            actor
                .post("/v1/orgs/acme/transfer-ownership", json!({ "member": id }))
                .await
        }
    }
}

/// Chance that is the same in every run: `SplitMix64`.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).expect("a small number")
    }
}

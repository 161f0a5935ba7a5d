//! Accepting while signed in: who may, by which token, how often, and what makes an invitation void.

use std::collections::BTreeMap;
use std::time::Duration;

use harness::app::Options;
use harness::mailbox::{INVITE, expect_token};
use harness::people::PASSWORD;
use harness::{TestApp, on_both, on_each_backend};
use serde_json::json;
use tokio::task::JoinSet;

use super::{accept, invite, look, own_role, uses, verified};

const ACME: &str = "/v1/orgs/acme";

on_both! {
    async fn whoever_holds_a_token_sees_who_invites_to_what(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let body = json!({ "email": "dana@example.com", "role": "viewer" });
        let made = invite(&acme.owner, &web.path, body).await.expect(201);
        let shown = look(&t, &made.at("/token")).await.expect(200);
        assert_eq!((shown.at("/org/slug"), shown.at("/org/name")), ("acme".into(), "acme".into()));
        assert_eq!((shown.at("/project/slug"), shown.at("/project/id")), ("web".into(), web.id.to_string()));
        assert_eq!((shown.at("/email"), shown.at("/role")), ("dana@example.com".into(), "viewer".into()));
        assert_eq!((shown.at("/status"), shown.at("/is_expired")), ("pending".into(), "false".into()));
        assert_eq!((shown.at("/invited_by/email"), shown.at("/invited_by/first_name")), (acme.owner.email.clone(), "acme-owner".into()));
        assert_eq!((shown.at("/created_at"), shown.at("/expires_at")), (made.at("/created_at"), made.at("/expires_at")));
        assert_eq!(shown.at("/account_exists"), "false");
        t.person("dana").await;
        assert_eq!(look(&t, &made.at("/token")).await.at("/account_exists"), "true");
        let link = invite(&acme.owner, ACME, json!({})).await.expect(201).at("/token");
        let shown = look(&t, &link).await.expect(200).json();
        assert!(["email", "project", "account_exists"].iter().all(|name| shown.get(name).is_none()), "{shown}");
    }

    async fn a_token_of_nothing_answers_like_nothing(t: TestApp) {
        let acme = t.org("acme").await;
        let made = invite(&acme.owner, ACME, json!({})).await.expect(201).at("/token");
        let turned: String = made.chars().rev().collect();
        let session = acme.owner.refresh_token.clone();
        let stranger = t.person("eve").await.client().with("X-Request-Id", "the-same-id");
        let absent = stranger.get("/v1/orgs/nowhere").await.problem(404, "not_found").text();
        for token in [turned.as_str(), &session, "srm_inv_nonsense", "x", &format!("{made}0"), &made.to_lowercase()] {
            let answer = stranger.get(&format!("/v1/invites/{token}")).await.problem(404, "not_found");
            assert_eq!(answer.text(), absent, "{token}");
            accept(&acme.owner, token).await.problem(404, "not_found");
            accept(&t.anonymous(), token).await.problem(404, "not_found");
        }
    }

    async fn a_verified_address_is_let_in_by_either_token_once(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let dana = verified(&t, "dana").await;
        let made = invite(&acme.owner, ACME, json!({ "email": "DANA@example.com", "role": "viewer" })).await.expect(201);
        dana.get(ACME).await.problem(404, "not_found");
        let joined = accept(&dana, &made.at("/token")).await.expect(201);
        assert_eq!((joined.at("/accepted"), joined.at("/created_account")), ("true".into(), "false".into()));
        assert_eq!((joined.at("/org/slug"), joined.at("/role")), ("acme".into(), "viewer".into()));
        assert!(["user", "access_token", "project"].iter().all(|name| joined.json().get(name).is_none()), "{}", joined.text());
        assert_eq!(dana.get(ACME).await.expect(200).at("/role"), "viewer");
        accept(&dana, &made.at("/token")).await.problem(409, "already_member");
        assert_eq!(look(&t, &made.at("/token")).await.at("/status"), "accepted");
        invite(&acme.owner, &web.path, json!({ "email": dana.email, "env_classes": ["dev"] })).await.expect(201).ok();
        let mailed = expect_token(&t, &dana.email, INVITE, 1).await;
        let joined = accept(&dana, &mailed).await.expect(201);
        assert_eq!((joined.at("/project/slug"), joined.at("/role")), ("web".into(), "developer".into()));
        dana.get(&web.env("development").secrets()).await.expect(200).ok();
        dana.get(&web.env("production").secrets()).await.problem(403, "forbidden");
        let events = acme.owner.get("/v1/orgs/acme/audit-logs?action=invite.accepted").await.expect(200);
        assert_eq!((events.at("/pagination/total"), events.at("/data/1/resource_id")), ("2".into(), made.at("/id")));
        assert_eq!(events.at("/data/0/metadata/user_id"), dana.id.to_string());
        assert_eq!(events.at("/data/0/actor/id"), dana.id.to_string());
        assert_eq!((events.at("/data/0/metadata/role"), events.at("/data/0/project_id")), ("developer".into(), web.id.to_string()));
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action IN ('member.added', 'user.email_verified')").await, 0);
    }

    // Whoever invites sees the other token: it must not verify anybody's address.
    async fn the_mailed_token_alone_verifies_the_address(t: TestApp) {
        let acme = t.org("acme").await;
        let dana = t.person("dana").await;
        let made = invite(&acme.owner, ACME, json!({ "email": dana.email })).await.expect(201);
        accept(&dana, &made.at("/token")).await.problem(403, "email_unverified");
        assert_eq!((dana.get("/v1/auth/me").await.at("/email_verified"), uses(&t).await), ("false".into(), 0));
        accept(&dana, &expect_token(&t, &dana.email, INVITE, 1).await).await.expect(201).ok();
        assert_eq!(dana.get("/v1/auth/me").await.at("/email_verified"), "true");
        dana.get(ACME).await.expect(200).ok();
        let rows = "SELECT COUNT(*) FROM journal WHERE action IN ('user.email_verified', 'invite.accepted')";
        assert_eq!(t.number(rows).await, 2);
    }

    async fn verifying_by_a_mailed_token_ends_what_others_claim(t: TestApp) {
        let acme = t.org("acme").await;
        let (dana, mallory) = (verified(&t, "dana").await, verified(&t, "mallory").await);
        let second = json!({ "email": "d.scully@example.com" });
        for person in [&dana, &mallory] {
            person.post("/v1/auth/emails", second.clone()).await.expect(201).ok();
        }
        invite(&acme.owner, ACME, second).await.expect(201).ok();
        let token = expect_token(&t, "d.scully@example.com", INVITE, 1).await;
        accept(&dana, &token).await.expect(201).ok();
        assert_eq!(dana.get("/v1/auth/emails").await.at("/pagination/total"), "2");
        assert_eq!(mallory.get("/v1/auth/emails").await.at("/pagination/total"), "1");
        accept(&mallory, &token).await.problem(403, "forbidden");
    }

    async fn an_address_that_another_account_has_proved_is_not_verified_for_a_claim(t: TestApp) {
        let acme = t.org("acme").await;
        let (dana, mallory) = (t.person("dana").await, verified(&t, "mallory").await);
        mallory.post("/v1/auth/emails", json!({ "email": "d.scully@example.com" })).await.expect(201).ok();
        t.sql("UPDATE user_emails SET canonical = 'd.scully@example.com', verified_at = 1 WHERE canonical = 'dana@example.com'").await;
        invite(&acme.owner, ACME, json!({ "email": "d.scully@example.com" })).await.expect(201).ok();
        let token = expect_token(&t, "d.scully@example.com", INVITE, 1).await;
        accept(&mallory, &token).await.problem(409, "email_taken");
        accept(&dana, &token).await.expect(201).ok();
    }

    async fn an_invitation_is_for_its_address_alone(t: TestApp) {
        let acme = t.org("acme").await;
        let eve = verified(&t, "eve").await;
        let made = invite(&acme.owner, ACME, json!({ "email": "dana@example.com" })).await.expect(201);
        let mailed = expect_token(&t, "dana@example.com", INVITE, 1).await;
        for token in [made.at("/token"), mailed] {
            accept(&eve, &token).await.problem(403, "forbidden");
        }
        assert_eq!(uses(&t).await, 0);
        eve.get(ACME).await.problem(404, "not_found");
    }

    async fn an_open_link_lets_in_whoever_has_a_verified_address(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let (dana, erin, fred) = (verified(&t, "dana").await, t.person("erin").await, verified(&t, "fred").await);
        let link = invite(&acme.owner, &web.path, json!({ "max_uses": 2 })).await.expect(201).at("/token");
        accept(&erin, &link).await.problem(403, "email_unverified");
        let asked = accept(&t.anonymous(), &link).await.problem(401, "unauthenticated");
        assert!(asked.at("/detail").contains("invite_token"), "{}", asked.text());
        accept(&dana, &link).await.expect(201).ok();
        accept(&dana, &link).await.problem(409, "already_member");
        assert_eq!((uses(&t).await, look(&t, &link).await.at("/status")), (1, "pending".into()));
        accept(&fred, &link).await.expect(201).ok();
        t.sql("UPDATE user_emails SET verified_at = created_at").await;
        accept(&erin, &link).await.problem(409, "invite_unusable");
        assert_eq!((uses(&t).await, look(&t, &link).await.at("/status")), (2, "accepted".into()));
        // Into the project, and no further.
        dana.get(&web.env("production").secrets()).await.expect(200).ok();
        dana.get("/v1/orgs/acme/members").await.problem(403, "forbidden");
    }

    async fn of_a_hundred_at_once_as_many_get_in_as_may(t: TestApp) {
        let acme = t.org("acme").await;
        let mut people = Vec::new();
        for number in 0..10 {
            people.push(verified(&t, &format!("p{number}")).await);
        }
        for (max_uses, slug) in [(1, "one"), (3, "three")] {
            let place = acme.project(slug).await;
            let link = invite(&acme.owner, &place.path, json!({ "max_uses": max_uses })).await.expect(201).at("/token");
            let mut calls = JoinSet::new();
            for number in 0..100 {
                let (client, link) = (people[number % people.len()].client().clone(), link.clone());
                calls.spawn(async move { accept(&client, &link).await.status() });
            }
            let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
            while let Some(status) = calls.join_next().await {
                *statuses.entry(status.expect("an answer")).or_default() += 1;
            }
            assert_eq!(statuses, BTreeMap::from([(201, max_uses), (409, 100 - max_uses)]));
            let let_in = format!("SELECT COUNT(*) FROM memberships WHERE scope_id = (SELECT id FROM projects WHERE slug = '{slug}')");
            assert_eq!(t.number(&let_in).await, i64::try_from(max_uses).expect("a few"));
            assert_eq!(look(&t, &link).await.at("/status"), "accepted");
        }
        assert_eq!((uses(&t).await, t.number("SELECT COUNT(*) FROM journal WHERE action = 'invite.accepted'").await), (4, 4));
    }

    async fn an_invitation_is_worth_what_its_inviter_holds(t: TestApp) {
        let acme = t.org("acme").await;
        let dana = verified(&t, "dana").await;
        own_role(&acme, "platform", "hiring", &["org:read", "members:read", "members:invite", "projects:read", "envs:read"]).await;
        for (name, end) in [("demoted", End::Demoted), ("removed", End::Removed), ("disabled", End::Disabled), ("gone", End::Gone)] {
            let inviter = acme.member(name, "hiring").await;
            let link = invite(&inviter, ACME, json!({})).await.expect(201).at("/token");
            assert_eq!(look(&t, &link).await.at("/status"), "pending", "{name}");
            let member = acme.path(&format!("/members/{}", inviter.id));
            match end {
                End::Demoted => acme.owner.patch(&member, json!({ "role": "member" })).await.ok(),
                End::Removed => acme.owner.delete(&member).await.ok(),
                End::Disabled => {
                    t.sql(&format!("UPDATE users SET disabled_at = 1 WHERE first_name = '{name}'")).await;
                    acme.owner.get(ACME).await.ok()
                }
                End::Gone => inviter.delete("/v1/auth/me").await.ok(),
            };
            let shown = look(&t, &link).await.expect(200);
            assert_eq!(shown.at("/status"), "revoked", "{name}");
            let refused = accept(&dana, &link).await.problem(409, "invite_unusable");
            assert!(refused.at("/detail").contains("no longer give"), "{}", refused.text());
        }
        assert_eq!(uses(&t).await, 0);
        dana.get(ACME).await.problem(404, "not_found");
    }

    async fn a_role_that_outgrew_its_inviter_is_not_given(t: TestApp) {
        let acme = t.org("acme").await;
        let dana = verified(&t, "dana").await;
        own_role(&acme, "platform", "guest", &["org:read"]).await;
        let alex = acme.member("alex", "admin").await;
        let link = invite(&alex, ACME, json!({ "role": "guest" })).await.expect(201).at("/token");
        let patch = async |permissions: &[&str]| {
            let body = json!({ "permissions": permissions });
            acme.owner.patch("/v1/orgs/acme/roles/guest", body).await.expect(200).ok();
        };
        patch(&["org:read", "org:delete"]).await;
        accept(&dana, &link).await.problem(409, "invite_unusable");
        patch(&["org:read", "audit:read"]).await;
        accept(&dana, &link).await.expect(201).ok();
        dana.get("/v1/orgs/acme/audit-logs").await.expect(200).ok();
    }

    async fn what_is_deleted_invites_nobody(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let dana = verified(&t, "dana").await;
        let made = invite(&acme.owner, &web.path, json!({})).await.expect(201);
        let link = made.at("/token");
        for (delete, restore) in [(web.path.clone(), format!("{}/restore", web.path)), (ACME.into(), format!("{ACME}/restore"))] {
            acme.owner.delete(&delete).await.expect(204).ok();
            look(&t, &link).await.problem(404, "not_found");
            accept(&dana, &link).await.problem(404, "not_found");
            let hidden = acme.owner.get("/v1/orgs/acme/invites").await;
            assert!(hidden.status() == 404 || hidden.at("/pagination/total") == "0", "{}", hidden.text());
            acme.owner.post(&restore, json!({})).await.expect(200).ok();
        }
        accept(&dana, &link).await.expect(201).ok();
    }

    async fn a_machine_or_a_narrowed_token_accepts_nothing(t: TestApp) {
        let (acme, globex) = (t.org("acme").await, t.org("globex").await);
        let link = invite(&acme.owner, ACME, json!({ "max_uses": 9 })).await.expect(201).at("/token");
        let robot = json!({ "name": "robot", "role": "admin" });
        let key = globex.owner.post("/v1/orgs/globex/service-accounts", robot).await.expect(201).at("/key");
        accept(&t.anonymous().api_key(&key), &link).await.problem(403, "forbidden");
        let dana = verified(&t, "dana").await;
        for body in [json!({ "name": "scoped", "scopes": ["org:read"] }), json!({ "name": "bound", "org": "dana" })] {
            accept(&dana.token(body).await, &link).await.problem(403, "insufficient_scope");
        }
        assert_eq!(uses(&t).await, 0);
        accept(&dana.token(json!({ "name": "all" })).await, &link).await.expect(201).ok();
    }

    async fn a_forged_acceptance_counts_as_nobodys(t: TestApp) {
        let acme = t.org("acme").await;
        let dana = verified(&t, "dana").await;
        let link = invite(&acme.owner, ACME, json!({})).await.expect(201).at("/token");
        let login = json!({ "email": dana.email, "password": PASSWORD });
        let signed_in = t.anonymous().post("/v1/auth/login", login).await.expect(200);
        let cookie = signed_in.header("set-cookie").and_then(|cookie| cookie.split(['=', ';']).nth(1)).expect("a cookie");
        let forged = t.anonymous().with("Cookie", &format!("strongroom={cookie}")).with("Origin", "https://evil.example");
        accept(&forged, &link).await.problem(401, "unauthenticated");
        assert_eq!(uses(&t).await, 0);
        accept(&t.anonymous().cookie(cookie), &link).await.expect(201).ok();
    }
}

/// How an inviter loses the right to invite.
enum End {
    Demoted,
    Removed,
    Disabled,
    Gone,
}

on_each_backend! {
    async fn an_inviter_whose_time_is_over_lets_nobody_in(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        let (alex, dana) = (verified(&t, "alex").await, verified(&t, "dana").await);
        let end = (t.clock.now() + Duration::from_mins(30)).to_string();
        let body = json!({ "email": alex.email, "role": "admin", "expires_at": end });
        acme.owner.post("/v1/orgs/acme/members", body).await.expect(201).ok();
        let link = invite(&alex, ACME, json!({ "max_uses": 2 })).await.expect(201).at("/token");
        t.advance(Duration::from_mins(30) - Duration::from_micros(1));
        assert_eq!(look(&t, &link).await.at("/status"), "pending");
        t.advance(Duration::from_micros(1));
        assert_eq!(look(&t, &link).await.at("/status"), "revoked");
        accept(&dana, &link).await.problem(409, "invite_unusable");
    }
}

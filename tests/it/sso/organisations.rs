//! An organisation's own provider: its word counts in the organisation alone.

use harness::mailbox::{SIGN_IN, expect_code};
use harness::node::Node;
use harness::{Answer, Org, TestApp, on_both};
use serde_json::json;

use super::{Way, liar, session, settings, tell};

/// Sets the provider of an organisation up.
async fn set_up(acme: &Org<'_>, node: &Node) {
    acme.owner
        .patch(&acme.path("/sso"), settings(node))
        .await
        .expect(200)
        .ok();
}

async fn sign_in(t: &TestApp, acme: &Org<'_>) -> Answer {
    let way = Way::begin(t, &format!("/v1/auth/sso/{}/start", acme.id)).await;
    way.there_and_back(t).await
}

on_both! {
    async fn it_lets_people_in_where_the_join_policy_would(t: TestApp) {
        let (acme, provider) = (t.org("acme").await, liar());
        set_up(&acme, &provider).await;
        let shown = t.anonymous().get("/v1/auth/sso?org=acme").await.expect(200);
        assert_eq!(shown.at("/providers/0/provider"), acme.id.to_string());
        let outside = session(&t, &sign_in(&t, &acme).await.expect(303));
        outside.get("/v1/orgs/acme").await.problem(404, "not_found");
        t.sql("UPDATE user_emails SET verified_at = 1 WHERE canonical = 'acme-owner@example.com'").await;
        let domain = json!({ "join_policy": "domain", "join_domains": ["example.com"], "join_role": "viewer" });
        acme.owner.patch("/v1/orgs/acme", domain).await.expect(200).ok();
        let inside = session(&t, &sign_in(&t, &acme).await.expect(303));
        assert_eq!(inside.get("/v1/orgs/acme").await.expect(200).at("/role"), "viewer");
        let log = acme.owner.get("/v1/orgs/acme/audit-logs?action=member.joined").await.expect(200);
        assert_eq!(log.at("/pagination/total"), "1");
        // Whoever has another domain's address stays outside.
        tell(&provider, "/control", json!({ "claims": { "sub": "evil", "email": "evil@notexample.com" } })).await.ok();
        let evil = session(&t, &sign_in(&t, &acme).await.expect(303));
        evil.get("/v1/orgs/acme").await.problem(404, "not_found");
    }

    async fn its_word_proves_no_address_and_opens_no_account(t: TestApp) {
        let (acme, provider) = (t.org("acme").await, liar());
        set_up(&acme, &provider).await;
        let victim = t.proved_person("victim").await;
        tell(&provider, "/control", json!({ "claims": { "email": victim.email } })).await.ok();
        let refused = sign_in(&t, &acme).await.problem(403, "forbidden");
        assert_eq!(refused.at("/reason"), "link_required");
        t.sql("UPDATE users SET password_hash = NULL").await;
        sign_in(&t, &acme).await.problem(403, "forbidden");
        tell(&provider, "/control", json!({})).await.ok();
        let made = session(&t, &sign_in(&t, &acme).await.expect(303));
        assert_eq!(made.get("/v1/auth/me").await.expect(200).at("/email_verified"), "false");
        // Whoever reads the mail of the address takes the account over, and the identity signs in no more.
        let asked = t.anonymous().post("/v1/auth/code", json!({ "email": "dana@example.com" })).await.expect(200);
        let code = expect_code(&t, "dana@example.com", SIGN_IN, 1).await;
        let proof = json!({ "challenge_token": asked.at("/challenge_token"), "code": code });
        t.anonymous().post("/v1/auth/code/verify", proof).await.expect(200).ok();
        made.get("/v1/auth/me").await.problem(401, "unauthenticated");
        assert_eq!(t.number("SELECT COUNT(*) FROM sso_identities").await, 0);
        sign_in(&t, &acme).await.problem(403, "forbidden");
    }

    async fn it_is_the_owners_to_set_up(t: TestApp) {
        let (acme, provider) = (t.org("acme").await, liar());
        let path = acme.path("/sso");
        let admin = acme.member("ada", "admin").await;
        admin.get(&path).await.problem(403, "forbidden");
        admin.patch(&path, settings(&provider)).await.problem(403, "forbidden");
        let eve = t.person("eve").await;
        eve.get(&path).await.problem(404, "not_found");
        set_up(&acme, &provider).await;
        let report = acme.owner.post(&format!("{path}/test"), json!({})).await.expect(200);
        assert_eq!(report.at("/reachable"), "true", "{}", report.text());
        acme.owner.delete(&path).await.expect(204).ok();
        acme.owner.delete(&path).await.problem(404, "not_found");
        let start = format!("/v1/auth/sso/{}/start", acme.id);
        t.anonymous().get(&start).await.problem(503, "unavailable");
        set_up(&acme, &provider).await;
        acme.owner.delete("/v1/orgs/acme").await.expect(204).ok();
        t.anonymous().get(&start).await.problem(503, "unavailable");
    }
}

//! Inviting, sending again, revoking: who may, to what, and what becomes of the tokens.

use std::time::Duration;

use harness::app::Options;
use harness::mailbox::{INVITE, expect_letter, expect_token};
use harness::{Answer, Client, TestApp, on_both, on_each_backend};
use serde_json::{Value, json};

use super::{accept, invite, look, own_role, refused_field, verified};

const ACME: &str = "/v1/orgs/acme";
const HOUR: Duration = Duration::from_hours(1);

async fn resend(by: &Client, place: &str, id: &str) -> Answer {
    by.post(&format!("{place}/invites/{id}/resend"), json!({})).await
}

async fn revoke(by: &Client, place: &str, id: &str) -> Answer {
    by.delete(&format!("{place}/invites/{id}")).await
}

/// Addresses of a list, `-` for an open link.
fn addresses(list: &Value) -> Vec<&str> {
    let entries = list["data"].as_array().into_iter().flatten();
    entries.map(|entry| entry["email"].as_str().unwrap_or("-")).collect()
}

on_both! {
    async fn an_address_is_invited_by_a_mail_whose_token_is_not_the_one_that_is_shown(t: TestApp) {
        let acme = t.org("acme").await;
        let made = invite(&acme.owner, ACME, json!({ "email": " Dana@Example.com" })).await.expect(201);
        let shown = made.at("/token");
        assert!(made.at("/id").starts_with("inv_") && shown.starts_with("srm_inv_"), "{}", made.text());
        assert_eq!((made.at("/email"), made.at("/role")), ("Dana@Example.com".into(), "member".into()));
        assert_eq!((made.at("/status"), made.at("/uses"), made.at("/max_uses")), ("pending".into(), "0".into(), "1".into()));
        assert_eq!(made.at("/invited_by/email"), acme.owner.email);
        let base = t.app().base_url.as_str().trim_end_matches('/');
        assert_eq!(made.at("/invite_url"), format!("{base}/invite#token={shown}"));
        let mail = expect_letter(&t, "Dana@Example.com", INVITE, 1).await;
        assert!(mail.contains("Organisation: acme") && mail.contains("Role: member"), "{mail}");
        assert!(mail.contains("Invited by: acme-owner (acme-owner@example.com)"), "{mail}");
        let mailed = expect_token(&t, "Dana@Example.com", INVITE, 1).await;
        assert!(mailed.starts_with("srm_inv_") && mailed != shown && !mail.contains(&shown));
        assert_eq!(look(&t, &mailed).await.expect(200).text(), look(&t, &shown).await.expect(200).text());
        let listed = acme.owner.get("/v1/orgs/acme/invites").await.expect(200);
        assert_eq!((listed.at("/data/0/id"), listed.at("/pagination/total")), (made.at("/id"), "1".into()));
        assert!(!listed.text().contains("srm_inv_"), "{}", listed.text());
        let member = acme.owner.get("/v1/orgs/acme/members").await.expect(200);
        assert_eq!((member.at("/data/1/id"), member.at("/data/1/status")), (made.at("/id"), "pending".into()));
        let event = acme.owner.get("/v1/orgs/acme/audit-logs?action=invite.created").await.expect(200);
        assert_eq!((event.at("/data/0/resource_id"), event.at("/data/0/metadata/email")), (made.at("/id"), "Dana@Example.com".into()));
    }

    async fn nothing_that_is_stored_leads_to_a_token(t: TestApp) {
        let acme = t.org("acme").await;
        let made = invite(&acme.owner, ACME, json!({ "email": "dana@example.com" })).await.expect(201);
        let mailed = expect_token(&t, "dana@example.com", INVITE, 1).await;
        for token in [made.at("/token"), mailed] {
            let tail = token.trim_start_matches("srm_inv_");
            let held = format!(
                "SELECT (SELECT COUNT(*) FROM jobs WHERE payload LIKE '%{tail}%')
                    + (SELECT COUNT(*) FROM mails WHERE data LIKE '%{tail}%')
                    + (SELECT COUNT(*) FROM journal WHERE data LIKE '%{tail}%')"
            );
            assert_eq!(t.number(&held).await, 0);
        }
    }

    async fn an_open_link_takes_what_it_is_told_and_sends_no_mail(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let body = json!({ "project": "web", "role": "viewer", "env_classes": ["dev"], "max_uses": 1000, "expires_in_hours": 720 });
        let made = invite(&acme.owner, ACME, body).await.expect(201);
        assert_eq!((made.at("/project"), made.at("/project_id")), ("web".into(), web.id.to_string()));
        assert_eq!((made.at("/role"), made.at("/env_classes/0"), made.at("/max_uses")), ("viewer".into(), "dev".into(), "1000".into()));
        assert!(made.json().get("email").is_none());
        let plain = invite(&acme.owner, &web.path, json!({})).await.expect(201);
        assert_eq!((plain.at("/role"), plain.at("/max_uses")), ("developer".into(), "1".into()));
        assert_eq!(t.number("SELECT COUNT(*) FROM mails WHERE invite_id IS NOT NULL").await, 0);
        assert_eq!(t.number("SELECT COUNT(*) FROM invites WHERE project_id IS NOT NULL AND scope_id = project_id").await, 2);
    }

    async fn what_is_no_invitation_is_refused_by_name_and_changes_nothing(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let project_viewer = domain::access::BuiltinRole::PROJECT_VIEWER.id.to_string();
        let before = t.number("SELECT COUNT(*) FROM journal").await;
        let bad = [
            (json!({ "email": "dana" }), "email"),
            (json!({ "role": "boss" }), "role"),
            (json!({ "role": "owner" }), "role"),
            (json!({ "env_classes": [] }), "env_classes"),
            (json!({ "role": "owner", "email": "dana@example.com", "env_classes": ["dev"] }), "env_classes"),
            (json!({ "expires_in_hours": 0 }), "expires_in_hours"),
            (json!({ "expires_in_hours": 721 }), "expires_in_hours"),
            (json!({ "expires_in_hours": -1 }), "expires_in_hours"),
            (json!({ "max_uses": 0 }), "max_uses"),
            (json!({ "max_uses": 1001 }), "max_uses"),
            (json!({ "email": "dana@example.com", "max_uses": 2 }), "max_uses"),
        ];
        for place in [ACME, web.path.as_str()] {
            for (body, field) in &bad {
                refused_field(invite(&acme.owner, place, body.clone()).await, field);
            }
        }
        refused_field(invite(&acme.owner, ACME, json!({ "role": project_viewer })).await, "role");
        refused_field(invite(&acme.owner, &web.path, json!({ "role": "member" })).await, "role");
        refused_field(invite(&acme.owner, ACME, json!({ "project": "nowhere" })).await, "project");
        refused_field(invite(&acme.owner, &web.path, json!({ "project": "web" })).await, "project");
        for id in ["inv_7zzzzzzzzzzzzzzzzzzzzzzzzz", "dana", &acme.id.to_string()] {
            resend(&acme.owner, ACME, id).await.problem(404, "not_found");
            revoke(&acme.owner, ACME, id).await.problem(404, "not_found");
        }
        acme.owner.get("/v1/orgs/acme/invites?status=lost").await.problem(422, "invalid_field");
        assert_eq!(t.number("SELECT COUNT(*) FROM invites").await, 0);
        assert_eq!(t.number("SELECT COUNT(*) FROM mails WHERE invite_id IS NOT NULL").await, 0);
        assert_eq!(t.number("SELECT COUNT(*) FROM journal").await, before);
    }

    async fn an_address_is_invited_once_to_a_place_while_that_is_out(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let body = json!({ "email": "dana@example.com" });
        let first = invite(&acme.owner, ACME, body.clone()).await.expect(201).at("/id");
        invite(&acme.owner, ACME, json!({ "email": "DANA@example.com", "role": "viewer" })).await.problem(409, "already_invited");
        invite(&acme.owner, &web.path, body.clone()).await.expect(201).ok();
        invite(&acme.owner, &web.path, body.clone()).await.problem(409, "already_invited");
        revoke(&acme.owner, ACME, &first).await.expect(204).ok();
        invite(&acme.owner, ACME, body).await.expect(201).ok();
        assert_eq!(t.number("SELECT COUNT(*) FROM invites").await, 3);
    }

    async fn two_who_invite_one_address_at_once_invite_it_once(t: TestApp) {
        let acme = t.org("acme").await;
        let body = json!({ "email": "dana@example.com" });
        let (one, two) = tokio::join!(invite(&acme.owner, ACME, body.clone()), invite(&acme.owner, ACME, body));
        let mut statuses = [one.status(), two.status()];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409]);
        assert_eq!(t.number("SELECT COUNT(*) FROM invites").await, 1);
    }

    async fn whoever_is_in_is_not_invited_and_a_claim_tells_nothing(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let (dana, erin) = (verified(&t, "dana").await, t.person("erin").await);
        acme.grant(dana.id, None, "viewer").await;
        acme.grant(erin.id, None, "viewer").await;
        invite(&acme.owner, ACME, json!({ "email": dana.email })).await.problem(409, "already_member");
        invite(&acme.owner, &web.path, json!({ "email": dana.email })).await.expect(201).ok();
        invite(&acme.owner, ACME, json!({ "email": erin.email })).await.expect(201).ok();
    }

    async fn nobody_invites_above_themselves(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let hiring = ["org:read", "members:read", "members:invite", "secrets:read@dev"];
        own_role(&acme, "platform", "hiring", &hiring).await;
        let app_role = own_role(&acme, "app", "editor", &["articles:write"]).await;
        let (alex, hanna) = (acme.member("alex", "admin").await, acme.member("hanna", "hiring").await);
        let (dana, eve) = (acme.developer("dana").await, t.person("eve").await);
        let to = |role: &str| json!({ "email": "new@example.com", "role": role });
        let before = t.number("SELECT COUNT(*) FROM journal").await;
        let refused = invite(&alex, ACME, to("owner")).await.problem(403, "forbidden");
        assert!(refused.at("/detail").contains("grant what you hold"), "{}", refused.text());
        invite(&alex, ACME, json!({ "email": "new@example.com", "project": "web", "role": "owner" })).await.problem(403, "forbidden");
        invite(&alex, ACME, to(&app_role)).await.problem(403, "forbidden");
        for role in ["owner", "admin", "developer", "viewer", "member"] {
            invite(&hanna, ACME, to(role)).await.problem(403, "forbidden");
        }
        let wider = json!({ "email": "new@example.com", "role": "hiring", "env_classes": ["prod"] });
        invite(&hanna, ACME, wider).await.problem(403, "forbidden");
        invite(&dana, ACME, to("member")).await.problem(403, "forbidden");
        invite(&eve, ACME, to("member")).await.problem(404, "not_found");
        invite(&t.anonymous(), ACME, to("member")).await.problem(401, "unauthenticated");
        let scopes = json!({ "name": "hr", "scopes": ["members:invite", "org:read", "members:read"] });
        let token = acme.owner.token(scopes).await;
        invite(&token, ACME, to("viewer")).await.problem(403, "forbidden");
        let place = json!({ "name": "place", "org": "acme", "patterns": ["web"] });
        invite(&acme.owner.token(place).await, &web.path, to("viewer")).await.problem(403, "forbidden");
        assert_eq!(t.number("SELECT COUNT(*) FROM invites").await, 0);
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action <> 'token.created'").await, before);
        invite(&hanna, ACME, to("hiring")).await.expect(201).ok();
        invite(&acme.owner, ACME, json!({ "email": "boss@example.com", "role": "owner" })).await.expect(201).ok();
    }

    async fn a_project_admin_invites_to_that_project_alone(t: TestApp) {
        let acme = t.org("acme").await;
        let (web, ops) = (acme.project("web").await, acme.project("ops").await);
        let paul = t.person("paul").await;
        acme.grant(paul.id, Some(web.id), "admin").await;
        let made = invite(&paul, &web.path, json!({ "email": "new@example.com" })).await.expect(201).at("/id");
        invite(&paul, &web.path, json!({ "email": "boss@example.com", "role": "owner" })).await.problem(403, "forbidden");
        invite(&paul, ACME, json!({ "project": "web" })).await.problem(403, "forbidden");
        invite(&paul, &ops.path, json!({})).await.problem(404, "not_found");
        let elsewhere = invite(&acme.owner, &ops.path, json!({})).await.expect(201).at("/id");
        let whole = invite(&acme.owner, ACME, json!({})).await.expect(201).at("/id");
        for id in [&elsewhere, &whole] {
            resend(&paul, &web.path, id).await.problem(404, "not_found");
            revoke(&paul, &web.path, id).await.problem(404, "not_found");
        }
        let list = async |place: &str| acme.owner.get(&format!("{place}/invites")).await.expect(200).json();
        assert_eq!(addresses(&list(&web.path).await), ["new@example.com"]);
        assert_eq!(addresses(&list(ACME).await), ["-", "-", "new@example.com"], "newest first, those of projects too");
        resend(&paul, &web.path, &made).await.expect(200).ok();
        revoke(&acme.owner, ACME, &made).await.expect(204).ok();
        assert_eq!(addresses(&list(&web.path).await), Vec::<&str>::new());
    }

    async fn a_machine_invites_nobody(t: TestApp) {
        let acme = t.org("acme").await;
        let robot = json!({ "name": "robot", "role": "admin" });
        let key = acme.owner.post(&acme.path("/service-accounts"), robot).await.expect(201).at("/key");
        let robot = t.anonymous().api_key(&key);
        robot.get("/v1/orgs/acme/invites").await.expect(200).ok();
        invite(&robot, ACME, json!({ "email": "new@example.com" })).await.problem(403, "forbidden");
        let made = invite(&acme.owner, ACME, json!({})).await.expect(201).at("/id");
        resend(&robot, ACME, &made).await.problem(403, "forbidden");
        revoke(&robot, ACME, &made).await.expect(204).ok();
    }

    async fn sending_again_replaces_both_tokens_and_who_stands_behind_it(t: TestApp) {
        let acme = t.org("acme").await;
        let alex = acme.member("alex", "admin").await;
        let made = invite(&acme.owner, ACME, json!({ "email": "dana@example.com" })).await.expect(201);
        let first = expect_token(&t, "dana@example.com", INVITE, 1).await;
        let again = resend(&alex, ACME, &made.at("/id")).await.expect(200);
        let second = expect_token(&t, "dana@example.com", INVITE, 2).await;
        for old in [made.at("/token"), first] {
            look(&t, &old).await.problem(404, "not_found");
            accept(&t.anonymous(), &old).await.problem(404, "not_found");
        }
        for new in [again.at("/token"), second] {
            assert_eq!(look(&t, &new).await.expect(200).at("/invited_by/email"), alex.email);
        }
        assert_eq!((again.at("/id"), again.at("/created_at")), (made.at("/id"), made.at("/created_at")));
        let event = acme.owner.get("/v1/orgs/acme/audit-logs?action=invite.resent").await.expect(200);
        assert_eq!((event.at("/data/0/resource_id"), event.at("/pagination/total")), (made.at("/id"), "1".into()));
    }

    async fn nobody_sends_again_what_they_could_not_give(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        own_role(&acme, "platform", "hiring", &["org:read", "members:read", "members:invite"]).await;
        let hanna = acme.member("hanna", "hiring").await;
        for (place, body) in [(ACME, json!({ "role": "admin" })), (web.path.as_str(), json!({ "role": "viewer" }))] {
            let made = invite(&acme.owner, place, body).await.expect(201);
            resend(&hanna, ACME, &made.at("/id")).await.problem(403, "forbidden");
            look(&t, &made.at("/token")).await.expect(200).ok();
            revoke(&hanna, ACME, &made.at("/id")).await.expect(204).ok();
        }
    }

    async fn a_revoked_invitation_opens_nothing_and_stays_so(t: TestApp) {
        let acme = t.org("acme").await;
        let dana = verified(&t, "dana").await;
        let made = invite(&acme.owner, ACME, json!({ "email": dana.email })).await.expect(201);
        let mailed = expect_token(&t, &dana.email, INVITE, 1).await;
        revoke(&acme.owner, ACME, &made.at("/id")).await.expect(204).ok();
        for token in [made.at("/token"), mailed] {
            assert_eq!(look(&t, &token).await.expect(200).at("/status"), "revoked");
            accept(&dana, &token).await.problem(409, "invite_unusable");
        }
        revoke(&acme.owner, ACME, &made.at("/id")).await.problem(409, "invite_unusable");
        resend(&acme.owner, ACME, &made.at("/id")).await.problem(409, "invite_unusable");
        dana.get(ACME).await.problem(404, "not_found");
        let link = invite(&acme.owner, ACME, json!({})).await.expect(201);
        accept(&dana, &link.at("/token")).await.expect(201).ok();
        revoke(&acme.owner, ACME, &link.at("/id")).await.problem(409, "invite_unusable");
        resend(&acme.owner, ACME, &link.at("/id")).await.problem(409, "invite_unusable");
        for (status, total) in [("pending", "0"), ("accepted", "1"), ("revoked", "1"), ("expired", "0"), ("any", "2")] {
            let list = acme.owner.get(&format!("/v1/orgs/acme/invites?status={status}")).await.expect(200);
            assert_eq!(list.at("/pagination/total"), total, "{status}");
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'invite.revoked'").await, 1);
    }

    async fn a_role_that_is_offered_goes_by_force_alone_and_takes_the_offer_along(t: TestApp) {
        let acme = t.org("acme").await;
        let (eve, id) = (verified(&t, "eve").await, own_role(&acme, "platform", "reader", &["org:read"]).await);
        let token = invite(&acme.owner, ACME, json!({ "role": id })).await.expect(201).at("/token");
        let refused = acme.owner.delete("/v1/orgs/acme/roles/reader").await.problem(409, "in_use");
        assert_eq!((refused.at("/held_by"), refused.at("/invites")), ("0".into(), "1".into()));
        acme.owner.delete("/v1/orgs/acme/roles/reader?force=true").await.expect(204).ok();
        assert_eq!(look(&t, &token).await.expect(200).at("/status"), "revoked");
        accept(&eve, &token).await.problem(409, "invite_unusable");
        eve.get(ACME).await.problem(404, "not_found");
    }

    async fn the_page_of_the_link_loads_from_here_alone_and_tells_nobody_where_one_came_from(t: TestApp) {
        let page = t.anonymous().get("/invite").await.expect(200);
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        assert!(page.header("content-security-policy").is_some_and(|policy| policy.contains("default-src 'none'")));
        let html = page.text();
        assert!(!html.contains("://"), "{html}");
        for path in html.split('"').filter(|part| part.starts_with("/pages/")) {
            t.anonymous().get(path).await.expect(200).ok();
        }
        assert!(html.contains("/pages/invite.js"));
    }
}

on_each_backend! {
    async fn an_invitation_ends_at_its_instant_and_begins_anew_when_it_is_sent_again(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        let dana = verified(&t, "dana").await;
        let body = json!({ "email": dana.email, "expires_in_hours": 2 });
        let made = invite(&acme.owner, ACME, body).await.expect(201);
        assert_eq!(made.at("/expires_at"), (t.clock.now() + 2 * HOUR).to_string());
        let mailed = expect_token(&t, &dana.email, INVITE, 1).await;
        t.advance(Duration::from_micros(2 * 3600 * 1_000_000 - 1));
        assert_eq!(look(&t, &mailed).await.expect(200).at("/is_expired"), "false");
        t.advance(Duration::from_micros(1));
        let (owner, dana) = (acme.owner.signs_in_again().await, dana.signs_in_again().await);
        let shown = look(&t, &mailed).await.expect(200);
        assert_eq!((shown.at("/status"), shown.at("/is_expired")), ("expired".into(), "true".into()));
        accept(&dana, &mailed).await.problem(409, "invite_unusable");
        dana.get(ACME).await.problem(404, "not_found");
        assert_eq!(owner.get("/v1/orgs/acme/invites").await.at("/pagination/total"), "0");
        assert_eq!(owner.get("/v1/orgs/acme/members").await.at("/pagination/total"), "1");
        let again = resend(&owner, ACME, &made.at("/id")).await.expect(200);
        assert_eq!((again.at("/status"), again.at("/expires_at")), ("pending".into(), (t.clock.now() + 2 * HOUR).to_string()));
        accept(&dana, &expect_token(&t, &dana.email, INVITE, 2).await).await.expect(201).ok();
    }

    async fn an_expired_invitation_is_not_sent_again_beside_a_newer_one(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        let body = json!({ "email": "dana@example.com", "expires_in_hours": 1 });
        let old = invite(&acme.owner, ACME, body.clone()).await.expect(201).at("/id");
        t.advance(HOUR);
        let owner = acme.owner.signs_in_again().await;
        invite(&owner, ACME, body).await.expect(201).ok();
        resend(&owner, ACME, &old).await.problem(409, "already_invited");
    }

    async fn a_mailbox_gets_three_invitations_an_hour_from_one_organisation(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let (acme, globex) = (t.org("acme").await, t.org("globex").await);
        let body = json!({ "email": "dana@example.com" });
        let id = invite(&acme.owner, ACME, body.clone()).await.expect(201).at("/id");
        resend(&acme.owner, ACME, &id).await.expect(200).ok();
        revoke(&acme.owner, ACME, &id).await.expect(204).ok();
        let id = invite(&acme.owner, ACME, body.clone()).await.expect(201).at("/id");
        t.advance(Duration::from_secs(3600 - 90));
        let refused = resend(&acme.owner, ACME, &id).await.problem(429, "rate_limited");
        assert_eq!(refused.header("retry-after"), Some("90"));
        invite(&globex.owner, "/v1/orgs/globex", body).await.expect(201).ok();
        t.advance(Duration::from_secs(90));
        resend(acme.owner.signs_in_again().await.client(), ACME, &id).await.expect(200).ok();
        assert_eq!(t.number("SELECT COUNT(*) FROM mails WHERE invite_id IS NOT NULL").await, 5);
    }

    async fn an_owner_is_invited_with_a_fresh_sign_in_alone(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        let body = json!({ "email": "boss@example.com", "role": "owner" });
        let token = acme.owner.token(json!({ "name": "all" })).await;
        invite(&token, ACME, body.clone()).await.problem(403, "session_required");
        t.advance(Duration::from_mins(11));
        invite(&acme.owner, ACME, body.clone()).await.problem(428, "step_up_required");
        let owner = acme.owner.signs_in_again().await;
        let id = invite(&owner, ACME, body).await.expect(201).at("/id");
        resend(&acme.owner, ACME, &id).await.problem(428, "step_up_required");
        resend(&owner, ACME, &id).await.expect(200).ok();
    }
}

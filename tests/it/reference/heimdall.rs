//! Heimdall: organisations as apps, their users, roles of the app's own, who holds them, tokens, the authorize endpoint,
//! invitations, service credentials, the audit log, lists and problems.
//!
//! An app is an organisation whose realm is on. Its users are the realm's; people who administer it are members. Its admin
//! key is a personal token of an owner. A role of the app's own has the audience `app`: its permissions are the
//! app's, and grant nothing here. Its `role.assigned` is `member.added` or `member.updated` in the log; what accounts do
//! stands in their security logs. An app is archived by deleting the organisation, which takes a session.
//!
//! Its `/tokens/refresh` is the grant `refresh_token` here, its `/v1/.well-known` stands at the root, and what it calls to
//! deactivate a user is the status `disabled`: to delete one is to forget it. Not walked here: limits for each admin key.

use std::time::Duration;

use harness::mailbox::{INVITE, expect_token};
use harness::people::PASSWORD;
use harness::{Answer, Client, TestApp, on_both};
use serde_json::{Value, json};

use crate::oauth::{claims, head};

use super::{ME, TOKENS, add, between, column, refused_field, register, texts};

const ORG: &str = "/v1/orgs/acme-corp";
const ROLES: &str = "/v1/orgs/acme-corp/roles";
const MEMBERS: &str = "/v1/orgs/acme-corp/members";
const INVITES: &str = "/v1/orgs/acme-corp/invites";
const CREDENTIALS: &str = "/v1/orgs/acme-corp/service-accounts";
const USERS: &str = "/v1/orgs/acme-corp/users";
const APP_TOKENS: &str = "/v1/orgs/acme-corp/tokens";
const LOG: &str = "/v1/orgs/acme-corp/audit-logs";

/// The organisation of its examples. Returns its owner and their admin key.
async fn acme_corp(t: &TestApp) -> (Client, Client) {
    let (owner, _) = register(t, "admin@acme.co").await;
    let made = owner.post(TOKENS, json!({ "name": "admin key" })).await.expect(201);
    let key = t.anonymous().bearer(&made.at("/token"));
    let app = json!({ "name": "Acme Corporation", "slug": "acme-corp" });
    key.post("/v1/orgs", app).await.expect(201).ok();
    (owner, key)
}

/// Jane Chen, with a role in the organisation, and her id.
async fn add_jane(t: &TestApp, key: &Client, role: &str) -> (Client, String) {
    let (jane, id) = register(t, "jane@acme.co").await;
    let names = json!({ "first_name": "Jane", "last_name": "Chen" });
    jane.patch(ME, names).await.expect(200).ok();
    add(key, ORG, "jane@acme.co", role).await.expect(201).ok();
    (jane, id)
}

/// The role of its example.
fn editor() -> Value {
    json!({
        "name": "editor", "display_name": "Editor", "level": "org", "audience": "app",
        "permissions": ["projects:read", "projects:write", "comments:read", "comments:write"],
    })
}

/// The app with its role and its first user; answers the admin key and that user's id.
async fn app_with_jane(t: &TestApp) -> (Client, String) {
    let (_, key) = acme_corp(t).await;
    key.patch(ORG, json!({ "realm_enabled": true })).await.expect(200).ok();
    key.post(ROLES, editor()).await.expect(201).ok();
    let jane = json!({
        "email": "jane@acme.co", "display_name": "Jane Chen", "password": PASSWORD, "role": "editor",
        "metadata": { "department": "engineering" },
    });
    let made = key.post(USERS, jane).await.expect(201);
    let id = made.at("/id");
    (key, id)
}

/// A token for Jane's password.
async fn janes_tokens(t: &TestApp, password: &str) -> Answer {
    let grant = json!({ "grant_type": "password", "email": "jane@acme.co", "password": password });
    t.anonymous().post(APP_TOKENS, grant).await
}

on_both! {
    async fn an_app_is_an_organisation_with_metadata(t: TestApp) {
        let (owner, key) = acme_corp(&t).await;
        key.post("/v1/orgs", json!({ "name": "Acme", "slug": "acme-corp" })).await.problem(409, "slug_taken");
        let metadata = json!({ "plan": "growth", "region": "us-east-1" });
        let changed = key.patch(ORG, json!({ "metadata": metadata })).await.expect(200);
        assert_eq!(texts(&changed, ["/slug", "/name", "/role"]), ["acme-corp", "Acme Corporation", "owner"]);
        assert!(changed.at("/id").starts_with("org_") && !changed.at("/created_at").is_empty());
        assert_eq!(changed.json()["metadata"], metadata);
        assert_eq!(key.get(ORG).await.expect(200).json(), changed.json());
        let renamed = key.patch(ORG, json!({ "name": "Acme Corp" })).await.expect(200);
        assert_eq!((renamed.at("/name"), renamed.json()["metadata"].clone()), ("Acme Corp".into(), metadata));
        let mut slugs = column(&key.get("/v1/orgs").await.expect(200), "slug");
        slugs.sort();
        assert_eq!(slugs, ["acme-corp", "admin"]);
        key.delete(ORG).await.problem(403, "session_required");
        owner.delete(ORG).await.expect(204).ok();
        key.get(ORG).await.problem(404, "not_found");
        assert_eq!(column(&key.get("/v1/orgs").await.expect(200), "slug"), ["admin"]);
    }

    async fn a_role_is_a_named_set_of_the_apps_permissions(t: TestApp) {
        let (_, key) = acme_corp(&t).await;
        let made = key.post(ROLES, editor()).await.expect(201);
        assert!(made.at("/id").starts_with("rol_") && !made.at("/created_at").is_empty());
        let fields = ["/name", "/display_name", "/audience", "/builtin"];
        assert_eq!(texts(&made, fields), ["editor", "Editor", "app", "false"]);
        let sorted = json!(["comments:read", "comments:write", "projects:read", "projects:write"]);
        assert_eq!(made.json()["permissions"], sorted);
        key.post(ROLES, editor()).await.problem(409, "conflict");
        let listed = key.get(&format!("{ROLES}?level=org")).await.expect(200);
        assert_eq!(column(&listed, "name"), ["owner", "admin", "developer", "viewer", "member", "editor"]);
        assert_eq!(column(&key.get(&format!("{ROLES}?audience=app")).await.expect(200), "name"), ["editor"]);
        for name in ["editor", &made.at("/id")] {
            assert_eq!(key.get(&format!("{ROLES}/{name}")).await.expect(200).json(), made.json());
        }
        let path = format!("{ROLES}/editor");
        let body = json!({ "display_name": "Chief editor", "permissions": ["comments:write"] });
        let changed = key.patch(&path, body).await.expect(200);
        assert_eq!(texts(&changed, ["/name", "/display_name"]), ["editor", "Chief editor"]);
        assert_eq!(changed.json()["permissions"], json!(["comments:write"]), "replaced as a whole");
        refused_field(key.patch(&path, json!({ "permissions": ["Comments write"] })).await, "permissions[0]");
        for builtin in ["owner", "viewer"] {
            key.patch(&format!("{ROLES}/{builtin}"), json!({ "display_name": "Mine" })).await.problem(409, "conflict");
            key.delete(&format!("{ROLES}/{builtin}")).await.problem(409, "conflict");
        }
        key.delete(&path).await.expect(204).ok();
        key.get(&path).await.problem(404, "not_found");
    }

    async fn somebody_holds_several_roles_and_the_log_says_since_when(t: TestApp) {
        let (_, key) = acme_corp(&t).await;
        key.post(ROLES, editor()).await.expect(201).ok();
        let (jane, id) = add_jane(&t, &key, "admin").await;
        let shown = key.get(&format!("{MEMBERS}?search=jane")).await.expect(200);
        let person = ["/data/0/id", "/data/0/email", "/data/0/first_name", "/data/0/last_name", "/data/0/role"];
        assert_eq!(texts(&shown, person), [id.as_str(), "jane@acme.co", "Jane", "Chen", "admin"]);
        let roles = format!("{MEMBERS}/{id}/roles");
        let body = json!({ "role": "editor" });
        // To say who holds what takes an owner, also for the app's own roles.
        jane.post(&roles, body.clone()).await.problem(403, "forbidden");
        let both = key.post(&roles, body.clone()).await.expect(201);
        assert_eq!(texts(&both, ["/role", "/roles/0/name", "/roles/1/name"]), ["admin", "admin", "editor"]);
        key.post(&roles, body).await.expect(200).ok();
        refused_field(key.post(&roles, json!({ "role": "author" })).await, "role");
        let held = key.delete(&format!("{ROLES}/editor")).await.problem(409, "in_use");
        assert_eq!(held.at("/held_by"), "1");
        let log = key.get(&format!("{LOG}?action=member.updated&limit=10")).await.expect(200);
        let event = ["/data/0/resource_type", "/data/0/resource_id", "/data/0/metadata/role", "/data/0/ip_address"];
        assert_eq!(texts(&log, event), ["user", id.as_str(), "editor", "127.0.0.1"]);
        jane.delete(&format!("{roles}/editor")).await.problem(403, "forbidden");
        key.delete(&format!("{roles}/editor")).await.expect(204).ok();
        key.delete(&format!("{roles}/editor")).await.problem(404, "not_found");
        let left = key.get(&format!("{MEMBERS}?search=jane")).await.expect(200);
        assert_eq!(texts(&left, ["/data/0/roles/0/name", "/data/0/roles/1/name"]), ["admin", ""]);
        key.delete(&format!("{ROLES}/editor")).await.expect(204).ok();
    }

    async fn an_app_has_users_of_its_own(t: TestApp) {
        let (key, id) = app_with_jane(&t).await;
        let path = format!("{USERS}/{id}");
        let shown = key.get(&path).await.expect(200);
        let fields = ["/id", "/email", "/display_name", "/roles/0", "/status", "/metadata/department"];
        assert_eq!(texts(&shown, fields), [id.as_str(), "jane@acme.co", "Jane Chen", "editor", "active", "engineering"]);
        assert!(shown.at("/org_id").starts_with("org_") && !shown.at("/created_at").is_empty());
        refused_field(key.post(USERS, json!({ "display_name": "Nobody" })).await, "email");
        key.post(USERS, json!({ "email": "jane@acme.co" })).await.problem(409, "email_taken");
        key.post(USERS, json!({ "email": "bob@acme.co" })).await.expect(201).ok();
        assert_eq!(column(&key.get(USERS).await.expect(200), "email"), ["jane@acme.co", "bob@acme.co"]);
        let renamed = json!({ "display_name": "Jane C.", "metadata": { "department": "product" } });
        let renamed = key.patch(&path, renamed).await.expect(200);
        assert_eq!(texts(&renamed, ["/display_name", "/metadata/department"]), ["Jane C.", "product"]);
        key.post(ROLES, json!({ "name": "chief", "level": "org", "audience": "app", "permissions": ["news:write"] })).await.expect(201).ok();
        let roles = format!("{path}/roles");
        assert_eq!(key.post(&roles, json!({ "role": "chief" })).await.expect(201).at("/roles/0"), "chief");
        let log = key.get(&format!("{LOG}?action=realm_user.role_added&limit=10")).await.expect(200);
        let event = ["/data/0/resource_type", "/data/0/resource_id", "/data/0/metadata/role", "/data/0/ip_address"];
        assert_eq!(texts(&log, event), ["realm_user", id.as_str(), "chief", "127.0.0.1"]);
        key.delete(&format!("{roles}/chief")).await.expect(204).ok();
        assert_eq!(key.patch(&path, json!({ "status": "disabled" })).await.expect(200).at("/status"), "disabled");
        janes_tokens(&t, PASSWORD).await.problem(401, "invalid_credentials");
        key.delete(&path).await.expect(204).ok();
        key.get(&path).await.problem(404, "not_found");
    }

    async fn a_password_is_traded_for_a_signed_token_with_claims(t: TestApp) {
        let (key, id) = app_with_jane(&t).await;
        let tokens = janes_tokens(&t, PASSWORD).await.expect(200);
        assert_eq!(texts(&tokens, ["/token_type", "/expires_in"]), ["Bearer", "3600"]);
        let (token, refresh) = (tokens.at("/access_token"), tokens.at("/refresh_token"));
        let (head, said) = (head(&token), claims(&token));
        assert_eq!((&head["alg"], &said["sub"], &said["org"]), (&json!("RS256"), &json!(id), &json!("acme-corp")));
        assert_eq!(said["roles"], json!(["editor"]));
        assert_eq!(said["permissions"], json!(["comments:read", "comments:write", "projects:read", "projects:write"]));
        let keys = t.anonymous().get("/.well-known/jwks.json").await.expect(200).json();
        let kids: Vec<_> = keys["keys"].as_array().into_iter().flatten().map(|key| key["kid"].clone()).collect();
        assert!(kids.contains(&head["kid"]), "{kids:?}");
        janes_tokens(&t, "wrong horse").await.problem(401, "invalid_credentials");
        let trade = async |refresh: &str| {
            let grant = json!({ "grant_type": "refresh_token", "refresh_token": refresh });
            t.anonymous().post(APP_TOKENS, grant).await
        };
        let next = trade(&refresh).await.expect(200);
        let body = json!({ "token": next.at("/refresh_token") });
        t.anonymous().post(&format!("{APP_TOKENS}/revoke"), body).await.expect(204).ok();
        trade(&next.at("/refresh_token")).await.problem(401, "unauthenticated");
        let events = key.get(&format!("{LOG}?actor_id={id}")).await.expect(200);
        let mut actions = column(&events, "action");
        actions.sort();
        assert_eq!(actions, ["realm.tokens_issued", "realm.tokens_refreshed", "realm.tokens_revoked"]);
    }

    async fn a_token_and_a_permission_are_checked_from_what_is_so_now(t: TestApp) {
        let (key, id) = app_with_jane(&t).await;
        let token = janes_tokens(&t, PASSWORD).await.expect(200).at("/access_token");
        let check = async |token: &str, permission: &str| {
            let asked = json!({ "token": token, "permission": permission });
            let answer = key.post("/v1/authorize", asked).await.expect(200);
            texts(&answer, ["/allowed", "/reason", "/subject/id", "/matched/name"])
        };
        assert_eq!(check(&token, "comments:write").await, ["true", "role", &id, "editor"]);
        assert_eq!(check(&token, "billing:read").await, ["false", "no_grant", &id, ""]);
        key.delete(&format!("{USERS}/{id}/roles/editor")).await.expect(204).ok();
        assert_eq!(check(&token, "comments:write").await, ["false", "no_grant", &id, ""]);
        assert_eq!(check("eyJhbGciOiJub25lIn0.e30.", "comments:write").await, ["false", "invalid_token", "", ""]);
        key.patch(ORG, json!({ "realm_enabled": false })).await.expect(200).ok();
        assert_eq!(check(&token, "comments:write").await, ["false", "invalid_token", "", ""]);
        t.anonymous().post("/v1/authorize", json!({ "token": token, "permission": "x:y" })).await.problem(401, "unauthenticated");
    }

    async fn service_credentials_are_traded_for_a_token_too(t: TestApp) {
        let (key, _) = app_with_jane(&t).await;
        let billing = json!({ "name": "billing", "level": "org", "audience": "app", "permissions": ["billing:read", "billing:write"] });
        key.post(ROLES, billing).await.expect(201).ok();
        let made = key.post(CREDENTIALS, json!({ "name": "billing-service" })).await.expect(201);
        let id = made.at("/client_id");
        key.post(&format!("{MEMBERS}/{id}/roles"), json!({ "role": "billing" })).await.expect(201).ok();
        let grant = json!({ "grant_type": "client_credentials", "client_id": id, "client_secret": made.at("/client_secret") });
        let token = t.anonymous().post(APP_TOKENS, grant).await.expect(200).at("/access_token");
        assert_eq!(claims(&token)["permissions"], json!(["billing:read", "billing:write"]));
        let service = t.anonymous().api_key(&made.at("/key"));
        let asked = json!({ "token": token, "permission": "billing:write" });
        let answer = service.post("/v1/authorize", asked).await.expect(200);
        assert_eq!(texts(&answer, ["/allowed", "/subject/type", "/subject/name"]), ["true", "service_account", "billing-service"]);
    }

    async fn an_invitation_brings_a_user_into_the_app(t: TestApp) {
        let (key, _) = app_with_jane(&t).await;
        let bob = json!({ "email": "bob@contractor.io", "role": "editor", "realm": true, "expires_in_hours": 72, "max_uses": 1 });
        let made = key.post(INVITES, bob).await.expect(201);
        assert_eq!(texts(&made, ["/email", "/role", "/max_uses", "/uses"]), ["bob@contractor.io", "editor", "1", "0"]);
        assert_eq!(column(&key.get(INVITES).await.expect(200), "id"), [made.at("/id")]);
        let accept = format!("/v1/invites/{}/accept", made.at("/token"));
        let joined = t.anonymous().post(&accept, json!({ "password": PASSWORD })).await.expect(201);
        assert_eq!(texts(&joined, ["/realm_user/email", "/realm_user/roles/0"]), ["bob@contractor.io", "editor"]);
        assert_eq!(column(&key.get(USERS).await.expect(200), "email"), ["jane@acme.co", "bob@contractor.io"]);
        let other = key.post(INVITES, json!({ "role": "editor", "realm": true })).await.expect(201);
        key.delete(&format!("{INVITES}/{}", other.at("/id"))).await.expect(204).ok();
        let late = json!({ "email": "eve@contractor.io", "password": PASSWORD });
        t.anonymous().post(&format!("/v1/invites/{}/accept", other.at("/token")), late).await.problem(409, "invite_unusable");
    }

    async fn an_invitation_brings_somebody_in_with_a_role_of_the_app(t: TestApp) {
        let (_, key) = acme_corp(&t).await;
        key.post(ROLES, editor()).await.expect(201).ok();
        let body = json!({ "email": "bob@contractor.io", "role": "editor", "expires_in_hours": 72, "max_uses": 1 });
        let (jane, _) = add_jane(&t, &key, "admin").await;
        jane.post(INVITES, body.clone()).await.problem(403, "forbidden");
        let made = key.post(INVITES, body.clone()).await.expect(201);
        let fields = ["/email", "/role", "/max_uses", "/uses", "/status"];
        assert_eq!(texts(&made, fields), ["bob@contractor.io", "editor", "1", "0", "pending"]);
        assert!(made.at("/id").starts_with("inv_") && made.at("/token").starts_with("srm_inv_"), "{}", made.text());
        assert!(made.at("/invite_url").ends_with(&format!("#token={}", made.at("/token"))), "{}", made.text());
        assert_eq!(between(&made.at("/created_at"), &made.at("/expires_at")), Duration::from_hours(72));
        key.post(INVITES, body).await.problem(409, "already_invited");
        for (field, value) in [("expires_in_hours", 721), ("expires_in_hours", 0), ("max_uses", 2)] {
            refused_field(key.post(INVITES, json!({ "email": "eve@contractor.io", field: value })).await, field);
        }
        let listed = key.get(INVITES).await.expect(200);
        assert_eq!(column(&listed, "id"), [made.at("/id")]);
        assert!(!listed.text().contains("srm_inv_"), "{}", listed.text());
        let token = expect_token(&t, "bob@contractor.io", INVITE, 1).await;
        let account = json!({ "password": PASSWORD, "first_name": "Bob", "transport": "bearer" });
        let joined = t.anonymous().post(&format!("/v1/invites/{token}/accept"), account).await.expect(201);
        assert_eq!(texts(&joined, ["/role", "/org/slug", "/created_account"]), ["editor", "acme-corp", "true"]);
        let bob = t.anonymous().bearer(&joined.at("/access_token"));
        bob.get(ORG).await.problem(404, "not_found");
        let shown = key.get(&format!("{MEMBERS}?search=bob")).await.expect(200);
        assert_eq!(texts(&shown, ["/data/0/role", "/data/0/status"]), ["editor", "active"], "it is for the app to read");
        assert!(column(&key.get(INVITES).await.expect(200), "id").is_empty());
        let other = key.post(INVITES, json!({ "role": "viewer", "max_uses": 2 })).await.expect(201);
        key.delete(&format!("{INVITES}/{}", other.at("/id"))).await.expect(204).ok();
        let revoked = t.anonymous().get(&format!("/v1/invites/{}", other.at("/token"))).await.expect(200);
        assert_eq!(revoked.at("/status"), "revoked");
    }

    async fn service_credentials_do_what_they_are_for_and_are_replaced(t: TestApp) {
        let (_, key) = acme_corp(&t).await;
        for (name, audience, permissions) in [
            ("billing", "app", ["billing:read", "billing:write"]),
            ("auditor", "platform", ["org:read", "audit:read"]),
        ] {
            let role = json!({ "name": name, "level": "org", "audience": audience, "permissions": permissions });
            key.post(ROLES, role).await.expect(201).ok();
        }
        // What a machine may do here comes from roles of the platform; those of the app it may hold besides.
        refused_field(key.post(CREDENTIALS, json!({ "name": "billing-service", "role": "billing" })).await, "role");
        let made = key.post(CREDENTIALS, json!({ "name": "billing-service", "role": "auditor" })).await.expect(201);
        let (id, secret) = (made.at("/id"), made.at("/client_secret"));
        assert_eq!(texts(&made, ["/name", "/client_id", "/key"]), ["billing-service", id.as_str(), &secret]);
        let both = key.post(&format!("{MEMBERS}/{id}/roles"), json!({ "role": "billing" })).await.expect(201);
        assert_eq!(texts(&both, ["/type", "/roles/0/name", "/roles/1/name"]), ["service_account", "auditor", "billing"]);
        let service = t.anonymous().api_key(&secret);
        service.get(LOG).await.expect(200).ok();
        for path in [MEMBERS, INVITES, CREDENTIALS] {
            service.get(path).await.problem(403, "forbidden");
        }
        let listed = key.get(CREDENTIALS).await.expect(200);
        assert_eq!(column(&listed, "name"), ["billing-service"]);
        assert!(!listed.text().contains(&secret), "{}", listed.text());
        let path = format!("{CREDENTIALS}/{id}");
        let next = key.post(&format!("{path}/keys"), json!({ "name": "next" })).await.expect(201).at("/key");
        let replaced = t.anonymous().api_key(&next);
        for client in [&service, &replaced] {
            client.get(LOG).await.expect(200).ok();
        }
        key.delete(&format!("{path}/keys/{}", made.at("/key_id"))).await.expect(204).ok();
        service.get(LOG).await.problem(401, "unauthenticated");
        key.patch(&path, json!({ "enabled": false })).await.expect(200).ok();
        replaced.get(LOG).await.problem(401, "unauthenticated");
        key.patch(&path, json!({ "enabled": true })).await.expect(200).ok();
        replaced.get(LOG).await.expect(200).ok();
        key.delete(&path).await.expect(204).ok();
        replaced.get(LOG).await.problem(401, "unauthenticated");
        assert!(column(&key.get(CREDENTIALS).await.expect(200), "id").is_empty());
    }

    async fn the_log_is_filtered_paged_and_read_one_by_one(t: TestApp) {
        let (owner, key) = acme_corp(&t).await;
        let (jane, id) = add_jane(&t, &key, "viewer").await;
        for role in ["developer", "admin", "viewer"] {
            key.patch(&format!("{MEMBERS}/{id}"), json!({ "role": role })).await.expect(200).ok();
        }
        let page = key.get(&format!("{LOG}?action=member.updated&limit=1&offset=1")).await.expect(200);
        let pagination = ["/pagination/total", "/pagination/limit", "/pagination/offset", "/pagination/has_more"];
        assert_eq!(texts(&page, pagination), ["3", "1", "1", "true"]);
        let by = owner.get(ME).await.expect(200).at("/id");
        let event = ["/data/0/metadata/role", "/data/0/actor/id", "/data/0/resource_id", "/data/0/ip_address"];
        assert_eq!(texts(&page, event), ["admin", by.as_str(), id.as_str(), "127.0.0.1"]);
        let path = format!("{LOG}/{}", page.at("/data/0/id"));
        assert_eq!(key.get(&path).await.expect(200).json(), page.json()["data"][0]);
        key.get(&format!("{LOG}/evt_01h455vb4pex5vsknk084sn02q")).await.problem(404, "not_found");
        for hidden in [LOG, &path] {
            jane.get(hidden).await.problem(403, "forbidden");
        }
        // Nothing in it can be changed, and that nothing was is proved.
        key.delete(&path).await.problem(405, "method_not_allowed");
        assert_eq!(key.get(&format!("{LOG}/verify")).await.expect(200).at("/valid"), "true");
        let own = column(&owner.get("/v1/auth/security-log").await.expect(200), "action");
        assert_eq!(own, ["token.created", "user.registered"], "every authentication event");
    }

    async fn lists_have_pages_and_problems_have_one_shape(t: TestApp) {
        let (_, key) = acme_corp(&t).await;
        let listed = key.get("/v1/orgs").await.expect(200).json();
        assert_eq!(listed["pagination"], json!({ "limit": 20, "offset": 0, "total": 2, "has_more": false }));
        let page = key.get("/v1/orgs?limit=1&offset=1").await.expect(200).json();
        assert_eq!(page["pagination"], json!({ "limit": 1, "offset": 1, "total": 2, "has_more": false }));
        let first = key.get("/v1/orgs?limit=1").await.expect(200);
        assert_eq!(first.at("/pagination/has_more"), "true");
        key.get("/v1/orgs?limit=100").await.expect(200).ok();
        for (query, field) in [("limit=0", "limit"), ("limit=101", "limit"), ("offset=-1", "offset")] {
            refused_field(key.get(&format!("/v1/orgs?{query}")).await, field);
        }
        let refused = key.post(MEMBERS, json!({ "role": "viewer" })).await.problem(422, "invalid_field");
        assert_eq!(texts(&refused, ["/errors/0/field", "/errors/0/reason"]), ["email", "required"]);
        assert!(!refused.at("/errors/0/message").is_empty());
        t.anonymous().get(ORG).await.problem(401, "unauthenticated");
        t.anonymous().bearer("srm_pat_nonsense").get(ORG).await.problem(401, "unauthenticated");
        let (jane, _) = add_jane(&t, &key, "viewer").await;
        jane.post(ROLES, editor()).await.problem(403, "forbidden");
        let (eve, _) = register(&t, "eve@contractor.io").await;
        eve.get(ORG).await.problem(404, "not_found");
    }
}

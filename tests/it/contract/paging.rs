//! Lists: how they are cut into pages, and that no entry is lost or shown twice on the way.

use std::collections::BTreeSet;

use domain::kernel::Reads;
use domain::kernel::id::BackupId;
use harness::app::eventually;
use harness::client::Client;
use harness::schema::Document;
use harness::{Receiver, TestApp, on_both};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

/// Entries that every list of the test has at least.
const ENTRIES: usize = 5;

/// Every list operation, with its path in the organisation `acme`.
const LISTS: &[(&str, &str)] = &[
    ("list_emails", "/v1/auth/emails"),
    ("list_orgs", "/v1/orgs"),
    ("list_tokens", "/v1/auth/tokens"),
    ("list_oauth_clients", "/v1/oauth/clients"),
    ("list_oauth_grants", "/v1/oauth/grants"),
    ("list_roles", "/v1/orgs/acme/roles"),
    ("list_access_rules", "/v1/orgs/acme/acl"),
    ("list_members", "/v1/orgs/acme/members"),
    ("list_project_members", "/v1/orgs/acme/projects/p0/members"),
    ("list_invites", "/v1/orgs/acme/invites"),
    ("list_project_invites", "/v1/orgs/acme/projects/p0/invites"),
    ("list_sessions", "/v1/auth/sessions"),
    ("list_security_events", "/v1/auth/security-log"),
    ("list_projects", "/v1/orgs/acme/projects"),
    ("list_environments", "/v1/orgs/acme/projects/p0/environments"),
    ("list_project_keys", "/v1/orgs/acme/projects/p0/keys"),
    ("list_template_keys", "/v1/orgs/acme/projects/p0/template"),
    (
        "list_secrets",
        "/v1/orgs/acme/projects/p0/environments/production/secrets",
    ),
    (
        "list_secret_keys",
        "/v1/orgs/acme/projects/p0/environments/production/keys",
    ),
    (
        "list_secret_versions",
        "/v1/orgs/acme/projects/p0/environments/production/secrets/K0/versions",
    ),
    (
        "list_revisions",
        "/v1/orgs/acme/projects/p0/environments/production/revisions",
    ),
    ("list_service_accounts", "/v1/orgs/acme/service-accounts"),
    ("list_realm_users", "/v1/orgs/acme/users"),
    ("list_service_keys", "/v1/orgs/acme/service-accounts/{account}/keys"),
    (
        "list_federated_identities",
        "/v1/orgs/acme/service-accounts/{account}/federated-identities",
    ),
    ("list_sso_identities", "/v1/auth/sso/identities"),
    ("list_webhooks", "/v1/orgs/acme/webhooks"),
    ("list_webhook_deliveries", "/v1/orgs/acme/webhooks/{webhook}/deliveries"),
    ("list_audit_logs", "/v1/orgs/acme/audit-logs"),
    ("list_webhook_events", "/v1/webhook-events"),
    ("list_admin_users", "/v1/admin/users"),
    ("list_admin_projects", "/v1/admin/projects"),
    ("list_admin_project_members", "/v1/admin/projects/{project}/members"),
    ("list_admin_project_invites", "/v1/admin/projects/{project}/invites"),
    ("list_admin_invites", "/v1/admin/invites"),
    ("list_admin_jobs", "/v1/admin/jobs"),
    ("list_admin_orgs", "/v1/admin/orgs"),
    ("list_backups", "/v1/admin/backups"),
];

/// A list without an end, and so without pages: `webhooks::feed` walks it.
const FEED: &str = "list_events";

/// The lists that only grow, and so have a cursor.
const JOURNALS: [&str; 3] = ["list_webhook_deliveries", "list_audit_logs", "list_security_events"];

on_both! {
    async fn every_list_operation_is_in_the_table(t: TestApp) {
        let documented = Document(t.document().clone()).operations().into_iter();
        let lists: BTreeSet<_> = documented.map(|operation| operation.id).filter(|id| id.starts_with("list_")).collect();
        let known = LISTS.iter().map(|(id, _)| *id).chain([FEED]);
        assert_eq!(lists, known.map(str::to_owned).collect());
    }

    async fn pages_join_to_the_whole_list(t: TestApp) {
        let filled = fill(&t).await;
        let client = &filled.client;
        for (id, path) in LISTS {
            let path = filled.path(path);
            let whole = list(client, &format!("{path}?limit=100")).await;
            let total = whole.data.len();
            assert!(total >= ENTRIES, "{id} has {total}");
            assert_eq!(whole.data.iter().collect::<BTreeSet<_>>().len(), total, "{id} repeats an entry");
            let mut joined = Vec::new();
            while joined.len() < total {
                let offset = joined.len();
                let page = list(client, &format!("{path}?limit=3&offset={offset}")).await;
                let more = offset + page.data.len() < total;
                let expected = json!({ "limit": 3, "offset": offset, "total": total, "has_more": more });
                assert_eq!(without_cursor(page.pagination), expected, "{id}");
                assert_eq!(page.data.len(), 3.min(total - offset), "{id}");
                joined.extend(page.data);
            }
            assert_eq!(joined, whole.data, "{id}: the order is the same at every size");
            let behind = list(client, &format!("{path}?limit=3&offset={}", i64::MAX)).await;
            assert_eq!((behind.data.len(), &behind.pagination["has_more"]), (0, &json!(false)), "{id}");
        }
    }

    async fn cursors_walk_journals_from_end_to_end(t: TestApp) {
        let filled = fill(&t).await;
        let client = &filled.client;
        for (id, path) in LISTS.iter().filter(|(id, _)| JOURNALS.contains(id)) {
            let path = filled.path(path);
            let whole = list(client, &format!("{path}?limit=100")).await;
            assert_eq!(whole.pagination.get("next_cursor"), None, "{id}: all are on the page");
            for size in [1, 2, whole.data.len()] {
                let mut joined = Vec::new();
                let mut after = String::new();
                loop {
                    let page = list(client, &format!("{path}?limit={size}{after}")).await;
                    joined.extend(page.data);
                    assert_eq!(page.pagination["total"], whole.data.len(), "{id}");
                    let cursor = page.pagination["next_cursor"].as_str();
                    assert_eq!(page.pagination["has_more"], cursor.is_some(), "{id}: {}", page.pagination);
                    let Some(cursor) = cursor else { break };
                    after = format!("&after={cursor}");
                }
                assert_eq!(joined, whole.data, "{id} in pages of {size}");
            }
        }
    }

    async fn a_cursor_skips_nothing_while_the_journal_grows(t: TestApp) {
        let filled = fill(&t).await;
        let client = &filled.client;
        let path = "/v1/orgs/acme/audit-logs?limit=4";
        let before = list(client, "/v1/orgs/acme/audit-logs?limit=100").await;
        let mut page = list(client, path).await;
        let mut joined = page.data;
        while let Some(cursor) = page.pagination["next_cursor"].as_str() {
            client.post("/v1/auth/tokens", json!({ "name": "one more", "org": "acme" })).await.ok();
            client.patch("/v1/orgs/acme", json!({ "metadata": { "after": cursor } })).await.ok();
            page = list(client, &format!("{path}&after={cursor}")).await;
            joined.extend(page.data);
        }
        assert_eq!(joined, before.data);
    }

    async fn limits_and_cursors_that_are_none_are_refused_by_name(t: TestApp) {
        let filled = fill(&t).await;
        let client = &filled.client;
        for (id, path) in LISTS {
            let path = filled.path(path);
            let over = if ["list_secrets", "list_secret_keys"].contains(id) { "501" } else { "101" };
            for limit in ["-1", "0", over, "9223372036854775807", "9223372036854775808", "abc", "1.5", "%201"] {
                let refused = client.get(&format!("{path}?limit={limit}")).await.problem(422, "invalid_field");
                assert_eq!(refused.at("/errors/0/field"), "limit", "{id} {limit}: {}", refused.text());
            }
            for offset in ["-1", "x", "9223372036854775808"] {
                let refused = client.get(&format!("{path}?offset={offset}")).await.problem(422, "invalid_field");
                assert_eq!(refused.at("/errors/0/field"), "offset", "{id} {offset}: {}", refused.text());
            }
            if JOURNALS.contains(id) {
                let refused = client.get(&format!("{path}?after=yesterday")).await.problem(422, "invalid_field");
                assert_eq!(refused.at("/errors/0/field"), "after", "{id}");
            }
        }
    }
}

/// A page of a list, each entry as its text.
struct Listed {
    data: Vec<String>,
    pagination: Value,
}

async fn list(client: &Client, path: &str) -> Listed {
    let answer = client.get(path).await.expect(200).json();
    // Times of use differ from one look to the next.
    let entry = |entry: &Value| match entry["id"].as_str() {
        Some(id) => id.to_owned(),
        None => entry.to_string(),
    };
    Listed {
        data: answer["data"].as_array().into_iter().flatten().map(entry).collect(),
        pagination: answer["pagination"].clone(),
    }
}

fn without_cursor(mut pagination: Value) -> Value {
    if let Some(members) = pagination.as_object_mut() {
        members.remove("next_cursor");
    }
    pagination
}

/// Lists with entries, and the names that their paths need.
struct Filled {
    client: Client,
    /// The one with the deliveries.
    webhook: String,
    /// The one with the keys.
    account: String,
    /// Id of the project `p0`.
    project: String,
    _receiver: Receiver,
}

impl Filled {
    fn path(&self, path: &str) -> String {
        path.replace("{webhook}", &self.webhook)
            .replace("{account}", &self.account)
            .replace("{project}", &self.project)
    }
}

/// Gives the owner as many identities as there are projects.
const IDENTITIES: &str = "INSERT INTO sso_providers (id, org_id, name, enabled, issuer, client_id, discovery, scopes,
        create_unknown_user, allowed_domains, created_at, updated_at)
    SELECT id, id, 'Acme', TRUE, 'http://127.0.0.1:9999', 'strongroom', FALSE, 'openid', TRUE, '[]', 1, 1 FROM orgs
    WHERE slug = 'acme';
    INSERT INTO sso_identities (id, provider_id, issuer, subject, user_id, created_at, last_used_at)
    SELECT p.id, p.org_id, 'http://127.0.0.1:9999', p.slug, u.id, 1, 1 FROM projects p
    JOIN orgs o ON o.id = p.org_id AND o.slug = 'acme' JOIN users u ON u.first_name = 'acme-owner'";

/// Lets every OAuth client act for its maker; each consent has the id of its client.
const GRANTS: &str = "INSERT INTO oauth_grants (id, client_id, user_id, scopes, created_at, ends_at)
    SELECT id, id, owner_id, 'openid', 1, 9000000000000000 FROM oauth_clients";

/// Fills every list of the table.
async fn fill(t: &TestApp) -> Filled {
    let receiver = Receiver::start().await;
    let acme = t.org("acme").await;
    let client = acme.owner.client().clone();
    let hook = json!({ "url": receiver.url, "events": ["*"] });
    let webhook = client
        .post("/v1/orgs/acme/webhooks", hook.clone())
        .await
        .expect(201)
        .at("/id");
    let accounts = "/v1/orgs/acme/service-accounts";
    let account = client
        .post(accounts, json!({ "name": "robot" }))
        .await
        .expect(201)
        .at("/id");
    let on = json!({ "realm_enabled": true });
    client.patch("/v1/orgs/acme", on).await.expect(200).ok();
    for number in 0..ENTRIES {
        let reader = json!({ "email": format!("reader{number}@example.com"), "display_name": "same name" });
        client.post("/v1/orgs/acme/users", reader).await.expect(201).ok();
        acme.owner.signs_in_again().await;
        let robot = json!({ "name": format!("robot {number}"), "with_key": false });
        client.post(accounts, robot).await.ok();
        let keys = format!("{accounts}/{account}/keys");
        client.post(&keys, json!({ "name": "same name" })).await.ok();
        let trust = json!({ "issuer": "https://idp.example.com", "audience": "x", "claims": { "sub": "a" } });
        let rules = format!("{accounts}/{account}/federated-identities");
        client.post(&rules, trust).await.expect(201).ok();
        client
            .post("/v1/orgs", json!({ "name": "same name", "slug": format!("o{number}") }))
            .await
            .ok();
        client
            .post("/v1/auth/tokens", json!({ "name": "same name" }))
            .await
            .ok();
        client.post("/v1/orgs/acme/webhooks", hook.clone()).await.ok();
        let app =
            json!({ "name": "same name", "confidential": false, "redirect_uris": ["https://app.example.com/cb"] });
        client.post("/v1/oauth/clients", app).await.ok();
        let role = json!({ "name": format!("r{number}"), "level": "org", "permissions": [] });
        client.post("/v1/orgs/acme/roles", role).await.ok();
        let about_viewers = json!({
            "subject": { "type": "role", "name": "viewer" }, "pattern": format!("*/*/K{number}"),
            "permissions": ["secrets:read"],
        });
        client.post("/v1/orgs/acme/acl", about_viewers).await.ok();
        let address = json!({ "email": format!("e{number}@example.com") });
        client.post("/v1/auth/emails", address).await.ok();
        let project = json!({ "name": "same name", "slug": format!("p{number}") });
        client.post("/v1/orgs/acme/projects", project).await.ok();
        let env = json!({ "name": "same name", "slug": format!("e{number}") });
        client.post("/v1/orgs/acme/projects/p0/environments", env).await.ok();
        client
            .post("/v1/orgs/acme/projects/p0/rotate-key", json!({}))
            .await
            .ok();
        let key = json!({ "key": format!("T{number}") });
        client.post("/v1/orgs/acme/projects/p0/template", key).await.ok();
    }
    // The end of a key is an event: it must not come while a test turns pages.
    t.sql("UPDATE data_keys SET state = 'destroyed', destroyed_at = 1 WHERE state = 'retiring'")
        .await;
    // An identity comes of a way to a provider; these have the ids of the organisation's projects.
    t.sql(IDENTITIES).await;
    t.sql(GRANTS).await;
    let project = client.get("/v1/orgs/acme/projects/p0").await.expect(200).at("/id");
    for number in 0..ENTRIES {
        let member = acme.member(&format!("m{number}"), "viewer").await;
        acme.grant(member.id, project.parse().ok(), "viewer").await;
        for place in ["/v1/orgs/acme", "/v1/orgs/acme/projects/p0"] {
            let guest = json!({ "email": format!("guest{number}@example.com") });
            client.post(&format!("{place}/invites"), guest).await.expect(201).ok();
        }
    }
    let env = "/v1/orgs/acme/projects/p0/environments/production";
    for number in 0..ENTRIES {
        client
            .put(&format!("{env}/secrets/K{number}"), json!({ "value": "x" }))
            .await
            .ok();
        client
            .put(&format!("{env}/secrets/K0"), json!({ "value": format!("v{number}") }))
            .await
            .ok();
    }
    given_up(t).await;
    backups(t).await;
    t.sql("UPDATE users SET is_superuser = TRUE WHERE first_name = 'acme-owner'")
        .await;
    Filled {
        client,
        webhook,
        account,
        project,
        _receiver: receiver,
    }
}

/// Backups that were made at one instant.
async fn backups(t: &TestApp) {
    let tx = t.db().begin_write().await.unwrap();
    for _ in 0..ENTRIES {
        let sql = "INSERT INTO backups (id, state, cause, source, created_at, rows_done)
            VALUES ($1, 'failed', 'scheduled', 'sqlite', $2, 0)";
        let values = [tx.new_id::<BackupId>().unwrap().into(), tx.now().into()];
        tx.conn().execute_raw(tx.sql(sql, values)).await.unwrap();
    }
    tx.commit_bookkeeping().await.unwrap();
}

/// Has some mails given up, once they are out.
async fn given_up(t: &TestApp) {
    let sent = "SELECT COUNT(*) FROM jobs WHERE kind = 'mail' AND state = 2";
    eventually("mails are out", || async { t.number(sent).await >= 7 }).await;
    t.sql(
        "UPDATE jobs SET state = 3
         WHERE id IN (SELECT id FROM jobs WHERE kind = 'mail' AND state = 2 ORDER BY id LIMIT 7)",
    )
    .await;
}

//! Sixteen at once, five creates each, against room for ten: ten are made, whatever the resource.

use futures_util::future::join_all;
use harness::{Answer, on_both};
use serde_json::json;

use super::{counted, limit};

const THREADS: usize = 16;
const EACH: usize = 5;
const ROOM: usize = 10;

/// Creates of all threads; returns how many were made. Any other refusal than the limit's fails the test.
async fn race<F: Future<Output = Answer>>(create: impl Fn(usize) -> F) -> usize {
    let create = &create;
    let thread = |thread: usize| async move {
        let mut made = 0;
        for n in 0..EACH {
            let answer = create(thread * EACH + n).await;
            if answer.status() < 300 {
                made += 1;
            } else {
                let told = (answer.status(), answer.code());
                assert_eq!(told, (403, "plan_limit_exceeded".to_owned()), "{}", answer.text());
            }
        }
        made
    };
    join_all((0..THREADS).map(thread)).await.into_iter().sum()
}

on_both! {
    async fn ten_projects(t: TestApp) {
        let acme = t.org("acme").await;
        limit(&t, &acme, "projects", 10).await;
        let (owner, path) = (acme.owner.client(), acme.path("/projects"));
        let made = race(|n| { let path = path.clone(); async move { owner.post(&path, json!({ "name": format!("p{n}") })).await } }).await;
        assert_eq!(made, ROOM);
        assert_eq!(t.number("SELECT COUNT(*) FROM projects").await, 10);
        assert_eq!(counted(&t, "projects").await, 10);
        assert_eq!(counted(&t, "environments_per_project").await, 30);
    }

    async fn ten_environments_beside_the_three_of_the_beginning(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        limit(&t, &acme, "environments_per_project", 13).await;
        let (owner, path) = (acme.owner.client(), format!("{}/environments", web.path));
        let made = race(|n| { let path = path.clone(); async move { owner.post(&path, json!({ "name": format!("e{n}") })).await } }).await;
        assert_eq!(made, ROOM);
        assert_eq!(t.number("SELECT COUNT(*) FROM environments").await, 13);
        assert_eq!(counted(&t, "environments_per_project").await, 13);
    }

    async fn ten_secrets_in_all_environments_together(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        limit(&t, &acme, "secrets_per_project", 10).await;
        let owner = acme.owner.client();
        let made = race(|n| {
            let env = web.env(["development", "staging", "production"][n % 3]);
            async move { owner.post(&env.secrets(), json!({ "key": format!("K{n}"), "value": "x" })).await }
        }).await;
        assert_eq!(made, ROOM);
        assert_eq!(t.number("SELECT COUNT(*) FROM secrets").await, 10);
        assert_eq!(counted(&t, "secrets_per_project").await, 10);
    }

    async fn ten_members_beside_the_owner_invitations_among_them(t: TestApp) {
        let acme = t.org("acme").await;
        let mut people = Vec::new();
        for n in 0..ROOM {
            people.push(t.person(&format!("p{n}")).await.id.to_string());
        }
        limit(&t, &acme, "members", 11).await;
        let (owner, people) = (acme.owner.client(), &people);
        let (members, invites) = (acme.path("/members"), acme.path("/invites"));
        let made = race(|n| {
            let (members, invites) = (members.clone(), invites.clone());
            async move {
                match people.get(n / 2).filter(|_| n % 2 == 0) {
                    Some(person) => owner.post(&members, json!({ "user_id": person, "role": "viewer" })).await,
                    None => owner.post(&invites, json!({ "email": format!("guest{n}@example.com") })).await,
                }
            }
        }).await;
        assert_eq!(made, ROOM);
        let seats = "SELECT (SELECT COUNT(*) FROM memberships m JOIN orgs o ON o.id = m.org_id WHERE o.slug = 'acme')
            + (SELECT COUNT(*) FROM invites)";
        assert_eq!(t.number(seats).await, 11);
        assert_eq!(counted(&t, "members").await, 11);
    }

    async fn ten_service_accounts(t: TestApp) {
        let acme = t.org("acme").await;
        limit(&t, &acme, "service_accounts", 10).await;
        let (owner, path) = (acme.owner.client(), acme.path("/service-accounts"));
        let made = race(|n| {
            let path = path.clone();
            async move { owner.post(&path, json!({ "name": format!("robot {n}"), "with_key": false })).await }
        }).await;
        assert_eq!(made, ROOM);
        assert_eq!(t.number("SELECT COUNT(*) FROM service_accounts").await, 10);
        assert_eq!(counted(&t, "service_accounts").await, 10);
    }

    async fn ten_tokens_keys_of_service_accounts_among_them(t: TestApp) {
        let acme = t.org("acme").await;
        limit(&t, &acme, "tokens", 10).await;
        let (owner, path) = (acme.owner.client(), acme.path("/service-accounts"));
        let made = race(|n| {
            let path = path.clone();
            async move {
                if n % 2 == 0 {
                    owner.post("/v1/auth/tokens", json!({ "name": format!("t{n}"), "org": "acme" })).await
                } else {
                    owner.post(&path, json!({ "name": format!("robot {n}") })).await
                }
            }
        }).await;
        assert_eq!(made, ROOM);
        assert_eq!(t.number("SELECT COUNT(*) FROM credentials WHERE kind IN ('personal', 'service_key')").await, 10);
        assert_eq!(counted(&t, "tokens").await, 10);
        let accounts = t.number("SELECT COUNT(*) FROM service_accounts").await;
        assert_eq!(counted(&t, "service_accounts").await, accounts, "a refused key leaves no account behind");
    }

    async fn ten_webhooks(t: TestApp) {
        let acme = t.org("acme").await;
        limit(&t, &acme, "webhooks", 10).await;
        let (owner, path) = (acme.owner.client(), acme.path("/webhooks"));
        let made = race(|n| {
            let path = path.clone();
            async move { owner.post(&path, json!({ "url": format!("http://127.0.0.1:9999/{n}"), "events": ["*"], "enabled": false })).await }
        }).await;
        assert_eq!(made, ROOM);
        assert_eq!(t.number("SELECT COUNT(*) FROM webhooks").await, 10);
        assert_eq!(counted(&t, "webhooks").await, 10);
    }

    async fn ten_rules(t: TestApp) {
        let acme = t.org("acme").await;
        limit(&t, &acme, "acl_rules", 10).await;
        let (owner, path) = (acme.owner.client(), acme.path("/acl"));
        let made = race(|n| {
            let path = path.clone();
            let subject = json!({ "type": "role", "name": "viewer" });
            let rule = json!({ "subject": subject, "pattern": format!("*/*/K{n}"), "permissions": ["secrets:read"] });
            async move { owner.post(&path, rule).await }
        }).await;
        assert_eq!(made, ROOM);
        assert_eq!(t.number("SELECT COUNT(*) FROM acl_rules").await, 10);
        assert_eq!(counted(&t, "acl_rules").await, 10);
    }

    // The first key of a project makes its template, further ones do not count.
    async fn ten_templates(t: TestApp) {
        let acme = t.org("acme").await;
        let mut projects = Vec::new();
        for n in 0..2 * ROOM {
            projects.push(acme.project(&format!("p{n}")).await.path);
        }
        limit(&t, &acme, "templates", 10).await;
        let (owner, projects) = (acme.owner.client(), &projects);
        let made = race(|n| async move {
            let path = format!("{}/template", projects[n % projects.len()]);
            owner.post(&path, json!({ "key": format!("K{n}") })).await
        }).await;
        assert_eq!(t.number("SELECT COUNT(DISTINCT project_id) FROM template_keys").await, 10);
        assert_eq!(t.number("SELECT COUNT(*) FROM template_keys").await, i64::try_from(made).unwrap());
        assert_eq!(counted(&t, "templates").await, 10);
    }
}

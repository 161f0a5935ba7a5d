//! Jobs that were given up.

use std::time::Duration;

use harness::app::eventually;
use harness::mailbox::{INVITE, letters};
use harness::{Answer, Person, Receiver, TestApp, on_both};
use serde_json::json;

use super::{column, newest, root, told};

const JOBS: &str = "/v1/admin/jobs";

async fn retry(by: &Person, id: &str) -> Answer {
    by.post(&format!("{JOBS}/{id}/retry"), json!({})).await
}

/// Has the jobs of a kind given up, once none is under way.
async fn give_up(t: &TestApp, kind: &str) {
    let open = format!("SELECT COUNT(*) FROM jobs WHERE kind = '{kind}' AND state = 0");
    eventually("none is under way", || async { t.number(&open).await == 0 }).await;
    t.sql(&format!("UPDATE jobs SET state = 3 WHERE kind = '{kind}'")).await;
}

on_both! {
    async fn a_dead_delivery_is_shown_and_delivered_after_all(t: TestApp) {
        let root = root(&t).await;
        let receiver = Receiver::start().await;
        let acme = t.org("acme").await;
        let hook = json!({ "url": receiver.url, "events": ["project.created"] });
        let hook = acme.owner.post(&acme.path("/webhooks"), hook).await.expect(201).at("/id");
        receiver.answer(500, Duration::ZERO);
        acme.project("web").await;
        receiver.expect(1).await;
        let tried = "SELECT COUNT(*) FROM jobs WHERE kind = 'webhook' AND state = 0 AND attempt = 1";
        eventually("the first try is written down", || async { t.number(tried).await == 1 }).await;
        t.sql("UPDATE jobs SET state = 3, attempt = 10, done_at = created_at WHERE kind = 'webhook'").await;
        let dead = root.get(&format!("{JOBS}?state=dead&kind=webhook")).await.expect(200);
        let fields = ["/kind", "/state", "/org_id", "/webhook_id", "/cause", "/last_outcome", "/attempts"];
        let shown = fields.map(|field| dead.at(&format!("/data/0{field}")));
        assert_eq!(shown, ["webhook", "dead", &acme.id.to_string(), &hook, "event", "http", "10"]);
        assert!(!dead.text().contains(&receiver.url), "{}", dead.text());
        receiver.answer(204, Duration::ZERO);
        let id = dead.at("/data/0/id");
        let queued = retry(&root, &id).await.expect(202);
        assert_eq!((queued.at("/state"), queued.at("/attempts")), ("ready".into(), "0".into()));
        receiver.expect(2).await;
        assert_eq!(newest(&acme.owner, &acme.path("/audit-logs")).await, told("job.retried"));
        let done = "SELECT COUNT(*) FROM jobs WHERE kind = 'webhook' AND state = 2";
        eventually("it is done", || async { t.number(done).await == 1 }).await;
        retry(&root, &id).await.problem(409, "conflict");
        let done = root.get(&format!("{JOBS}?state=done&kind=webhook")).await.expect(200);
        assert_eq!(column(&done, "id"), [id]);
    }

    async fn what_nobody_would_take_is_not_tried_again(t: TestApp) {
        let root = root(&t).await;
        let receiver = Receiver::start().await;
        let acme = t.org("acme").await;
        let hook = json!({ "url": receiver.url, "events": ["project.created"] });
        let hook = acme.owner.post(&acme.path("/webhooks"), hook).await.expect(201).at("/id");
        acme.project("web").await;
        receiver.expect(1).await;
        give_up(&t, "webhook").await;
        let id = root.get(&format!("{JOBS}?kind=webhook")).await.expect(200).at("/data/0/id");
        let hook = acme.path(&format!("/webhooks/{hook}"));
        acme.owner.patch(&hook, json!({ "enabled": false })).await.expect(200).ok();
        retry(&root, &id).await.problem(409, "conflict");
        acme.owner.delete(&hook).await.expect(204).ok();
        retry(&root, &id).await.problem(409, "conflict");
        for nothing in ["job_01h455vb4pex5vsknk084sn02q", "dlv_01h455vb4pex5vsknk084sn02q", "job_x"] {
            retry(&root, nothing).await.problem(404, "not_found");
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'job.retried'").await, 0);
    }

    async fn mail_is_told_to_its_account_or_to_who_invites(t: TestApp) {
        let root = root(&t).await;
        let acme = t.org("acme").await;
        acme.owner.post(&acme.path("/invites"), json!({ "email": "guest@example.com" })).await.expect(201).ok();
        t.anonymous().post("/v1/auth/register", json!({ "email": "fresh@example.com" })).await.expect(202).ok();
        give_up(&t, "mail").await;
        let dead = root.get(&format!("{JOBS}?limit=100")).await.expect(200);
        // Of root, of the owner, the invitation, and the code for somebody new.
        assert_eq!(column(&dead, "kind"), ["mail"; 4]);
        assert!(!dead.text().contains('@'), "{}", dead.text());
        for id in column(&dead, "id") {
            retry(&root, &id).await.expect(202).ok();
        }
        assert_eq!(newest(&acme.owner, &acme.path("/audit-logs")).await, told("job.retried"));
        assert_eq!(newest(&acme.owner, "/v1/auth/security-log").await, told("job.retried"));
        let nobodys = "SELECT COUNT(*) FROM journal j WHERE action = 'job.retried'
            AND NOT EXISTS (SELECT 1 FROM users u WHERE u.id = j.ledger_id)
            AND NOT EXISTS (SELECT 1 FROM orgs o WHERE o.id = j.ledger_id)";
        assert_eq!(t.number(nobodys).await, 1);
        eventually("the invitation is mailed again", || async { letters(&t, "guest@example.com", INVITE).len() == 2 }).await;
    }

    async fn of_two_who_retry_at_once_one_does(t: TestApp) {
        let root = root(&t).await;
        give_up(&t, "mail").await;
        let id = root.get(JOBS).await.expect(200).at("/data/0/id");
        let (one, two) = tokio::join!(retry(&root, &id), retry(&root, &id));
        let mut statuses = [one.status(), two.status()];
        statuses.sort_unstable();
        assert_eq!(statuses, [202, 409]);
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'job.retried'").await, 1);
    }
}

//! What a plan does not keep goes, and the log that is left is still one that nobody can alter unseen.

use std::time::Duration;

use domain::orgs::audit;
use harness::app::{Options, eventually};
use harness::{Answer, Org, Project, Receiver, TestApp, on_each_backend, sealed};
use serde_json::{Value, json};

const DAY: Duration = Duration::from_hours(24);
const OURS: &str = "ledger_id = (SELECT id FROM orgs WHERE slug = 'acme')";

/// An organisation whose plan has kept events for so many days since long ago.
async fn org(t: &TestApp, days: i64) -> Org<'_> {
    let acme = t.org("acme").await;
    t.sql(&format!(
        "INSERT INTO limit_overrides (org_id, key, value, reason, set_at)
         SELECT id, 'audit_retention_days', {days}, '', 0 FROM orgs WHERE slug = 'acme'"
    ))
    .await;
    acme
}

/// Six events: a project, secrets A (twice), B and C, and a read.
async fn write(acme: &Org<'_>) -> Project {
    let web = acme.project("web").await;
    let env = web.env("staging");
    for (key, value) in [("A", "1"), ("A", "2"), ("B", "1"), ("C", "1")] {
        acme.owner.put(&env.secret(key), json!({ "value": value })).await.ok();
    }
    acme.owner.get(&env.secret("A")).await.expect(200).ok();
    web
}

/// The organisation and what was written in it: events 1 to 7.
async fn history(t: &TestApp, days: i64) -> (Org<'_>, Project) {
    let acme = org(t, days).await;
    let web = write(&acme).await;
    (acme, web)
}

/// Days pass, and sessions with them.
async fn pass(t: &TestApp, acme: &mut Org<'_>, days: u32) {
    t.advance(days * DAY);
    acme.owner = acme.owner.signs_in_again().await;
}

async fn prune(t: &TestApp) -> u64 {
    audit::prune(t.db()).await.expect("prune")
}

/// The numbers that are kept, oldest first.
async fn kept(acme: &Org<'_>) -> Vec<i64> {
    let list = acme
        .owner
        .get(&acme.path("/audit-logs?limit=100"))
        .await
        .expect(200)
        .json();
    let rows = list["data"].as_array().cloned().unwrap_or_default();
    assert_eq!(list["pagination"]["total"], rows.len());
    rows.iter().rev().filter_map(|row| row["seq"].as_i64()).collect()
}

async fn checked(acme: &Org<'_>) -> Answer {
    acme.owner.get(&acme.path("/audit-logs/verify")).await.expect(200)
}

async fn faults(acme: &Org<'_>) -> Vec<String> {
    let found = checked(acme).await.json();
    let list = found["faults"].as_array().cloned().unwrap_or_default();
    let kind = |fault: &Value| fault["kind"].as_str().unwrap_or_default().to_owned();
    list.iter().map(kind).collect()
}

/// Whether every stored value of a project is what was written.
async fn is_proved(acme: &Org<'_>, web: &Project) -> bool {
    let verified = acme
        .owner
        .post(&format!("{}/verify", web.path), json!({}))
        .await
        .expect(200);
    verified.at("/ok") == "true"
}

on_each_backend! {
    async fn what_is_too_old_goes_and_the_chain_goes_on_from_its_anchor(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let (mut acme, web) = history(&t, 8).await;
        let newest = acme.owner.get(&acme.path("/audit-logs?limit=1")).await.expect(200).at("/data/0/hash");
        pass(&t, &mut acme, 8).await;
        assert_eq!(prune(&t).await, 0, "it is eight days old, and no older");
        let env = web.env("staging");
        acme.owner.put(&env.secret("A"), json!({ "value": "3" })).await.ok();
        acme.owner.delete(&env.secret("B")).await.ok();
        t.advance(Duration::from_micros(1));
        assert_eq!(prune(&t).await, 7);
        assert_eq!(prune(&t).await, 0);
        assert_eq!(kept(&acme).await, [8, 9, 10]);
        let found = checked(&acme).await;
        let told = ["/valid", "/checked", "/secrets_checked", "/anchor/seq", "/head_seq"].map(|member| found.at(member));
        assert_eq!(told, ["true", "3", "3", "7", "10"]);
        assert_eq!(found.at("/anchor/hash"), newest, "as it was told once");
        let removal = acme.owner.get(&acme.path("/audit-logs?action=audit.purged")).await.expect(200);
        assert_eq!((removal.at("/data/0/actor/type"), removal.at("/data/0/metadata/events")), ("system".into(), "7".into()));
        assert_eq!(removal.at("/data/0/metadata/last_hash"), newest);
        assert!(is_proved(&acme, &web).await);
        // What outlasted its events is told anew by those that follow.
        acme.owner.post(&format!("{}/restore", env.secret("B")), json!({})).await.ok();
        acme.owner.patch(&env.secret("C"), json!({ "key": "D" })).await.ok();
        for _ in 0..3 {
            pass(&t, &mut acme, 9).await;
            prune(&t).await;
            assert_eq!((faults(&acme).await, is_proved(&acme, &web).await), (vec![], true));
        }
        assert_eq!(acme.owner.get(&env.secret("D")).await.expect(200).at("/value"), "1");
    }

    async fn removals_do_not_go_on_for_ever_by_themselves(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let (mut acme, _) = history(&t, 7).await;
        let mut removed = Vec::new();
        for _ in 0..5 {
            pass(&t, &mut acme, 8).await;
            removed.push(prune(&t).await);
        }
        assert_eq!(removed, [7, 0, 0, 0, 0]);
        assert_eq!(faults(&acme).await, Vec::<String>::new());
    }

    async fn whatever_is_altered_beside_the_anchor_is_found(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let (mut acme, web) = history(&t, 7).await;
        let older = sealed::version(&t, "A", 1).await.sealed_value.unwrap_or_default();
        pass(&t, &mut acme, 8).await;
        acme.owner.put(&web.env("staging").secret("Z"), json!({ "value": "1" })).await.ok();
        assert_eq!(prune(&t).await, 7);
        for (table, change) in [
            ("journal_anchors", "UPDATE journal_anchors SET seq = 6"),
            ("journal_anchors", "UPDATE journal_anchors SET hash = seals"),
            ("journal_anchors", "UPDATE journal_anchors SET seals = hash"),
            ("journal_anchors", "DELETE FROM journal_anchors"),
            ("journal_seals", "UPDATE journal_seals SET digest = NULL WHERE version = 1"),
            ("journal_seals", "UPDATE journal_seals SET version = 9 WHERE version = 2"),
            ("journal_seals", "UPDATE journal_seals SET is_deleted = TRUE WHERE is_last AND version = 2"),
            ("journal_seals", "DELETE FROM journal_seals WHERE version = 2"),
            ("journal_seals", "DELETE FROM journal_seals"),
        ] {
            t.sql(&format!("CREATE TABLE kept AS SELECT * FROM {table}")).await;
            t.sql(change).await;
            assert!(faults(&acme).await.contains(&"anchor_altered".to_owned()), "{change}");
            t.sql(&format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept; DROP TABLE kept;")).await;
            assert_eq!(faults(&acme).await, Vec::<String>::new(), "{change}");
        }
        // And what the chain itself tells is found as ever.
        t.sql(&format!("DELETE FROM journal WHERE {OURS} AND seq = 8")).await;
        assert_eq!(faults(&acme).await, ["missing"]);
        let row = sealed::version(&t, "A", 2).await;
        sealed::put_value(&t, &row, &older).await;
        assert_eq!(faults(&acme).await, ["missing", "secret_altered"], "an older value in the place of the last");
        assert!(!is_proved(&acme, &web).await);
    }

    async fn a_reader_of_the_feed_hears_that_events_are_gone(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let (mut acme, web) = history(&t, 7).await;
        pass(&t, &mut acme, 8).await;
        acme.owner.put(&web.env("staging").secret("Z"), json!({ "value": "1" })).await.ok();
        assert_eq!(prune(&t).await, 7);
        let ask = async |query: &str| acme.owner.get(&acme.path(&format!("/events{query}"))).await;
        for late in ["?after=1", "?after=6", "?after=6&wait=1", "?after=3&types=org.*"] {
            let refused = ask(late).await.problem(410, "events_purged");
            assert_eq!(refused.at("/begins_after"), "7", "{late}");
        }
        for begin in ["", "?after=0", "?after=7"] {
            let part = ask(begin).await.expect(200);
            assert_eq!((part.at("/data/0/seq"), part.at("/next_after"), part.at("/data/1")), ("8".into(), "9".into(), String::new()), "{begin}");
        }
    }

    async fn what_waits_to_be_delivered_is_kept(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let receiver = Receiver::start().await;
        let mut acme = org(&t, 7).await;
        let hook = json!({ "url": receiver.url, "events": ["secret.created"] });
        let hook = acme.owner.post(&acme.path("/webhooks"), hook).await.expect(201).at("/id");
        write(&acme).await;
        receiver.expect(3).await;
        eventually("what came of the deliveries is written down", || async {
            t.number("SELECT COUNT(*) FROM jobs WHERE kind = 'webhook' AND state = 2").await == 3
        })
        .await;
        pass(&t, &mut acme, 8).await;
        // As if nobody had taken one of them for long: that of event 6, B.
        let of_sixth = format!("event_id = (SELECT id FROM journal WHERE {OURS} AND seq = 6)");
        t.sql(&format!("UPDATE jobs SET state = 0, next_at = 9000000000000000 WHERE {of_sixth}")).await;
        assert_eq!(prune(&t).await, 5);
        t.sql(&format!("UPDATE jobs SET state = 2 WHERE {of_sixth}")).await;
        assert!(prune(&t).await > 0);
        // The log of deliveries stays; what is gone cannot be sent again.
        let path = acme.path(&format!("/webhooks/{hook}/deliveries"));
        let log = acme.owner.get(&path).await.expect(200);
        assert_eq!((log.at("/pagination/total"), log.at("/data/2/event_type")), ("3".into(), String::new()));
        let again = format!("{path}/{}/resend", log.at("/data/2/id"));
        acme.owner.post(&again, json!({})).await.problem(410, "events_purged");
    }

    async fn a_smaller_plan_keeps_the_log_for_thirty_days_more_and_a_week_always(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let (mut acme, _) = history(&t, 1).await;
        pass(&t, &mut acme, 7).await;
        assert_eq!(prune(&t).await, 0, "a day is less than the week that is always kept");
        let now = t.clock.now().micros();
        t.sql(&format!("UPDATE limit_overrides SET set_at = {now}")).await;
        t.advance(29 * DAY);
        assert_eq!(prune(&t).await, 0);
        t.advance(DAY);
        assert_eq!(prune(&t).await, 7);
        // Nor do the logs of accounts belong to a plan.
        assert!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'user.registered'").await > 0);
    }
}

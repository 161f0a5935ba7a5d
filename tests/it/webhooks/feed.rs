//! The feed: the events that webhooks deliver, fetched.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use domain::access::Origin;
use domain::journal::{self, Action, Entry, Target};
use futures_util::future::join_all;
use harness::{Answer, Client, Org, Receiver, on_both};
use serde_json::{Value, json};

use super::hook;

/// Long enough for a request to wait already.
const A_WHILE: Duration = Duration::from_millis(700);

async fn ask(client: &Client, acme: &Org<'_>, query: &str) -> Answer {
    client.get(&acme.path(&format!("/events{query}"))).await
}

/// A part of the feed, as the owner reads it.
async fn part(acme: &Org<'_>, query: &str) -> Value {
    ask(&acme.owner, acme, query).await.expect(200).json()
}

fn data(part: &Value) -> Vec<Value> {
    part["data"].as_array().cloned().expect("data")
}

fn types(part: &Value) -> Vec<String> {
    let kind = |event: &Value| event["type"].as_str().unwrap_or_default().to_owned();
    data(part).iter().map(kind).collect()
}

fn seqs(events: &[Value]) -> Vec<i64> {
    events
        .iter()
        .map(|event| event["seq"].as_i64().expect("a number"))
        .collect()
}

fn next(part: &Value) -> i64 {
    part["next_after"].as_i64().expect("a number")
}

/// The number of the newest event of the audit log.
async fn newest(acme: &Org<'_>) -> i64 {
    let log = acme.owner.get(&acme.path("/audit-logs?limit=1")).await.expect(200);
    log.at("/data/0/seq").parse().expect("a number")
}

on_both! {
    async fn the_feed_tells_in_order_what_webhooks_deliver(t: TestApp) {
        let receiver = Receiver::start().await;
        let acme = t.org("acme").await;
        hook(&acme, &receiver.url, json!({})).await;
        let begun = newest(&acme).await;
        let env = acme.project("web").await.env("staging");
        acme.owner.put(&env.secret("A"), json!({ "value": "canary" })).await.ok();
        acme.owner.get(&env.secret("A")).await.ok();
        acme.owner.put(&env.secret("A"), json!({ "value": "canary 2" })).await.ok();
        acme.developer("dana").await;
        acme.owner.delete(&env.secret("A")).await.ok();
        let told = part(&acme, &format!("?after={begun}")).await;
        let expected = ["project.created", "secret.created", "secret.updated", "member.added", "secret.deleted"];
        assert_eq!(types(&told), expected);
        assert!(seqs(&data(&told)).is_sorted_by(|one, next| one < next), "{told}");
        assert_eq!((next(&told), &told["has_more"]), (newest(&acme).await, &json!(false)));
        assert!(!told.to_string().contains("canary"));
        let by_id = |bodies: Vec<Value>| -> BTreeMap<String, Value> {
            bodies.into_iter().map(|body| (body["id"].as_str().unwrap_or_default().to_owned(), body)).collect()
        };
        let received = receiver.expect(expected.len()).await;
        assert_eq!(by_id(data(&told)), by_id(received.iter().map(harness::receiver::Received::json).collect()));
        // From the beginning: the making of the organisation comes first, that of the webhook not at all.
        assert_eq!(types(&part(&acme, "").await)[..2], ["org.created", "project.created"]);
    }

    async fn a_reader_goes_on_where_it_stopped(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("staging");
        for number in 0..9 {
            acme.owner.put(&env.secret(&format!("K{number}")), json!({ "value": "v" })).await.ok();
            acme.owner.get(&env.secret("K0")).await.ok();
        }
        let whole = data(&part(&acme, "").await);
        assert_eq!(whole.len(), 11);
        for size in [1, 2, 7, 100] {
            let (mut joined, mut after) = (Vec::new(), 0);
            loop {
                let part = part(&acme, &format!("?limit={size}&after={after}")).await;
                assert!(data(&part).len() <= size);
                joined.extend(data(&part));
                after = next(&part);
                if part["has_more"] == false {
                    break;
                }
            }
            assert_eq!(joined, whole, "in parts of {size}");
            assert_eq!(after, newest(&acme).await);
        }
        let behind = &whole[4];
        assert_eq!(data(&part(&acme, &format!("?after={}", behind["seq"])).await), whole[5..]);
    }

    async fn types_narrow_the_feed_and_the_place_to_go_on_is_behind_what_was_left_out(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("staging");
        acme.owner.put(&env.secret("A"), json!({ "value": "v" })).await.ok();
        for name in ["Acme 1", "Acme 2"] {
            acme.owner.patch(&acme.path(""), json!({ "name": name })).await.ok();
        }
        let secrets = part(&acme, "?types=secret.*").await;
        assert_eq!((types(&secrets), next(&secrets)), (vec!["secret.created".to_owned()], newest(&acme).await));
        acme.owner.delete(&env.secret("A")).await.ok();
        let later = part(&acme, &format!("?types=secret.*&after={}", next(&secrets))).await;
        assert_eq!(types(&later), ["secret.deleted"]);
        let both = part(&acme, "?types=org.updated,secret.deleted").await;
        assert_eq!(types(&both), ["org.updated", "org.updated", "secret.deleted"]);
        let none = part(&acme, "?types=role.*").await;
        assert_eq!((data(&none).len(), next(&none), &none["has_more"]), (0, newest(&acme).await, &json!(false)));
        assert_eq!(part(&acme, "?types=*").await, part(&acme, "").await);
    }

    async fn what_is_wrong_with_a_request_is_named(t: TestApp) {
        let acme = t.org("acme").await;
        let beyond = newest(&acme).await + 1;
        for (query, field) in [
            ("after=-1".to_owned(), "after"),
            ("after=yesterday".to_owned(), "after"),
            (format!("after={beyond}"), "after"),
            (format!("after={beyond}&wait=1"), "after"),
            (format!("after={}", i64::MAX), "after"),
            ("types=".to_owned(), "types"),
            ("types=secret.read".to_owned(), "types"),
            ("types=secret.updated,webhook.created".to_owned(), "types"),
            ("types=SECRET.*".to_owned(), "types"),
            ("limit=0".to_owned(), "limit"),
            ("limit=101".to_owned(), "limit"),
            ("wait=-1".to_owned(), "wait"),
            ("wait=31".to_owned(), "wait"),
            ("wait=soon".to_owned(), "wait"),
        ] {
            let refused = ask(&acme.owner, &acme, &format!("?{query}")).await.problem(422, "invalid_field");
            assert_eq!(refused.at("/errors/0/field"), field, "{query}");
        }
    }

    async fn the_feed_of_others_is_hidden_and_that_of_ones_own_is_for_who_may_read_it(t: TestApp) {
        let (acme, zoo) = (t.org("acme").await, t.org("zoo").await);
        for query in ["", "?wait=20", "?after=-1"] {
            ask(&zoo.owner, &acme, query).await.problem(404, "not_found");
            let dana = acme.owner.token(json!({ "name": "narrow", "scopes": ["secrets:read"] })).await;
            ask(&dana, &acme, query).await.problem(403, "insufficient_scope");
        }
        let dana = acme.developer("dana").await;
        ask(&dana, &acme, "").await.problem(403, "forbidden");
        let reader = acme.owner.token(json!({ "name": "reader", "scopes": ["events:read"] })).await;
        assert_eq!(types(&ask(&reader, &acme, "?limit=1").await.expect(200).json()), ["org.created"]);
    }

    async fn a_request_that_waits_is_answered_when_the_next_event_is_there(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("staging");
        acme.owner.put(&env.secret("A"), json!({ "value": "v" })).await.ok();
        let mut slowest = Duration::ZERO;
        for number in 0..3 {
            let after = newest(&acme).await;
            let reader = async {
                let told = part(&acme, &format!("?after={after}&types=secret.*&wait=20")).await;
                (told, Instant::now())
            };
            let writer = async {
                tokio::time::sleep(A_WHILE).await;
                // Neither a read nor what was not asked for ends the wait.
                acme.owner.get(&env.secret("A")).await.ok();
                acme.owner.patch(&acme.path(""), json!({ "name": format!("Acme {number}") })).await.ok();
                tokio::time::sleep(A_WHILE).await;
                acme.owner.put(&env.secret("A"), json!({ "value": format!("v{number}") })).await.ok();
                Instant::now()
            };
            let ((told, read), written) = tokio::join!(reader, writer);
            assert_eq!((types(&told), next(&told)), (vec!["secret.updated".to_owned()], newest(&acme).await));
            slowest = slowest.max(read.saturating_duration_since(written));
        }
        assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    }

    async fn a_request_waits_only_when_there_is_nothing_and_only_as_long_as_it_wants(t: TestApp) {
        let acme = t.org("acme").await;
        let began = Instant::now();
        assert_eq!(types(&part(&acme, "?wait=30").await), ["org.created"]);
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        let after = newest(&acme).await;
        let (began, nothing) = (Instant::now(), part(&acme, &format!("?after={after}&wait=2")).await);
        assert!((2..12).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
        assert_eq!(nothing, json!({ "data": [], "next_after": after, "has_more": false }));
    }

    async fn who_is_sent_away_while_waiting_is_told_nothing(t: TestApp) {
        let acme = t.org("acme").await;
        let dana = acme.member("dana", "admin").await;
        let made = acme.owner.post("/v1/auth/tokens", json!({ "name": "reader" })).await.expect(201);
        let token = acme.owner.bearer(&made.at("/token"));
        let revoked = format!("/v1/auth/tokens/{}", made.at("/id"));
        let query = format!("?after={}&wait=20", newest(&acme).await);
        let began = Instant::now();
        let owner = async {
            tokio::time::sleep(A_WHILE).await;
            acme.owner.delete(&revoked).await.expect(204).ok();
            acme.remove(dana.id).await;
        };
        let (removed, refused, stays, ()) =
            tokio::join!(ask(&dana, &acme, &query), ask(&token, &acme, &query), part(&acme, &query), owner);
        removed.problem(404, "not_found");
        refused.problem(401, "unauthenticated");
        assert_eq!(types(&stays), ["member.removed"]);
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    }

    async fn a_thousand_events_of_many_writers_are_read_without_a_gap_while_they_are_written(t: TestApp) {
        const WRITERS: usize = 32;
        const EACH: usize = 32;
        let acme = t.org("acme").await;
        let mut envs = Vec::new();
        for number in 0..8 {
            envs.push(acme.project(&format!("p{number}")).await.env("staging"));
        }
        let acme = &acme;
        let writers = join_all((0..WRITERS).zip(envs.iter().cycle()).map(|(writer, env)| async move {
            for number in 0..EACH {
                let key = env.secret(&format!("K{writer}_{number}"));
                acme.owner.put(&key, json!({ "value": "v" })).await.expect(201).ok();
            }
        }));
        // Somebody takes long about a change, and gives up each other one.
        let ponderer = async {
            for number in 0..20 {
                let tx = t.db().begin_write().await.expect("open a transaction");
                let entry = Entry::in_org(acme.id, Action::OrgUpdated, Target::Org(acme.id)).with("changed", vec!["name"]);
                journal::record(&tx, &Origin::system(), entry).await.expect("record an event");
                tokio::time::sleep(Duration::from_millis(50)).await;
                if number % 2 == 0 {
                    tx.rollback().await.expect("roll back");
                } else {
                    drop(tx.commit().await.expect("commit"));
                }
            }
        };
        let reader = async {
            let (mut read, mut after) = (Vec::new(), 0);
            while read.len() < WRITERS * EACH {
                let part = part(acme, &format!("?types=secret.*&limit=7&wait=10&after={after}")).await;
                assert!(next(&part) > after || data(&part).is_empty(), "{part}");
                read.extend(data(&part));
                after = next(&part);
            }
            read
        };
        let (read, _, ()) = tokio::join!(reader, writers, ponderer);
        let seqs = seqs(&read);
        assert!(seqs.is_sorted_by(|one, next| one < next));
        let stored = t.number("SELECT COUNT(*) FROM journal WHERE action = 'secret.created'").await;
        assert_eq!((read.len(), stored), (WRITERS * EACH, 1_024));
        assert_eq!(types(&part(acme, "?types=org.updated").await), ["org.updated"; 10]);
        let gaps = "SELECT SUM(l.seq) - (SELECT COUNT(*) FROM journal) FROM ledgers l";
        assert_eq!(t.number(&format!("SELECT CAST(({gaps}) AS BIGINT)")).await, 0, "no number is used up");
        let mut again = Vec::new();
        let mut after = 0;
        while again.len() < read.len() {
            let part = part(acme, &format!("?types=secret.created&after={after}")).await;
            again.extend(data(&part));
            after = next(&part);
        }
        assert_eq!(again, read);
    }
}

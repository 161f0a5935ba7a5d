//! Watching an environment.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use harness::app::eventually;
use harness::{Client, EnvPath, Events, on_both};
use serde_json::json;

fn watch(env: &EnvPath) -> String {
    format!("{}/watch", env.0)
}

/// Opens a stream that begins with this revision.
async fn opened(client: &Client, env: &EnvPath, revision: i64) -> Events {
    let mut events = client.events(&watch(env)).await;
    assert_eq!(events.status(), 200);
    assert_eq!(events.expect("current").await.revision(), revision);
    events
}

async fn put(client: &Client, env: &EnvPath, key: &str) {
    client.put(&env.secret(key), json!({ "value": "one" })).await.ok();
}

/// Names and ids of everything that a stream tells which ends at once.
async fn polled(client: &Client, env: &EnvPath) -> Vec<String> {
    let mut events = client.events(&format!("{}?wait=0", watch(env))).await;
    assert_eq!(events.status(), 200);
    let told = events.rest().await;
    told.iter()
        .map(|event| format!("{} {}", event.name, event.id))
        .collect()
}

on_both! {
    async fn a_change_is_told_at_once_with_its_keys_and_without_a_value(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        // Who may not read production may know of its keys.
        let dana = acme.developer("dana").await;
        let mut events = opened(&dana, &env, 0).await;
        for (name, value) in [("content-type", "text/event-stream"), ("cache-control", "no-store"), ("x-accel-buffering", "no")] {
            assert_eq!(events.header(name), Some(value));
        }
        let mut slowest = Duration::ZERO;
        for revision in 1..=10 {
            let canary = json!({ "value": format!("canary {revision}"), "comment": "canary" });
            acme.owner.put(&env.secret("DB_URL"), canary).await.ok();
            let answered = Instant::now();
            let told = events.expect("revision").await;
            slowest = slowest.max(answered.elapsed());
            assert_eq!((told.id.clone(), told.revision()), (revision.to_string(), revision));
            let (status, action) = if revision == 1 { ("created", "secret.created") } else { ("updated", "secret.updated") };
            let keys = json!([{ "key": "DB_URL", "status": status, "version": revision }]);
            assert_eq!((&told.data["keys"], &told.data["action"]), (&keys, &json!(action)));
            assert!(told.data["at"].is_string(), "{}", told.data);
        }
        println!("told within {slowest:?} of the answer to the writer");
        assert!(slowest < Duration::from_secs(2), "{slowest:?}");
        assert!(!events.text().contains("canary"));
    }

    async fn many_keys_of_one_change_are_one_event(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let mut events = opened(&acme.owner, &env, 0).await;
        let bulk = json!({ "secrets": { "B": "b", "A": "a", "C": "c" } });
        acme.owner.post(&format!("{}/bulk", env.0), bulk.clone()).await.expect(200).ok();
        assert_eq!(events.expect("revision").await.keys(), ["A created", "B created", "C created"]);
        acme.owner.patch(&env.secret("A"), json!({ "key": "D" })).await.expect(200).ok();
        assert_eq!(events.expect("revision").await.keys(), ["A deleted", "D renamed"]);
        acme.owner.delete(&env.secret("B")).await.expect(200).ok();
        assert_eq!(events.expect("revision").await.keys(), ["B deleted"]);
        // B is restored and A made again; C stays as it is.
        acme.owner.post(&format!("{}/bulk", env.0), bulk).await.expect(200).ok();
        let told = events.expect("revision").await;
        assert_eq!((told.keys(), told.revision()), (vec!["A created".to_owned(), "B created".to_owned()], 4));
    }

    async fn what_makes_no_revision_is_not_told(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        put(&acme.owner, &env, "A").await;
        let mut events = opened(&acme.owner, &env, 1).await;
        put(&acme.owner, &env, "A").await;
        acme.owner.put(&format!("{}/pins/release-42", env.0), json!({})).await.expect(200).ok();
        acme.owner.post(&format!("{}/bulk", env.0), json!({ "secrets": { "B": "b" }, "dry_run": true })).await.ok();
        acme.owner.get(&env.secrets()).await.expect(200).ok();
        events.stays_quiet(Duration::from_millis(1_500)).await;
        put(&acme.owner, &env, "B").await;
        assert_eq!(events.expect("revision").await.id, "2");
    }

    async fn who_comes_back_is_told_what_was_missed_in_order_and_once(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("staging");
        let mut events = opened(&acme.owner, &env, 0).await;
        put(&acme.owner, &env, "A").await;
        assert_eq!(events.expect("revision").await.id, "1");
        drop(events);
        put(&acme.owner, &env, "B").await;
        let bulk = json!({ "secrets": { "C": "c", "D": "d" } });
        acme.owner.post(&format!("{}/bulk", env.0), bulk).await.expect(200).ok();
        put(&acme.owner, &env, "E").await;
        let back = acme.owner.with("Last-Event-ID", "1");
        let mut events = back.events(&watch(&env)).await;
        for keys in [vec!["B created"], vec!["C created", "D created"], vec!["E created"]] {
            assert_eq!(events.expect("revision").await.keys(), keys);
        }
        assert_eq!(events.expect("current").await.id, "4");
        put(&acme.owner, &env, "F").await;
        assert_eq!(events.expect("revision").await.id, "5");
        let all = ["revision 2", "revision 3", "revision 4", "revision 5", "current 5"];
        assert_eq!(polled(&back, &env).await, all);
        assert_eq!(polled(&acme.owner.with("Last-Event-ID", "5"), &env).await, ["current 5"]);
        assert_eq!(polled(&acme.owner, &env).await, ["current 5"]);
    }

    async fn nothing_is_lost_or_told_twice_while_writers_write_and_the_watcher_comes_and_goes(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("staging");
        let owner = acme.owner.client();
        let env = &env;
        let writers = (0..4).map(|writer| async move {
            for number in 0..10 {
                put(owner, env, &format!("KEY_{writer}_{number}")).await;
            }
        });
        let watcher = async {
            let mut told: Vec<i64> = Vec::new();
            while told.len() < 40 {
                let last = told.last().copied().unwrap_or(0).to_string();
                let mut events = owner.with("Last-Event-ID", &last).events(&watch(env)).await;
                // The connection is dropped wherever it stands.
                for _ in 0..7 {
                    let Some(event) = events.next().await else { break };
                    if event.name == "revision" {
                        told.push(event.revision());
                    }
                    if told.len() == 40 {
                        break;
                    }
                }
            }
            told
        };
        let (_, told) = tokio::join!(join_all(writers), watcher);
        assert_eq!(told, (1..=40).collect::<Vec<i64>>());
    }

    async fn only_keys_that_the_caller_may_know_of_are_told(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let ci = acme.owner.token(json!({ "name": "ci", "org": "acme", "patterns": ["web/production/CI_*"] })).await;
        let mut events = opened(&ci, &env, 0).await;
        put(&acme.owner, &env, "DB_URL").await;
        put(&acme.owner, &env, "CI_A").await;
        let told = events.expect("revision").await;
        assert_eq!((told.keys(), told.revision()), (vec!["CI_A created".to_owned()], 2));
        let bulk = json!({ "secrets": { "CI_B": "b", "DB_X": "x" } });
        acme.owner.post(&format!("{}/bulk", env.0), bulk).await.expect(200).ok();
        assert_eq!(events.expect("revision").await.keys(), ["CI_B created"]);
        acme.owner.patch(&env.secret("CI_A"), json!({ "key": "DB_A" })).await.expect(200).ok();
        assert_eq!(events.expect("revision").await.keys(), ["CI_A deleted"]);
        acme.owner.patch(&env.secret("DB_A"), json!({ "key": "CI_Z" })).await.expect(200).ok();
        assert_eq!(events.expect("revision").await.keys(), ["CI_Z renamed"]);
        assert!(!events.text().contains("DB_"), "{}", events.text());
        let missed = ["revision 2", "revision 3", "revision 4", "revision 5", "current 5"];
        assert_eq!(polled(&ci.with("Last-Event-ID", "0"), &env).await, missed);
    }

    async fn who_is_too_far_behind_or_somewhere_else_is_told_to_read_all(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        put(&acme.owner, &env, "A").await;
        let ahead = acme.owner.with("Last-Event-ID", "99");
        assert_eq!(polled(&ahead, &env).await, ["reset 1", "current 1"]);
        t.sql("UPDATE environments SET revision = 1001 WHERE revision = 1").await;
        let behind = acme.owner.with("Last-Event-ID", "0");
        assert_eq!(polled(&behind, &env).await, ["reset 1001", "current 1001"]);
        let mut events = behind.events(&watch(&env)).await;
        assert_eq!(events.expect("reset").await.data, json!({ "revision": 1001, "reset": true }));
        events.expect("current").await;
        put(&acme.owner, &env, "B").await;
        assert_eq!(events.expect("revision").await.id, "1002");
    }

    async fn who_comes_back_across_a_revision_that_nothing_is_told_of_reads_all(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        for key in ["A", "B", "C"] {
            put(&acme.owner, &env, key).await;
        }
        // As one from before change sets were kept.
        t.sql("UPDATE environment_revisions SET change_set = NULL WHERE revision = 2").await;
        let after = |id| acme.owner.with("Last-Event-ID", id);
        assert_eq!(polled(&after("1"), &env).await, ["reset 3", "current 3"]);
        assert_eq!(polled(&after("2"), &env).await, ["revision 3", "current 3"]);
    }

    async fn what_is_no_position_and_no_time_is_refused(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        for bad in ["abc", "-1", "+1", "1.5", "0x1", "9223372036854775808", "revision 1"] {
            acme.owner.with("Last-Event-ID", bad).get(&watch(&env)).await.problem(400, "malformed_request");
        }
        for bad in ["-1", "3601", "x", "1.5"] {
            let refused = acme.owner.get(&format!("{}?wait={bad}", watch(&env))).await.problem(422, "invalid_field");
            assert_eq!(refused.at("/errors/0/field"), "wait", "{bad}");
        }
    }

    async fn it_ends_after_the_time_that_was_asked_for(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let began = Instant::now();
        let mut events = acme.owner.events(&format!("{}?wait=2", watch(&env))).await;
        let told = events.rest().await;
        assert!((2..10).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
        assert_eq!(told.len(), 1, "{}", events.text());
        assert!(events.text().contains("retry: 1000\n\n") && events.text().ends_with(": the time is over\n\n"));
    }

    async fn whoever_may_not_watch_any_more_is_sent_away_and_not_told_of_the_next_change(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let (dana, erin, alex) = (
            acme.developer("dana").await,
            acme.developer("erin").await,
            acme.member("alex", "admin").await,
        );
        let made = acme.owner.post("/v1/auth/tokens", json!({ "name": "ci" })).await.expect(201);
        let ci = acme.owner.bearer(&made.at("/token"));
        let mut streams = Vec::new();
        for client in [&ci, dana.client(), erin.client(), alex.client()] {
            streams.push(opened(client, &env, 0).await);
        }
        let mut owners = opened(&acme.owner, &env, 0).await;
        acme.owner.delete(&format!("/v1/auth/tokens/{}", made.at("/id"))).await.expect(204).ok();
        acme.remove(dana.id).await;
        erin.post("/v1/auth/logout", json!({})).await.expect(204).ok();
        let member = acme.path(&format!("/members/{}", alex.id));
        acme.owner.patch(&member, json!({ "role": "viewer" })).await.expect(200).ok();
        put(&acme.owner, &env, "MADE_AFTERWARDS").await;
        for (events, reason) in streams.iter_mut().zip(["unauthenticated", "not_found", "unauthenticated", "forbidden"]) {
            let end = events.expect("end").await;
            assert_eq!((&end.data["reason"], end.id.as_str()), (&json!(reason), ""));
            assert_eq!(events.next().await, None);
            assert!(!events.text().contains("MADE_AFTERWARDS"), "{reason}");
        }
        assert_eq!(owners.expect("revision").await.keys(), ["MADE_AFTERWARDS created"]);
    }

    async fn without_any_change_a_revoked_reader_is_gone_within_ten_seconds(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let dana = acme.developer("dana").await;
        let (mut events, mut owners) = (opened(&dana, &env, 0).await, opened(&acme.owner, &env, 0).await);
        acme.remove(dana.id).await;
        let revoked = Instant::now();
        let end = events.expect("end").await;
        // The rest is for a busy machine.
        assert!(revoked.elapsed() < Duration::from_secs(14), "{:?}", revoked.elapsed());
        assert_eq!((end.data["reason"].as_str(), events.next().await), (Some("not_found"), None));
        owners.stays_quiet(Duration::from_secs(1)).await;
        assert!(owners.text().contains(": still here\n\n"), "the others hear that it goes on");
    }

    async fn the_streams_of_a_deleted_environment_end_at_once(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let mut gone = opened(&acme.owner, &web.env("staging"), 0).await;
        let mut stays = opened(&acme.owner, &web.env("production"), 0).await;
        let deleted = Instant::now();
        acme.owner.delete(&web.env("staging").0).await.expect(204).ok();
        assert_eq!(gone.expect("end").await.data["reason"], "not_found");
        assert!(deleted.elapsed() < Duration::from_secs(3), "{:?}", deleted.elapsed());
        stays.stays_quiet(Duration::from_millis(500)).await;
    }

    async fn a_new_name_leads_no_stream_elsewhere(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let mut events = opened(&acme.owner, &web.env("staging"), 0).await;
        acme.owner.patch(&web.env("staging").0, json!({ "slug": "old" })).await.expect(200).ok();
        acme.owner.patch(&web.env("production").0, json!({ "slug": "staging" })).await.expect(200).ok();
        put(&acme.owner, &web.env("staging"), "OF_ANOTHER").await;
        put(&acme.owner, &web.env("old"), "OF_THIS_ONE").await;
        assert_eq!(events.expect("revision").await.keys(), ["OF_THIS_ONE created"]);
    }

    async fn a_stop_ends_every_stream_at_once(t: TestApp) {
        let mut streams = Vec::new();
        {
            let acme = t.org("acme").await;
            let env = acme.project("web").await.env("production");
            for _ in 0..20 {
                streams.push(opened(&acme.owner, &env, 0).await);
            }
        }
        let began = Instant::now();
        t.stop().await;
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        for events in &mut streams {
            assert_eq!(events.next().await, None);
            assert!(events.text().ends_with(": the server is stopping\n\n"), "{}", events.text());
        }
    }

    async fn a_credential_has_a_hundred_streams_and_their_places_come_back(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let mut streams = Vec::new();
        for _ in 0..100 {
            let events = acme.owner.events(&watch(&env)).await;
            assert_eq!(events.status(), 200);
            streams.push(events);
        }
        let refused = acme.owner.get(&watch(&env)).await.problem(429, "rate_limited");
        assert!(refused.header("retry-after").is_some_and(|seconds| seconds.parse::<u64>().is_ok()));
        let dana = acme.developer("dana").await;
        opened(&dana, &env, 0).await;
        drop(streams.pop());
        let poll = format!("{}?wait=0", watch(&env));
        eventually("a place is free again", || async { acme.owner.get(&poll).await.status() == 200 }).await;
    }
}

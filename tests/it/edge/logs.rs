//! What a process writes about itself.

use harness::app;
use harness::processes::{Installation, Tenant};
use serde_json::{Value, json};

const ID: &str = "trace-0001";

/// Every line of a log, which are all JSON.
fn lines(log: &str) -> Vec<Value> {
    log.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect()
}

#[test]
fn every_line_is_json_and_those_of_a_request_carry_its_id() {
    app::run(async {
        let installation = Installation::embedded().with("STRONGROOM_LOG_FORMAT", "json");
        let api = installation.api().await;
        let tenant = Tenant::create(&api.url, "acme", None).await;
        let made = tenant
            .person
            .post(
                &format!("{}/service-accounts", tenant.org),
                json!({ "name": "robot", "role": "viewer", "ip_allow": ["198.51.100.7"] }),
            )
            .await
            .expect(201);
        let key = made.at("/key");
        // It is refused for its address, which only the log tells.
        let robot = tenant.client.anonymous().api_key(&key).with("X-Request-Id", ID);
        let refused = robot.get(&tenant.org).await.problem(401, "unauthenticated");
        assert_eq!(refused.at("/request_id"), ID);
        assert_eq!(api.process.terminate().await, 0);

        let log = lines(&api.process.log());
        for line in &log {
            for field in ["timestamp", "level", "target"] {
                assert!(line[field].is_string(), "{line}");
            }
        }
        let access: Vec<_> = log.iter().filter(|line| line["target"] == "access").collect();
        assert!(access.len() >= 5, "{access:?}");
        for line in &access {
            assert!(line["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{line}");
            assert!(
                line["status"].is_u64() && line["ms"].is_u64() && line["method"].is_string(),
                "{line}"
            );
        }
        let ours: Vec<_> = access.iter().filter(|line| line["request_id"] == ID).collect();
        assert_eq!(ours.len(), 1);
        assert_eq!(
            (&ours[0]["status"], &ours[0]["path"]),
            (&401.into(), &"/v1/orgs/{org}".into())
        );
        let within = log
            .iter()
            .find(|line| line["level"] == "WARN" && line["spans"][0]["request_id"] == ID);
        let warned = within.expect("the refusal is explained within its request");
        assert!(
            warned["message"].as_str().is_some_and(|text| text.contains("address")),
            "{warned}"
        );
        assert!(!api.process.log().contains(&key), "no credential is written");
    });
}

#[test]
fn lines_for_people_carry_the_id_too() {
    app::run(async {
        let installation = Installation::embedded();
        let api = installation.api().await;
        let anyone = harness::Client::new(&api.url).with("X-Request-Id", ID);
        anyone.get("/v1/orgs").await.problem(401, "unauthenticated");
        assert_eq!(api.process.terminate().await, 0);
        let log = api.process.log();
        let line = log
            .lines()
            .find(|line| line.contains(ID))
            .expect("a line of the request");
        assert!(line.contains("access") && line.contains("401"), "{line}");
    });
}

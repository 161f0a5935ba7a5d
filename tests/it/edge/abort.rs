//! Clients that hang up in the middle of a change.

use harness::client::Credential;
use harness::on_both;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use super::raw::{self, Raw};

/// Changes that are begun.
const CHANGES: usize = 60;

on_both! {
    async fn a_client_that_hangs_up_leaves_no_half_of_a_change(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let Credential::Bearer(token) = &acme.owner.client().credential else { unreachable!("by bearer") };
        let mut chance = StdRng::seed_from_u64(20_261_122);
        let mut whole = 0;
        for number in 0..CHANGES {
            let body = json!({ "value": format!("value {number} {}", "x".repeat(2_000)) }).to_string();
            let head = raw::head(&format!("PUT {}", env.secret("DB_URL")), Some(token));
            let head = format!("{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
            let request = format!("{head}{body}");
            // Every third one is sent to the end, so that the answer is what is cut.
            let cut = if number % 3 == 0 { request.len() } else { chance.random_range(1..request.len()) };
            let mut raw = Raw::open(&t).await;
            raw.send(request.as_bytes().get(..cut).unwrap_or_default()).await;
            whole += i64::from(cut == request.len());
            drop(raw);
        }
        // One change that is waited for, so that there is a secret at all.
        acme.owner.put(&env.secret("DB_URL"), json!({ "value": "last" })).await.ok();
        // In one statement, because changes whose clients have left may still be under way.
        let versions = "(SELECT COUNT(*) FROM secret_versions)";
        let gaps = format!(
            "SELECT ABS({versions} - (SELECT MAX(version) FROM secrets))
                  + ABS({versions} - (SELECT MAX(revision) FROM environments))
                  + ABS({versions} - (SELECT COUNT(*) FROM journal WHERE action IN ('secret.created', 'secret.updated')))"
        );
        assert_eq!(t.number(&gaps).await, 0, "versions, revisions and events have no gap");
        let listed = acme.owner.get(&format!("{}/versions?limit=100", env.secret("DB_URL"))).await.expect(200).json();
        let numbers: Vec<_> = listed["data"].as_array().into_iter().flatten().filter_map(|v| v["version"].as_i64()).collect();
        let newest = i64::try_from(numbers.len()).expect("few");
        assert_eq!(numbers, (1..=newest).rev().collect::<Vec<_>>());
        assert!((1..=whole + 1).contains(&newest), "{newest} versions of {whole} whole requests");
        let report = acme.owner.get("/v1/orgs/acme/audit-logs/verify").await.ok();
        assert_eq!(report.at("/valid"), "true", "{}", report.text());
    }
}

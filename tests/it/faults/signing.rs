//! A signing secret is rotated again and again under load: a receiver that is slow to learn of it refuses nothing, and
//! neither does one that is quick.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::kernel::Timestamp;
use harness::processes::{self, Api, Installation, Tenant, number, within};
use harness::receiver::Received;
use harness::{Receiver, app};
use serde_json::json;

use super::load::Load;
use super::{OPEN_JOBS, seconds};

/// Rotations that leave the first secret valid: five secrets sign at once.
const ROTATIONS: usize = 4;
/// A delivery that was prepared before a rotation may be signed this much later.
const UNDER_WAY: Duration = Duration::from_secs(3);

/// A secret with the public key that came with it, and the instant from which both are known.
struct Known {
    secret: String,
    public_key: String,
    since: Timestamp,
}

impl Known {
    fn verifies(&self, one: &Received) -> bool {
        let both = (one.is_signed_with(&self.secret), one.is_signed_by(&self.public_key));
        assert_eq!(both.0, both.1, "a secret and its key pair sign together");
        both.0
    }
}

async fn rotate(tenant: &Tenant, hook: &str, overlap_hours: u32) -> Known {
    let path = format!("{hook}/rotate-secret");
    let rotated = tenant
        .client
        .post(&path, json!({ "overlap_hours": overlap_hours }))
        .await
        .expect(200);
    Known {
        secret: rotated.at("/secret"),
        public_key: rotated.at("/public_key"),
        since: domain::kernel::Clock::system().now(),
    }
}

async fn rotations_under_load(installation: &Installation, api: &Api) {
    let receiver = Receiver::start().await;
    receiver.answer(204, Duration::from_millis(5));
    let tenant = Tenant::create(&api.url, "acme", Some(&receiver)).await;
    let hooks = format!("{}/webhooks", tenant.org);
    let listed = tenant.client.get(&hooks).await.expect(200);
    let hook = format!("{hooks}/{}", listed.at("/data/0/id"));
    let first = Known {
        secret: tenant.signing_secret.clone(),
        public_key: listed.at("/data/0/public_key"),
        since: Timestamp(0),
    };
    let (db, load) = (installation.db().await, Load::new(&tenant, &api.url));
    let each = seconds().map_or(50, |_| 500);
    let writers = load.start(8, each);
    let mut known = vec![first];
    for n in 1..=ROTATIONS {
        within(Duration::from_mins(2), "the writers go on", || async {
            load.done() >= n * each * 8 / (ROTATIONS + 1)
        })
        .await;
        known.push(rotate(&tenant, &hook, 168).await);
    }
    writers.join_all().await;
    within(Duration::from_secs(30), "every job ends", || async {
        number(&db, OPEN_JOBS).await == 0
    })
    .await;
    let arrived = receiver.received();
    for one in &arrived {
        let signed = one.header("webhook-timestamp").parse::<i64>().expect("seconds") * 1_000_000;
        for known in &known {
            let must = known.since + UNDER_WAY < Timestamp(signed);
            assert!(known.verifies(one) || !must, "a valid secret did not sign");
        }
        assert!(known[0].verifies(one), "the first secret is valid all the time");
    }
    let ids: BTreeSet<_> = arrived.iter().map(|one| one.header("webhook-id").to_owned()).collect();
    let owed: BTreeSet<_> = tenant.owed(&db).await.into_iter().collect();
    assert_eq!(ids, owed);

    let last = rotate(&tenant, &hook, 0).await;
    let put = json!({ "value": "after all" });
    tenant.client.put(&format!("{}LAST", tenant.secrets), put).await.ok();
    let all = receiver.expect(arrived.len() + 1).await;
    let newest = all.last().expect("a delivery");
    assert!(last.verifies(newest));
    assert!(
        known.iter().all(|known| !known.verifies(newest)),
        "what has ended signs nothing"
    );
}

#[test]
fn an_embedded_server_signs_with_every_valid_secret_while_they_are_rotated() {
    processes::run(async {
        let installation = Installation::embedded();
        let api = installation.api().await;
        rotations_under_load(&installation, &api).await;
    });
}

#[test]
fn workers_sign_with_every_valid_secret_while_they_are_rotated() {
    processes::run(async {
        let installation = Installation::scaled(&app::postgres_database().await, &app::redis_url());
        let (api, _one, _two) = tokio::join!(installation.api(), installation.worker(), installation.worker());
        rotations_under_load(&installation, &api).await;
    });
}

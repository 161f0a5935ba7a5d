//! The same walk with an API, two workers, PostgreSQL and Redis.

use std::collections::BTreeMap;

use harness::processes::{Installation, Tenant};
use harness::servers::{Postgres, Redis};
use harness::{Receiver, app};

use super::{ENV_FILE, assert_delivered, dotenv, read_with_curl, reading_token, store};

#[test]
fn an_api_and_two_workers_lose_nothing_when_redis_goes_and_comes_back() {
    app::run(async {
        let (postgres, redis) = (Postgres::start_fast(), Redis::start());
        // An empty database: the API makes the schema while the workers wait.
        let installation = Installation::scaled(&postgres.url("postgres"), &redis.url());
        let (api, one, two) = tokio::join!(installation.api(), installation.worker(), installation.worker());
        let receiver = Receiver::start().await;
        let entries = dotenv::parse(ENV_FILE);
        let tenant = Tenant::create(&api.url, "acme", Some(&receiver)).await;

        let (with_redis, mut without): (BTreeMap<_, _>, BTreeMap<_, _>) =
            entries.clone().into_iter().partition(|(key, _)| key.as_str() < "H");
        let back = without.split_off("R");
        store(&tenant, &with_redis).await;
        redis.stop();
        store(&tenant, &without).await;
        redis.start_again();
        store(&tenant, &back).await;

        assert!(!without.is_empty() && !back.is_empty() && !with_redis.is_empty());
        let token = reading_token(&tenant).await;
        assert_eq!(read_with_curl(&api.url, &tenant, &token), entries);
        assert_delivered(&receiver, &tenant, &entries).await;
        tenant.verify().await;
        assert!(
            one.ended().is_none() && two.ended().is_none(),
            "no worker was restarted"
        );
        for process in [&api.process, &one, &two] {
            assert_eq!(process.terminate().await, 0, "{}", process.log());
        }
        let api = installation.api().await;
        assert_eq!(read_with_curl(&api.url, &tenant, &token), entries, "after a restart");
    });
}

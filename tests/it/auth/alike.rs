//! Asking about a known address takes as long as asking about an unknown one.

use std::time::{Duration, Instant};

use domain::kernel::config::PasswordCosts;
use harness::app::{Options, eventually};
use harness::{Backend, Client, TestApp, on_both, processes};
use serde_json::{Value, json};

/// Rounds of one measurement, interleaved.
const ROUNDS: usize = 60;
/// A noisy machine gets another chance.
const RUNS: usize = 3;
/// By how much the medians of a sign-in may differ.
const SIGN_IN_TOLERANCE: f64 = 0.05;
/// By how much the medians of what is answered within milliseconds may differ.
const TOLERANCE: f64 = 0.10;

async fn took(client: &Client, path: &str, body: Value, status: u16) -> Duration {
    let start = Instant::now();
    let answer = client.post(path, body).await;
    let took = start.elapsed();
    assert_eq!(answer.status(), status, "{}", answer.text());
    took
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64()
}

/// How far two medians are apart.
fn apart(one: Vec<Duration>, other: Vec<Duration>) -> f64 {
    let (one, other) = (median(one), median(other));
    (one - other).abs() / one.max(other)
}

/// Waits until no mail is under way: the worker of this process would slow the next request down, whoever asks.
async fn quiet(t: &TestApp) {
    eventually("no job is under way", || async {
        t.number("SELECT COUNT(*) FROM jobs WHERE state = 0").await == 0
    })
    .await;
}

/// How far the medians are apart, at best.
async fn difference(t: &TestApp, path: &str, status: u16) -> f64 {
    let client = t.anonymous();
    let mut best = f64::INFINITY;
    for run in 0..RUNS {
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            // Fresh addresses each time: the fourth mail to one is a different matter.
            let mail = |who: &str| json!({ "email": format!("{who}{}@example.com", run * ROUNDS + round) });
            known.push(took(&client, path, mail("known"), status).await);
            quiet(t).await;
            unknown.push(took(&client, path, mail("unknown"), status).await);
            quiet(t).await;
        }
        best = best.min(apart(known, unknown));
        if best < TOLERANCE {
            break;
        }
    }
    best
}

/// Accounts `known0` to `known179`, copied in the database from one that registered.
async fn people(t: &TestApp) {
    use domain::kernel::Reads;
    use sea_orm::ConnectionTrait;
    let dana = t.person("dana").await;
    let tx = t.db().begin_write().await.expect("open a transaction");
    for n in 0..ROUNDS * RUNS {
        let (user, email) = (uuid::Uuid::now_v7(), uuid::Uuid::now_v7());
        let address = format!("known{n}@example.com");
        let copy = "INSERT INTO users (id, realm_id, first_name, last_name, password_hash, is_superuser, auth_epoch, created_at, updated_at)
            SELECT $1, realm_id, first_name, last_name, password_hash, is_superuser, auth_epoch, created_at, updated_at FROM users WHERE id = $2";
        let values = [user.into(), dana.id.into()];
        tx.conn().execute_raw(tx.sql(copy, values)).await.expect("an account");
        let address_of =
            "INSERT INTO user_emails (id, user_id, realm_id, address, canonical, is_primary, verified_at, created_at)
            SELECT $1, $2, realm_id, $3, $3, TRUE, created_at, created_at FROM users WHERE id = $2";
        let values = [email.into(), user.into(), address.into()];
        tx.conn()
            .execute_raw(tx.sql(address_of, values))
            .await
            .expect("an address");
    }
    tx.commit_bookkeeping().await.expect("commit");
}

on_both! {
    async fn known_and_unknown_addresses_take_the_same_time(t: TestApp) {
        people(&t).await;
        for (path, status) in [("/v1/auth/code", 200), ("/v1/auth/password/forgot", 200), ("/v1/auth/register", 202)] {
            let apart = difference(&t, path, status).await;
            assert!(apart < TOLERANCE, "{path}: the medians are {:.0} % apart", apart * 100.0);
        }
    }
}

/// With passwords as dear as anybody would have them: that takes its time, so this has more of it than other tests.
async fn sign_ins_alike(backend: Backend) {
    let costs = PasswordCosts::new(65_536, 3, 1).expect("costs");
    let t = TestApp::start(options(backend, costs)).await;
    people(&t).await;
    are_alike(&t).await;
}

/// With passwords that were stored when they cost more.
async fn old_sign_ins_alike(backend: Backend) {
    let costs = PasswordCosts::new(65_536, 1, 1).expect("costs");
    let t = TestApp::start(options(backend, costs)).await;
    people(&t).await;
    // Nobody's password. What is wrong is not told from it.
    let stored = format!("k1$argon2id$v=19$m=65536,t=2,p=1${}${}", "A".repeat(22), "A".repeat(43));
    t.sql(&format!(
        "UPDATE users SET password_hash = '{stored}' WHERE password_hash IS NOT NULL"
    ))
    .await;
    let (db, passwords) = (t.db(), &t.app().passwords);
    let any = domain::auth::password::look_for_former_costs(db, passwords).await;
    assert!(any.expect("a look"), "they are found");
    are_alike(&t).await;
}

fn options(backend: Backend, costs: PasswordCosts) -> Options {
    Options {
        passwords: Some(costs),
        ..Options::new(backend)
    }
}

async fn are_alike(t: &TestApp) {
    let client = t.anonymous();
    let mut differences = Vec::new();
    for run in 0..RUNS {
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            // Fresh names each time: failures that follow each other are slowed. Whoever is first is so every other time.
            let mut both = [(&mut known, "known"), (&mut unknown, "unknown")];
            both.rotate_left(round % 2);
            for (times, who) in both {
                let email = format!("{who}{}@example.com", run * ROUNDS + round);
                let body = json!({ "email": email, "password": "wrong horse battery staple" });
                times.push(took(&client, "/v1/auth/login", body, 401).await);
            }
        }
        let difference = apart(known, unknown);
        if difference < SIGN_IN_TOLERANCE {
            return;
        }
        differences.push(difference);
    }
    panic!("known against unknown, of one: {differences:?}");
}

mod an_unknown_name_takes_as_long_as_a_wrong_password {
    use super::{Backend, processes, sign_ins_alike};

    #[test]
    fn sqlite() {
        processes::run(sign_ins_alike(Backend::Sqlite));
    }

    #[test]
    fn postgres() {
        processes::run(sign_ins_alike(Backend::Postgres));
    }
}

mod an_unknown_name_takes_as_long_as_a_wrong_password_of_before {
    use super::{Backend, old_sign_ins_alike, processes};

    #[test]
    fn sqlite() {
        processes::run(old_sign_ins_alike(Backend::Sqlite));
    }

    #[test]
    fn postgres() {
        processes::run(old_sign_ins_alike(Backend::Postgres));
    }
}

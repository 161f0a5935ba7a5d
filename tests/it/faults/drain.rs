//! A process that is told to stop answers everybody who came in time, and gives notice to whoever sends it requests.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use harness::processes::{self, Api, Installation, Tenant, number, within};
use harness::{Answer, Client, Receiver, app};
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{OPEN_JOBS, assert_delivered};

const CLIENTS: usize = 200;
/// Clients whose passwords are hashed: as many as can be within the time to stop, and may wait, on a slow machine too.
const HASHING: usize = 24;
/// Dear, so that they wait.
const HASH: &str = "m=65536,t=3,p=1";
/// Clients of the rolling restart.
const WORKING: usize = 24;
/// How often each process is replaced.
const ROUNDS: usize = 2;

/// One request of the `n`-th client, which has made so many: every fourth client changes something.
async fn request(tenant: &Tenant, n: usize, made: usize) -> Result<Answer, String> {
    let path = format!("{}KEY_{n}", tenant.secrets);
    let body = json!({ "value": format!("value {made}") }).to_string().into_bytes();
    let (method, body) = if n.is_multiple_of(4) {
        (Method::PUT, Some(("application/json", body)))
    } else {
        (Method::GET, None)
    };
    let path = if method == Method::GET {
        tenant.secrets.trim_end_matches('/')
    } else {
        path.as_str()
    };
    let answer = tenant.client.try_send(method, path, body).await;
    let answer = answer.map_err(|error| format!("no answer: {error:?}"))?;
    if answer.status() < 300 {
        return Ok(answer);
    }
    Err(format!("{}: {}", answer.status(), answer.text()))
}

/// Asks on until the process says that it ends; tells how often it was answered.
async fn until_told(tenant: Tenant, n: usize) -> Result<usize, String> {
    for answered in 1.. {
        let answer = request(&tenant, n, answered).await?;
        if answer.header("connection") == Some("close") {
            return Ok(answered);
        }
    }
    Err("it was never told".to_owned())
}

async fn is_ready(url: &str) -> bool {
    let answer = Client::new(url).try_send(Method::GET, "/ready", None).await;
    answer.is_ok_and(|answer| answer.status() == 200)
}

/// Two hundred clients at work while the API is told to stop, and the worker too, if it is a process of its own.
async fn stop_under_load(installation: Installation, is_embedded: bool) {
    let api = installation.api().await;
    let worker = if is_embedded {
        None
    } else {
        Some(installation.worker().await)
    };
    let receiver = Receiver::start().await;
    // Slow enough that deliveries are under way when the signal comes.
    receiver.answer(204, Duration::from_millis(20));
    let tenant = Tenant::create(&api.url, "acme", Some(&receiver)).await;
    let mut clients: JoinSet<Result<usize, String>> = (0..CLIENTS).map(|n| until_told(tenant.clone(), n)).collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    if let Some(worker) = &worker {
        worker.signal("TERM");
    }
    api.process.signal("TERM");
    within(Duration::from_millis(1500), "it is not ready any more", || async {
        !is_ready(&api.url).await
    })
    .await;
    // Whoever has not noticed yet is served too, on a connection of its own.
    Client::new(&api.url).get("/health").await.expect(200).ok();
    let mut answered = 0;
    while let Some(ended) = clients.join_next().await {
        answered += ended.expect("a client").expect("every request is answered");
    }
    assert!(answered >= CLIENTS, "{answered}");
    assert_eq!(api.process.wait().await.code(), Some(0), "{}", api.process.log());
    let db = installation.db().await;
    let counted = "SELECT CAST(COALESCE(SUM(requests), 0) AS bigint) FROM request_metrics WHERE status_class = 2";
    assert!(
        number(&db, counted).await >= i64::try_from(answered).expect("a number"),
        "what was counted is written down"
    );
    if let Some(worker) = worker {
        assert_eq!(worker.wait().await.code(), Some(0), "{}", worker.log());
    }
    assert_undoubled(&installation, is_embedded, &tenant, &receiver).await;
}

/// Others go on with the jobs that were left, and nothing is delivered twice.
async fn assert_undoubled(installation: &Installation, is_embedded: bool, tenant: &Tenant, receiver: &Receiver) {
    let db = installation.db().await;
    let leased = "SELECT COUNT(*) FROM job_leases";
    assert_eq!(number(&db, leased).await, 0, "no lease is left behind");
    let next = if is_embedded {
        installation.api().await.process
    } else {
        installation.worker().await
    };
    within(Duration::from_mins(1), "every job ends", || async {
        number(&db, OPEN_JOBS).await == 0
    })
    .await;
    assert_eq!(assert_delivered(receiver, tenant, &db).await, 0, "nothing came twice");
    assert_eq!(next.terminate().await, 0, "{}", next.log());
}

#[test]
fn two_hundred_clients_lose_no_request_while_an_embedded_server_stops() {
    processes::run(async {
        let installation = Installation::embedded().with("STRONGROOM_DRAIN_DELAY", "4");
        stop_under_load(installation, true).await;
    });
}

#[test]
fn two_hundred_clients_lose_no_request_while_an_api_stops() {
    processes::run(async {
        let database = app::postgres_database().await;
        let installation = Installation::scaled(&database, &app::redis_url());
        stop_under_load(installation.with("STRONGROOM_DRAIN_DELAY", "4"), false).await;
    });
}

/// Connections to a port of this machine whose bytes have all been read.
fn arrived(port: u16) -> usize {
    const ESTABLISHED: &str = "01";
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the connections of this machine");
    let local = format!(":{port:04X}");
    let is_read = |line: &&str| {
        let mut fields = line.split_whitespace().skip(1);
        let (at, _, state) = (fields.next(), fields.next(), fields.next());
        let queues = fields.next().and_then(|queues| queues.split_once(':'));
        let is_ours = at.is_some_and(|at| at.ends_with(&local)) && state == Some(ESTABLISHED);
        is_ours && queues.is_some_and(|(_, unread)| unread.bytes().all(|digit| digit == b'0'))
    };
    table.lines().filter(is_read).count()
}

#[test]
fn what_has_arrived_is_answered_without_any_notice() {
    processes::run(async {
        let installation = Installation::embedded().with("STRONGROOM_PASSWORD_HASH", HASH);
        let api = installation.api().await;
        // Passwords are looked at one after the other: most of them wait when the signal comes.
        let (mut clients, answered) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
        for n in 0..HASHING {
            let (client, answered) = (Client::new(&api.url), Arc::clone(&answered));
            clients.spawn(async move {
                let body = json!({ "email": format!("nobody-{n}@example.com"), "password": "wrong horse battery" });
                let body = Some(("application/json", body.to_string().into_bytes()));
                let answer = client.try_send(Method::POST, "/v1/auth/login", body).await;
                drop(client);
                answered.fetch_add(1, Ordering::SeqCst);
                answer.map(|answer| answer.status())
            });
        }
        let port = api
            .url
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok())
            .expect("a port");
        within(Duration::from_secs(20), "all of them have arrived", || async {
            answered.load(Ordering::SeqCst) + arrived(port) >= HASHING
        })
        .await;
        assert!(
            answered.load(Ordering::SeqCst) < HASHING,
            "some wait when the signal comes"
        );
        api.process.signal("TERM");
        let mut statuses = Vec::new();
        while let Some(ended) = clients.join_next().await {
            statuses.push(ended.expect("a client").expect("an answer"));
        }
        assert_eq!(statuses, vec![401; HASHING]);
        assert_eq!(api.process.wait().await.code(), Some(0), "{}", api.process.log());
    });
}

#[test]
fn a_second_signal_does_not_wait() {
    processes::run(async {
        let installation = Installation::embedded().with("STRONGROOM_DRAIN_DELAY", "30");
        let api = installation.api().await;
        api.process.signal("TERM");
        within(Duration::from_secs(5), "it is not ready any more", || async {
            !is_ready(&api.url).await
        })
        .await;
        let began = Instant::now();
        api.process.signal("TERM");
        assert_eq!(api.process.wait().await.code(), Some(130));
        assert!(began.elapsed() < Duration::from_secs(10));
    });
}

#[test]
fn whoever_stops_it_from_a_terminal_does_not_wait_either() {
    processes::run(async {
        let installation = Installation::embedded().with("STRONGROOM_DRAIN_DELAY", "60");
        let api = installation.api().await;
        let began = Instant::now();
        api.process.signal("INT");
        assert_eq!(api.process.wait().await.code(), Some(0), "{}", api.process.log());
        assert!(began.elapsed() < Duration::from_secs(20));
    });
}

/// A load balancer, as simple as they come: it asks the processes whether they are ready, ten times a second.
#[derive(Default)]
struct Balancer {
    known: Mutex<Vec<String>>,
    ready: Mutex<Vec<String>>,
    turn: AtomicUsize,
    is_over: AtomicBool,
}

impl Balancer {
    fn add(&self, url: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.push(url.to_owned());
    }

    async fn look(&self) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut ready = Vec::new();
        for url in known {
            if is_ready(&url).await {
                ready.push(url);
            }
        }
        *self.ready.lock().unwrap_or_else(PoisonError::into_inner) = ready;
    }

    /// The next process in turn.
    fn pick(&self) -> Option<String> {
        let ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        ready.get(turn % ready.len().max(1)).cloned()
    }

    fn ready(&self) -> usize {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

/// Works until the restarts are over; tells how much was done.
async fn work(balancer: Arc<Balancer>, tenant: Tenant, n: usize) -> Result<usize, String> {
    let mut done = 0;
    while !balancer.is_over() {
        let url = balancer.pick().ok_or("nobody is ready")?;
        request(&tenant.at(&url), n, done).await?;
        done += 1;
    }
    Ok(done)
}

async fn replace(installation: &Installation, balancer: &Balancer, old: Api) -> Api {
    assert_eq!(old.process.terminate().await, 0, "{}", old.process.log());
    let new = installation.api().await;
    balancer.add(&new.url);
    within(Duration::from_secs(20), "the balancer sees both", || async {
        balancer.ready() == 2
    })
    .await;
    new
}

#[test]
fn two_processes_replaced_one_after_the_other_lose_no_request() {
    processes::run(async {
        let database = app::postgres_database().await;
        let installation = Installation::scaled(&database, &app::redis_url()).with("STRONGROOM_DRAIN_DELAY", "3");
        let (mut one, mut two) = tokio::join!(installation.api(), installation.api());
        let tenant = Tenant::create(&one.url, "acme", None).await;
        let balancer = Arc::new(Balancer::default());
        balancer.add(&one.url);
        balancer.add(&two.url);
        balancer.look().await;
        let watching = balancer.clone();
        let watch = tokio::spawn(async move {
            while !watching.is_over() {
                watching.look().await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        let mut workers: JoinSet<Result<usize, String>> = (0..WORKING)
            .map(|n| work(balancer.clone(), tenant.clone(), n))
            .collect();
        for _ in 0..ROUNDS {
            one = replace(&installation, &balancer, one).await;
            two = replace(&installation, &balancer, two).await;
        }
        balancer.is_over.store(true, Ordering::Relaxed);
        let mut done = 0;
        while let Some(ended) = workers.join_next().await {
            done += ended.expect("a worker").expect("every request is answered");
        }
        watch.await.expect("the balancer");
        assert!(done > WORKING * ROUNDS * 4, "{done}");
        tenant.at(&one.url).verify().await;
        drop(two);
    });
}

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use domain::kernel::{Clock, Rng};
use poem::endpoint::make;
use poem::{EndpointExt, Request, Route};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::*;
use crate::http::body::BodyRules;
use crate::http::edge::{EdgeConfig, apply};
use crate::http::metrics::HttpMetrics;
use crate::http::rate_limit::RateLimit;
use crate::http::request::RequestContext;
use crate::http::routes::RouteTable;
use crate::http::traces::TraceRules;

struct Running {
    address: SocketAddr,
    finished: Arc<AtomicUsize>,
    shutdown: CancellationToken,
    served: JoinHandle<io::Result<()>>,
}

fn quick() -> ServerLimits {
    let patience = Patience {
        head: Duration::from_millis(150),
        write: Duration::from_millis(300),
    };
    ServerLimits {
        patience,
        keep_alive: Duration::from_millis(600),
        drain: Duration::from_secs(2),
        ..ServerLimits::default()
    }
}

async fn start(limits: ServerLimits) -> Running {
    let finished = Arc::new(AtomicUsize::new(0));
    let counter = finished.clone();
    let slow = make(move |_| {
        let counter = counter.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(250)).await;
            counter.fetch_add(1, Ordering::SeqCst);
            "slow"
        }
    });
    let echo = make(|mut request: Request| async move { request.take_body().into_string().await });
    let who = make(|_| async {
        RequestContext::current()
            .map(|context| context.client_ip.to_string())
            .unwrap_or_default()
    });
    let big = make(|_| async { vec![b'x'; 64 << 20] });
    let panics = make(|_| async { panic!("on purpose") as () });
    let routes = Route::new()
        .at("/slow", slow)
        .at("/echo", echo)
        .at("/who", who)
        .at("/big", big)
        .at("/panic", panics);
    let config = EdgeConfig {
        trusted_proxies: Vec::new(),
        https: false,
        clock: Clock::system(),
        rng: Rng::seeded(1),
        public: &[],
        routes: RouteTable::default(),
        body: BodyRules::default(),
        class_of: |_| None,
        rate_limit: Arc::new(RateLimit::new(0.0, &Clock::system())),
        metrics: Arc::new(HttpMetrics::new(
            domain::metrics::Registry::default(),
            Arc::new(domain::request_metrics::Recorder::new(
                uuid::Uuid::nil(),
                Clock::system(),
            )),
        )),
        traces: TraceRules::off(),
        draining: CancellationToken::new(),
        changes: TaskTracker::new(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let endpoint = Arc::new(apply(routes.map_to_response(), config));
    let served = tokio::spawn(serve(listener, endpoint, limits, shutdown.clone()));
    Running {
        address,
        finished,
        shutdown,
        served,
    }
}

impl Running {
    async fn open(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends one request and reads until the server closes.
    async fn ask(&self, request: &str) -> String {
        let mut stream = self.open().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        read_to_end(&mut stream).await
    }
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset ends it too.
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut bytes))
        .await
        .expect("never closed");
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn read_some(stream: &mut TcpStream) -> String {
    let mut bytes = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut bytes))
        .await
        .expect("no answer")
        .unwrap();
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let running = start(quick()).await;
    let began = Instant::now();
    assert_eq!(read_to_end(&mut running.open().await).await, "");
    assert!(
        (100..500).contains(&began.elapsed().as_millis()),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_head_that_drips_is_cut_off_on_the_first_request_and_on_later_ones() {
    let running = start(quick()).await;
    for earlier in [0, 2] {
        let mut stream = running.open().await;
        for _ in 0..earlier {
            stream.write_all(get("/who").as_bytes()).await.unwrap();
            assert!(read_some(&mut stream).await.starts_with("HTTP/1.1 200"));
        }
        let began = Instant::now();
        for byte in b"GET / HTTP/1.1\r\nx-slow: aaaaaaaaaaaaaaaaaaaaaaaaa" {
            if stream.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
        read_to_end(&mut stream).await;
        assert!(began.elapsed() < Duration::from_millis(450), "{:?}", began.elapsed());
        let mut probe = [0];
        assert!(matches!(stream.read(&mut probe).await, Ok(0) | Err(_)));
    }
}

#[tokio::test]
async fn an_idle_connection_lives_longer_than_a_slow_head_but_not_for_ever() {
    let running = start(quick()).await;
    let mut stream = running.open().await;
    for _ in 0..2 {
        stream.write_all(get("/who").as_bytes()).await.unwrap();
        assert!(read_some(&mut stream).await.starts_with("HTTP/1.1 200"));
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let began = Instant::now();
    assert_eq!(read_to_end(&mut stream).await, "");
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_given_up() {
    let running = start(ServerLimits {
        connections: 1,
        ..quick()
    })
    .await;
    let mut stuck = running.open().await;
    stuck.write_all(get("/big").as_bytes()).await.unwrap();
    // The only place is free again when the stuck client is gone.
    let answer = running.ask("GET /who HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
}

#[tokio::test]
async fn a_peer_has_its_cap_and_a_proxy_has_none() {
    let capped = start(ServerLimits {
        connections_per_peer: 2,
        ..quick()
    })
    .await;
    let (_first, _second) = (capped.open().await, capped.open().await);
    tokio::time::sleep(Duration::from_millis(30)).await;
    let began = Instant::now();
    assert_eq!(capped.ask(&get("/who")).await, "");
    assert!(began.elapsed() < Duration::from_millis(100));
    // Once they are gone their places are free.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(capped.ask("GET /who HTTP/1.0\r\n\r\n").await.contains("200 OK"));

    let uncapped_peers = vec!["127.0.0.0/8".parse().unwrap()];
    let proxied = start(ServerLimits {
        connections_per_peer: 0,
        uncapped_peers,
        ..quick()
    })
    .await;
    assert!(proxied.ask("GET /who HTTP/1.0\r\n\r\n").await.contains("200 OK"));
}

#[tokio::test]
async fn an_endless_chunked_body_is_answered_and_cut() {
    let running = start(quick()).await;
    let mut stream = running.open().await;
    stream
        .write_all(b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let (mut reading, mut writing) = stream.split();
    let send = async {
        let mut sent = 0_u64;
        while writing.write_all(chunk.as_bytes()).await.is_ok() {
            sent += 0x10000;
            assert!(sent < 64 << 20, "the server keeps reading");
        }
    };
    let mut answer = vec![0; 1024];
    let ((), read) = tokio::join!(send, reading.read(&mut answer));
    let answer = String::from_utf8_lossy(&answer[..read.unwrap()]).into_owned();
    assert!(
        answer.starts_with("HTTP/1.1 413") && answer.contains("body_too_large"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_declared_gigabyte_is_refused_without_asking_for_it() {
    let running = start(quick()).await;
    let head = "POST /echo HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 1073741824\r\n\r\n";
    let answer = running.ask(head).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn a_refusal_that_did_not_wait_for_the_body_leaves_a_usable_connection() {
    let running = start(quick()).await;
    for (head, body) in [
        ("content-length: 5", "later"),
        ("transfer-encoding: chunked", "5\r\nlater\r\n0\r\n\r\n"),
    ] {
        let mut stream = running.open().await;
        for _ in 0..2 {
            let head = format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-encoding: gzip\r\n{head}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
            stream.write_all(body.as_bytes()).await.unwrap();
            let answer = read_some(&mut stream).await;
            assert!(answer.starts_with("HTTP/1.1 415"), "{answer}");
            assert!(!answer.contains("connection: close"), "{answer}");
        }
    }
}

#[tokio::test]
async fn an_answer_before_a_body_that_is_long_or_does_not_come_says_that_it_ends_the_connection() {
    let running = start(quick()).await;
    for length in ["100000", "5"] {
        let answer = running
            .ask(&format!(
                "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-encoding: gzip\r\ncontent-length: {length}\r\n\r\n"
            ))
            .await;
        assert!(
            answer.starts_with("HTTP/1.1 415") && answer.contains("connection: close"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_refused_client_that_waits_to_be_asked_for_its_body_is_not_asked() {
    let running = start(quick()).await;
    let head =
        "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-encoding: gzip\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    let answer = running.ask(head).await;
    assert!(
        answer.starts_with("HTTP/1.1 415") && answer.contains("connection: close"),
        "{answer}"
    );
}

#[tokio::test]
async fn heads_that_are_too_large_are_431() {
    let running = start(quick()).await;
    let padded = |bytes: usize| format!("GET /who HTTP/1.1\r\nhost: x\r\nx-pad: {}\r\n\r\n", "a".repeat(bytes));
    let ours = running.ask(&padded(20_000)).await;
    assert!(
        ours.starts_with("HTTP/1.1 431") && ours.contains("headers_too_large"),
        "{ours}"
    );
    let hypers = running.ask(&padded(40_000)).await;
    assert!(hypers.is_empty() || hypers.starts_with("HTTP/1.1 431"), "{hypers}");
}

#[tokio::test]
async fn forwarding_headers_of_strangers_are_ignored() {
    let running = start(quick()).await;
    let spoofed =
        "GET /who HTTP/1.0\r\nx-forwarded-for: 6.6.6.6\r\nforwarded: for=6.6.6.6\r\nx-real-ip: 6.6.6.6\r\n\r\n";
    let answer = running.ask(spoofed).await;
    assert!(answer.ends_with("127.0.0.1"), "{answer}");
}

#[tokio::test]
async fn a_panic_is_one_500_and_the_connection_lives() {
    let running = start(quick()).await;
    let mut stream = running.open().await;
    stream.write_all(get("/panic").as_bytes()).await.unwrap();
    assert!(read_some(&mut stream).await.starts_with("HTTP/1.1 500"));
    stream.write_all(get("/who").as_bytes()).await.unwrap();
    assert!(read_some(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_change_whose_client_hung_up_is_finished() {
    let running = start(quick()).await;
    for (method, finished) in [("GET", 0), ("POST", 1)] {
        let mut stream = running.open().await;
        stream
            .write_all(format!("{method} /slow HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes())
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(60)).await;
        drop(stream);
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(running.finished.load(Ordering::SeqCst), finished, "{method}");
    }
}

#[tokio::test]
async fn shutdown_answers_what_is_in_flight_and_takes_nothing_new() {
    let running = start(quick()).await;
    let (mut busy, mut idle, mut silent) = (running.open().await, running.open().await, running.open().await);
    idle.write_all(get("/who").as_bytes()).await.unwrap();
    read_some(&mut idle).await;
    busy.write_all(get("/slow").as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(40)).await;
    running.shutdown.cancel();
    let began = Instant::now();
    assert_eq!(read_to_end(&mut idle).await, "");
    assert!(began.elapsed() < Duration::from_millis(80), "{:?}", began.elapsed());
    // It may be about to say something, so it is given a moment.
    assert_eq!(read_to_end(&mut silent).await, "");
    assert!(began.elapsed() < Duration::from_millis(300), "{:?}", began.elapsed());
    assert!(TcpStream::connect(running.address).await.is_err());
    let answer = read_to_end(&mut busy).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("slow"),
        "{answer}"
    );
    assert!(running.served.await.unwrap().is_ok());
}

#[tokio::test]
async fn whoever_has_connected_before_the_door_is_shut_is_answered() {
    let running = start(quick()).await;
    let mut fresh = running.open().await;
    running.shutdown.cancel();
    tokio::time::sleep(Duration::from_millis(30)).await;
    fresh.write_all(get("/who").as_bytes()).await.unwrap();
    let answer = read_to_end(&mut fresh).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(running.served.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_drain_has_its_end() {
    let running = start(ServerLimits {
        drain: Duration::from_millis(50),
        ..quick()
    })
    .await;
    let mut busy = running.open().await;
    busy.write_all(get("/slow").as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(40)).await;
    running.shutdown.cancel();
    let began = Instant::now();
    assert!(running.served.await.unwrap().is_ok());
    assert!(began.elapsed() < Duration::from_millis(180), "{:?}", began.elapsed());
}

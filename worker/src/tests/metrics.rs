//! What a worker counts, and the page that shows it.

use std::time::Duration;

use domain::jobs::{Bell, JobState};
use domain::kernel::{Clock, Timestamp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::sink::{Answer, Sink};
use super::world::World;
use crate::metrics_page;

fn line(page: &str, name: &str) -> String {
    let found = page.lines().find(|line| line.starts_with(name));
    found
        .unwrap_or_else(|| panic!("{name} is not on the page:\n{page}"))
        .to_owned()
}

#[tokio::test]
async fn attempts_are_counted_by_outcome_and_deliveries_timed() {
    let world = World::new().await;
    let sink = Sink::start(|turn| Answer::status(if turn == 0 { 500 } else { 200 })).await;
    world.webhook(&sink.url).await;
    let worker = world.start("one");
    let lanes = world.emit(3).await;
    world.bell.ring(&lanes).await;
    world.wait_for("webhook", JobState::Done, 2).await;
    worker.stop().await;
    let page = world.registry.render();
    let webhook = |outcome: &str| {
        line(
            &page,
            &format!("strongroom_attempts_total{{kind=\"webhook\",outcome=\"{outcome}\"}}"),
        )
    };
    assert!(
        webhook("ok").ends_with(" 2") && webhook("http").ends_with(" 1"),
        "{page}"
    );
    assert!(line(&page, "strongroom_commit_to_delivery_seconds_count").ends_with(" 2"));
    assert!(!line(&page, "strongroom_bell_total{source=\"commit\"}").ends_with(" 0"));
    assert!(line(&page, "strongroom_leases_expired_total").ends_with(" 0"));
}

#[tokio::test]
async fn what_waits_is_measured_and_held_jobs_too() {
    let world = World::with_clock(Clock::manual(Timestamp::parse("2030-01-02T03:04:05Z").unwrap())).await;
    world.webhook("http://127.0.0.1:65000/").await;
    world.emit(5).await;
    world.sql("UPDATE webhooks SET enabled = false").await;
    world.db.clock().advance(Duration::from_secs(90));
    world.metrics().look(&world.db).await.unwrap();
    let page = world.registry.render();
    assert_eq!(
        line(&page, "strongroom_jobs_ready{kind=\"webhook\"}"),
        "strongroom_jobs_ready{kind=\"webhook\"} 5"
    );
    assert_eq!(
        line(&page, "strongroom_oldest_due_age_seconds{kind=\"webhook\"}"),
        "strongroom_oldest_due_age_seconds{kind=\"webhook\"} 90"
    );
    assert!(line(&page, "strongroom_jobs_ready{kind=\"keys\"}").ends_with(" 0"));
    assert!(line(&page, "strongroom_breakers_open").ends_with(" 0"));
}

#[tokio::test]
async fn the_page_is_served_to_whoever_asks() {
    let world = World::new().await;
    let _ = world.metrics();
    let shutdown = CancellationToken::new();
    let any = "127.0.0.1:0".parse().unwrap();
    let address = metrics_page::serve(any, world.registry.clone(), shutdown.clone())
        .await
        .unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, page) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("Content-Type: text/plain; version=0.0.4"), "{head}");
    assert_eq!(page, world.registry.render());
    shutdown.cancel();
}

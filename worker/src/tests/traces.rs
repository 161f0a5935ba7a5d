//! What becomes of spans: they reach a collector whole, and a collector that is slow or away costs nobody anything.

use std::time::Duration;

use domain::jobs::JobState;
use domain::kernel::config::Config;
use domain::kernel::trace::{self, TraceParent};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind as SentKind;
use prost::Message;
use tokio::time::Instant;

use super::sink::{Answer, Sink};
use super::world::{World, until};
use crate::Traces;
use crate::traces::SpanKind;

const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn traces(collector: &Sink, ratio: &str) -> Traces {
    let env = [
        ("STRONGROOM_OTLP_ENDPOINT", collector.url.as_str()),
        ("STRONGROOM_OTLP_HEADERS", "authorization=Bearer%20token"),
        ("STRONGROOM_TRACE_RATIO", ratio),
    ];
    let env = env.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = Config::load(env, |_| Err(std::io::ErrorKind::NotFound.into()));
    let config = config.map_err(|errors| errors.to_string()).ok().unwrap();
    Traces::from_config(&config, "strongroom-worker", "here").unwrap()
}

/// A span that has ended.
fn make(traces: &Traces, under: Option<TraceParent>) -> TraceParent {
    let span = traces.begin(SpanKind::Internal, || "work".to_owned(), under);
    span.unwrap().parent()
}

/// The spans of every request.
fn sent(collector: &Sink) -> Vec<Span> {
    let mut spans = Vec::new();
    for received in collector.seen() {
        assert_eq!(received.headers["content-type"], "application/x-protobuf");
        assert_eq!(received.headers["authorization"], "Bearer token");
        let request = ExportTraceServiceRequest::decode(received.body.as_slice()).unwrap();
        let of_scopes = request.resource_spans.into_iter().flat_map(|of| of.scope_spans);
        spans.extend(of_scopes.flat_map(|of| of.spans));
    }
    spans
}

/// The text of an attribute; empty without one.
fn text(span: &Span, name: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == name);
    match found.and_then(|attribute| attribute.value.clone()?.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        _ => String::new(),
    }
}

#[tokio::test]
async fn an_attempt_is_a_span_under_what_made_its_job() {
    let collector = Sink::start(|_| Answer::status(200)).await;
    let receiver = Sink::start(|_| Answer::status(500)).await;
    let mut world = World::new().await;
    world.traces = traces(&collector, "1");
    world.webhook(&receiver.url).await;
    let given = TraceParent::parse(GIVEN).unwrap();
    trace::within(Some(given), world.emit(1)).await;
    let job = world.jobs("webhook").await.remove(0);
    assert_eq!(job.traceparent.as_deref(), Some(GIVEN));

    let worker = world.start("traced");
    until(async || world.attempts(&job).await.len() == 1).await;
    world.wait_for("mail", JobState::Done, 1).await;
    worker.stop().await;
    world.traces.end().await;
    let spans = sent(&collector);
    let named = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let attempt = named("process webhook");
    assert_eq!(attempt.trace_id, given.trace_id);
    assert_eq!(attempt.parent_span_id, given.span_id);
    assert_eq!(attempt.kind, SentKind::Consumer as i32);
    let (job_id, org_id) = (job.id.to_string(), world.org.to_string());
    for (name, value) in [
        ("messaging.message.id", job_id.as_str()),
        ("messaging.destination.name", "webhook"),
        ("strongroom.org_id", org_id.as_str()),
        ("strongroom.attempt", "1"),
        ("strongroom.outcome", "http"),
        ("http.response.status_code", "500"),
        ("error.type", "http"),
    ] {
        assert_eq!(text(attempt, name), value, "{name}");
    }
    assert!(attempt.end_time_unix_nano > attempt.start_time_unix_nano);
    // Nobody traced what made this one.
    let mail = named("process mail");
    assert!(mail.parent_span_id.is_empty() && mail.trace_id != given.trace_id);
    assert_eq!(text(mail, "strongroom.outcome"), "ok");
    assert!(text(mail, "error.type").is_empty());
    // A receiver is not told of any trace.
    let told = |name: &str| receiver.seen().iter().any(|request| request.headers.contains_key(name));
    assert!(told("webhook-id") && !told("traceparent") && !told("tracestate"));
}

#[tokio::test]
async fn what_a_collector_does_not_take_now_is_sent_again_and_what_it_refuses_is_not() {
    let away = Sink::start(|turn| Answer::status(if turn == 0 { 503 } else { 200 })).await;
    let refusing = Sink::start(|_| Answer::status(400)).await;
    let (patient, refused) = (traces(&away, "1"), traces(&refusing, "1"));
    let made = make(&patient, None);
    make(&refused, None);
    until(async || away.hits() == 2 && refusing.hits() == 1).await;
    patient.end().await;
    refused.end().await;
    let ids: Vec<_> = sent(&away).into_iter().map(|span| span.span_id).collect();
    assert_eq!(ids, [made.span_id.to_vec(), made.span_id.to_vec()]);
    assert_eq!((away.hits(), refusing.hits()), (2, 1));
}

#[tokio::test]
async fn a_collector_that_hangs_holds_up_nobody() {
    let collector = Sink::start(|_| Answer {
        is_held: true,
        ..Answer::status(200)
    })
    .await;
    let traces = traces(&collector, "1");
    make(&traces, None);
    until(async || collector.hits() == 1).await;
    let began = Instant::now();
    // More than wait anywhere.
    for _ in 0..10_000 {
        make(&traces, None);
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let began = Instant::now();
    traces.end().await;
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(collector.hits(), 1);
}

#[tokio::test]
async fn what_is_not_sampled_is_handed_on_and_not_sent() {
    let collector = Sink::start(|_| Answer::status(200)).await;
    let given = TraceParent::parse(GIVEN).unwrap();
    let quiet = TraceParent {
        is_sampled: false,
        ..given
    };
    let (all, none) = (traces(&collector, "1"), traces(&collector, "0"));
    let under_quiet = make(&all, Some(quiet));
    assert_eq!((under_quiet.trace_id, under_quiet.is_sampled), (given.trace_id, false));
    assert_ne!(under_quiet.span_id, given.span_id);
    assert!(!make(&none, None).is_sampled);
    all.end().await;
    none.end().await;
    assert_eq!(collector.hits(), 0);
    // Whoever began the trace decides, not the ratio.
    let (all, none) = (traces(&collector, "1"), traces(&collector, "0"));
    assert!(make(&all, None).is_sampled && make(&none, Some(given)).is_sampled);
    all.end().await;
    none.end().await;
    assert_eq!(sent(&collector).len(), 2);
}

#[tokio::test]
async fn without_a_collector_nothing_is_made() {
    let traces = Traces::default();
    let named = || -> String { panic!("nobody asks for its name") };
    assert!(!traces.are_on() && traces.begin(SpanKind::Server, named, None).is_none());
    traces.end().await;
    let config = Config::load(std::iter::empty(), |_| Err(std::io::ErrorKind::NotFound.into())).unwrap();
    assert!(!Traces::from_config(&config, "strongroom-api", "here").unwrap().are_on());
}

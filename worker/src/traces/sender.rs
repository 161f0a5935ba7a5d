//! Sends spans to the collector, many at once: OTLP over HTTP, in protobuf. Source: OTLP specification, OTLP/HTTP.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use domain::egress::{Egress, EgressPolicy, Exchange, OutboundRequest, Outcome, Timeouts};
use domain::kernel::{Error, Result, Secret};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use prost::Message;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

const USER_AGENT: &str = concat!("Strongroom/", env!("CARGO_PKG_VERSION"));
/// What a collector's URL goes on with.
const PATH: &str = "v1/traces";
/// Spans of one request at most.
const BATCH: usize = 512;
/// How long a span waits for company.
const GATHER: Duration = Duration::from_secs(1);
/// How long one request may take.
const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(2),
    wall: Duration::from_secs(5),
};
/// Pause after the first request that failed for now; it doubles, and beyond [`LONGEST_PAUSE`] the spans are given up.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// How often the log tells of a collector that takes nothing.
const WARN_EVERY: Duration = Duration::from_mins(1);

/// Why a request did not help.
struct Failed {
    why: String,
    /// It may be taken later.
    passes: bool,
}

/// The one sender of a process.
pub(super) struct Sender {
    egress: Egress,
    url: String,
    headers: Vec<(String, Secret<String>)>,
    resource: ResourceAttributesWithSchema,
    /// Spans that nobody will see, since the log last told.
    lost: Arc<AtomicU64>,
    told: Option<Instant>,
    closing: CancellationToken,
}

impl Sender {
    /// A sender that stops when `closing` is cancelled and what has ended by then is sent.
    pub(super) fn new(
        collector: &Url,
        headers: &[(String, Secret<String>)],
        resource: &Resource,
        closing: CancellationToken,
    ) -> Result<Self> {
        // The operator named it: what users must not reach may be reached here.
        let policy = EgressPolicy::everywhere();
        let url = format!("{}/{PATH}", collector.as_str().trim_end_matches('/'));
        policy
            .check_url(&url)
            .map_err(|refused| Error::internal(format!("STRONGROOM_OTLP_ENDPOINT: {refused}")))?;
        Ok(Self {
            egress: Egress::new(policy, TIMEOUTS)?,
            url,
            headers: headers.to_vec(),
            resource: resource.into(),
            lost: Arc::default(),
            told: None,
            closing,
        })
    }

    /// Where lost spans are counted.
    pub(super) fn lost(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.lost)
    }

    pub(super) async fn run(mut self, mut spans: mpsc::Receiver<SpanData>) {
        let mut batch = Vec::with_capacity(BATCH);
        let closing = self.closing.clone();
        loop {
            tokio::select! {
                biased;
                () = closing.cancelled() => break,
                taken = spans.recv_many(&mut batch, BATCH) => if taken == 0 { return },
            }
            tokio::select! {
                biased;
                () = closing.cancelled() => {}
                () = gather(&mut spans, &mut batch) => {}
            }
            self.send(std::mem::take(&mut batch)).await;
        }
        spans.close();
        while spans.recv_many(&mut batch, BATCH).await > 0 {
            self.send(std::mem::take(&mut batch)).await;
        }
    }

    /// Sends a batch. While the collector is away it is kept and tried again for a while.
    async fn send(&mut self, batch: Vec<SpanData>) {
        let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        let body = Bytes::from(ExportTraceServiceRequest { resource_spans }.encode_to_vec());
        let mut pause = FIRST_PAUSE;
        while let Err(Failed { why, passes }) = self.post(body.clone()).await {
            let is_over = !passes || pause > LONGEST_PAUSE || self.closing.is_cancelled();
            if is_over {
                self.lost.fetch_add(count, Ordering::Relaxed);
            }
            self.tell(&why);
            if is_over {
                return;
            }
            tokio::select! {
                () = self.closing.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
            pause *= 2;
        }
        if self.lost.load(Ordering::Relaxed) > 0 {
            self.tell("the collector does not take as many as there are");
        }
    }

    async fn post(&self, body: Bytes) -> Result<(), Failed> {
        let mut headers = vec![
            (Cow::Borrowed("content-type"), "application/x-protobuf".to_owned()),
            (Cow::Borrowed("user-agent"), USER_AGENT.to_owned()),
        ];
        let own = self.headers.iter();
        headers.extend(own.map(|(name, value)| (Cow::Owned(name.clone()), value.expose().clone())));
        let request = OutboundRequest {
            url: self.url.clone(),
            headers,
            body,
        };
        let exchange = self.egress.post(request).await;
        if exchange.outcome != Outcome::Ok {
            return Err(failed(exchange));
        }
        self.note_rejected(&exchange.body);
        Ok(())
    }

    /// A collector that takes a request may still refuse spans in it.
    fn note_rejected(&self, answer: &[u8]) {
        let answer = ExportTraceServiceResponse::decode(answer).unwrap_or_default();
        let rejected = answer.partial_success.map_or(0, |partial| partial.rejected_spans);
        self.lost
            .fetch_add(u64::try_from(rejected).unwrap_or(0), Ordering::Relaxed);
    }

    /// Tells the log, once in a while.
    fn tell(&mut self, why: &str) {
        let now = Instant::now();
        if self.told.is_some_and(|told| now.duration_since(told) < WARN_EVERY) {
            return;
        }
        self.told = Some(now);
        let lost = self.lost.swap(0, Ordering::Relaxed);
        tracing::warn!(why, lost, "traces cannot be sent");
    }
}

/// Waits for more to send, but not for long.
async fn gather(spans: &mut mpsc::Receiver<SpanData>, batch: &mut Vec<SpanData>) {
    let deadline = Instant::now() + GATHER;
    while batch.len() < BATCH {
        let room = BATCH - batch.len();
        match tokio::time::timeout_at(deadline, spans.recv_many(batch, room)).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

fn failed(exchange: Exchange) -> Failed {
    let Exchange {
        outcome, status, error, ..
    } = exchange;
    // An answer that broke off has a status of its own, which says nothing of the spans.
    match status.filter(|_| outcome == Outcome::Http) {
        Some(status) => Failed {
            why: format!("the collector answers {status}"),
            passes: matches!(status, 429 | 502 | 503 | 504),
        },
        None => Failed {
            why: error.unwrap_or_else(|| outcome.as_str().to_owned()),
            passes: outcome != Outcome::Blocked,
        },
    }
}

//! Traces, sent to a collector by OTLP when the configuration names one; else nothing is made.
//!
//! A span tells what happened, how long it took and how it ended. It has nothing but what is set on it by hand: routes as
//! documented, kinds of jobs, outcomes and ids. No path, query, header, name or value goes into one, and no text of an error.

mod attempt;
mod queue;
mod sender;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::kernel::Result;
use domain::kernel::config::Config;
use domain::kernel::trace::TraceParent;
use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer, TracerProvider,
};
use opentelemetry::{Context, InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, SpanLimits};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::sender::Sender;

pub use opentelemetry::trace::SpanKind;

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How long the end of a process waits for its last spans to be sent.
const LAST_SEND: Duration = Duration::from_secs(3);

/// Makes spans. Cheap to clone; by default it makes none.
#[derive(Clone, Default)]
pub struct Traces(Option<Arc<On>>);

struct On {
    tracer: SdkTracer,
    /// Cancelled when the last spans are to be sent.
    closing: CancellationToken,
    sending: Mutex<Option<JoinHandle<()>>>,
}

impl Traces {
    /// Traces as the configuration wants them; call it within the runtime. `service` says which program this is, `instance`
    /// which process.
    ///
    /// # Errors
    /// [`domain::kernel::Error::Internal`]: the collector's address cannot be called, or TLS cannot be set up.
    pub fn from_config(config: &Config, service: &'static str, instance: &str) -> Result<Self> {
        let Some(collector) = &config.otlp_endpoint else {
            return Ok(Self::default());
        };
        let resource = Resource::builder_empty()
            .with_detector(Box::new(TelemetryResourceDetector))
            .with_service_name(service)
            .with_attributes([
                KeyValue::new("service.version", VERSION),
                KeyValue::new("service.instance.id", instance.to_owned()),
            ])
            .build();
        let closing = CancellationToken::new();
        let sender = Sender::new(collector, &config.otlp_headers, &resource, closing.clone())?;
        let (queue, spans) = queue::new(sender.lost());
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.trace_ratio)));
        let provider = SdkTracerProvider::builder()
            .with_sampler(sampler)
            .with_span_limits(SpanLimits::default())
            .with_resource(resource)
            .with_span_processor(queue)
            .build();
        let scope = InstrumentationScope::builder("strongroom")
            .with_version(VERSION)
            .build();
        Ok(Self(Some(Arc::new(On {
            tracer: provider.tracer_with_scope(scope),
            closing,
            sending: Mutex::new(Some(tokio::spawn(sender.run(spans)))),
        }))))
    }

    /// Whether there is a collector.
    pub fn are_on(&self) -> bool {
        self.0.is_some()
    }

    /// Begins a span, in the trace of another if that is known. `None` while there is no collector; a span of a trace that
    /// is not recorded exists all the same, so that what comes of it is not recorded either.
    pub fn begin(&self, kind: SpanKind, name: impl FnOnce() -> String, under: Option<TraceParent>) -> Option<Span> {
        let On { tracer, .. } = self.0.as_deref()?;
        let context = under.map_or_else(Context::new, |span| {
            Context::new().with_remote_span_context(remote(span))
        });
        let builder = tracer.span_builder(name()).with_kind(kind);
        Some(Span(Box::new(tracer.build_with_context(builder, &context))))
    }

    /// Sends what has ended so far and makes an end, within three seconds. What ends later is lost.
    pub async fn end(&self) {
        let Some(on) = &self.0 else { return };
        on.closing.cancel();
        let sending = on.sending.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut sending) = sending else { return };
        if tokio::time::timeout(LAST_SEND, &mut sending).await.is_err() {
            tracing::warn!("the last traces could not be sent in time");
            sending.abort();
        }
    }
}

fn remote(span: TraceParent) -> SpanContext {
    let flags = TraceFlags::default().with_sampled(span.is_sampled);
    let (trace_id, span_id) = (TraceId::from_bytes(span.trace_id), SpanId::from_bytes(span.span_id));
    SpanContext::new(trace_id, span_id, flags, true, TraceState::NONE)
}

/// A span that has begun; it ends when it is dropped.
pub struct Span(Box<opentelemetry_sdk::trace::Span>);

impl Span {
    /// What puts other spans under this one.
    pub fn parent(&self) -> TraceParent {
        let own = self.0.span_context();
        TraceParent {
            trace_id: own.trace_id().to_bytes(),
            span_id: own.span_id().to_bytes(),
            is_sampled: own.is_sampled(),
        }
    }

    /// The id of its trace, for people who look for it.
    pub fn trace_id(&self) -> impl fmt::Display + fmt::Debug + use<> {
        self.0.span_context().trace_id()
    }

    /// Whether it will be sent. What is set on another is forgotten.
    pub fn is_recorded(&self) -> bool {
        self.0.is_recording()
    }

    /// Says something of it, by the names of OpenTelemetry's conventions where there are any.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        self.0.set_attribute(KeyValue::new(name, value));
    }

    /// Says that it failed, and how.
    pub fn fail(&mut self, kind: impl Into<Value>) {
        self.set("error.type", kind);
        self.0.set_status(Status::error(""));
    }
}

//! The span of one attempt at a job, by OpenTelemetry's conventions for messaging: a child of the span that made the job.

use domain::jobs::{self, Claimed, JobKind, Verdict};

use super::{Span, SpanKind, Traces};
use crate::run::Ending;

impl Traces {
    /// Begins the span of an attempt.
    pub(crate) fn attempt(&self, job: &Claimed) -> Option<Span> {
        let kind = jobs::lane_kind(&job.lane).map_or("unknown", JobKind::as_str);
        let mut span = self.begin(SpanKind::Consumer, || format!("process {kind}"), job.traceparent)?;
        if span.is_recorded() {
            span.set("messaging.system", "strongroom");
            span.set("messaging.operation.name", "process");
            span.set("messaging.operation.type", "process");
            span.set("messaging.destination.name", kind);
            span.set("messaging.message.id", job.id.to_string());
            span.set("strongroom.attempt", i64::from(job.attempt));
            let ids = [
                ("strongroom.org_id", job.org_id.map(|id| id.to_string())),
                ("strongroom.webhook_id", job.webhook_id.map(|id| id.to_string())),
                ("strongroom.event_id", job.event_id.map(|id| id.to_string())),
            ];
            for (name, id) in ids {
                if let Some(id) = id {
                    span.set(name, id);
                }
            }
        }
        Some(span)
    }
}

impl Span {
    /// Ends the span of an attempt with what came of it.
    pub(crate) fn came_to(mut self, ending: &Ending) {
        let outcome = ending.log.outcome;
        self.set("strongroom.outcome", outcome);
        if let Some(status) = ending.log.status {
            self.set("http.response.status_code", i64::from(status));
        }
        match ending.verdict {
            Verdict::Retry(_) | Verdict::Dead => self.fail(outcome),
            Verdict::Done | Verdict::Continue(_) | Verdict::Cancelled | Verdict::Release => {}
        }
    }
}

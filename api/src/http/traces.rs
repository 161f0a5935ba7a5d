//! The span of a request, by OpenTelemetry's conventions for HTTP servers, but for the path: paths hold names of keys and
//! tokens, so a span has the route as documented and nothing that a client wrote.

use std::net::IpAddr;

use domain::kernel::config::TraceCallers;
use domain::kernel::trace::TraceParent;
use ipnet::IpNet;
use poem::http::HeaderMap;
use worker::Traces;
use worker::traces::{Span, SpanKind};

use super::metrics::OTHER_METHOD;
use super::request::RequestContext;
use super::routes::Destination;

/// The header in which a caller says what a request is a part of. Source: W3C Trace Context.
const TRACEPARENT: &str = "traceparent";

/// Where spans go, and whose word counts for what they are a part of.
#[derive(Clone)]
pub struct TraceRules {
    pub traces: Traces,
    pub callers: TraceCallers,
    /// Whose word counts with [`TraceCallers::Trusted`].
    pub proxies: Vec<IpNet>,
}

impl TraceRules {
    /// No spans.
    pub fn off() -> Self {
        Self {
            traces: Traces::default(),
            callers: TraceCallers::None,
            proxies: Vec::new(),
        }
    }

    /// Begins the span of a request that came from this end of a socket.
    pub fn begin(
        &self,
        peer: IpAddr,
        headers: &HeaderMap,
        method: &'static str,
        to: Option<Destination<'_>>,
    ) -> Option<Span> {
        if !self.traces.are_on() {
            return None;
        }
        let under = if self.believes(peer) { given(headers) } else { None };
        let shown = if method == OTHER_METHOD { "HTTP" } else { method };
        let name = || to.map_or_else(|| shown.to_owned(), |to| format!("{shown} {}", to.template));
        let mut span = self.traces.begin(SpanKind::Server, name, under)?;
        if span.is_recorded() {
            span.set("http.request.method", method);
            if let Some(to) = to {
                span.set("http.route", to.template.to_owned());
            }
        }
        Some(span)
    }

    fn believes(&self, peer: IpAddr) -> bool {
        match self.callers {
            TraceCallers::Any => true,
            TraceCallers::None => false,
            TraceCallers::Trusted => self.proxies.iter().any(|net| net.contains(&peer.to_canonical())),
        }
    }
}

/// What the caller says, if it says one thing only and says it right.
fn given(headers: &HeaderMap) -> Option<TraceParent> {
    let mut given = headers.get_all(TRACEPARENT).iter();
    let text = given.next()?.to_str().ok()?;
    if given.next().is_some() {
        return None;
    }
    TraceParent::parse(text)
}

/// Ends the span of a request; `None` for the status when its client left before the answer.
pub fn end(mut span: Span, status: Option<u16>, context: &RequestContext) {
    if !span.is_recorded() {
        return;
    }
    match status {
        Some(status) => span.set("http.response.status_code", i64::from(status)),
        None => span.set("error.type", "client_gone"),
    }
    if let Some(fault) = status.filter(|status| *status >= 500) {
        span.fail(fault.to_string());
    }
    span.set("strongroom.request_id", context.request_id.clone());
    if let Some(org) = context.org() {
        span.set("strongroom.org_id", org.to_string());
    }
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(values: &[&'static str]) -> HeaderMap {
        let values = values.iter().copied().map(HeaderValue::from_static);
        values.fold(HeaderMap::new(), |mut headers, value| {
            headers.append(TRACEPARENT, value);
            headers
        })
    }

    #[test]
    fn a_caller_says_one_thing_and_says_it_right() {
        assert_eq!(given(&headers(&[GOOD])), TraceParent::parse(GOOD));
        assert!(given(&headers(&[GOOD])).is_some());
        for bad in [
            &[][..],
            &["nonsense"],
            &[GOOD, GOOD],
            &[GOOD, "nonsense"],
            &["nonsense", GOOD],
        ] {
            assert_eq!(given(&headers(bad)), None, "{bad:?}");
        }
    }

    #[test]
    fn the_word_counts_of_whom_the_operator_says() {
        let proxy: IpAddr = [10, 1, 2, 3].into();
        let mapped: IpAddr = "::ffff:10.1.2.3".parse().unwrap();
        let stranger: IpAddr = [192, 0, 2, 1].into();
        for (callers, believed) in [
            (TraceCallers::Any, [true, true, true]),
            (TraceCallers::Trusted, [true, true, false]),
            (TraceCallers::None, [false, false, false]),
        ] {
            let rules = TraceRules {
                callers,
                proxies: vec!["10.0.0.0/8".parse().unwrap()],
                ..TraceRules::off()
            };
            assert_eq!(
                [proxy, mapped, stranger].map(|peer| rules.believes(peer)),
                believed,
                "{callers:?}"
            );
        }
    }
}

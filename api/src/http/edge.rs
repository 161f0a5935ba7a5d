//! The edge itself: what happens to every request before and after its operation, in one place and in this order.

use std::any::Any;
use std::net::{IpAddr, Ipv4Addr};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::time::Instant;

use domain::kernel::{Clock, Rng, trace};
use domain::rates::Class;
use futures_util::FutureExt;
use ipnet::IpNet;
use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::{Addr, Endpoint, PathPattern, Request, Response};
use poem_openapi::OperationId;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;
use tracing::field::{Value, display};
use worker::traces::Span;

use super::body::{self, BodyRules};
use super::client_ip::client_ip;
use super::metrics::{HttpMetrics, method_name};
use super::problem::respond;
use super::rate_limit::RateLimit;
use super::rejection::{framework_error, internal, panicked};
use super::request::{CURRENT, RequestContext};
use super::routes::{Destination, RouteTable};
use super::traces::{self, TraceRules};
use super::{head, headers};

/// What the API lives under; there, a response that names no operation is stopped too.
const API_PREFIX: &str = "/v1/";
/// Paths whose next segment is a credential.
const TOKEN_PATHS: [&str; 1] = ["/v1/invites/"];
/// Longest unmatched path in a log line, characters.
const MAX_LOGGED_PATH: usize = 200;
/// The status in the log of a request whose client left before the answer.
const CLIENT_GONE: u16 = 499;

/// What the edge must know.
#[derive(Clone)]
pub struct EdgeConfig {
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether the public address of this instance is an `https` one.
    pub https: bool,
    pub clock: Clock,
    pub rng: Rng,
    /// The operations that need no access decision, by operation id.
    pub public: &'static [&'static str],
    pub routes: RouteTable,
    pub body: BodyRules,
    /// The class that an operation is counted in, by operation id; by its path what is no operation.
    pub class_of: fn(&str) -> Option<Class>,
    /// How often somebody may call.
    pub rate_limit: Arc<RateLimit>,
    pub metrics: Arc<HttpMetrics>,
    pub traces: TraceRules,
    /// Cancelled when the process is about to stop: connections then end with their next answer.
    pub draining: CancellationToken,
    /// The changes that are under way. Close it and wait for it after the server has stopped: a change goes on when
    /// its client has left.
    pub changes: TaskTracker,
}

/// Puts the edge around the routes.
pub fn apply<E>(endpoint: E, config: EdgeConfig) -> impl Endpoint<Output = Response> + 'static
where
    E: Endpoint<Output = Response> + 'static,
{
    Edge {
        inner: Arc::new(Inner { endpoint, config }),
    }
}

struct Edge<E> {
    inner: Arc<Inner<E>>,
}

struct Inner<E> {
    endpoint: E,
    config: EdgeConfig,
}

impl<E: Endpoint<Output = Response> + 'static> Endpoint for Edge<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let config = &self.inner.config;
        let client = client_ip(peer(&request), request.headers(), &config.trusted_proxies);
        let context = Arc::new(RequestContext::new(
            request.headers(),
            client,
            &config.clock,
            &config.rng,
        ));
        request.set_data(context.clone());
        let to = config.routes.destination(request.method(), request.uri().path());
        let class = class(config, to, request.method());
        let mut line = AccessLine::new(config, &request, context.clone(), to, class);
        let span = tracing::info_span!("request", request_id = context.request_id, trace_id = line.trace_id());
        // Large, and moved by each of those that are put around it.
        let answer = Box::pin(self.answer(request, &context, class));
        let answer = AssertUnwindSafe(answer)
            .catch_unwind()
            .map(|answer| answer.unwrap_or_else(panicked));
        let answer = trace::within(line.span.as_ref().map(Span::parent), answer);
        let mut response = CURRENT.scope(context.clone(), answer).instrument(span).await;
        headers::secure(&mut response, &context.request_id, config.https);
        if let Some(counted) = context.counted() {
            counted.show(&mut response);
        }
        if config.draining.is_cancelled() {
            // Whoever keeps the connection would meet its end with a later request.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        line.finish(&response);
        Ok(response)
    }
}

/// What a request is counted as. An operation that the table does not know is one that a test will find.
fn class(config: &EdgeConfig, to: Option<Destination<'_>>, method: &Method) -> Class {
    let known = to.and_then(|to| (config.class_of)(to.operation.unwrap_or(to.template)));
    known.unwrap_or(if is_safe(method) { Class::Read } else { Class::Write })
}

impl<E: Endpoint<Output = Response> + 'static> Edge<E> {
    async fn answer(&self, request: Request, context: &Arc<RequestContext>, class: Class) -> Response {
        let rate_limit = &self.inner.config.rate_limit;
        match rate_limit.admit(class, request.headers(), context.client_ip) {
            Ok(Some(counted)) => context.set_counted(counted),
            Ok(None) => {}
            Err(refused) => return *refused,
        }
        self.admitted(request, context).await
    }

    async fn admitted(&self, request: Request, context: &Arc<RequestContext>) -> Response {
        let admitted = match head::check(&request) {
            Ok(()) => body::admit(request, &self.inner.config.body).await,
            Err(error) => Err(error),
        };
        let request = match admitted {
            Ok(request) => request,
            Err(error) => return respond(error.into_problem()),
        };
        if is_safe(request.method()) {
            return self.inner.operate(request, context).await;
        }
        // hyper drops this future when the client hangs up; a change that has begun is not cut in half by that.
        let (inner, current) = (self.inner.clone(), context.clone());
        let change = async move { inner.operate(request, &current).await };
        let change = CURRENT.scope(context.clone(), trace::within(trace::current(), change));
        let change = change.in_current_span();
        match self.inner.config.changes.spawn(change).await {
            Ok(response) => response,
            Err(error) => error
                .try_into_panic()
                .map_or_else(|_| internal(), |payload: Box<dyn Any + Send>| resume_unwind(payload)),
        }
    }
}

impl<E: Endpoint<Output = Response>> Inner<E> {
    async fn operate(&self, request: Request, context: &RequestContext) -> Response {
        let in_api = request.uri().path().starts_with(API_PREFIX);
        let response = match self.endpoint.call(request).await {
            Ok(response) => response,
            Err(error) => framework_error(error, &self.config.routes),
        };
        let operation = response.data::<OperationId>().map(|id| id.0);
        if gave_something(response.status()) && !context.decided() && self.needs_decision(operation, in_api) {
            let request_id = &context.request_id;
            tracing::error!(
                request_id,
                operation,
                "an operation answered without an access decision: stopped"
            );
            return internal();
        }
        response
    }

    fn needs_decision(&self, operation: Option<&str>, in_api: bool) -> bool {
        operation.map_or(in_api, |operation| !self.config.public.contains(&operation))
    }
}

/// Whether the status tells the caller anything about what is protected.
fn gave_something(status: StatusCode) -> bool {
    status.is_success() || status == StatusCode::NOT_MODIFIED
}

/// RFC 9110 §9.2.1. Every other method, known or not, may change something.
fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

/// The other end of the socket. A request without one, as in a test, comes from nowhere.
fn peer(request: &Request) -> IpAddr {
    match request.remote_addr().0 {
        Addr::SocketAddr(peer) => peer.ip(),
        _ => Ipv4Addr::UNSPECIFIED.into(),
    }
}

/// The one log line of a request, its place in the figures and its span, which end when this is dropped: also when its
/// client has left.
struct AccessLine<'a> {
    config: &'a EdgeConfig,
    context: Arc<RequestContext>,
    to: Option<Destination<'a>>,
    class: Class,
    method: &'static str,
    shown_method: String,
    path: String,
    began: Instant,
    /// `None` for health checks, and while nothing is traced.
    span: Option<Span>,
    status: u16,
}

impl<'a> AccessLine<'a> {
    fn new(
        config: &'a EdgeConfig,
        request: &Request,
        context: Arc<RequestContext>,
        to: Option<Destination<'a>>,
        class: Class,
    ) -> Self {
        let method = method_name(request.method());
        config.metrics.began(method);
        let span = if class == Class::Probe {
            None
        } else {
            config.traces.begin(peer(request), request.headers(), method, to)
        };
        Self {
            config,
            context,
            to,
            class,
            method,
            shown_method: request.method().as_str().chars().take(16).collect(),
            path: redact(request.uri().path()),
            began: Instant::now(),
            span,
            status: CLIENT_GONE,
        }
    }

    /// The id of its trace, if somebody will see that.
    fn trace_id(&self) -> Option<impl Value + use<>> {
        let span = self.span.as_ref().filter(|span| span.is_recorded())?;
        Some(display(span.trace_id()))
    }

    fn finish(&mut self, response: &Response) {
        self.status = response.status().as_u16();
        // An answer that never reached an operation carries the empty pattern of the routes' root.
        if let Some(PathPattern(pattern)) = response.data()
            && !pattern.is_empty()
        {
            let template = self.to.map(|to| to.template);
            let template = template.or_else(|| self.config.routes.template(pattern));
            template.unwrap_or(pattern).clone_into(&mut self.path);
        }
    }
}

impl Drop for AccessLine<'_> {
    fn drop(&mut self) {
        let trace_id = self.trace_id();
        let Self {
            config,
            context,
            to,
            class,
            method,
            shown_method,
            path,
            began,
            span,
            status,
        } = self;
        let took = began.elapsed();
        if let Some(span) = span.take() {
            traces::end(span, Some(*status).filter(|status| *status != CLIENT_GONE), context);
        }
        config.metrics.ended(method, *to, *status, took, *class == Class::Probe);
        tracing::info!(
            target: "access",
            method = shown_method,
            path,
            status,
            ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            request_id = context.request_id,
            trace_id,
            ip = %context.client_ip,
        );
    }
}

/// A path that no route matched, or whose client left before one did, without the credentials in it.
fn redact(path: &str) -> String {
    for prefix in TOKEN_PATHS {
        if let Some(rest) = path.strip_prefix(prefix) {
            return match rest.split_once('/') {
                Some(_) => format!("{prefix}{{token}}/…"),
                None => format!("{prefix}{{token}}"),
            };
        }
    }
    if path.len() <= MAX_LOGGED_PATH {
        return path.to_owned();
    }
    path.chars().take(MAX_LOGGED_PATH).collect()
}

#[cfg(test)]
mod tests;

//! Times the steps of a request that the client does not tell of: resolving and connecting.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tower_layer::Layer;
use tower_service::Service;

tokio::task_local! {
    /// The probe of the request that this task runs.
    static CURRENT: Arc<Probe>;
}

/// What one request spent on reaching its peer. Empty if it used a connection that was open already.
#[derive(Debug, Default)]
pub(super) struct Probe {
    dns: OnceLock<Duration>,
    /// Resolving included.
    connect: OnceLock<Duration>,
}

impl Probe {
    /// Runs `request` with this probe as the current one.
    pub(super) async fn watch<F: Future>(self: &Arc<Self>, request: F) -> F::Output {
        CURRENT.scope(Arc::clone(self), request).await
    }

    /// The probe of the running request. Ask on the first poll: a connection that loses the race against a pooled one
    /// is finished in a task of its own, where there is none.
    pub(super) fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    pub(super) fn note_dns(&self, spent: Duration) {
        // The first attempt counts.
        let _ = self.dns.set(spent);
    }

    fn note_connect(&self, spent: Duration) {
        let _ = self.connect.set(spent);
    }

    pub(super) fn dns_us(&self) -> Option<u32> {
        self.dns.get().copied().map(micros)
    }

    /// TCP and TLS, without resolving.
    pub(super) fn connect_us(&self) -> Option<u32> {
        let resolving = self.dns.get().copied().unwrap_or_default();
        self.connect.get().map(|all| micros(all.saturating_sub(resolving)))
    }
}

/// Whole microseconds, at most 71 minutes.
pub(super) fn micros(spent: Duration) -> u32 {
    u32::try_from(spent.as_micros()).unwrap_or(u32::MAX)
}

/// Wraps the client's connector, so that connections which come about are timed.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeConnects;

impl<S> Layer<S> for TimeConnects {
    type Service = TimedConnector<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TimedConnector { inner }
    }
}

/// See [`TimeConnects`].
#[derive(Clone, Debug)]
pub(super) struct TimedConnector<S> {
    inner: S,
}

impl<S, R> Service<R> for TimedConnector<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let probe = Probe::current();
        let started = Instant::now();
        let connecting = self.inner.call(request);
        Box::pin(async move {
            let connection = connecting.await?;
            if let Some(probe) = probe {
                probe.note_connect(started.elapsed());
            }
            Ok(connection)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connecting_is_counted_without_resolving() {
        let probe = Arc::new(Probe::default());
        assert_eq!((probe.dns_us(), probe.connect_us()), (None, None));
        probe
            .watch(async {
                let current = Probe::current().unwrap();
                current.note_dns(Duration::from_millis(3));
                current.note_connect(Duration::from_millis(10));
            })
            .await;
        assert_eq!((probe.dns_us(), probe.connect_us()), (Some(3000), Some(7000)));
        assert!(Probe::current().is_none());
    }
}

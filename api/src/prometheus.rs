//! `/metrics` on a listener of its own: what it tells is for the operator, not for whoever reaches the API.

use std::sync::Arc;

use domain::metrics::{CONTENT_TYPE, Registry};
use poem::endpoint::make_sync;
use poem::http::header;
use poem::{Endpoint, EndpointExt, Response, Route};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::server::{self, ServerLimits};

/// Connections at one time; a scraper has one.
const CONNECTIONS: usize = 32;

/// Serves the figures until `stop`.
pub fn serve(listener: TcpListener, registry: Registry, stop: CancellationToken) -> JoinHandle<()> {
    let limits = ServerLimits {
        connections: CONNECTIONS,
        connections_per_peer: CONNECTIONS,
        ..ServerLimits::default()
    };
    tokio::spawn(async move {
        if let Err(error) = server::serve(listener, Arc::new(page(registry)), limits, stop).await {
            tracing::error!(%error, "the listener for metrics has stopped");
        }
    })
}

fn page(registry: Registry) -> impl Endpoint<Output = Response> {
    let shown = make_sync(move |_| {
        Response::builder()
            .header(header::CONTENT_TYPE, CONTENT_TYPE)
            .header(header::CACHE_CONTROL, "no-store")
            .body(registry.render())
    });
    Route::new().at("/metrics", poem::get(shown)).map_to_response()
}

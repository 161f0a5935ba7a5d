//! The accept loop. It speaks HTTP/1.1 only: TLS and HTTP/2 end at the proxy in front, and hyper's protocol sniffing
//! waits without a limit for its first bytes. poem's own server has no header timeout, no cap on connections and
//! spins when it runs out of file descriptors.
//!
//! Whoever sends too large a head, or too many headers, for hyper to read gets hyper's own 431 with an empty body;
//! heads between our limit and hyper's are answered in our own shape by [`crate::http::head`].

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use poem::http::uri::Scheme;
use poem::http::{HeaderValue, header};
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, Endpoint, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::client_ip::network;
use crate::http::connection::{Exchange, Patience, PatientStream, while_sending};
use crate::http::leftover::Leftover;

/// Pause after a failed accept, so that running out of file descriptors does not spin.
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(50);
/// How long nobody must have come before the listener is closed: whoever is in the kernel's queue then is cut off.
const QUIET: Duration = Duration::from_millis(20);
/// How long whoever keeps coming can put that off.
const LAST_GUESTS: Duration = Duration::from_millis(500);
/// How long a connection that has just been opened is given for its first request when the shutdown begins.
const FIRST_WORDS: Duration = Duration::from_millis(200);
/// hyper's read buffer of one connection, bytes.
const READ_BUFFER: usize = 64 * 1024;

/// What one listener puts up with.
#[derive(Clone, Debug)]
pub struct ServerLimits {
    /// Open connections in all; more wait in the kernel's queue.
    pub connections: usize,
    /// Open connections of one IPv4 address or IPv6 /64; more are closed at once.
    pub connections_per_peer: usize,
    /// Peers that carry many clients, and so have no cap of their own: the trusted proxies.
    pub uncapped_peers: Vec<IpNet>,
    /// What the peer has time for.
    pub patience: Patience,
    /// A connection with no request for this long is closed.
    pub keep_alive: Duration,
    /// The largest head that hyper reads, bytes; twice what we accept, so that most get an answer in our own shape.
    pub head_bytes: usize,
    /// How long requests in flight may take after the shutdown began.
    pub drain: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_peer: 1_000,
            uncapped_peers: Vec::new(),
            patience: Patience::default(),
            keep_alive: Duration::from_secs(75),
            head_bytes: 32 * 1024,
            drain: Duration::from_secs(25),
        }
    }
}

/// Serves until `shutdown` is cancelled, then stops accepting and returns when the requests in flight are answered,
/// after [`ServerLimits::drain`] at the latest.
///
/// # Errors
/// The listener has no local address. A failed accept is no error: it is tried again.
pub async fn serve<E>(
    listener: TcpListener,
    endpoint: Arc<E>,
    limits: ServerLimits,
    shutdown: CancellationToken,
) -> io::Result<()>
where
    E: Endpoint<Output = Response> + 'static,
{
    let local = listener.local_addr()?;
    let limits = Arc::new(limits);
    let total = Arc::new(Semaphore::new(limits.connections));
    let peers = Peers::default();
    let open = TaskTracker::new();
    let cut = CancellationToken::new();
    let take_in = |(stream, peer, permit): Accepted| {
        let Some(seat) = peers.seat(peer.ip(), &limits) else {
            return;
        };
        let connection = connection(
            stream,
            (local, peer),
            endpoint.clone(),
            limits.clone(),
            shutdown.clone(),
        );
        let cut = cut.clone();
        open.spawn(async move {
            let _held = (permit, seat);
            tokio::select! {
                () = cut.cancelled() => {}
                () = connection => {}
            }
        });
    };
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &total) => take_in(accepted),
        }
    }
    // The kernel has taken connections that nobody has accepted. They are let in before the door is shut.
    let last = Instant::now() + LAST_GUESTS;
    while Instant::now() < last {
        let Ok(accepted) = tokio::time::timeout(QUIET, accept(&listener, &total)).await else {
            break;
        };
        take_in(accepted);
    }
    drop(listener);
    open.close();
    if tokio::time::timeout(limits.drain, open.wait()).await.is_err() {
        tracing::warn!(
            connections = open.len(),
            "the drain time is over: open connections are cut"
        );
        cut.cancel();
        open.wait().await;
    }
    Ok(())
}

/// A connection with its peer and its place among all.
type Accepted = (TcpStream, SocketAddr, OwnedSemaphorePermit);

async fn accept(listener: &TcpListener, total: &Arc<Semaphore>) -> Accepted {
    loop {
        // The semaphore is never closed; should it be, there is no more accepting either.
        let Ok(permit) = total.clone().acquire_owned().await else {
            return std::future::pending().await;
        };
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, permit),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections");
                tokio::time::sleep(ACCEPT_BACK_OFF).await;
            }
        }
    }
}

/// The client left before it was accepted; the next one may be fine.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn connection<E>(
    stream: TcpStream,
    (local, peer): (SocketAddr, SocketAddr),
    endpoint: Arc<E>,
    limits: Arc<ServerLimits>,
    shutdown: CancellationToken,
) where
    E: Endpoint<Output = Response> + 'static,
{
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let opened = Instant::now();
    let exchange = Arc::new(Exchange::default());
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let in_flight = exchange.begin();
        let addresses = (LocalAddr(Addr::SocketAddr(local)), RemoteAddr(Addr::SocketAddr(peer)));
        let mut request = poem::Request::from((request, addresses.0, addresses.1, Scheme::HTTP));
        let leftover = Leftover::watch(&mut request);
        let endpoint = endpoint.clone();
        // hyper moves to and fro what it waits for: a pointer is moved sooner than all that a request may come to need.
        Box::pin(async move {
            let mut response = endpoint.get_response(request).await;
            if !leftover.read_off().await {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            let response = hyper::Response::from(response);
            Ok::<_, Infallible>(response.map(|body| while_sending(body, in_flight)))
        })
    });
    let stream = PatientStream::new(stream, exchange.clone(), limits.patience);
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            // hyper starts this clock when it begins to wait for a head. The tighter limit, from a head's first byte
            // to its last, is the stream's.
            .header_read_timeout(limits.keep_alive)
            .max_header_size(limits.head_bytes)
            .max_buf_size(READ_BUFFER)
            .serve_connection(TokioIo::new(stream), service)
    );
    tokio::select! {
        biased;
        ended = connection.as_mut() => return note(ended),
        () = shutdown.cancelled() => {}
    }
    // hyper would cut off a connection that has said nothing yet, and this one may have been opened just now.
    if !exchange.was_heard() {
        tokio::select! {
            biased;
            ended = connection.as_mut() => return note(ended),
            () = tokio::time::sleep_until(opened + FIRST_WORDS) => {}
        }
    }
    connection.as_mut().graceful_shutdown();
    // It takes one that never said anything for a busy one.
    if exchange.was_heard() {
        note(connection.await);
    }
}

fn note(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// How many connections each peer has open.
#[derive(Clone, Default)]
struct Peers(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// The place of one connection among those of its peer; dropping it gives it back. `None` for a peer without a cap.
struct Seat(Option<(Peers, IpAddr)>);

impl Peers {
    /// `None` when the peer has as many connections as it may.
    fn seat(&self, peer: IpAddr, limits: &ServerLimits) -> Option<Seat> {
        let peer = peer.to_canonical();
        if limits.uncapped_peers.iter().any(|net| net.contains(&peer)) {
            return Some(Seat(None));
        }
        let peer = network(peer);
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(peer).or_default();
        if *count >= limits.connections_per_peer {
            return None;
        }
        *count += 1;
        drop(open);
        Some(Seat(Some((self.clone(), peer))))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some((peers, peer)) = &self.0 else { return };
        let mut open = peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(peer) {
            *count -= 1;
            if *count == 0 {
                open.remove(peer);
            }
        }
    }
}

#[cfg(test)]
mod tests;
